"""Stale-while-revalidate: who comes too late for a fresh value gets the previous one, while it is computed anew.

    value = get_or_refresh("popular", popular_products, timeout=60, grace=600)

A value is fresh for `timeout` seconds and kept for `grace` seconds more. The first reader who finds it no longer fresh
has it computed in the background, and is answered at once with what is there, as are all others.
(The idea, and the name: RFC 5861, "HTTP Cache-Control Extensions for Stale Content".)

Guarantee: where a value is kept, no reader computes, none waits, and none is told of an error. One background
computation a key and process.
Limit: each process computes for itself, a cold key is computed by everybody who asks, and a computation that was begun
before the rows changed may be stored after they did: `stampede.py` adds a lease, which mends all three. A value is as
old as `timeout + grace`, and one computation, when it is served last.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

from django.core.cache import cache as default_cache

from . import runtime
from .single_flight import SingleFlight

HEAD = "%kept"  # what an entry begins with: anything else under the key was put there by somebody else, and is a miss
Value = TypeVar("Value")
_flights = SingleFlight()
logger = logging.getLogger(__name__)


class Kept(NamedTuple):
    """An entry: a value, until when it is fresh and until when it is kept (seconds since the epoch; infinite: always),
    and how long it `took` to compute (s)."""

    value: Any
    fresh_until: float
    kept_until: float
    took: float

    def stored(self) -> tuple[Any, ...]:
        """What is put into the cache: a plain tuple, which pickles fast and needs no class when it is read."""
        return (HEAD, *self)


def keep(value: Any, timeout: float | None, grace: float, took: float = 0.0) -> tuple[Kept, float | None]:
    """The entry for a value that is fresh from now on, and the timeout to store it with (None: for ever)."""
    if timeout is None:
        return Kept(value, math.inf, math.inf, took), None
    now = runtime.now()
    return Kept(value, now + timeout, now + timeout + grace, took), timeout + grace


def kept(found: Any) -> Kept | None:
    """The entry in what a cache answered; None where there is none."""
    if type(found) is tuple and len(found) == 5 and found[0] == HEAD:
        return Kept(*found[1:])
    return None


def get_or_refresh(
    key: str, compute: Callable[[], Value], timeout: float | None, grace: float, *, cache: Any = default_cache
) -> Value:
    """The value under `key`, `timeout + grace` seconds old at most; computed here and now only where none is kept.

    What `compute` raises is raised where there is no value; in the background it is logged, and the next reader tries
    again. None is a value like any other. Raises ValueError for a `timeout` or `grace` that is negative or infinite.
    """
    if not (timeout is None or 0 <= timeout < math.inf) or not 0 <= grace < math.inf:
        raise ValueError(
            f"timeout={timeout!r}, grace={grace!r}: a number of seconds, 0 or more (timeout=None: for ever)."
        )

    def store() -> Value:
        began = runtime.now()
        value = compute()
        entry, lives = keep(value, timeout, grace, max(0.0, runtime.now() - began))
        cache.set(key, entry.stored(), lives and math.ceil(lives))  # Redis takes whole seconds
        return value

    found = kept(cache.get(key))
    if found is None:
        return store()
    if runtime.now() >= found.fresh_until:
        try:  # by its full key: each thread has a cache object of its own
            _flights.in_background(cache.make_key(key), store)
        except RuntimeError:
            logger.exception("%s is not refreshed", key)
    return cast(Value, found.value)
