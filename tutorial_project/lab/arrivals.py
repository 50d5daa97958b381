"""When requests arrive, and for which key: at random at a rate, in bursts, or as a trace has them.

`random.Random` draws the same numbers for a seed on every machine and in every version of Python (its documentation
promises that of `random()`, the only method used here).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Any

from .errors import LabError


@dataclass(frozen=True)
class Bursts:
    """Arrivals at `rate` a second on average, all of them in the first `length` seconds of each `every` seconds."""

    rate: float
    every: float
    length: float

    def times(self, random: Random) -> Iterator[float]:
        """Their times, ascending, without end."""
        for busy in poisson(self.rate * self.every / self.length, random):
            whole, rest = divmod(busy, self.length)  # a clock that runs in bursts alone
            yield whole * self.every + rest


def bursts(rate: float, every: float = 600.0, length: float = 10.0) -> Bursts:
    """Arrivals for `simulate`: `rate` a second on average, all in the first `length` seconds of each `every` seconds.

    Raises LabError where a burst would be longer than the time from one to the next.
    """
    if not (rate > 0 and 0 < length <= every):
        raise LabError(f"bursts({rate=}, {every=}, {length=}): the rate is above 0, and a length at most every.")
    return Bursts(rate, every, length)


def poisson(rate: float, random: Random) -> Iterator[float]:
    """The times of a Poisson process of `rate` a second, ascending, without end."""
    time, log, draw = 0.0, math.log, random.random
    while True:
        time -= log(1.0 - draw()) / rate
        yield time


def arrivals(of: Any, seconds: float, keys: int, skew: float, seed: str, stream: str) -> Iterator[tuple[float, Any]]:
    """(time, key) of each request of a stream before `seconds`, ascending.

    `of` is a rate a second, `bursts(…)`, or an iterable of times or of (time, key). Keys are drawn where it has none.
    Raises LabError for anything else, and for times that go back.
    """
    random = Random(f"{seed} times")
    if isinstance(of, Bursts):
        times: Iterable[Any] = of.times(random)
    elif isinstance(of, (int, float)):
        if not 0 <= of < math.inf:
            raise LabError(f"'{stream}': {of} is no rate: so many requests a second, 0 or more.")
        times = poisson(of, random) if of else ()
    else:
        try:
            times = iter(of)
        except TypeError:
            raise LabError(
                f"'{stream}': {of!r} says no arrivals. Give a rate a second, bursts(…), or times in seconds."
            ) from None
    return _with_keys(times, seconds, drawn(keys, skew, Random(f"{seed} keys")), stream)


def _with_keys(times: Iterable[Any], seconds: float, keys: Iterator[int], stream: str) -> Iterator[tuple[float, Any]]:
    last = 0.0
    for entry in times:
        if isinstance(entry, (tuple, list)):
            time, key = float(entry[0]), entry[1]
        else:
            time, key = float(entry), next(keys)
        if not time >= last:
            raise LabError(f"'{stream}': a request at {time:g} s comes after one at {last:g} s. Sort them by time.")
        if time >= seconds:
            return
        yield time, key
        last = time


def drawn(keys: int, skew: float, random: Random) -> Iterator[int]:
    """Keys from 0 up to `keys`, without end: key k is drawn in proportion to 1 / (k + 1) ** skew (Zipf)."""
    if keys == 1:
        while True:
            yield 0
    sums = list(accumulate((k + 1) ** -skew for k in range(keys)))
    total, draw = sums[-1], random.random
    while True:
        yield min(bisect_right(sums, draw() * total), keys - 1)
