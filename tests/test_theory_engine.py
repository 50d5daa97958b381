"""The closed forms beside the engine: a hundred thousand requests through Django's own cache on the virtual clock."""

from __future__ import annotations

from functools import cache as once
from typing import Any

import pytest

import small_shop  # noqa: F401  # sets Django up

# isort: split
from django.core.cache import cache

from theory_cases import Case
from theory_engine_cases import engine_cases
from tutorial_project.lab import Origin, simulate, theory


@once
def cases() -> list[Case]:
    return list(engine_cases())


@pytest.mark.slow
def test_every_formula_agrees_with_the_engine():
    off = [str(case) for case in cases() if case.off > case.tolerance]
    assert not off, "\n".join(off)


@pytest.mark.slow
def test_no_tolerance_hides_a_wrong_formula():
    wide = [str(case) for case in cases() if case.tolerance > 0.13 * case.predicted]
    assert not wide, "\n".join(wide)


@pytest.mark.slow
def test_stacked_layers_add_their_lifetimes():
    """A row kept for 6 s, in a page kept for 4 s."""
    origin = Origin(seconds=0)

    def row(pk: int) -> Any:
        return cache.get_or_set(f"row:{pk}", lambda: origin.read(pk), 6)

    def page(pk: int) -> Any:
        return cache.get_or_set(f"page:{pk}", lambda: row(pk), 4)

    run = simulate({page: 20.0, row: 20.0}, seconds=500, origin=origin, cache_latency=0)
    oldest = run.requests.groupby("stream")["age"].max()
    assert oldest["row"] <= theory.oldest(6)
    assert theory.oldest(6) < 9.9 < oldest["page"] <= theory.oldest(6, 4)


@pytest.mark.parametrize(("spare", "survives"), [(0.03, True), (-0.03, False)])
def test_an_origin_survives_from_the_needed_hit_ratio_on(spare: float, survives: bool):
    """Requests that hit by chance: a little above the line queries come and go, a little below they pile up."""
    rate, seconds, at_once = 100.0, 0.1, 4
    hits = theory.hit_ratio_needed(rate, seconds, at_once) + spare
    origin = Origin(seconds=seconds, at_once=at_once)
    missing = iter(range(10**9))

    def read(pk: int) -> Any:
        n = next(missing)
        return None if int(n * hits) < int((n + 1) * hits) else origin.read(pk)

    run = simulate({read: rate}, seconds=200, origin=origin, cache_latency=0)
    late = run.state[(run.state["at"] > 150) & (run.state["at"] < 200)]["queries"]
    assert (late.min() <= at_once) == survives
