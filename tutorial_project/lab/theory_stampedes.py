"""The closed forms of stampedes: what an expiry costs without a defence and with one. Rates a second, times seconds."""

from __future__ import annotations

import math

from .theory_arguments import checked, times

EULER = 0.5772156649015329  # Euler and Mascheroni's constant: the mean of a standard Gumbel variable


def herd(rate: float, seconds: float) -> float:
    """Recomputations that one unprotected expiry costs: 1 + λΔ, a recomputation taking `seconds` = Δ.

    The first request after the expiry begins one; those that come in the Δ seconds before it is stored begin theirs.
    Assumes that clients arrive whatever happens to those before (an open loop) and that the origin does not slow down.
    With N clients who each wait for their answer the herd is N. Mean over expiries; the count is 1 + Poisson(λΔ).
    """
    checked(rate=rate, seconds=seconds)
    return 1.0 + times(rate, seconds)


def herd_shared(rate: float, seconds: float, at_once: int) -> float:
    """Recomputations that one expiry costs when the origin runs only `at_once` = c queries at full speed.

    Queries beyond c share its speed, so the first takes longer and more come before it ends: the herd grows like
    e^(λΔ÷c). Derived here, exactly. Count time by the work that is done on the first query, Δ seconds in all: while n
    run, a second of it takes max(1, n ÷ c) seconds, so the next request comes at the rate λ·max(1, n ÷ c). Below c that
    is a Poisson process; from c on a Yule process, whose mean grows by e^(λ÷c) in each second of work. With p(j, a) the
    chance that a Poisson variable of mean a is j, and P(m, a) that it is at least m, the mean is the sum of
    (1 + j)·p(j, λΔ) over j < c − 1, plus c·e^(λΔ÷c)·(1 + 1÷c)^−(c−1)·P(c − 1, λΔ(1 + 1÷c)). Same assumptions as `herd`,
    which it nears as c grows.
    """
    checked(rate=rate, seconds=seconds)
    checked(above=0, at_once=at_once)
    if at_once != int(at_once):
        raise ValueError(f"at_once is {at_once!r}; it must be a whole number of queries")
    asked, before = times(rate, seconds), int(at_once) - 1
    if math.isinf(asked):
        return math.inf
    fewer = sum((1 + j) * _poisson(j, asked) for j in range(before))
    sooner = asked * (1.0 + 1.0 / at_once)
    crowded = 1.0 - math.fsum(_poisson(j, sooner) for j in range(before))
    growth = asked / at_once - before * math.log1p(1.0 / at_once)
    return fewer + at_once * _exp(growth) * max(0.0, crowded)


def early_recomputations(beta: float) -> float:
    """Recomputations an expiry costs under probabilistic early recomputation: e^(1÷β), whatever the rate.

    A reader recomputes when now − Δβ·ln(random) ≥ expiry (Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic
    Cache Stampede Prevention", PVLDB 8(8), 2015). Derived here: u seconds before expiry readers begin at the rate
    λe^(−u÷βΔ). Summed up to the first, at U, that is λβΔe^(−U÷βΔ), an exponential variable of mean 1; in the Δ seconds
    until the first is stored, e^(1÷β) − 1 times as many follow. Holds while the first comes more than Δ before expiry,
    that is for λβΔ much larger than e^(1÷β), and a TTL much longer than `early_lead`. A cold key is not protected.
    """
    checked(above=0, beta=beta)
    return _exp(1.0 / beta)


def early_alone(beta: float) -> float:
    """How often exactly one recomputation is begun for an expiry, under the same rule: e^(−1÷β).

    Given the exponential variable E of `early_recomputations`, the followers are Poisson of mean E(e^(1÷β) − 1): their
    number is geometric.
    """
    checked(above=0, beta=beta)
    return math.exp(-1.0 / beta)


def early_lead(rate: float, seconds: float, beta: float) -> float:
    """How long before expiry the first recomputation begins, on average, in seconds: βΔ(ln(λβΔ) + 0.577).

    P(no reader has begun by u seconds before expiry) = exp(−λβΔe^(−u÷βΔ)), a Gumbel variable. Same assumptions.
    """
    checked(above=0, beta=beta)
    checked(above=0, rate=rate, seconds=seconds)
    scale = beta * seconds
    return scale * (math.log(rate * scale) + EULER)


def jitter_peak(keys: float, ttl: float, jitter: float) -> float:
    """Expiries a second of `keys` entries stored at one moment, each for T(1 ± j), chosen evenly: N ÷ 2jT.

    Without jitter all fall on one instant: infinite. A recomputation follows each if its key is asked for soon after.
    """
    checked(keys=keys, ttl=ttl)
    checked(upto=1, jitter=jitter)
    width = 2.0 * times(jitter, ttl)
    if keys == 0:
        return 0.0
    return math.inf if width == 0 else keys / width


def _poisson(count: int, mean: float) -> float:
    """The chance that a Poisson variable of this mean is exactly `count`."""
    if mean == 0:
        return float(count == 0)
    return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))


def _exp(x: float) -> float:
    """e^x, infinite where it is beyond a float."""
    return math.exp(x) if x < 709 else math.inf
