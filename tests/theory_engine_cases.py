"""Each closed form of lab/theory beside a hundred thousand requests through the engine and Django's own cache."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from django.core.cache import cache, caches

from theory_cases import Case
from tutorial_project.caching import runtime
from tutorial_project.caching.early import get_or_set, jittered
from tutorial_project.caching.stale import kept
from tutorial_project.lab import Origin, bursts, simulate, theory
from vectorised import Measured, mean_of

REQUESTS = 100_000
RATE, WRITES, TTL = 2.0, 0.5, 4.0
KEYS = 10  # each with its own readers, so that a run is ten
SECONDS = REQUESTS / (KEYS * RATE)


def per_key(frame: Any, column: str) -> np.ndarray:
    """A column key after key: consecutive values are neighbours in time, as `mean_of` expects."""
    return frame.sort_values(["key", "arrived"], kind="stable")[column].to_numpy(dtype=float)


def fixed(origin: Origin) -> Callable[[int], Any]:
    """Read a row, kept for `TTL` seconds."""

    def read(pk: int) -> Any:
        return cache.get_or_set(f"product:{pk}:detail", lambda: origin.read(pk), TTL)

    return read


def ages(seed: int) -> Iterator[Case]:
    """A lifetime that hits do not renew."""
    origin = Origin(seconds=0)
    read = fixed(origin)
    arrivals: dict[Any, Any] = {read: KEYS * RATE, origin.write: KEYS * WRITES}
    run = simulate(arrivals, seconds=SECONDS, keys=KEYS, origin=origin, cache_latency=0, seed=seed)
    reads = run.requests[run.requests["stream"] == "read"]
    hit, stale, age, behind = (per_key(reads, column) for column in ("hit", "stale", "age", "behind"))
    yield Case("hit_ratio", theory.hit_ratio(RATE, TTL), mean_of(hit))
    yield Case("stale_share", theory.stale_share(RATE, WRITES, TTL), mean_of(stale))
    yield Case("stale_longer_than 1 s", theory.stale_longer_than(1.0, RATE, WRITES, TTL), mean_of(behind > 1))
    yield Case("behind_mean", theory.behind_mean(RATE, WRITES, TTL), mean_of(behind))
    yield Case("age_mean", theory.age_mean(RATE, TTL), mean_of(age))
    yield Case("age_cdf at 1 s", theory.age_cdf(1.0, RATE, TTL), mean_of(age <= 1))
    yield Case("age_quantile 0.9", 0.9, mean_of(age <= theory.age_quantile(0.9, RATE, TTL)))
    misses = mean_of(1 - hit)
    load = Measured(len(run.recomputations) / SECONDS / KEYS, misses.error * RATE)
    yield Case("origin_rate", theory.origin_rate(RATE, TTL), load)
    assert age.max() <= TTL


def patterns(seed: int) -> Iterator[Case]:
    """The same with changes that come evenly, and in bursts."""
    origin = Origin(seconds=0)
    evenly = [(n / WRITES + pk * 0.137, pk) for n in range(int(SECONDS * WRITES)) for pk in range(KEYS)]
    every, length = 20.0, 3.0
    shares = {
        "stale_share_regular": (evenly, theory.stale_share_regular(RATE, WRITES, TTL)),
        "stale_share_bursts": (
            bursts(KEYS * WRITES, every=every, length=length),
            theory.stale_share_bursts(RATE, WRITES, TTL, every, length),
        ),
    }
    for name, (changes, predicted) in shares.items():
        arrivals: dict[Any, Any] = {fixed(origin): KEYS * RATE, origin.write: changes}
        run = simulate(arrivals, seconds=SECONDS, keys=KEYS, origin=origin, cache_latency=0, seed=seed)
        reads = run.requests[run.requests["stream"] == "read"]
        yield Case(name, predicted, mean_of(per_key(reads, "stale")))


def other_lives(seed: int) -> Iterator[Case]:
    """A lifetime that hits renew, one that changes end, and one copy a worker."""
    origin = Origin(seconds=0)
    short = 0.5

    def sliding(pk: int) -> Any:
        found = cache.get(f"sliding:{pk}")
        if found is None:
            found = origin.read(pk)
            cache.set(f"sliding:{pk}", found, short)
        else:
            cache.touch(f"sliding:{pk}", short)
        return found

    def deleted(pk: int) -> Any:
        return cache.get_or_set(f"deleted:{pk}", lambda: origin.read(pk), TTL)

    def change(pk: int) -> None:
        origin.write(pk)
        cache.delete(f"deleted:{pk}")

    def of_four(pk: int) -> Any:
        return cache.get_or_set(f"worker:{random.randrange(4)}:{pk}", lambda: origin.read(pk), TTL)

    arrivals: dict[Any, Any] = dict.fromkeys((sliding, deleted, of_four), KEYS * RATE) | {change: KEYS * WRITES}
    run = simulate(arrivals, seconds=SECONDS, keys=KEYS, origin=origin, cache_latency=0, seed=seed)
    of = dict(iter(run.requests.groupby("stream")))
    hit = {stream: mean_of(per_key(of[stream], "hit")) for stream in ("sliding", "deleted", "of_four")}
    yield Case("hit_ratio_sliding", theory.hit_ratio_sliding(RATE, short), hit["sliding"])
    stale = mean_of(per_key(of["sliding"], "stale"))
    yield Case("stale_share_sliding", theory.stale_share_sliding(RATE, WRITES, short), stale)
    yield Case("hit_ratio_invalidated", theory.hit_ratio_invalidated(RATE, WRITES, TTL), hit["deleted"])
    yield Case("workers_hit_ratio of 4", theory.workers_hit_ratio(RATE, TTL, 4), hit["of_four"])
    assert not of["deleted"]["stale"].any(), "who deletes at once serves nothing stale here"


def herd_sizes(run: Any, seconds: float) -> np.ndarray:
    """How many recomputations began together: apart by less than `seconds`, expiry after expiry."""
    began = run.recomputations["began"].to_numpy()
    starts = np.flatnonzero(np.diff(began, prepend=-math.inf) > seconds)
    return np.diff(starts)  # the last one may be cut off


def stampedes(seed: int) -> Iterator[Case]:
    """One hot key that nobody protects."""
    for name, at_once, rate, seconds, ttl in (("herd", 10**9, 50.0, 0.4, 2.0), ("herd_shared by 4", 4, 10.0, 0.6, 6.0)):
        origin = Origin(seconds=seconds, at_once=at_once)

        def read(pk: int, origin: Origin = origin, ttl: float = ttl) -> Any:
            found = cache.get("hot")
            if found is None:
                found = origin.read(pk)
                cache.set("hot", found, ttl)
            return found

        run = simulate({read: rate}, seconds=REQUESTS / rate, origin=origin, cache_latency=0, seed=seed)
        formula = theory.herd(rate, seconds) if name == "herd" else theory.herd_shared(rate, seconds, at_once)
        yield Case(name, formula, mean_of(herd_sizes(run, ttl / 2)))


# β, requests a second, timeout (s), requests: the pattern itself, with a Δ of a second. λβΔ is several times e^(1÷β),
# the timeout well above the lead, and there are requests enough for eight hundred expiries.
EARLY = (
    (2.0, 10.0, 18.0, REQUESTS),
    (1.0, 12.0, 9.0, REQUESTS),
    (1.0, 40.0, 9.0, 3 * REQUESTS),
    (0.5, 60.0, 5.5, 4 * REQUESTS),
)


def early(seed: int) -> Iterator[Case]:
    """One hot key whose readers begin before it expires, by the rule of Vattani and others."""
    for beta, rate, ttl, requests in EARLY:
        origin = Origin(seconds=1.0, at_once=10**9)
        leads: list[float] = []

        def compute(origin: Origin = origin, leads: list[float] = leads) -> Any:
            entry = kept(cache.get("hot"))
            leads.append(entry.fresh_until - runtime.now() if entry else 0.0)
            return origin.read("hot")

        def read(pk: int, compute: Callable[[], Any] = compute, ttl: float = ttl, beta: float = beta) -> Any:
            return get_or_set("hot", compute, ttl, beta=beta)

        run = simulate({read: rate}, seconds=requests / rate, origin=origin, cache_latency=0, seed=seed)
        sizes = herd_sizes(run, 1.01)[1:]  # others follow within Δ; the first one was cold
        first = np.array(leads)[np.cumsum(herd_sizes(run, 1.01))[:-1]]
        at = f"({beta:g}) at {rate:g}/s"
        yield Case(f"early_recomputations {at}", theory.early_recomputations(beta), mean_of(sizes, 50))
        if beta > 1:  # else it is seldom alone, and much less sharp than the two others
            yield Case(f"early_alone {at}", theory.early_alone(beta), mean_of(sizes == 1, 50))
        yield Case(f"early_lead {at}", theory.early_lead(rate, 1.0, beta), mean_of(first, 50))


def cold(seed: int) -> Iterator[Case]:
    """A thousand keys, all lost every 20 seconds."""
    keys, skew, rate, seconds = 1_000, 0.8, 100.0, 20.0
    origin = Origin(seconds=0)

    def read(pk: int) -> Any:
        return cache.get_or_set(f"product:{pk}", lambda: origin.read(pk), None)

    def flush(pk: int) -> None:
        cache.clear()

    end = REQUESTS / rate
    arrivals: dict[Any, Any] = {read: rate, flush: np.arange(seconds, end, seconds)}
    run = simulate(arrivals, seconds=end, keys=keys, skew=skew, origin=origin, cache_latency=0, seed=seed)
    rounds = np.bincount((run.recomputations["began"].to_numpy() // seconds).astype(int))
    yield Case("cold_misses", theory.cold_misses(theory.zipf(keys, skew), rate, seconds), mean_of(rounds, 50))


def jitter(seed: int) -> Iterator[Case]:
    """Five thousand keys stored at one moment, each of which is asked for every five seconds."""
    keys, ttl, spread = 5_000, 100.0, 0.5
    origin = Origin(seconds=0)

    def read(pk: int) -> Any:
        return cache.get_or_set(f"product:{pk}", lambda: origin.read(pk), jittered(ttl, spread))

    asked = [(0.0, pk) for pk in range(keys)] + [(n / 1_000, n % keys) for n in range(1, REQUESTS)]
    run = simulate({read: asked}, seconds=REQUESTS / 1_000, origin=origin, cache_latency=0, seed=seed)
    again = np.histogram(run.recomputations["began"], bins=20, range=(58.0, 98.0))[0]
    yield Case("jitter_peak", theory.jitter_peak(keys, ttl, spread), mean_of(again / 2.0, 20))


def room(seed: int) -> Iterator[Case]:
    """A thousand keys in a local memory for 120."""
    keys, skew, rate = 1_000, 0.9, 100.0
    origin = Origin(seconds=0)

    def read(pk: int) -> Any:
        return cache.get_or_set(f"product:{pk}", lambda: origin.read(pk), None)

    def small() -> None:
        caches["default"]._max_entries = 120

    arrivals: dict[Any, Any] = {read: rate}
    end = REQUESTS / rate
    run = simulate(arrivals, seconds=end, keys=keys, skew=skew, origin=origin, cache_latency=0, seed=seed, given=small)
    weights = theory.zipf(keys, skew)
    each = theory.lru_hit_ratios(weights, theory.locmem_room(120))
    predicted = theory.overall_hit_ratio(weights, each)
    yield Case("lru_hit_ratios, locmem_room", predicted, mean_of(run.requests["hit"].to_numpy()[2_000:]), 0.01)


def latency(seed: int) -> Iterator[Case]:
    """What answers take when a trip to the cache and a query take time: get_or_set makes three trips on a miss."""
    origin = Origin(seconds=0.02, at_once=10**9)
    even = theory.break_even(0.001, 0.02, trips=2)

    def break_even(pk: int) -> Any:
        found = cache.get("there" if random.random() < even else "not:there")
        if found is None:
            found = origin.read(pk)
            cache.set("elsewhere", found, TTL)
        return found

    arrivals: dict[Any, Any] = {fixed(origin): KEYS * RATE, break_even: KEYS * RATE}
    warm = lambda: cache.set("there", 1, None)  # noqa: E731
    run = simulate(arrivals, seconds=SECONDS, keys=KEYS, origin=origin, cache_latency=0.001, seed=seed, given=warm)
    of = dict(iter(run.requests.groupby("stream")))
    hits = theory.hit_ratio(RATE, TTL, 0.021)  # what is decided after the look is stored a query and a trip later
    yield Case("hit_ratio, slowly", hits, mean_of(per_key(of["read"], "hit")))
    took = {stream: mean_of(of[stream]["latency"].to_numpy()) for stream in of}
    yield Case("mean_latency", theory.mean_latency(hits, 0.001, 0.02, trips=3), took["read"])
    yield Case("break_even: as slow as without", 0.02, took["break_even"])


ALL = (ages, patterns, other_lives, stampedes, early, cold, jitter, room, latency)


def engine_cases() -> Iterator[Case]:
    """Every case."""
    for number, of in enumerate(ALL, start=1):
        yield from of(number)
