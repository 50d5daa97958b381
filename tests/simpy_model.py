"""What `simulate` runs, written for SimPy: the yardstick of the engine's speed.

Requests come at given moments; each looks into Django's `cache`, here a LocMemCache on SimPy's clock; a miss asks an
origin that slows down as more ask at once, and stores the answer. It writes down what the engine does, so that the same
arrivals give the same three frames: a row a request, a row a recomputation, a row a change of state.
"""

from __future__ import annotations

import heapq
import time
from collections import OrderedDict
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

import pandas as pd
import simpy
from django.core.cache import cache, caches
from django.core.cache.backends.locmem import LocMemCache

Process = Generator[simpy.Event, Any, Any]


class Row(NamedTuple):
    """One row as a query read it."""

    key: int
    version: int
    at: float


class SharedOrigin:
    """A query is `seconds` of work; `at_once` run at full speed, more share it."""

    def __init__(self, env: simpy.Environment, seconds: float, at_once: int) -> None:
        self.env, self.seconds, self.at_once = env, seconds, at_once
        self.done, self.since = 0.0, 0.0  # work that a query which was always there would have got, and up to when
        self.running: list[tuple[float, int, simpy.Event]] = []
        self.written: dict[int, list[float]] = {}
        self.reads: list[tuple[int, float, float, int]] = []
        self.state: list[tuple[float, int, int]] = []
        self.requests = self.number = 0
        self.changed = env.event()
        env.process(self.serve())

    def read(self, key: int) -> Process:
        """A query, as a process."""
        began, running = self.env.now, len(self.running) + 1
        self.pass_time()
        finished = self.env.event()
        self.number += 1
        heapq.heappush(self.running, (self.done + self.seconds, self.number, finished))
        self.note()
        self.changed.succeed()
        self.changed = self.env.event()
        yield finished
        self.note()
        self.reads.append((key, began, self.env.now, running))
        return Row(key, len(self.written.get(key, ())), began)

    def behind(self, row: Row) -> float:
        """For how many seconds a newer version of the row has been there."""
        written = self.written.get(row.key, ())
        return self.env.now - written[row.version] if row.version < len(written) else 0.0

    def note(self, requests: int = 0) -> None:
        """Write down that requests have come or gone, or queries."""
        self.requests += requests
        self.state.append((self.env.now, self.requests, len(self.running)))

    def pass_time(self) -> None:
        """Bring the work that was done up to now."""
        if self.running:
            self.done += (self.env.now - self.since) * min(1.0, self.at_once / len(self.running))
        self.since = self.env.now

    def serve(self) -> Process:
        """End the queries, each when its work is done."""
        while True:
            if not self.running:
                yield self.changed
                continue
            slower = max(1.0, len(self.running) / self.at_once)
            ends = self.env.timeout(max(0.0, self.running[0][0] - self.done) * slower)
            yield ends | self.changed
            self.pass_time()
            if ends.processed:
                heapq.heappop(self.running)[2].succeed()


class Frames(NamedTuple):
    """What a run gives, as `simulate` does; times in seconds, all virtual."""

    requests: pd.DataFrame
    recomputations: pd.DataFrame
    state: pd.DataFrame


def simpy_run(
    arrivals: Sequence[tuple[float, int]], *, ttl: float, origin: tuple[float, int], cache_latency: float
) -> Frames:
    """Serve each (time, key), values kept for `ttl` seconds, by an origin of (seconds a query, how many at once)."""
    env = simpy.Environment()
    shared = SharedOrigin(env, *origin)
    rows: list[tuple[Any, ...]] = []

    def request(key: int) -> Process:
        shared.note(1)
        arrived = env.now
        name = f"product:{key}:detail"
        yield env.timeout(cache_latency)
        row = cache.get(name)
        hit = row is not None
        if not hit:
            row = yield from shared.read(key)
            yield env.timeout(cache_latency)
            cache.set(name, row, ttl)
        behind = shared.behind(row)
        rows.append((key, arrived, env.now - arrived, hit, row.version, env.now - row.at, behind > 0, behind, ""))
        shared.note(-1)

    def arrive() -> Process:
        for at, key in arrivals:
            yield env.timeout(at - env.now)
            env.process(request(key))

    env.process(arrive())
    clock, before = time.time, caches["default"]
    memory: Any = LocMemCache("simpy", {"OPTIONS": {"MAX_ENTRIES": 100_000}})
    memory._cache, memory._expire_info = OrderedDict(), {}
    time.time, caches["default"] = lambda: env.now, memory
    try:
        env.run()
    finally:
        time.time, caches["default"] = clock, before
    columns = "key arrived latency hit version age stale behind error".split()
    return Frames(
        pd.DataFrame(rows, columns=columns),
        pd.DataFrame(shared.reads, columns=["key", "began", "ended", "at_once"]),
        pd.DataFrame(shared.state, columns=["at", "requests", "queries"]),
    )
