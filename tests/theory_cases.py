"""Each closed form of lab/theory beside a million requests of tests/vectorised.py: what the two say, case by case."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import vectorised as v
from tutorial_project.lab import theory
from vectorised import Measured, mean_of

FAR = 4.0  # standard errors; by chance alone, one case in 16,000 is further off


@dataclass(frozen=True)
class Case:
    """One formula at one point. `approximate` is the error that the formula itself admits, as a share of its value."""

    name: str
    predicted: float
    measured: Measured
    approximate: float = 0.0

    @property
    def tolerance(self) -> float:
        """How far the two may lie apart."""
        return FAR * self.measured.error + self.approximate * self.predicted

    @property
    def off(self) -> float:
        """How far they do."""
        return abs(self.measured.mean - self.predicted)

    @property
    def relative(self) -> float:
        """The same as a share of what was predicted."""
        return self.off / self.predicted

    def __str__(self) -> str:
        return (
            f"{self.name:<46} {self.predicted:>10.5f} {self.measured.mean:>10.5f}"
            f"   off by {self.relative:>7.3%} of {self.tolerance / self.predicted:>7.3%}"
        )


def lifetimes(rate: float, writes: float, ttl: float, seed: int) -> Iterator[Case]:
    """A key asked for `rate` times a second, changed `writes` times, kept for `ttl` seconds."""
    rng = np.random.default_rng(seed)
    at = v.poisson(rate, v.REQUESTS, rng)
    written = v.poisson_until(writes, at[-1], rng)
    of = v.fixed(at, ttl)
    age, behind = v.ages(at, of), v.behind(at, of, written)
    where = f"({rate:g}, {writes:g}, {ttl:g})"
    yield Case(f"hit_ratio {where}", theory.hit_ratio(rate, ttl), mean_of(v.hits(of)))
    slow = ttl / 5
    yield Case("hit_ratio, slowly", theory.hit_ratio(rate, ttl, slow), mean_of(v.fixed_slowly(at, ttl, slow)))
    yield Case(f"stale_share {where}", theory.stale_share(rate, writes, ttl), mean_of(behind > 0))
    late = ttl / 3
    yield Case("stale_longer_than a third", theory.stale_longer_than(late, rate, writes, ttl), mean_of(behind > late))
    yield Case(f"behind_mean {where}", theory.behind_mean(rate, writes, ttl), mean_of(behind))
    yield Case(f"age_mean {where}", theory.age_mean(rate, ttl), mean_of(age))
    for share in (0.25, 0.75):
        yield Case(f"age_cdf at {share} T", theory.age_cdf(share * ttl, rate, ttl), mean_of(age <= share * ttl))
    # What the quantile says must be true of as many as it says.
    yield Case(f"age_quantile 0.9 {where}", 0.9, mean_of(age <= theory.age_quantile(0.9, rate, ttl)))

    load = Measured(1 - mean_of(v.hits(of)).mean, mean_of(v.hits(of)).error)
    yield Case(
        "origin_rate", theory.origin_rate(rate, ttl), Measured(load.mean * v.REQUESTS / at[-1], load.error * rate)
    )

    evenly = np.arange(0.5 / writes, at[-1] + 2 / writes, 1 / writes)
    measured = mean_of(v.behind(at, of, evenly) > 0)
    yield Case(f"stale_share_regular {where}", theory.stale_share_regular(rate, writes, ttl), measured)

    for every, length in ((7.0 * ttl / 5.0, ttl / 3.0), (0.43 * ttl, 0.1 * ttl)):  # longer than a life, and shorter
        busy = v.poisson_until(writes * every / length, at[-1] * length / every, rng)
        in_bursts = busy // length * every + busy % length
        predicted = theory.stale_share_bursts(rate, writes, ttl, every, length)
        name = f"stale_share_bursts every {every / ttl:g} T {where}"
        yield Case(name, predicted, mean_of(v.behind(at, of, in_bursts) > 0))

    of = v.sliding(at, ttl)
    yield Case(f"hit_ratio_sliding {where}", theory.hit_ratio_sliding(rate, ttl), mean_of(v.hits(of)))
    measured = mean_of(v.behind(at, of, written) > 0)
    yield Case(f"stale_share_sliding {where}", theory.stale_share_sliding(rate, writes, ttl), measured)

    of = v.invalidated(at, written, ttl)
    yield Case(f"hit_ratio_invalidated {where}", theory.hit_ratio_invalidated(rate, writes, ttl), mean_of(v.hits(of)))
    of = v.invalidated(at, written, np.inf)
    yield Case("hit_ratio_invalidated, no TTL", theory.hit_ratio_invalidated(rate, writes), mean_of(v.hits(of)))


def workers(rate: float, ttl: float, processes: int, seed: int) -> Iterator[Case]:
    """Each request goes to one of the processes at random; each keeps its own copy."""
    rng = np.random.default_rng(seed)
    at = v.poisson(rate, v.REQUESTS, rng)
    worker = rng.integers(processes, size=v.REQUESTS)
    hit = np.zeros(v.REQUESTS, dtype=bool)
    for n in range(processes):
        mine = np.flatnonzero(worker == n)
        hit[mine] = v.hits(v.fixed(at[mine], ttl))
    yield Case(f"workers_hit_ratio of {processes}", theory.workers_hit_ratio(rate, ttl, processes), mean_of(hit))


def stampedes(seed: int) -> Iterator[Case]:
    """Recomputations for each expiry, unprotected, on a shared origin, and begun early."""
    rng = np.random.default_rng(seed)
    for rate, seconds in ((2.0, 0.3), (50.0, 0.4)):
        at = v.poisson(rate, v.REQUESTS, rng)
        yield Case(
            f"herd ({rate:g}, {seconds:g})", theory.herd(rate, seconds), mean_of(v.herds(at, 60 / rate, seconds))
        )
    for at_once in (1, 2, 4, 8):
        measured = mean_of(v.herds_shared(10.0, 0.6, at_once, 50_000, rng))
        yield Case(f"herd_shared by {at_once}", theory.herd_shared(10.0, 0.6, at_once), measured)
    for beta, rate, expiries in ((0.5, 250.0, 8_000), (1.0, 50.0, 12_000), (2.0, 20.0, 12_000)):
        begun, lead = v.early(rate, 0.5, beta, expiries, rng)
        yield Case(f"early_recomputations, beta {beta:g}", theory.early_recomputations(beta), mean_of(begun))
        yield Case(f"early_alone, beta {beta:g}", theory.early_alone(beta), mean_of(begun == 1))
        yield Case(f"early_lead, beta {beta:g}", theory.early_lead(rate, 0.5, beta), mean_of(lead))
    ends = 100.0 * (1 + rng.uniform(-0.2, 0.2, v.REQUESTS))
    middle = np.histogram(ends, bins=30, range=(85, 115))[0]
    yield Case("jitter_peak", theory.jitter_peak(v.REQUESTS, 100, 0.2), mean_of(middle, blocks=30))


def room(seed: int) -> Iterator[Case]:
    """A thousand keys, some liked more than others, in a cache for a hundred."""
    rng = np.random.default_rng(seed)
    for exponent in (0.7, 1.0):
        weights = theory.zipf(1_000, exponent)
        keys = rng.choice(len(weights), size=v.REQUESTS, p=weights)
        kinds = {
            "lru": (theory.lru_hit_ratios, v.lru(keys, 100)),
            "fifo": (theory.fifo_hit_ratios, v.fifo(keys, 100)),
            "random": (theory.fifo_hit_ratios, v.random_out(keys, 100, rng)),
        }
        for kind, (formula, hit) in kinds.items():
            each = formula(weights, 100)
            predicted = theory.overall_hit_ratio(weights, each)
            yield Case(f"{kind}, Zipf {exponent}", predicted, mean_of(hit[5_000:]), approximate=0.003)
            tenth = mean_of(hit[keys == 9])
            yield Case(f"{kind}, its tenth key", float(each[9]), tenth, approximate=0.003)
        yield Case(f"best_hit_ratio, Zipf {exponent}", theory.best_hit_ratio(weights, 100), mean_of(keys < 100))


def worth(seed: int) -> Iterator[Case]:
    """Latency, what a server counts, and a cold start."""
    rng = np.random.default_rng(seed)
    hit = rng.random(v.REQUESTS) < 0.7
    latency = np.where(hit, 0.001, 3 * 0.001 + 0.02)
    yield Case("mean_latency", theory.mean_latency(0.7, 0.001, 0.02, trips=3), mean_of(latency))
    even = theory.break_even(0.001, 0.02, trips=3)
    latency = np.where(rng.random(v.REQUESTS) < even, 0.001, 3 * 0.001 + 0.02)
    yield Case("break_even: as slow as without", 0.02, mean_of(latency))

    weights = theory.zipf(1_000, 0.8)
    rounds, seconds = 100, 20.0
    first = rng.exponential(1 / (100.0 * weights), (rounds * 10, len(weights)))
    asked = (first < seconds).sum(axis=1)
    yield Case("cold_misses", theory.cold_misses(weights, 100.0, seconds), mean_of(asked))

    hashes = rng.integers(2**62, size=v.REQUESTS)
    yield Case("moved_by_modulo 4, 5", theory.moved_by_modulo(4, 5), mean_of(hashes % 4 != hashes % 5))
    yield Case("moved_by_modulo 6, 9", theory.moved_by_modulo(6, 9), mean_of(hashes % 6 != hashes % 9))
    points = rng.integers(2**62, size=(5, 20_000))
    owners = [_ring(points[:servers], hashes) for servers in (4, 5)]
    yield Case("moved_by_ring 4, 5", theory.moved_by_ring(4, 5), mean_of(owners[0] != owners[1]), approximate=0.03)


def _ring(points: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """The server of each hash: the one whose point comes next on the ring."""
    order = np.argsort(points.ravel())
    following = np.searchsorted(points.ravel()[order], hashes) % points.size
    return order[following] // points.shape[1]


def vectorised_cases() -> Iterator[Case]:
    """Every case, a cold, a lukewarm and a hot key among them."""
    yield from lifetimes(2.0, 0.5, 0.25, seed=1)
    yield from lifetimes(2.0, 0.3, 4.0, seed=2)
    yield from lifetimes(2.0, 0.1, 20.0, seed=3)
    for processes in (1, 4, 8):
        yield from workers(2.0, 4.0, processes, seed=10 + processes)
    yield from stampedes(seed=20)
    yield from room(seed=30)
    yield from worth(seed=40)
