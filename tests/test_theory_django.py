"""The closed forms that speak of Django's own code, beside that code: its local memory, get_or_set and cache_page."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest

import small_shop  # noqa: F401  # sets Django up

# isort: split
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.views.decorators.cache import cache_page

from tutorial_project.lab import theory
from vectorised import mean_of

REQUESTS = 100_000
looks: Counter[str] = Counter()


class CountedCache(LocMemCache):
    """Counts its looks as a cache server does: hits and misses."""

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        value = super().get(key, default, version)
        looks["miss" if value is default else "hit"] += 1
        return value


@pytest.mark.parametrize(("max_entries", "cull_frequency"), [(120, 3), (120, 2)])
def test_local_memory_is_an_lru_of_the_room_it_has(max_entries, cull_frequency):
    weights = theory.zipf(1_000, 0.9)
    keys = np.random.default_rng(1).choice(len(weights), size=REQUESTS, p=weights)
    options = {"OPTIONS": {"MAX_ENTRIES": max_entries, "CULL_FREQUENCY": cull_frequency}}
    cache = LocMemCache(f"room {max_entries} {cull_frequency}", options)
    hit, held = np.zeros(REQUESTS, dtype=bool), np.zeros(REQUESTS)
    for n, key in enumerate(keys.tolist()):
        hit[n] = cache.get(str(key)) is not None
        if not hit[n]:
            cache.set(str(key), 1, None)
        held[n] = len(cache._cache)  # type: ignore[attr-defined]
    room = theory.locmem_room(max_entries, cull_frequency)
    assert held[5_000:].mean() == pytest.approx(room, rel=0.03)
    predicted = theory.overall_hit_ratio(weights, theory.lru_hit_ratios(weights, room))
    measured = mean_of(hit[5_000:])
    assert abs(measured.mean - predicted) < 4 * measured.error + 0.01 * predicted
    as_if_full = theory.overall_hit_ratio(weights, theory.lru_hit_ratios(weights, max_entries))
    assert as_if_full - measured.mean > 4 * measured.error, "the room it loses by culling would be seen"


def test_what_a_server_counts_for_get_or_set():
    cache, draw, computed = CountedCache("counted", {}), random.Random(1), 0

    def rows() -> str:
        nonlocal computed
        computed += 1
        return "rows"

    cache.clear()
    looks.clear()
    for _ in range(5_000):
        if draw.random() < 0.3:
            cache.clear()
        cache.get_or_set("popular", rows, 600)
    ratio = 1 - computed / 5_000
    assert 0.6 < ratio < 0.8
    assert looks["hit"] / looks.total() == pytest.approx(theory.server_ratio(ratio), rel=1e-12)


@override_settings(CACHES={"default": {"BACKEND": f"{__name__}.CountedCache", "LOCATION": "counted pages"}})
def test_what_a_server_counts_for_a_cached_page():
    draw, rendered = random.Random(1), 0

    @cache_page(600)
    def page(request: HttpRequest) -> HttpResponse:
        nonlocal rendered
        rendered += 1
        return HttpResponse("page")

    factory = RequestFactory()
    caches["default"].clear()
    looks.clear()
    for _ in range(2_000):
        if draw.random() < 0.3:
            caches["default"].clear()
        page(factory.get("/page/"))
    ratio = 1 - rendered / 2_000
    assert 0.6 < ratio < 0.8
    assert looks["hit"] / looks.total() == pytest.approx(theory.page_ratio(ratio), rel=1e-12)
