"""The remedies under one experiment in virtual time: what each lets through, and who waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache

from small_shop import shop, shop_database  # noqa: F401
from tutorial_project.lab import Origin, clock, defences, explore, simulate
from tutorial_project.lab.defences import NAMES, Told, defended

SECONDS, TIMEOUT, COST = 42, 10, 0.5
REQUESTS = [
    0.0,
    *(1 + number / 50 for number in range(50 * (SECONDS - 1))),
]  # one that fills the cache, then 50 a second


def tried(defence: Any, requests: Any = REQUESTS, **options: Any) -> tuple[int, int]:
    """How many recomputations, and how many requests waited for one."""
    origin = Origin(seconds=COST, at_once=1000)
    read = defended(defence, origin, timeout=TIMEOUT, lease=2, grace=60, **options)
    run = simulate({read: requests}, SECONDS, origin=origin)
    assert read.__name__ == defence.__name__ and set(run.requests.error) == {""}
    return len(run.recomputations), int((run.requests.latency > 0.02).sum())


def test_without_a_remedy_everybody_who_comes_meanwhile_computes() -> None:
    for defence in (defences.plain, defences.jitter):
        computed, waited = tried(defence)
        assert computed == waited > 3 * 50 * COST


def test_a_lock_lets_one_compute_and_the_others_wait() -> None:
    computed, waited = tried(defences.naive_lock)
    assert computed == 4 and waited > 3 * 50 * COST / 2


def test_with_the_previous_value_only_who_computes_waits() -> None:
    assert tried(defences.lock_with_previous) == (4, 4)
    assert tried(defences.lock_with_previous, processes=4) == (4, 4)


def test_early_recomputation_costs_a_few_and_hardly_anybody_waits_for_another() -> None:
    computed, waited = tried(defences.early)
    assert 4 <= computed == waited < 3 * 50 * COST / 2


def test_with_a_background_refresh_nobody_waits_but_for_the_first_value() -> None:
    assert tried(defences.stale) == (4, 1)
    assert tried(defences.lease) == (4, 1)
    assert tried(defences.lease, processes=4) == (4, 1)


def test_a_cold_key_is_computed_once_under_a_lock() -> None:
    at_once = [(0.0, 0)] * 32
    computed = {defence.__name__: tried(defence, at_once, processes=4)[0] for defence in NAMES}
    assert computed["plain"] == computed["jitter"] == computed["early"] == computed["stale"] == 32
    assert computed["naive_lock"] == computed["lock_with_previous"] == computed["lease"] == 1


@pytest.mark.parametrize(("defence", "bad"), [(defences.naive_lock, True), (defences.lock_with_previous, False)])
def test_only_a_second_look_makes_it_once_in_every_order(defence: Any, bad: bool) -> None:
    origin = Origin()

    def reader() -> Any:
        return defence(Told(origin.read)).get(42)

    def twice(end: Any) -> bool:
        return sum(step.where == "database" for step in end.steps) > 1

    assert bool(explore(reader, reader, never=twice, preemptions=2).bad) is bad


@pytest.mark.parametrize("defence", list(NAMES))
def test_what_is_invalidated_is_computed_anew(defence: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = LocMemCache(defence.__name__, {})
    monkeypatch.setattr(caches._connections, "default", memory, raising=False)  # type: ignore[attr-defined]
    versions = iter(range(9))
    it = defence(Told(lambda key: (key, next(versions))))
    assert (it.get("a"), it.get("a"), it.get("b")) == (("a", 0), ("a", 0), ("b", 1))
    it.invalidate("a")
    assert (it.get("a"), it.get("b")) == (("a", 2), ("b", 1))


def test_a_lock_that_is_shorter_than_the_computation_is_given_back_by_somebody_else() -> None:
    origin = Origin()
    defence = defences.naive_lock(Told(origin.read, lease=1))

    def third_comes_in(end: Any) -> bool:
        return sum(step.what.startswith("delete") for step in end.steps) > 1

    def reader() -> Any:
        return defence.get(42)

    found = explore(reader, reader, clock(2), never=third_comes_in, preemptions=2)
    assert found.bad > 0


def test_times_below_a_second_are_rounded_up_where_the_backend_would_keep_none() -> None:
    told = Told(str, timeout=1, lease=0.6)
    assert defences.naive_lock(told).lease == defences.lock_with_previous(told).lease == 1
    jittered: Callable[[], float] = defences.jitter(told).lifetime
    assert {jittered() for _ in range(50)} == {1}
