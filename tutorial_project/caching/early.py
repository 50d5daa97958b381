"""Not all at once: timeouts that differ a little, and readers who recompute a value shortly before it expires.

    cache.set(key, value, jittered(600))                    # 540 to 660 seconds: keys stored together expire apart
    value = get_or_set("popular", popular_products, 600)    # one reader in many recomputes before the 600 seconds end

Probabilistic early recomputation: each reader draws a number, and recomputes when now − Δ·β·ln(number) is past the
expiry, Δ being how long the last computation took. The nearer the expiry, and the longer it took, the likelier
(Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", PVLDB 8(8), 2015).

Guarantee: no lock, no second key, no state in the process. Where the value is read much more often than once in Δ, an
expiry costs e^(1/β) recomputations on average, however often it is read: 2.7 with β = 1, 1.6 with 2, 7.4 with 0.5.
Limit: an average, not a bound. It does nothing for a cold key: everybody who asks computes. Where the timeout is not
much longer than Δ·β·(ln(rate·Δ·β) + 0.58), the readers recompute all the time. Whoever draws it computes in the
foreground, and waits. What was begun before the rows changed may be stored after they did (`stampede.py`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any, TypeVar, cast

from django.core.cache import cache as default_cache

from . import runtime
from .stale import keep, kept

Value = TypeVar("Value")


def jittered(timeout: float, share: float = 0.1) -> float:
    """A timeout between `timeout` · (1 − share) and `timeout` · (1 + share), in seconds, each as likely.

    Django's Redis cache rounds timeouts down to whole seconds: below ten seconds a tenth of them is nothing there.
    Raises ValueError for a share outside of 0 to 1.
    """
    checked(share=share)
    return timeout * random.uniform(1 - share, 1 + share)


def is_due(
    now: float, expires: float, took: float, beta: float = 1.0, chance: Callable[[], float] = random.random
) -> bool:
    """Whether this reader recomputes, of a value that `expires` then and `took` so long to compute (s).

    `chance()` draws a number from 0 up to 1. Past the expiry it is always true.
    """
    return now - took * beta * math.log(1.0 - chance()) >= expires


def get_or_set(
    key: str, compute: Callable[[], Value], timeout: float, *, beta: float = 1.0, cache: Any = default_cache
) -> Value:
    """The value under `key`, `timeout` seconds old at most, recomputed by this reader if it is absent or due.

    `beta` above 1 recomputes earlier, below 1 later. None is a value like any other. Raises ValueError for a `beta`
    that is negative or no number, and for a `timeout` that is not above 0, or without an end.
    """
    checked(beta=beta)
    if timeout is None or not 0 < timeout < math.inf:
        raise ValueError(f"A timeout of {timeout!r} seconds: a value has to live, and to expire, to be due early.")
    found = kept(cache.get(key))
    if found and not is_due(runtime.now(), found.fresh_until, found.took, beta):
        return cast(Value, found.value)
    began = runtime.now()
    value = compute()
    entry, lives = keep(value, timeout, 0.0, max(0.0, runtime.now() - began))
    cache.set(key, entry.stored(), lives and math.ceil(lives))  # Redis takes whole seconds; the entry knows better
    return value


def checked(*, beta: float = 0.0, share: float = 0.0) -> None:
    """Raise ValueError for a `beta` or a `share` that cannot be meant."""
    if not 0 <= beta < math.inf:
        raise ValueError(f"beta={beta!r}: it is a number, 0 or more; 1 is usual.")
    if not 0 <= share <= 1:
        raise ValueError(f"A jitter of {share!r}: it is the share of the timeout by which it varies, 0 to 1.")
