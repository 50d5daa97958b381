"""Stale answers when changes come in bursts: the same rate as ever, and not at the same times."""

from __future__ import annotations

import math

import numpy as np

from .theory_arguments import checked

POINTS = 20_000  # of the period, for the one integral that is taken numerically


def stale_share_bursts(rate: float, writes: float, ttl: float, every: float, length: float) -> float:
    """Share of all answers that are stale when changes come in the first `length` of each `every` seconds only.

    There they are a Poisson process of r = writes × every ÷ length, so that the rate is `writes` over all, as
    `bursts(writes, every, length)` makes them. A copy of age a is fresh with e^(−r·o), o being how long its life ran
    through bursts. Derived here: the mean over a in (0, T) is done exactly, that over the moment in the period at which
    the copy was read numerically (to about a millionth). Assumes that readings fall evenly on the period: where T + 1 ÷
    rate is a whole number of periods, a hot key keeps step with it for long.
    """
    from .theory import hit_ratio

    checked(rate=rate, writes=writes, ttl=ttl)
    checked(above=0, every=every)
    checked(above=0, upto=every, length=length)
    if writes == 0 or ttl == 0:
        return 0.0
    if math.isinf(ttl) or math.isinf(writes):
        return hit_ratio(rate, ttl) * (1.0 if math.isinf(ttl) else 1.0 - _fresh(math.inf, ttl, every, length))
    return hit_ratio(rate, ttl) * (1.0 - _fresh(writes * every / length, ttl, every, length))


def _fresh(burst: float, ttl: float, every: float, length: float) -> float:
    """How likely a copy is fresh at a moment chosen evenly in its `ttl` seconds; `burst` is the rate in a burst."""
    read = (np.arange(POINTS) + 0.5) * every / POINTS  # in the period, which opens with the burst
    until = read + ttl
    # The first period: what is left of the burst when the copy is read, and the quiet after it.
    busy = np.maximum(0.0, np.minimum(until, length) - read)
    quiet = np.maximum(0.0, np.minimum(until, every) - np.maximum(read, length))
    survives = np.exp(-burst * np.maximum(0.0, length - read)) if math.isfinite(burst) else (read >= length) * 1.0
    fresh = _decayed(burst, busy) + survives * quiet
    # The periods after it: each multiplies what is left by the same factor.
    factor = math.exp(-burst * length)
    whole, rest = np.divmod(np.maximum(0.0, until - every), every)
    period = _decayed(burst, np.array(length)) + factor * (every - length)
    begun = _decayed(burst, np.minimum(rest, length)) + factor * np.maximum(0.0, rest - length)
    powers = factor**whole
    sums = (1.0 - powers) / (1.0 - factor) if factor < 1.0 else whole
    fresh += survives * (period * sums + powers * begun)
    return float(fresh.mean() / ttl)


def _decayed(rate: float, time: np.ndarray) -> np.ndarray:
    """∫ e^(−rate·s) ds from 0 to `time`."""
    return np.zeros_like(time) if math.isinf(rate) else -np.expm1(-rate * time) / rate
