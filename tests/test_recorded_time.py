"""The shop on a clock that is moved by hand: entries run out by it, and afterwards all is as it was."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.cache import cache, caches
from django.core.cache.backends.redis import RedisCache

from real_shop import fresh_lab, keys, running_lab  # noqa: F401
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.recorded_time import recorded_time, replay_at_pace
from tutorial_project.shop import kept
from tutorial_project.shop.models import Product


def test_an_entry_lives_until_the_clock_says_so(lab: Lab) -> None:
    with recorded_time() as clock:
        cache.set("note", "here", 60)
        clock.at(59.9)
        assert cache.get("note") == "here"
        clock.forward(0.1)
        assert cache.get("note") is None


def test_every_cache_of_the_shop_is_on_the_clock_and_metered(lab: Lab) -> None:
    with recorded_time(start=100) as clock, lab.meter() as reading:
        caches["local"].set("note", "here", 1)
        cache.set("note", "here", 1)
        clock.forward(2)
        assert caches["local"].get("note") is cache.get("note") is None
        assert time.time() == clock.now == 102
    assert reading.operations["set"] == reading.operations["get"] == 2


def test_real_time_plays_no_part(lab: Lab) -> None:
    with recorded_time():
        cache.set("note", "here", 0.01)
        time.sleep(0.05)
        assert cache.get("note") == "here"
        with ThreadPoolExecutor(1) as another:
            assert another.submit(time.time).result() > 1e9
    assert time.time() > 1e9


def test_the_clock_does_not_go_back(lab: Lab) -> None:
    with recorded_time(start=10) as clock, pytest.raises(LabError, match="stands at 10 s and does not go back to 9 s"):
        clock.at(9)


def test_nothing_of_the_block_is_left_whatever_happens(lab: Lab) -> None:
    cache.set("before", 1)
    with pytest.raises(ZeroDivisionError), recorded_time():
        assert cache.get("before") is None
        cache.set("inside", 1)
        1 / 0  # noqa: B018
    assert isinstance(caches["default"], RedisCache) and keys() == []
    with recorded_time():
        assert cache.get("inside") is None
    cache.set("real", "time", 1)
    time.sleep(1.1)
    assert cache.get("real") is None


def test_a_change_that_sends_no_signal_is_healed_by_expiry(lab: Lab) -> None:
    with recorded_time() as clock:
        before = kept.product_detail(42)["product"].price
        Product.objects.filter(pk=42).update(price=before + 1)
        clock.at(59)
        assert kept.product_detail(42)["product"].price == before
        clock.at(60)
        assert kept.product_detail(42)["product"].price == before + 1


def test_at_the_pace_of_the_recording_entries_run_out(lab: Lab) -> None:
    trace = lab.traffic(60, "09:00")
    lab.keep("product_detail", "navigation", seconds=10)
    at_once, at_pace = lab.replay(trace), replay_at_pace(trace)
    assert list(at_once.columns) == list(at_pace.columns)
    assert at_pace["misses"].sum() > at_once["misses"].sum()
    assert replay_at_pace(60)["misses"].sum() == at_pace["misses"].sum()
    assert keys() == []
