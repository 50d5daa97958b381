"""A world to explore Protection in: a row, processes that read it through the cache, writers, and what each was given.

Each process is a Protection of its own; the readers of a process share it, as its threads would. A computation is one
query (a step), and its value says which version it read and when it began. Everything that happens draws a number, so
that "before" and "after" need no clock.
"""
# ruff: noqa: E402

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

import small_shop  # noqa: F401  # sets Django up

# isort: split
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache

from tutorial_project.caching import runtime
from tutorial_project.caching.stale import Kept, kept
from tutorial_project.caching.stampede import Protection
from tutorial_project.lab import Origin

KEY, ROW = "tenant:7:dashboard_stats", "row"
LEASE = f"{KEY}:lease"
TIMEOUT, GRACE = 60.0, 300.0


class Boom(Exception):
    """What a computation raises."""


class Value(NamedTuple):
    """What a computation made: the `version` it read, and when it `began`."""

    version: int
    began: int


class Answer(NamedTuple):
    """What a reader was given, and when it had asked."""

    reader: str
    asked: int
    value: Value


class World:
    """Begins anew with `given()`, before each order."""

    def __init__(self, processes: int = 2, failing: int = 0, previous: bool = False, **options: Any) -> None:
        self.many, self.failing, self.previous = processes, failing, previous
        self.options = {"grace": GRACE, "lease": 10.0, "limit": 60.0, "patience": 1000.0, **options}
        self._begin()

    def given(self) -> None:
        """A cold key; or, with a `previous` value, one that is no longer fresh."""
        self._begin()
        if self.previous:
            before = Kept(Value(0, next(self.numbers)), fresh_until=-1.0, kept_until=GRACE, took=1.0)
            cache.set(KEY, before.stored(), None)

    def _begin(self) -> None:
        self.origin = Origin()
        self.processes = [Protection(**self.options) for _ in range(self.many)]
        self.numbers = itertools.count()
        self.computations: list[int] = []  # when each began
        self.running: list[float] = []  # at what second those began that have not ended
        self.doubled = False  # whether one began beside another that is younger than a lease
        self.answers: list[Answer] = []
        self.sets: list[tuple[int, Value]] = []
        self.called = self.returned = -1  # when the last invalidation was called, and returned
        self.done = False

    def compute(self) -> Value:
        """One query. The first `failing` of them raise `Boom`."""
        began = next(self.numbers)
        self.computations.append(began)
        fails = len(self.computations) <= self.failing
        second = runtime.now()
        self.doubled |= any(second - other < self.options["lease"] for other in self.running)
        self.running.append(second)
        reading = self.origin.read(ROW)
        self.running.remove(second)
        if fails:
            raise Boom("the database said no")
        return Value(reading.version, began)

    # Actors

    def reader(self, process: int, name: str) -> Callable[[], Value]:
        """A request in this process."""

        def read() -> Value:
            asked = next(self.numbers)
            value = self.processes[process].get_or_set(KEY, self.compute, TIMEOUT)
            self.answers.append(Answer(name, asked, value))
            return value

        read.__name__ = name
        return read

    def late_reader(self, process: int, name: str = "late") -> Callable[[], Value]:
        """A request that begins after the writer has returned."""
        read = self.reader(process, name)

        def late() -> Value:
            runtime.wait(lambda: self.done, 10_000.0)
            return read()

        late.__name__ = name
        return late

    def writer(self, process: int) -> Callable[[], None]:
        """Changes the row and invalidates, in this process."""

        def writer() -> None:
            self.origin.write(ROW)
            called = next(self.numbers)
            self.processes[process].invalidate(KEY)
            self.called, self.returned, self.done = called, next(self.numbers), True

        return writer

    # What may never be

    def stale(self, end: Any) -> bool:
        """A value that was begun before an invalidation stood in the cache after it, or was given to who came later."""
        return bool(self.stale_sets() or self.stale_answers())

    def stale_sets(self) -> list[Value]:
        """The values that were stored after the last invalidation, and begun before it."""
        return [value for when, value in self.sets if 0 <= self.returned < when and value.began < self.called]

    def stale_answers(self) -> list[Answer]:
        """The answers to those who asked after the last invalidation, with a value that was begun before it."""
        return [one for one in self.answers if 0 <= self.returned < one.asked and one.value.began < self.called]

    def not_one(self, end: Any) -> bool:
        """More or fewer than one computation."""
        return len(self.computations) != 1

    def two_at_once(self, end: Any) -> bool:
        """Two computations beside each other, though no lease has lapsed."""
        return self.doubled

    def stored(self) -> Value | None:
        """What the cache holds now."""
        found = kept(cache.get(KEY))
        return found.value if found else None


@contextmanager
def watched(world: World) -> Iterator[None]:
    """Everything that is put under the key is written down in `world.sets`, with the number of that moment."""
    put = LocMemCache._set  # type: ignore[attr-defined]

    def _set(self: Any, key: str, value: bytes, *arguments: Any) -> None:
        if key.endswith(KEY) and (entry := kept(pickle.loads(value))):
            world.sets.append((next(world.numbers), entry.value))
        put(self, key, value, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocMemCache, "_set", _set)
        yield
