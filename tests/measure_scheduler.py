"""How fast the scheduler is: `python tests/measure_scheduler.py [REQUESTS]` prints requests and orders a second.

Get, compute, set over 1 and over 100 keys: the engine and the same model in SimPy (simpy_model.py) serve the same
arrivals through the same LocMemCache, in turns, so that whatever else the machine does falls on both alike. Both make a
frame of a row a request. That both saw the same hits, queries and latencies is checked each time.
"""

from __future__ import annotations

import gc
import random
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from time import perf_counter, process_time
from typing import Any

import pandas as pd

RATE, TTL, QUERY, AT_ONCE, TRIP = 100.0, 10.0, 0.05, 4, 0.0005
Arrivals = list[tuple[float, int]]


@dataclass
class Took:
    """Runs of one kind: seconds on the clock, and seconds of the processor."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


@dataclass
class Speeds:
    """Requests a second by the clock, medians; and the median, pair by pair, of how much longer SimPy computed."""

    engine: float
    simpy: float
    ratio: float

    def __str__(self) -> str:
        return f"engine {self.engine:>9,.0f} a second, SimPy {self.simpy:>9,.0f}, engine ÷ SimPy {self.ratio:.2f}"


def arrivals(requests: int, keys: int, seed: int = 1) -> Arrivals:
    """Poisson arrivals, each key as likely as another."""
    draw = random.Random(seed)
    return [(at, draw.randrange(keys)) for at in accumulate(draw.expovariate(RATE) for _ in range(requests))]


def by_engine(asked: Arrivals) -> tuple[pd.DataFrame, int]:
    """(a row a request, in order of arrival; how often the origin was asked)."""
    from django.core.cache import cache

    from tutorial_project.lab import Origin, simulate

    origin = Origin(seconds=QUERY, at_once=AT_ONCE)

    def read(key: int) -> Any:
        name = f"product:{key}:detail"
        value = cache.get(name)
        if value is None:
            value = origin.read(key)
            cache.set(name, value, TTL)
        return value

    run = simulate({read: asked}, seconds=asked[-1][0] + 1, origin=origin, cache_latency=TRIP)
    return run.requests, len(run.recomputations)


def by_simpy(asked: Arrivals) -> tuple[pd.DataFrame, int]:
    """The same by SimPy."""
    from simpy_model import simpy_run

    return simpy_run(asked, ttl=TTL, origin=(QUERY, AT_ONCE), cache_latency=TRIP)


def timed(run: Callable[[Arrivals], Any], asked: Arrivals, took: Took) -> Any:
    """What `run` returns, its time added to `took`."""
    gc.collect()
    clock, processor = perf_counter(), process_time()
    result = run(asked)
    took.clock.append(perf_counter() - clock)
    took.processor.append(process_time() - processor)
    return result


def compared(requests: int, keys: int, pairs: int = 7) -> Speeds:
    """Both over the same arrivals, `pairs` times in turns. AssertionError if they saw different things."""
    asked = arrivals(requests, keys)
    engine, simpy = Took(), Took()
    timed(by_engine, asked[:500], Took()), timed(by_simpy, asked[:500], Took())  # what is imported is imported now
    for pair in range(pairs):
        turns = [(by_engine, engine), (by_simpy, simpy)]
        results = {run: timed(run, asked, took) for run, took in (turns if pair % 2 else reversed(turns))}
        same(results[by_engine], results[by_simpy])
    ratios = [other / own for own, other in zip(engine.processor, simpy.processor, strict=True)]
    own, other = (requests / statistics.median(took.clock) for took in (engine, simpy))
    return Speeds(own, other, statistics.median(ratios))


def same(engine: tuple[pd.DataFrame, int], simpy: tuple[pd.DataFrame, int]) -> None:
    """AssertionError unless both served the same requests, in the same time, from the same place."""
    (own, queries), (other, asked) = engine, simpy
    other = other.sort_values("arrived", kind="stable")
    assert queries == asked, f"{queries} queries by the engine, {asked} by SimPy"
    assert own["hit"].to_list() == other["hit"].to_list()
    assert max(abs(own["latency"].to_numpy() - other["latency"].to_numpy())) < 1e-6


def orders_a_second(over_the_orm: bool) -> tuple[int, float]:
    """(orders, orders a second) of two readers and a writer; over the ORM the shop's own rows, in transactions."""
    from django.core.cache import cache
    from django.db import transaction

    from tutorial_project.lab import explore
    from tutorial_project.shop.models import Product

    pk = Product.objects.values_list("pk", flat=True).order_by("pk")[0] if over_the_orm else 0
    row = {"price": 1}

    def look() -> Any:
        return Product.objects.values_list("price", flat=True).get(pk=pk) if over_the_orm else cache.get("row")

    def reader() -> Any:
        value = cache.get("copy")
        if value is None:
            value = look()
            cache.set("copy", value, 60)
        return value

    def writer() -> None:
        if not over_the_orm:
            cache.set("row", 2)
            cache.delete("copy")
            cache.delete("listing")
            return
        with transaction.atomic():
            Product.objects.filter(pk=pk).update(stock=1)
            cache.delete("copy")

    def given() -> None:
        if not over_the_orm:
            cache.set("row", row["price"])

    began = perf_counter()
    found = explore(reader, reader, writer, given=given, schedules=5_000)
    return found.orders, found.orders / (perf_counter() - began)


if __name__ == "__main__":
    from tutorial_project.lab.booting import boot

    boot()
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    for keys in (1, 100):
        print(f"{requests:,} requests over {keys:>3} key{'s' if keys > 1 else ' '}: {compared(requests, keys)}")
    for over_the_orm, where in ((False, "the cache alone"), (True, "the ORM and the cache")):
        orders, speed = orders_a_second(over_the_orm)
        print(f"explore, two readers and a writer over {where}: {orders:,} orders, {speed:,.0f} a second")
