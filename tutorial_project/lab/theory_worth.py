"""The closed forms of what a hit ratio is worth, how it is misread, and what survives a change of servers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .theory_arguments import checked, times


def mean_latency(hit_ratio: float, cache_latency: float, origin_latency: float, trips: float = 1) -> float:
    """Mean seconds an answer takes: h·c + (1 − h)(trips·c + o).

    A hit is one trip to the cache. A miss makes `trips` and the origin's work: 1 counts the look alone, 2 the look and
    the set, 3 what Django's get_or_set does (get, add, get).
    """
    checked(cache_latency=cache_latency, origin_latency=origin_latency, trips=trips)
    checked(upto=1, hit_ratio=hit_ratio)
    missed = times(trips, cache_latency) + origin_latency
    return times(hit_ratio, cache_latency) + times(1.0 - hit_ratio, missed)


def break_even(cache_latency: float, origin_latency: float, trips: float = 1) -> float:
    """The hit ratio below which a cache makes answers slower than none: c ÷ o; trips·c ÷ (o + (trips − 1)c) for more.

    Where `mean_latency` equals the origin's alone. More than 1: the cache never pays. Latency only: a cache that loses
    here may still be worth its place for the load it takes off the origin.
    """
    checked(cache_latency=cache_latency, origin_latency=origin_latency)
    checked(above=0, trips=trips)
    if cache_latency == 0:
        return 0.0
    denominator = origin_latency + (trips - 1.0) * cache_latency
    return math.inf if denominator <= 0 else trips * cache_latency / denominator


def hit_ratio_needed(rate: float, seconds: float, at_once: float) -> float:
    """The hit ratio without which the origin is overloaded: 1 − c ÷ λΔ, 0 if it can do without a cache.

    The misses bring (1 − h)λΔ seconds of work a second and `at_once` = c queries run at full speed. A shop that needs
    its cache in this sense may not come back by itself when it lost it: Bronson, Aghayev, Charapko and Zhu, "Metastable
    Failures in Distributed Systems", HotOS 2021.
    """
    checked(rate=rate, seconds=seconds)
    checked(above=0, at_once=at_once)
    work = times(rate, seconds)
    return 0.0 if work <= at_once else 1.0 - at_once / work


def server_ratio(hit_ratio: float) -> float:
    """The hit ratio that the cache server reports when get_or_set has the hit ratio h: 1 ÷ (2 − h).

    A miss looks twice, before and after it stores (Django's BaseCache.get_or_set: get, add, get), and the second look
    hits. So a request counts 1 hit, a miss 1 miss more: a cache that never hits is reported at one half.
    """
    checked(upto=1, hit_ratio=hit_ratio)
    return 1.0 / (2.0 - hit_ratio)


def page_ratio(hit_ratio: float) -> float:
    """The hit ratio that the cache server reports when cache_page has the hit ratio h: 2h ÷ (1 + h).

    A hit looks up the list of headers and the page, two hits; a miss looks for the list and does not find it, one miss
    (both are stored together for the same time).
    """
    checked(upto=1, hit_ratio=hit_ratio)
    return 2.0 * hit_ratio / (1.0 + hit_ratio)


def cold_misses(weights: Sequence[float] | np.ndarray, rate: float, seconds: float) -> float:
    """Keys that are recomputed in the first `seconds` after all was lost: Σ(1 − e^(−λpᵢt)).

    A key's first request misses, and comes within t with 1 − e^(−λpᵢt). `weights` are the keys' shares of the requests,
    in any unit. Assumes that a recomputation takes no time and a lifetime longer than `seconds`. Its growth is the
    origin's load: Σλpᵢe^(−λpᵢt) a second, λ at first.
    """
    from .theory_room import shares

    checked(rate=rate, seconds=seconds)
    asked = times(rate, seconds)
    if math.isinf(asked):
        return float(np.count_nonzero(shares(weights)))
    return float(-np.expm1(-asked * shares(weights)).sum())


def moved_by_modulo(before: int, after: int) -> float:
    """Share of keys that change their server when hash(key) % n has another n: 1 − min(n, m) ÷ lcm(n, m).

    Of lcm(n, m) values in a row, those keep their server whose two remainders are equal: the first min(n, m).
    """
    checked(above=0, before=before, after=after)
    return 1.0 - min(before, after) / math.lcm(before, after)


def moved_by_ring(before: int, after: int) -> float:
    """Share of keys that change their server under consistent hashing, the least possible: 1 − min(n, m) ÷ max(n, m).

    A server that comes takes its even share from the others, one that goes leaves its own to them; nothing else moves.
    Source: Karger and others, "Consistent Hashing and Random Trees", STOC 1997. Exact for an even ring; a real one with
    few points a server strays from it.
    """
    checked(above=0, before=before, after=after)
    return 1.0 - min(before, after) / max(before, after)
