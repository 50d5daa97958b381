"""A lease that its owner alone can renew, use and give back: a lock that notices when it has been lost.

    with owning("report:lock", 10) as lease:
        if lease:                                   # None: somebody else has it
            lease.commit(build_report(), timeout=600, into="report")

While the block runs, the lease is renewed in the background every third of its `seconds`; at most for `limit` seconds,
so that a block that hangs cannot keep it for ever. With `renewed=False` it is a plain lock that ends after `seconds`.

Guarantee: one owner at a time, as long as no lease lapses. Whoever lost it (stopped for longer than it lasts, overtaken
by a delete of `key`) is told: `commit` and `renew` answer False and change nothing, and `release` takes nothing from
the next owner. An owner that dies is succeeded after `seconds` at most.
Limit: nothing hinders a former owner from going on with its work; only what it does by `commit` is refused. Times are
the cache server's: a jump of its clock can end a lease early. Needs Django's RedisCache, or LocMemCache in one process.
The renewing thread ends with the block; it looks every `runtime.PAUSE` seconds whether it may.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import Any

from django.core.cache import cache as default_cache
from django.core.cache.backends.base import DEFAULT_TIMEOUT

from . import atomic, runtime

TURNS = 3  # renewals in the time that a lease lasts: two may fail
logger = logging.getLogger(__name__)
LIMIT = 6  # times its own length: for how long a lease is renewed where nobody says otherwise


class Lease:
    """A lease that was taken: `key`, and the `token` that no other owner has. Leaving its block gives it back."""

    def __init__(self, key: str, seconds: float, cache: Any) -> None:
        self.key, self.seconds, self.cache = key, seconds, cache
        self.token = secrets.token_urlsafe(8)
        self.over = False  # committed, given back or left

    def renew(self) -> bool:
        """Whether it is still yours; then it lasts `seconds` from now."""
        return atomic.renew(self.key, self.token, self.seconds, cache=self.cache)

    def commit(self, value: Any, timeout: float | None = DEFAULT_TIMEOUT, *, into: str) -> bool:
        """Whether it was still yours; then, in the same step, it is given back and `value` stands under `into`."""
        committed = atomic.commit(self.key, self.token, value, timeout, into=into, cache=self.cache)
        self.over = True
        return committed

    def release(self) -> None:
        """Give it back, if it is still yours. A server that cannot be told will end it itself, when its time is up."""
        if not self.over:
            self.over = True
            with suppress(Exception):
                atomic.release(self.key, self.token, cache=self.cache)

    def keep(self, limit: float, lost: Callable[[], object] | None = None) -> None:
        """Renew it in the background until it is over, for `limit` seconds at most.

        `lost()` is called if it was taken away, or the limit has come: whatever is computed now will not be stored.
        Where there is no thread to do it, that is logged, and the lease lasts its `seconds`. Raises ValueError for a
        `limit` that is negative, infinite or no number.
        """
        if not 0 <= limit < inf:
            raise ValueError(f"A limit of {limit!r}: it is a number of seconds, so that what hangs is given up.")
        pause = self.seconds / TURNS

        def renew() -> None:
            for _ in range(int(limit / pause)):  # counted, so that no jump of a clock makes it longer
                if runtime.wait(lambda: self.over, pause):
                    return
                with suppress(Exception):  # a server that is away now may be back at the next turn
                    if not self.renew():
                        break
            if lost and not self.over:
                lost()

        try:
            runtime.spawn(renew)
        except RuntimeError:
            logger.exception("%s is not renewed: there is no thread to do it", self.key)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *raised: object) -> None:
        self.release()


def acquire(key: str, seconds: float, *, cache: Any = default_cache) -> Lease | None:
    """The lease `key`, which lasts `seconds`; None where somebody has it. One round trip, without waiting.

    Raises ValueError for `seconds` that are not above 0, TypeError for a cache without atomic steps.
    """
    lease = Lease(key, seconds, cache)
    return lease if atomic.acquire(key, lease.token, seconds, cache=cache).token else None


@contextmanager
def owning(
    key: str, seconds: float, *, limit: float | None = None, renewed: bool = True, cache: Any = default_cache
) -> Iterator[Lease | None]:
    """The lease `key` for this block, or None where somebody else has it. Given back when the block ends.

    Renewed for `limit` seconds at most (by default six times `seconds`). Raises as `acquire` does.
    """
    lease = acquire(key, seconds, cache=cache)
    if lease is None:
        yield None
        return
    with lease:
        if renewed:
            lease.keep(LIMIT * seconds if limit is None else limit)
        yield lease
