"""What `simulate` runs, written for SimPy: the yardstick of the engine's speed. The cache is Django's own here too.

Requests come at given moments, each looks into a LocMemCache on the virtual clock; a miss asks an origin that slows
down as more ask at once, and stores the answer. Every request is a row of a frame, as in the engine.
"""

from __future__ import annotations

import heapq
import time
from collections import OrderedDict
from collections.abc import Generator, Sequence
from typing import Any

import pandas as pd
import simpy
from django.core.cache.backends.locmem import LocMemCache


class SharedOrigin:
    """A query is `seconds` of work; `at_once` run at full speed, more share it. A row is the key and its version."""

    def __init__(self, env: simpy.Environment, seconds: float, at_once: int) -> None:
        self.env, self.seconds, self.at_once = env, seconds, at_once
        self.done, self.since = 0.0, 0.0  # work that a query which was always there would have got, and up to when
        self.running: list[tuple[float, int, simpy.Event]] = []
        self.began: list[tuple[int, float]] = []
        self.changed = env.event()
        env.process(self.serve())

    def read(self, key: int) -> simpy.Event:
        """An event that comes when the query has run."""
        self.began.append((key, self.env.now))
        self.pass_time()
        finished = self.env.event()
        heapq.heappush(self.running, (self.done + self.seconds, len(self.began), finished))
        self.changed.succeed()
        self.changed = self.env.event()
        return finished

    def pass_time(self) -> None:
        if self.running:
            self.done += (self.env.now - self.since) * min(1.0, self.at_once / len(self.running))
        self.since = self.env.now

    def serve(self) -> Generator[simpy.Event, Any, None]:
        while True:
            if not self.running:
                yield self.changed
                continue
            slower = max(1.0, len(self.running) / self.at_once)
            left = max(0.0, self.running[0][0] - self.done) * slower
            ends = self.env.timeout(left)
            yield ends | self.changed
            self.pass_time()
            if ends.processed:
                heapq.heappop(self.running)[2].succeed()


def simpy_run(
    arrivals: Sequence[tuple[float, int]], *, ttl: float, origin: tuple[float, int], cache_latency: float
) -> tuple[pd.DataFrame, int]:
    """(a row a request: key, arrived, latency, hit; how often the origin was asked). Times in seconds, all virtual."""
    env = simpy.Environment()
    shared = SharedOrigin(env, *origin)
    cache: Any = LocMemCache("simpy", {"OPTIONS": {"MAX_ENTRIES": 100_000}})
    cache._cache, cache._expire_info = OrderedDict(), {}
    rows: list[tuple[int, float, float, bool]] = []

    def request(key: int) -> Generator[simpy.Event, Any, None]:
        arrived = env.now
        name = f"product:{key}:detail"
        yield env.timeout(cache_latency)
        value = cache.get(name)
        hit = value is not None
        if not hit:
            yield shared.read(key)
            yield env.timeout(cache_latency)
            cache.set(name, (key, 0, env.now), ttl)
        rows.append((key, arrived, env.now - arrived, hit))

    def arrive() -> Generator[simpy.Event, Any, None]:
        for at, key in arrivals:
            yield env.timeout(at - env.now)
            env.process(request(key))

    env.process(arrive())
    clock = time.time
    time.time = lambda: env.now
    try:
        env.run()
    finally:
        time.time = clock
    return pd.DataFrame(rows, columns=["key", "arrived", "latency", "hit"]), len(shared.began)
