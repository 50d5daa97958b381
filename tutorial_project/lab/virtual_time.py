"""The virtual clock: while a scheduler runs, its thread reads the scheduler's time, and may neither sleep nor thread.

`time.time`, `time.monotonic` and `time.perf_counter` answer with the scheduler's seconds, so Django's cache classes,
which ask `time.time()`, expire entries by it. `time.sleep` and `Thread.start` are refused to an actor, with what to
use instead: a real sleep would hold up everybody, and a thread would run outside the schedule. Other threads notice
nothing.
`random`, `secrets` and `uuid.uuid4` draw from the scheduler's seed, so that a run is the same each time.
Limit: `datetime.now()` and names bound before (`from time import time`) go on reading the wall clock.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..caching import runtime
from .errors import LabError

if TYPE_CHECKING:
    from .scheduler import Scheduler

_CLOCKS = ("time", "monotonic", "perf_counter")
_one_at_a_time = threading.Lock()


@contextmanager
def in_force(scheduler: Scheduler) -> Iterator[None]:
    """The scheduler's time and chance for this thread; everything is put back after it.

    Raises LabError inside another run: the clock can only be moved by one.
    """
    if not _one_at_a_time.acquire(blocking=False):
        raise LabError("One explore() or simulate() is running already: end it first, and call none inside another.")
    drawn = random.getstate()
    clocks = {name: getattr(time, name) for name in _CLOCKS}
    urandom = os.urandom
    sleep, start = time.sleep, threading.Thread.start
    try:
        for name, clock in clocks.items():
            setattr(time, name, _virtual(clock, scheduler))
        os.urandom = random._urandom = _seeded(urandom, scheduler)  # type: ignore[attr-defined]
        time.sleep = _refused(
            sleep, scheduler, "sleeps for real", "tutorial_project.caching.runtime.sleep, which moves the virtual clock"
        )
        threading.Thread.start = _refused(  # type: ignore[method-assign]
            start, scheduler, "starts a thread", "caching.runtime.spawn, which adds an actor"
        )
        with runtime.using(scheduler):
            yield
    finally:
        with undisturbed():
            for name, clock in clocks.items():
                setattr(time, name, clock)
            os.urandom = random._urandom = urandom  # type: ignore[attr-defined]
            time.sleep = sleep
            threading.Thread.start = start  # type: ignore[method-assign]
            random.setstate(drawn)
            _one_at_a_time.release()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put things back in this block: an interrupt or the alarm of a time limit comes after it."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _virtual(clock: Callable[[], float], scheduler: Scheduler) -> Callable[[], float]:
    thread, ident = threading.get_ident(), threading.get_ident

    def read() -> float:
        return scheduler.time if ident() == thread else clock()

    return read


def _seeded(urandom: Callable[[int], bytes], scheduler: Scheduler) -> Callable[[int], bytes]:
    thread, ident = threading.get_ident(), threading.get_ident

    def draw(size: int, /) -> bytes:
        return scheduler.chance.randbytes(size) if ident() == thread else urandom(size)

    return draw


def _refused(function: Callable[..., Any], scheduler: Scheduler, does: str, instead: str) -> Callable[..., Any]:
    thread, ident = threading.get_ident(), threading.get_ident

    def call(*args: Any, **kwargs: Any) -> Any:
        if ident() == thread and scheduler.inside():
            scheduler.refuse(f"{scheduler.who()} {does}. Use {instead}.")
        return function(*args, **kwargs)

    return call
