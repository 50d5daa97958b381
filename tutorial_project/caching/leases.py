"""Leases: a value that was computed from old rows cannot be stored after the rows have changed.

    value = leases.get_or_compute("product:42:detail", lambda: product_detail(42), timeout=60)
    transaction.on_commit(lambda: leases.forget("product:42:detail"), robust=True)      # wherever product 42 changes

Whoever misses is handed a lease: a mark under the key itself. The value is stored only if that mark still stands, and
whatever deletes the key takes the mark away: `leases.forget`, or any `cache.delete`. (After memcached's leases at
Facebook: Nishtala and others, "Scaling Memcache at Facebook", NSDI 2013.)

Guarantee: after a delete that followed the commit, nobody stores what was read before the commit, however the steps of
readers and writers fall. A lease that is lost, to its time or to the server's, costs a computation and no correctness.
One reader at a time holds the lease; others who miss compute for themselves, and store nothing.
Limit: it rests on that delete. A writer that dies between commit and delete, that is outside the ORM, or whose delete
fails leaves the old value for its `timeout`. Compute from rows read after you asked, from the database that was written
to: a replica that lags, or a transaction whose snapshot is older (SQLite's, MySQL's by default, REPEATABLE READ), reads
old ones. Inside a transaction that has written, you would store for all what only you can see yet.
What takes longer to compute than `lease` seconds is never stored. Read the key through this module alone: plain
`cache.get` would hand out the mark. Needs Django's RedisCache, or LocMemCache in one process (`atomic.py`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from django.core.cache import cache as default_cache
from django.db import transaction

from . import atomic
from .atomic import Leased

__all__ = ["Leased", "forget", "forget_on_commit", "get", "get_or_compute", "put"]

Value = TypeVar("Value")


def get_or_compute(
    key: str, compute: Callable[[], Value], timeout: float | None, *, lease: float = 10, cache: Any = default_cache
) -> Value:
    """The value under `key`; computed where nobody has it, and stored for `timeout` seconds if nobody deleted it since.

    A hit costs one round trip, a miss two and the computation. What `compute` raises is raised, and the lease is given
    back. None is a value like any other.
    """
    leased = get(key, lease=lease, cache=cache)
    if leased.hit:
        return leased.value
    try:
        value = compute()
    except BaseException:
        if leased.token:
            with suppress(Exception):  # what `compute` raised is the news
                atomic.release(key, leased.token, cache=cache)
        raise
    if leased.token:
        put(key, value, leased.token, timeout, cache=cache)
    return value


def get(key: str, *, lease: float = 10, cache: Any = default_cache) -> Leased:
    """The `value` under `key`, if it is a `hit`; else a `token` for `put`, which is "" where another reader has it."""
    return atomic.acquire(key, secrets.token_urlsafe(8), lease, cache=cache)


def put(key: str, value: Any, token: str, timeout: float | None, *, cache: Any = default_cache) -> bool:
    """Store it, and return True, if the lease `token` still stands; else change nothing and return False."""
    return bool(token) and atomic.commit(key, token, value, timeout, cache=cache)


def forget(*keys: str, cache: Any = default_cache) -> None:
    """Delete these values; whoever is computing one of them will not store it. `cache.delete_many` does the same."""
    cache.delete_many(keys)


def forget_on_commit(*keys: str, using: str | None = None, cache: Any = default_cache) -> None:
    """`forget` them once the transaction is committed (at once outside of one); never, if it is rolled back.

    A delete that fails is logged by Django and hinders no other callback.
    """

    def forget_these() -> None:  # a functools.partial has no name, which Django needs to log a failure
        forget(*keys, cache=cache)

    transaction.on_commit(forget_these, using=using, robust=True)
