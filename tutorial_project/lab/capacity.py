"""How many requests a second a number of databases can carry within a latency bound: a queue, fed with measured work.

Each request waits for the first database that is free, then keeps it for as long as its SQL took when it was measured.
Arrivals are random (Poisson, seeded), the first come is served first: the queue with c servers of any textbook, such as
Harchol-Balter, "Performance Modeling and Design of Computer Systems" (2013). Reads can go to any database; so here do
writes, which flatters a second database.
"""

from __future__ import annotations

import heapq
import random
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .errors import LabError

if TYPE_CHECKING:
    import pandas as pd

ARRIVALS = 4000


def work_ms(run: pd.DataFrame, prices: pd.DataFrame) -> list[float]:
    """The database work of each request of a replay, in ms, every statement at its usual price.

    The price of a statement is the median time that statements of its kind (the same SQL, whatever the values in it)
    took in the replay `prices`. So two replays differ by the statements they sent, not by what else the machine did.
    """
    took: dict[str, list[float]] = {}
    for statements, times in zip(prices["sql"], prices["sql_ms"], strict=True):
        for sql, ms in zip(statements, times, strict=True):
            took.setdefault(kind(sql), []).append(ms)
    price = {name: percentile(times, 0.5) for name, times in took.items()}
    usual = percentile(list(price.values()), 0.5)
    return [sum(price.get(kind(sql), usual) for sql in statements) for statements in run["sql"]]


def kind(sql: str) -> str:
    """A statement without its values: what it asks, whatever it asks it about."""
    return re.sub(r"'(?:[^']|'')*'|\b\d+(\.\d+)?\b", "?", sql)


def latencies(work: Sequence[float], rate: float, databases: int = 1, seed: int = 1) -> list[float]:
    """The latency (ms, waiting and work) of 4,000 requests that arrive at `rate` a second.

    Each needs one of `work` (ms of a database), drawn at random with `seed`.
    Raises LabError where there is no work, or `rate` or `databases` is not positive.
    """
    if not work or rate <= 0 or databases < 1:
        raise LabError("A queue needs some measured work, a rate above 0 and at least one database.")
    arrivals = random.Random(seed)
    order = random.Random(seed + 1).choices(work, k=ARRIVALS)
    free_at = [0.0] * databases
    now, found = 0.0, []
    for needed in order:
        now += arrivals.expovariate(rate) * 1000
        done = max(now, heapq.heappop(free_at)) + needed
        heapq.heappush(free_at, done)
        found.append(done - now)
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """The value that a `share` (0.0 to 1.0) of `values` does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def highest_rate(work: Sequence[float], bound_ms: float, databases: int = 1, share: float = 0.95) -> float:
    """The highest rate (requests a second) at which a `share` of the requests stays within `bound_ms`.

    Found by halving: arrivals are the same random ones at every rate, only closer together. 0.0 where even an idle
    database is too slow for the bound.
    """
    low, high = 0.0, 1000 * databases / (sum(work) / len(work)) if sum(work) else 1e6
    for _ in range(14):
        middle = (low + high) / 2
        if percentile(latencies(work, middle, databases), share) <= bound_ms:
            low = middle
        else:
            high = middle
    return low
