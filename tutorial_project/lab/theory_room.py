"""The closed forms of a cache that has room for some entries only: which keys are still there when they are asked for.

All assume independent references: each request asks for key i with the same probability pᵢ, whatever was asked before.
`weights` are these probabilities in any unit (counts, rates); results are arrays in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .theory_arguments import checked

Weights = Sequence[float] | np.ndarray


def shares(weights: Weights) -> np.ndarray:
    """`weights` scaled to a sum of 1. ValueError if one is negative or not a number, or all are 0."""
    array = np.asarray(weights, dtype=float)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all() or (array < 0).any() or not array.any():
        raise ValueError("weights must be a list of numbers, each 0 or more, one at least above 0")
    return array / array.sum()


def zipf(keys: int, exponent: float = 1.0) -> np.ndarray:
    """Shares of the requests that `keys` keys have, most popular first: the n-th in proportion to 1 ÷ n^exponent.

    Requests to web pages are like that, with exponents of about 0.6 to 1: Breslau, Cao, Fan, Phillips and Shenker, "Web
    Caching and Zipf-like Distributions", IEEE INFOCOM 1999.
    """
    checked(exponent=exponent)
    checked(above=0, keys=keys)
    return shares(np.arange(1, int(keys) + 1, dtype=float) ** -float(exponent))


def lru_hit_ratios(weights: Weights, capacity: float) -> np.ndarray:
    """Each key's hit ratio where the least recently used of `capacity` entries makes room: 1 − e^(−pᵢt).

    t, the time (in requests) an entry survives unasked, is the same for all: Σ(1 − e^(−pᵢt)) = capacity. An
    approximation, exact for many keys: Fagin, "Asymptotic miss ratios over independent references", J. Computer and
    System Sciences 14 (1977); Che, Tung and Wang, "Hierarchical Web Caching Systems", IEEE JSAC 20 (2002).
    """
    return _hit_ratios(weights, capacity, lambda asked: -np.expm1(-asked))


def fifo_hit_ratios(weights: Weights, capacity: float) -> np.ndarray:
    """The same where the oldest entry makes room, or one at random: pᵢt ÷ (1 + pᵢt), with Σ pᵢt ÷ (1 + pᵢt) = capacity.

    A hit does not prolong a life here, so each key is a fixed TTL of t requests. Source: Martina, Garetto and Leonardi,
    "A unified approach to the performance analysis of caching systems", IEEE INFOCOM 2014 (arXiv 1307.6702).
    """
    return _hit_ratios(weights, capacity, lambda asked: asked / (1.0 + asked))


def best_hit_ratio(weights: Weights, capacity: int) -> float:
    """The hit ratio of all requests when the `capacity` most popular keys stay and no other enters: Σ of their shares.

    The best that any policy can do against independent references without knowing the future; what least frequently
    used (LFU) tends to.
    """
    checked(capacity=capacity)
    return float(np.sort(shares(weights))[::-1][: int(min(capacity, len(weights)))].sum())


def overall_hit_ratio(weights: Weights, hit_ratios: Weights) -> float:
    """The hit ratio of all requests together, from each key's: Σ pᵢhᵢ."""
    return float(shares(weights) @ np.asarray(hit_ratios, dtype=float))


def locmem_room(max_entries: int = 300, cull_frequency: int = 3) -> float:
    """The entries that Django's local memory holds on average when full: MAX_ENTRIES × (1 − 1 ÷ 2·CULL_FREQUENCY).

    It drops one entry in CULL_FREQUENCY, the least recently used ones, when a new one finds it full, so that it swings
    between MAX_ENTRIES and two thirds of it (LocMemCache._cull); as an LRU of this size it hits as often, nearly.
    CULL_FREQUENCY 0 drops all: half of MAX_ENTRIES on average, and then it is no LRU.
    """
    checked(above=0, max_entries=max_entries)
    checked(cull_frequency=cull_frequency)
    return max_entries * (1.0 - 1.0 / (2.0 * cull_frequency)) if cull_frequency else max_entries / 2.0


def _hit_ratios(weights: Weights, capacity: float, present: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """present(pᵢt) of each key, for the t at which `capacity` keys are present on average: found by bisection."""
    checked(capacity=capacity)
    p = shares(weights)
    if capacity >= np.count_nonzero(p):
        return (p > 0).astype(float)
    if capacity == 0:
        return np.zeros_like(p)
    low, high = 0.0, 1.0
    while present(p * high).sum() < capacity:
        low, high = high, high * 2.0
    while not math.isclose(low, high, rel_tol=1e-13):
        middle = (low + high) / 2.0
        low, high = (middle, high) if present(p * middle).sum() < capacity else (low, middle)
    return present(p * high)
