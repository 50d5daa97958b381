"""Time, sleeping, waiting and background work of caching code: four functions, which a bench can put itself behind.

Code that asks `now()` instead of `time.time()`, and so on, runs unchanged in production, on threads and the wall clock,
and under a simulator that moves the time itself: `with using(other): …` puts another `Runtime` in force.

Guarantee: which runtime is in force belongs to the context (`contextvars`): what one thread puts in force, no other
sees; background work goes on under the runtime, and in the language, of whoever began it.
Limit: `wait` looks again every `PAUSE` seconds, so it answers up to that much late. Background work runs in a daemon
thread: it ends with the process, finished or not.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context

from django.db import connections
from django.utils import translation

PAUSE = 0.02  # seconds between two looks of `wait`
logger = logging.getLogger(__name__)


class Runtime:
    """Threads and the wall clock. A bench overrides what it wants to move itself."""

    def now(self) -> float:
        """Seconds since the epoch. Not the monotonic clock: what is kept in a cache is read by other machines."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        time.sleep(seconds)

    def wait(self, until: Callable[[], bool], timeout: float) -> bool:
        """Wait until `until()` is true, `timeout` seconds at most. Returns whether it is."""
        end = time.monotonic() + timeout  # a wall clock that is set back would make this wait for as long
        while not until():
            left = end - time.monotonic()
            if left <= 0:
                return False
            self.sleep(min(PAUSE, left))
        return True

    def spawn(self, function: Callable[[], object]) -> None:
        """Run `function()` in the background. What it raises is logged, and nobody waits for it."""
        language = translation.get_language()  # a new thread would have the project's

        def work() -> None:
            try:
                with translation.override(language):
                    function()
            except Exception:
                logger.exception("Background work failed: %r", function)
            finally:
                connections.close_all()  # this thread's own; Django closes those of requests alone

        threading.Thread(target=copy_context().run, args=(work,), daemon=True).start()


_PRODUCTION = Runtime()
_in_force: ContextVar[Runtime] = ContextVar("runtime", default=_PRODUCTION)


def current() -> Runtime:
    """The runtime in force."""
    return _in_force.get()


@contextmanager
def using(runtime: Runtime) -> Iterator[None]:
    """Put `runtime` in force in this block, and in what it starts."""
    token = _in_force.set(runtime)
    try:
        yield
    finally:
        _in_force.reset(token)


def now() -> float:
    """Seconds since the epoch; of a bench, since it began."""
    return _in_force.get().now()


def sleep(seconds: float) -> None:
    """Let `seconds` pass."""
    _in_force.get().sleep(seconds)


def wait(until: Callable[[], bool], timeout: float) -> bool:
    """Wait until `until()` is true, `timeout` seconds at most. Returns whether it is.

    `until` is asked again and again: it should be cheap and change nothing.
    """
    return _in_force.get().wait(until, timeout)


def spawn(function: Callable[[], object]) -> None:
    """Run `function()` in the background. What it raises is logged, and nobody waits for it."""
    _in_force.get().spawn(function)
