"""Living without the cache server for a while: a breaker that stops asking it, and slots for what must be done instead.

    breaker = Breaker(after=3, pause=1.0)
    if breaker.closed:
        try:
            found = cache.get(key)
            breaker.worked()
        except failures(cache) as error:
            breaker.failed(error)

    slots = Slots(4)
    with slots.taken(patience=2.0):                         # raises Overloaded after two seconds
        value = compute()

Guarantee: after `after` failures in a row nobody of this process asks the server for `pause` seconds; then one request
tries, and the others go on without until it has worked. At most `slots` blocks run at a time.
Limit: it belongs to one process, and each finds out for itself. It cannot make a single operation fail sooner: that is
the client's affair. Against a server that is frozen, an operation of Django's RedisCache takes one `socket_timeout`
(5 seconds in redis-py 8, for ever before it; twice that with `retry_on_timeout`), and where the network swallows the
packets, one `socket_connect_timeout` for each address of the host. It is not tried again: redis-py's ten retries belong
to clients that make their own pool, and Django's does not. One that is refused fails at once. So set both:

    CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://…",
                          "OPTIONS": {"socket_timeout": 0.25, "socket_connect_timeout": 0.25}}}
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.cache.backends.redis import RedisCache

from . import runtime
from .families import store_of

logger = logging.getLogger(__name__)


class Overloaded(Exception):
    """There was no slot in time: too many computations at once while the cache is away. Answer 503, and say when."""


class StillComputing(Exception):
    """Another request has been computing the value, and there is none to serve meanwhile. Answer 503."""

    def __init__(self, key: str, patience: float) -> None:
        super().__init__(f"{key!r} is being computed by another request, and was not there after {patience:g} seconds.")
        self.key = key


class InvalidationLost(Exception):
    """The cache server could not be told: it may go on serving the old values of `keys` when it is back."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        super().__init__(f"The cache server could not be told to forget {', '.join(keys)}: what it has may be old.")
        self.keys = keys


def failures(cache: Any) -> tuple[type[Exception], ...]:
    """The errors of this cache that mean: the server has not done it. None of them is a fault in what was asked."""
    store = store_of(cache)
    if isinstance(store, RedisCache):
        return OSError, store._cache._lib.exceptions.RedisError  # type: ignore[attr-defined]
    return (OSError,)


class Breaker:
    """Whether to ask the server at all: not after `after` failures in a row, until it has worked again."""

    def __init__(self, after: int = 3, pause: float = 1.0) -> None:
        """Raises ValueError for less than one failure, or no pause."""
        if not after >= 1 or not pause > 0:
            raise ValueError(f"Breaker({after=}, {pause=}): it opens after 1 failure or more, for some seconds.")
        self.after, self.pause = after, pause
        self._lock = threading.Lock()
        self._failures = 0  # in a row
        self._tried = 0.0  # when somebody last began to try, while it is open

    @property
    def closed(self) -> bool:
        """Whether you may ask. While it is open, one caller in `pause` seconds is told True, and has to try."""
        if self._failures < self.after:
            return True
        with self._lock:
            now = runtime.now()
            if 0 <= now - self._tried < self.pause:  # below 0: the clock was set back, and it would stay open for long
                return False
            self._tried = now
            return True

    def worked(self) -> None:
        """The server has answered."""
        if self._failures:
            with self._lock:
                again = self._failures >= self.after
                self._failures = 0
            if again:
                logger.warning("The cache server answers again.")

    def failed(self, error: Exception) -> None:
        """The server has not done what it was asked."""
        with self._lock:
            self._failures += 1
            opens = self._failures == self.after
            self._tried = runtime.now()
        if opens:
            logger.warning(
                "The cache server is left alone: %d failures in a row, the last: %r. It is tried every %g seconds.",
                self.after,
                error,
                self.pause,
            )


class Slots:
    """At most `many` blocks at a time in this process. A child that is forked while some run counts them for ever."""

    def __init__(self, many: int) -> None:
        """Raises ValueError for less than one."""
        if not many >= 1:
            raise ValueError(f"Slots({many!r}): there is at least one.")
        self.many, self._used = many, 0
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, patience: float) -> Iterator[None]:
        """Run the block in a slot. Raises `Overloaded` if none has become free in `patience` seconds."""
        if not runtime.wait(self._take, patience):
            raise Overloaded(f"{self.many} computations run in this process, and none has ended in {patience:g} s.")
        try:
            yield
        finally:
            with self._lock:
                self._used -= 1

    def _take(self) -> bool:
        with self._lock:
            free = self._used < self.many
            self._used += free
        return free
