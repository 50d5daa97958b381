"""The models of lab/theory, run: a million requests at a time, in numpy.

Each function plays what happens, request by request, as its docstring tells it. None knows a formula: arrivals are
drawn, each request is answered by the miss that it finds, and what is asked about is counted.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

REQUESTS = 1_000_000
Array = np.ndarray


@dataclass(frozen=True)
class Measured:
    """A mean and its standard error."""

    mean: float
    error: float


def mean_of(values: Array, blocks: int = 100) -> Measured:
    """The mean of `values`, its standard error from those of consecutive blocks: neighbours depend on each other."""
    usable = len(values) // blocks * blocks
    means = np.asarray(values[:usable], dtype=float).reshape(blocks, -1).mean(axis=1)
    return Measured(float(means.mean()), float(means.std(ddof=1) / np.sqrt(blocks)))


def poisson(rate: float, requests: int, rng: np.random.Generator) -> Array:
    """The moments of `requests` arrivals that do not know of each other, `rate` a second."""
    return np.cumsum(rng.exponential(1.0 / rate, requests))


def poisson_until(rate: float, until: float, rng: np.random.Generator) -> Array:
    """The same up to a moment, with one arrival beyond it."""
    enough = int(rate * until * 1.1 + 10 * np.sqrt(rate * until) + 20)
    moments = poisson(rate, enough, rng)
    assert moments[-1] > until
    return moments[: np.searchsorted(moments, until) + 1]


def chase(follower: Array) -> Array:
    """0, follower[0], follower[follower[0]], … as long as it points into the array."""
    chain, at, pointers = [], 0, follower.tolist()
    while at < len(pointers):
        chain.append(at)
        at = pointers[at]
    return np.array(chain)


def source(misses: Array, requests: int) -> Array:
    """For each request, the number of the request that stored what it was answered with: itself, if it missed."""
    return misses[np.searchsorted(misses, np.arange(requests), side="right") - 1]


def fixed(at: Array, ttl: float) -> Array:
    """`source` when an entry lives `ttl` seconds from its miss; whoever comes at its end or later misses."""
    return source(chase(np.searchsorted(at, at + ttl)), len(at))


def fixed_slowly(at: Array, ttl: float, seconds: float) -> Array:
    """Which requests hit, when a miss takes `seconds` to store, and only the first to do so does (as add does)."""
    first = chase(np.searchsorted(at, at + seconds + ttl))
    of = source(first, len(at))
    return at >= at[of] + seconds


def sliding(at: Array, ttl: float) -> Array:
    """`source` when each hit lets the entry live `ttl` seconds from then."""
    missed = np.diff(at, prepend=-np.inf) >= ttl
    return source(np.flatnonzero(missed), len(at))


def invalidated(at: Array, writes: Array, ttl: float) -> Array:
    """`source` when an entry dies with the next write, or after `ttl` seconds."""
    next_write = np.append(writes, np.inf)[np.searchsorted(writes, at, side="right")]
    return source(chase(np.searchsorted(at, np.minimum(at + ttl, next_write))), len(at))


def hits(of: Array) -> Array:
    """Which requests hit: those that another one's miss answers."""
    return of != np.arange(len(of))


def ages(at: Array, of: Array) -> Array:
    """How long before its answer each request's value was read."""
    return at - at[of]


def behind(at: Array, of: Array, writes: Array) -> Array:
    """How long before each answer the first write came that it does not know; 0 for fresh answers."""
    first_unknown = np.append(writes, np.inf)[np.searchsorted(writes, at[of], side="right")]
    return np.maximum(0.0, at - first_unknown)


def herds(at: Array, ttl: float, seconds: float) -> Array:
    """Recomputations for each expiry: who comes before the first is stored computes too, and each stores its own."""
    stored = np.searchsorted(at, at + seconds)
    last = at[stored - 1] + seconds
    first = chase(np.searchsorted(at, last + ttl))[:-1]  # the last one may be cut off
    return (stored - np.arange(len(at)))[first]


def herds_shared(rate: float, seconds: float, at_once: int, expiries: int, rng: np.random.Generator) -> Array:
    """The same for an origin that is shared: while n run each moves on at min(1, at_once ÷ n). One expiry a row.

    The first needs `seconds` of work. Request by request: what the first did until the next one came, and whether it
    was done before that.
    """
    done, running = np.zeros(expiries), np.ones(expiries)
    busy = np.arange(expiries)
    while len(busy):
        gap = rng.exponential(1.0 / rate, len(busy))
        done[busy] += gap * np.minimum(1.0, at_once / running[busy])
        busy = busy[done[busy] < seconds]
        running[busy] += 1
    return running


def early(rate: float, seconds: float, beta: float, expiries: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """(recomputations, seconds from the first one's begin to the expiry) of each expiry, when readers may begin early.

    Each reader draws: begin if now − Δβ·ln(random) ≥ expiry, here at 0. All who begin before the first is stored count;
    after the expiry everybody does. Watched from long before, so that a first one cannot have come sooner.
    """
    window = seconds * beta * (np.log(rate * seconds * beta) + 12)
    readers = int((window + seconds) * rate * 1.2 + 50)
    at = np.cumsum(rng.exponential(1.0 / rate, (expiries, readers)), axis=1) - window
    assert at[:, -1].min() > seconds
    begins = at - seconds * beta * np.log(rng.random(at.shape)) >= 0
    first = at[np.arange(expiries), begins.argmax(axis=1)]
    together = begins & (at < first[:, None] + seconds)
    return together.sum(axis=1), -first


def lru(keys: Array, capacity: int) -> Array:
    """Which requests hit, when the least recently asked for of `capacity` entries makes room."""
    held: OrderedDict[int, None] = OrderedDict()
    hit = np.zeros(len(keys), dtype=bool)
    for n, key in enumerate(keys.tolist()):
        if key in held:
            hit[n] = True
            held.move_to_end(key)
        else:
            if len(held) >= capacity:
                held.popitem(last=False)
            held[key] = None
    return hit


def fifo(keys: Array, capacity: int) -> Array:
    """Which requests hit, when the oldest entry makes room."""
    held: OrderedDict[int, None] = OrderedDict()
    hit = np.zeros(len(keys), dtype=bool)
    for n, key in enumerate(keys.tolist()):
        if key in held:
            hit[n] = True
        else:
            if len(held) >= capacity:
                held.popitem(last=False)
            held[key] = None
    return hit


def random_out(keys: Array, capacity: int, rng: np.random.Generator) -> Array:
    """Which requests hit, when an entry at random makes room."""
    held: list[int] = []
    where: dict[int, int] = {}
    hit = np.zeros(len(keys), dtype=bool)
    leaves = rng.integers(capacity, size=len(keys)).tolist()
    for n, key in enumerate(keys.tolist()):
        if key in where:
            hit[n] = True
        elif len(held) < capacity:
            where[key] = len(held)
            held.append(key)
        else:
            del where[held[leaves[n]]]
            held[leaves[n]], where[key] = key, leaves[n]
    return hit
