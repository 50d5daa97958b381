"""Which kind of cache is this: one that works in this process's memory, on Redis, or in a way that has no atomic steps.

`store_of(cache)` is the cache itself, behind Django's proxy; `alone(memory)` makes a block of work in local memory one
step to everybody else, as a Lua script is on Redis.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from django.utils.connection import ConnectionProxy


def store_of(cache: Any) -> LocMemCache | RedisCache | DummyCache:
    """The cache behind `django.core.cache.cache`, or the one given. Raises TypeError where it has no atomic steps."""
    store = cache._connections[cache._alias] if isinstance(cache, ConnectionProxy) else cache
    if isinstance(store, LocMemCache | RedisCache | DummyCache):
        return store
    raise TypeError(
        f"{type(store).__name__} has no steps that nobody can come between (its add and incr can be lost): use Django's"
        " RedisCache, or LocMemCache where there is one process."
    )


@contextmanager
def alone(memory: LocMemCache, what: str, *keys: str) -> Iterator[None]:
    """Nobody else reads or writes this memory until the block ends. Call none of its methods inside: they would wait.

    A cache that puts its callers aside between two steps (a bench's) offers `exclusively(what, *keys)`, and is told
    that the block is one step, and which.
    """
    if exclusively := getattr(memory, "exclusively", None):
        with exclusively(what, *keys):
            yield
    else:
        with memory._lock:  # type: ignore[attr-defined]
            yield
