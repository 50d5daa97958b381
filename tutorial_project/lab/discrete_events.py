"""The scheduler that goes by the clock: whoever is due first goes on first. This is what runs behind `simulate`.

A heap holds (time, number, whom): the clock jumps from one entry to the next, and entries of one time go in the order
in which they were made. An actor that lets time pass puts itself in and is left; where nobody else is due before it,
the time moves and it stays, which is the same and much faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import copy_context
from heapq import heappop, heappush
from typing import Any, Protocol

from greenlet import getcurrent, greenlet

from ..caching.time_limit import in_another_stack
from .errors import LabError
from .scheduler import Scheduler

AFTERWARDS = 3600.0  # virtual seconds that a request may go on for after the last has arrived


class Due(Protocol):
    """What can stand in the heap: it is switched to when its time has come."""

    def switch(self) -> Any: ...


class Worker(greenlet):
    """A greenlet that serves one request after the other, as a thread of a server does."""

    job: Callable[[Any], object]
    key: Any = None
    stream: str = ""
    reads: int = 0  # of the origin, in the request it serves

    def __init__(self, events: DiscreteEvents) -> None:
        super().__init__(self._serve, events.hub)
        self.gr_context = copy_context()
        self.events = events

    def _serve(self) -> None:
        in_another_stack(self._requests)

    def _requests(self) -> None:
        idle, rest = self.events.idle, self.events.hub.switch
        while True:
            self.job(self.key)
            idle.append(self)
            rest()


class DiscreteEvents(Scheduler):
    """The event queue. `cache_latency` seconds pass in each cache call; it takes effect at their end."""

    def __init__(self, cache_latency: float = 0.0) -> None:
        super().__init__()
        self.latency = cache_latency
        self.heap: list[tuple[float, int, Due]] = []
        self.number = 0
        self.last = 0.0  # when everybody should be done
        self.idle: list[Worker] = []
        self.workers: list[Worker] = []

    def at(self, time: float, whom: Due) -> None:
        """Let `whom` go on at `time`."""
        self.number += 1
        heappush(self.heap, (time, self.number, whom))

    def run(self, end: float) -> None:
        """Until nobody has anything left to do. Raises LabError where that is long after `end`."""
        heap = self.heap
        self.last = last = end + AFTERWARDS
        while heap:
            self.time, _, whom = heappop(heap)
            whom.switch()
            if self.refused:
                raise self.refused
            if self.time > last:
                raise LabError(
                    f"'{getattr(whom, 'stream', 'A request')}' is not done {AFTERWARDS:g} s after the last request "
                    "arrived: does it wait for something that never comes?"
                )

    def alone_until(self, due: float) -> bool:
        """Whether nobody else is due before."""
        heap = self.heap
        return due <= self.last and (not heap or heap[0][0] > due)

    def begin(self, stream: str, job: Callable[[Any], object], key: Any = None) -> Worker:
        """A worker with a request to serve, job(key); whoever asked switches to it, or lets it be due."""
        if self.idle:
            worker = self.idle.pop()
        else:
            worker = Worker(self)
            self.workers.append(worker)
        worker.stream, worker.job, worker.key, worker.reads = stream, job, key, 0
        return worker

    def stop(self) -> None:
        """End the workers, in the middle of something or not."""
        self.stopping = True
        for worker in self.workers:
            self.end(worker)
        self.heap.clear()

    def who(self) -> str:
        return f"'{getattr(getcurrent(), 'stream', 'An actor')}'"

    def sleep(self, seconds: float) -> None:
        me = getcurrent()
        if me is self.hub or (self.stopping and self.still_stopping()):
            return
        if self.exclusive:
            self.refuse(f"{self.who()} sleeps inside cache.exclusively(): nobody else could go on.")
        due = self.time + seconds
        if self.alone_until(due):
            self.time = due
            return
        self.number += 1
        heappush(self.heap, (due, self.number, me))
        self.hub.switch()

    def spawn(self, function: Callable[[], object]) -> None:
        self.at(self.time, self.begin(getattr(getcurrent(), "stream", ""), lambda _: function()))

    def cache_call(self, operation: str, *keys: Any) -> None:
        if not self.latency or self.exclusive:
            return
        due, heap = self.time + self.latency, self.heap
        if due > self.last or (heap and heap[0][0] <= due) or self.stopping or getcurrent() is self.hub:
            self.sleep(self.latency)
        else:  # as sleep would, on the way that is taken most
            self.time = due


class Stream:
    """Requests that arrive: at the time of each, one is begun and the next one is put into the heap."""

    def __init__(
        self, events: DiscreteEvents, name: str, arrivals: Iterator[tuple[float, Any]], serve: Callable[[Any], None]
    ) -> None:
        self._events, self.stream, self._arrivals, self._serve = events, name, arrivals, serve
        self._key: Any = None
        self._next()

    def switch(self) -> None:
        """The next request has arrived."""
        key = self._key
        self._next()
        self._events.begin(self.stream, self._serve, key).switch()

    def _next(self) -> None:
        arrival = next(self._arrivals, None)
        if arrival is not None:
            time, self._key = arrival
            self._events.at(time, self)
