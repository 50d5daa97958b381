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


def herd_shared(rate: float, seconds: float, at_once: float) -> float:
    """Recomputations that one expiry costs when the origin runs only `at_once` = c queries at full speed.

    Queries beyond c share its speed, so the first takes longer and more come before it ends. Until it ends 1 + λt run
    at time t; its work is done when ∫ min(1, c ÷ (1 + λt)) dt = Δ. Below c queries that is `herd`; above it is
    ce^((1 + λΔ − c) ÷ c): the herd grows exponentially. Derived here for a flow without chance.
    """
    checked(rate=rate, seconds=seconds)
    checked(above=0, at_once=at_once)
    alone = herd(rate, seconds)
    if at_once < 1:  # even the first query does not run at full speed
        return _exp(times(rate, seconds) / at_once)
    if alone <= at_once or math.isinf(at_once):
        return alone
    return at_once * _exp((alone - at_once) / at_once)


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


def _exp(x: float) -> float:
    """e^x, infinite where it is beyond a float."""
    return math.exp(x) if x < 709 else math.inf
