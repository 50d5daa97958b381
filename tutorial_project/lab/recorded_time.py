"""The shop on the clock of its traffic: entries run out when the recording says so, not when the replay is over.

`lab.replay` sends an hour of requests in seconds, so that hardly anything it stored ever runs out. In a block of
`with recorded_time() as clock:` the cache is Django's own LocMemCache, and the time that it sees is the clock's: it
stands still until somebody moves it. The views, the selectors and the database are the shop's own.
Limit: `datetime.now()`, and so Django's `timezone.now()`, goes on reading the wall clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pandas as pd
from django.conf import settings
from django.core.cache import caches
from django.test import override_settings

from . import traffic
from .bench import current
from .errors import LabError

ROOM = 100_000  # entries: nothing is dropped for want of it


class Clock:
    """A clock that somebody moves: `now`, in seconds."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = float(now)

    def at(self, seconds: float) -> None:
        """Move the clock to a time. Raises LabError where that lies behind."""
        if not seconds >= self.now:
            raise LabError(f"The clock stands at {self.now:g} s and does not go back to {seconds:g} s.")
        self.now = float(seconds)

    def forward(self, seconds: float) -> None:
        """Move the clock by some seconds."""
        self.at(self.now + seconds)


@contextmanager
def recorded_time(start: float = 0.0) -> Iterator[Clock]:
    """For this block every cache of the shop is local memory, on a clock that is moved by hand; yields the `Clock`.

    `time.time()` answers with its seconds, in this thread alone. The caches are empty when the block begins and when it
    has ended.
    """
    clock, wall_clock, thread = Clock(start), time.time, threading.get_ident()
    kept_in = "django.core.cache.backends.locmem.LocMemCache"
    on_the_clock = {
        alias: {"BACKEND": kept_in, "LOCATION": f"recorded time, {alias}", "OPTIONS": {"MAX_ENTRIES": ROOM}}
        for alias in settings.CACHES
    }

    def read() -> float:
        return clock.now if threading.get_ident() == thread else wall_clock()

    try:
        with mock.patch.object(time, "time", read), override_settings(CACHES=on_the_clock):
            try:
                yield clock
            finally:
                for alias in on_the_clock:  # the memory of a name outlives the block
                    caches[alias].clear()
    finally:
        current().empty_cache()


def replay_at_pace(trace: pd.DataFrame | int, start: str = "09:00") -> pd.DataFrame:
    """Like `lab.replay`, but on the clock of the recording: between two requests lie as many seconds as did then."""
    lab = current()
    wanted = lab.traffic(trace, start) if isinstance(trace, int) else trace
    with recorded_time() as clock:
        return traffic.replay(lab, wanted, before=lambda request: clock.at(request.t))
