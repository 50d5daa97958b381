"""Requests in virtual time: what a run writes down, that it is the same each time, and what is refused."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from django.core.cache import cache

from small_shop import shop, shop_database  # noqa: F401
from tutorial_project.caching import runtime
from tutorial_project.lab import Origin, arrivals, bursts, simulate


def kept(origin: Origin, ttl: float = 60) -> Callable[[int], Any]:
    def read(pk: int) -> Any:
        return cache.get_or_set(f"product:{pk}:detail", lambda: origin.read(pk), ttl)

    return read


# What is written down


def test_one_request_after_the_other_as_told() -> None:
    origin = Origin(seconds=0.5)
    read = kept(origin, ttl=10)
    run = simulate({read: [1, 2, 12], origin.write: [(5, 0)]}, seconds=20, origin=origin, cache_latency=0.25)
    rows: Any = run.requests
    assert rows.stream.tolist() == ["read", "read", "write", "read"] and rows.arrived.tolist() == [1, 2, 5, 12]
    assert rows.latency.tolist() == [1.25, 0.25, 0, 1.25]  # get, read, add, get; get; nothing; the same again
    assert rows.hit.tolist() == [False, True, False, False]
    assert rows.version[rows.stream == "read"].tolist() == [0, 0, 1]
    assert rows.age[rows.stream == "read"].tolist() == [1.0, 1.0, 1.0] and rows.error.tolist() == [""] * 4
    assert rows.iloc[2][["version", "age", "stale", "behind"]].isna().all()
    assert run.recomputations.values.tolist() == [["read", 0, 1.25, 1.75, 1], ["read", 0, 12.25, 12.75, 1]]
    assert run.state.values.tolist()[:4] == [[1, 1, 0], [1.25, 1, 1], [1.75, 1, 0], [2, 2, 0]]
    assert (run.hit_ratio, run.stale) == (1 / 3, 0) and str(run).startswith("4 requests, hit ratio 0.333, stale 0.000")


def test_an_old_answer_is_stale_and_says_by_how_much() -> None:
    origin = Origin(seconds=0)
    run = simulate(
        {kept(origin): [1, 4, 8], origin.write: [(3, 0), (6, 0)]}, seconds=20, origin=origin, cache_latency=0
    )
    reads: Any = run.requests[run.requests.stream == "read"]
    assert reads.stale.tolist() == [False, True, True] and reads.behind.tolist() == [0, 1, 5]
    assert reads.age.tolist() == [0, 3, 7] and run.stale == pytest.approx(2 / 3) and run.hit_ratio == 2 / 3


def test_the_end_of_a_query_is_what_it_shows_or_its_beginning() -> None:
    for snapshot, version in ((False, 1), (True, 0)):
        origin = Origin(seconds=2, snapshot=snapshot)
        run = simulate({origin.read: [1], origin.write: [(2, 0)]}, seconds=9, origin=origin)
        assert run.requests.version[0] == version and run.requests.age[0] == 2
        assert bool(run.requests.stale[0]) is snapshot and origin.version(0) == 1


def test_what_is_raised_is_written_down() -> None:
    def fails(pk: int) -> None:
        raise ConnectionError

    rows = simulate({fails: [1, 2]}).requests
    assert rows.error.tolist() == ["ConnectionError"] * 2 and math.isnan(simulate({fails: [1]}).hit_ratio)


# The database slows down


def test_queries_share_what_the_database_can_do() -> None:
    origin = Origin(seconds=1, at_once=2)
    run = simulate({origin.read: [0.0, 0.0, 0.0, 0.0]}, seconds=1, origin=origin)
    assert run.recomputations.ended.tolist() == [2.0] * 4 and run.recomputations.at_once.tolist() == [1, 2, 3, 4]
    # One alone for half a second, then three at two thirds of the speed until it is done, then two at full speed.
    run = simulate({origin.read: [0.0, 0.5, 0.5]}, seconds=1, origin=origin)
    assert run.recomputations.ended.tolist() == pytest.approx([1.25, 1.75, 1.75])


def test_it_is_as_fast_as_a_queue_of_its_kind_should_be() -> None:
    """M/M/1 processor sharing with fixed work: the mean time in the system is s / (1 - rate * s)."""
    origin = Origin(seconds=0.05, at_once=1)
    rows = simulate({origin.read: 10.0}, seconds=20_000, origin=origin).requests
    assert rows.latency.mean() == pytest.approx(0.05 / (1 - 0.5), rel=0.03)


def test_a_write_may_cost_and_is_seen_when_it_is_done() -> None:
    origin = Origin(seconds=0, write_seconds=2)
    seen: list[int] = []
    simulate({origin.write: [(1, 0)], lambda pk: seen.append(origin.version(0)): [2, 4]}, seconds=9, origin=origin)
    assert seen == [0, 1]


def test_an_expiry_costs_one_recomputation_and_one_for_each_that_arrives_meanwhile() -> None:
    origin = Origin(seconds=2, at_once=1000)
    run = simulate({kept(origin, ttl=100): 3.0}, seconds=50_000, origin=origin)
    expiries = 50_000 / (100 + 2 + 1 / 3)
    assert len(run.recomputations) / expiries == pytest.approx(1 + 3 * 2, rel=0.03)


# The same each time, and as the formula says


@pytest.mark.parametrize("keys, skew", [(1, 0.0), (100, 0.0), (100, 1.0)])
def test_one_seed_one_result(keys: int, skew: float) -> None:
    def run(seed: int) -> Any:
        origin = Origin()
        return simulate({kept(origin): 50.0, origin.write: 0.5}, 200, keys=keys, skew=skew, origin=origin, seed=seed)

    once, again, other = run(1), run(1), run(2)
    assert once.requests.equals(again.requests) and once.state.equals(again.state)
    assert once.recomputations.equals(again.recomputations) and not once.requests.equals(other.requests)


def test_the_figures_of_a_seed_are_these_on_every_machine() -> None:
    origin = Origin()
    run = simulate({kept(origin): 5.0, origin.write: 0.1}, seconds=3600, keys=10, skew=1.0, origin=origin)
    assert str(run) == "18,484 requests, hit ratio 0.967, stale 0.316, 589 recomputations"


def test_the_hit_ratio_is_the_one_of_the_formula() -> None:
    origin = Origin(seconds=0)
    run = simulate({kept(origin, 20): 1.0}, seconds=50_000, origin=origin, cache_latency=0)
    assert run.hit_ratio == pytest.approx(20 / 21, rel=0.005)


def test_the_same_origin_starts_anew() -> None:
    origin = Origin()
    first, second = (simulate({kept(origin): 5.0, origin.write: 1.0}, 100, origin=origin) for _ in range(2))
    assert first.requests.equals(second.requests) and len(first.recomputations) == len(second.recomputations)


def test_chance_and_time_are_the_runs_own() -> None:
    import random

    drawn: list[float] = []

    def draws(pk: int) -> None:
        drawn.append(random.random())
        assert time.time() == time.monotonic() == runtime.now()

    random.seed(7)
    expected = random.Random(7).random()
    errors = [simulate({draws: [1, 2]}, seed=seed).requests.error.tolist() for seed in (1, 1, 2)]
    assert errors == [["", ""]] * 3 and drawn[:2] == drawn[2:4] != drawn[4:] and random.random() == expected


# Arrivals


def test_bursts_have_the_rate_and_come_in_bursts() -> None:
    times = [t for t, _ in arrivals.arrivals(bursts(0.5, every=100, length=4), 100_000, 1, 0, "1", "s")]
    assert len(times) == pytest.approx(50_000, rel=0.02) and max(t % 100 for t in times) < 4
    assert times == sorted(times)


def test_a_rate_is_a_poisson_process() -> None:
    times = [t for t, _ in arrivals.arrivals(2.0, 50_000, 1, 0, "1", "s")]
    gaps = [b - a for a, b in zip(times, times[1:], strict=False)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(0.5, rel=0.01)
    assert sum((gap - mean) ** 2 for gap in gaps) / len(gaps) == pytest.approx(0.25, rel=0.03)


def test_keys_are_drawn_by_their_rank() -> None:
    keys = arrivals.drawn(4, 1.0, Random(1))
    counts = [0] * 4
    for _ in range(50_000):
        counts[next(keys)] += 1
    assert [count / 50_000 for count in counts] == pytest.approx([12 / 25, 6 / 25, 4 / 25, 3 / 25], abs=0.01)
    assert {next(arrivals.drawn(1, 0, Random(1))) for _ in range(9)} == {0}


def test_a_trace_says_when_and_for_what() -> None:
    seen: list[Any] = []
    run = simulate({seen.append: iter([(1.5, "a"), (2, "b"), (99, "late")])}, seconds=9)
    assert seen == ["a", "b"] and run.requests.arrived.tolist() == [1.5, 2]


# Waiting, sleeping, background work, one step


def test_waiting_and_background_work() -> None:
    done: list[float] = []

    def work() -> None:
        runtime.sleep(3)
        done.append(runtime.now())

    def asks(pk: int) -> None:
        runtime.spawn(work)
        done.append(runtime.wait(lambda: bool(done), 60))
        done.append(runtime.now())
        done.append(runtime.wait(lambda: False, 5))
        done.append(runtime.now())

    assert simulate({asks: [1]}).requests.error.tolist() == [""]
    assert done == [4.0, True, pytest.approx(4.0, abs=0.03), False, pytest.approx(9.0, abs=0.05)]


def test_a_block_that_is_one_step_costs_one_call_and_nobody_comes_between() -> None:
    taken: list[float] = []

    def take(pk: int) -> None:
        with cache.exclusively():  # type: ignore[attr-defined]
            if cache.get("lock") is None:
                cache.set("lock", 1)
                taken.append(runtime.now())

    run = simulate({take: [1.0] * 5}, cache_latency=0.5)
    assert taken == [1.5] and run.requests.latency.tolist() == [0.5] * 5


def test_without_it_everybody_takes_the_lock() -> None:
    taken: list[float] = []

    def take(pk: int) -> None:
        if cache.get("lock") is None:
            cache.set("lock", 1)
            taken.append(runtime.now())

    simulate({take: [1.0] * 5}, cache_latency=0.5)
    assert taken == [2.0] * 5


def test_given_comes_first_and_takes_no_time() -> None:
    seen: list[Any] = []
    simulate({lambda pk: seen.append(cache.get("a")): [1]}, given=lambda: cache.set("a", 7), cache_latency=9)
    assert seen == [7]


def test_room_for_a_hundred_thousand() -> None:
    def fills(pk: int) -> None:
        for n in range(1000):
            cache.set(f"{pk}:{n}", 1)

    sizes: list[int] = []
    simulate(
        {fills: [(1, n) for n in range(5)], lambda pk: sizes.append(len(cache._cache)): [3]},  # type: ignore[attr-defined]
        cache_latency=0,
    )
    assert sizes == [5000]
