"""The database of a simulation: rows that have versions, queries that take time, and slow down when many run at once.

The model is processor sharing: `at_once` queries run at full speed; when more run, they share that speed evenly, so
that n queries take n / at_once times as long each. So does a database with that many cores whose queries compute.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any, NamedTuple

from greenlet import getcurrent

from ..caching import runtime
from .discrete_events import DiscreteEvents
from .errors import LabError
from .scheduler import Scheduler


class Reading(NamedTuple):
    """One row as a query read it: its key, its `version` then (0: as it was at first), and when the query began."""

    pk: Any
    version: int
    at: float


class Origin:
    """A database for `simulate`: a query takes `seconds` of work, and `at_once` of them run at full speed.

    A write takes `write_seconds` of the same work. `read` returns the row as it is when the query ends; with
    `snapshot=True`, as it was when the query began, which is what a database with snapshots shows.
    """

    def __init__(
        self, seconds: float = 0.05, at_once: float = 4, write_seconds: float = 0.0, snapshot: bool = False
    ) -> None:
        if not (seconds >= 0 and write_seconds >= 0 and at_once > 0):
            raise LabError(
                f"Origin({seconds=}, {at_once=}, {write_seconds=}): seconds are 0 or more, at_once is above 0."
            )
        self.seconds, self.at_once, self.write_seconds, self.snapshot = seconds, at_once, write_seconds, snapshot
        self.restart(None)

    def restart(self, events: DiscreteEvents | None = None) -> None:
        """All rows are at version 0, no query runs. `simulate` does this before each run."""
        self.written: dict[Any, list[float]] = {}  # when each row's versions 1, 2, … were written
        self.reads: list[list[Any]] = []  # stream, key, began, ended, at once
        self.queries = 0
        self.changed: list[tuple[float, int, int]] = []
        self.requests = 0
        self._events = events
        self._running: list[tuple[float, int, Any]] = []  # (work served when it is done, number, who waits)
        self._served = 0.0  # seconds of work that each running query has had since the first of them began
        self._since = 0.0
        self._due = -1.0

    def ended(self) -> None:
        """The run is over: what is asked from now on takes no time."""
        self._events = None

    def version(self, pk: Any) -> int:
        """The version of a row now: how often it was written. Takes no time."""
        return len(self.written.get(pk, ()))

    def read(self, pk: Any) -> Reading:
        """One query: takes its time, and returns the row. `at` is when it began."""
        events = self._events
        if events is None:
            return self._read_at_once(pk)
        began, version = events.time, self.version(pk)
        worker: Any = getcurrent()
        worker.reads += 1
        row = [worker.stream, pk, began, began, self.queries + 1]
        self.reads.append(row)
        self._work(self.seconds)
        row[3] = events.time
        return Reading(pk, version if self.snapshot else self.version(pk), began)

    def write(self, pk: Any) -> None:
        """A new version of the row; others see it when the write's own work, if it has any, is done."""
        if self._events is None:
            self._step(f"write {pk}", writes=True)
        elif self.write_seconds:
            self._work(self.write_seconds)
        self.written.setdefault(pk, []).append(runtime.now())

    def behind(self, reading: Reading, now: float) -> float:
        """For how many seconds a newer version than the one in `reading` has been there: 0 where there is none."""
        written = self.written.get(reading.pk, ())
        return now - written[reading.version] if reading.version < len(written) else 0.0

    def note(self) -> None:
        """Write down that the number of queries has changed; `simulate` writes down that of the requests."""
        self.changed.append((runtime.now() if self._events is None else self._events.time, self.requests, self.queries))

    def _read_at_once(self, pk: Any) -> Reading:
        self._step(f"read {pk}")
        return Reading(pk, self.version(pk), runtime.now())

    def _step(self, what: str, writes: bool = False) -> None:
        if isinstance(scheduler := runtime.current(), Scheduler):  # explore: a step, without time
            scheduler.database_call(what)

    def _work(self, seconds: float) -> None:
        """Let `seconds` of work be done for the actor that is running."""
        events = self._events
        assert events is not None
        if not seconds:
            return
        self.queries += 1
        self.note()
        if not self._running and self.at_once >= 1 and events.alone_until(events.time + seconds):
            events.time += seconds  # nobody comes in between
        else:
            self._serve()
            events.number += 1
            heappush(self._running, (self._served + seconds, events.number, getcurrent()))
            self._plan()
            events.hub.switch()
        self.queries -= 1
        self.note()

    def _serve(self) -> None:
        """Bring the work that the running queries have had up to now."""
        assert self._events is not None
        if not self._running:
            self._served = 0.0
        else:
            self._served += (self._events.time - self._since) * min(1.0, self.at_once / len(self._running))
        self._since = self._events.time

    def _plan(self) -> None:
        """Be told when the first of the running queries is done, if nothing changes until then."""
        assert self._events is not None
        if self._running:
            left = max(0.0, self._running[0][0] - self._served)
            self._due = self._events.time + left / min(1.0, self.at_once / len(self._running))
            self._events.at(self._due, self)

    def switch(self) -> None:
        """The time has come that was planned, unless something has changed since."""
        assert self._events is not None
        if not self._running or self._events.time != self._due:
            return
        self._serve()
        self._served = max(self._served, self._running[0][0])
        done = []
        while self._running and self._running[0][0] <= self._served:
            done.append(heappop(self._running)[2])
        self._plan()
        for actor in done:
            actor.switch()
