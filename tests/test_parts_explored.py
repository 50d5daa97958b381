"""The parts of Protection, each alone, in every order: what each guarantees by itself, and where its limit is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache

from stampede_world import KEY, LEASE, TIMEOUT, Answer, Boom, Value, World, watched
from tutorial_project.caching import stale
from tutorial_project.caching.owned import owning
from tutorial_project.caching.single_flight import Flight, SingleFlight
from tutorial_project.lab import clock, explore

Patch = pytest.MonkeyPatch


# Single-flight


class Flights(World):
    """Threads of one process, that share through single-flight alone. Nothing is kept."""

    def _begin(self) -> None:
        super()._begin()
        self.flights = SingleFlight()

    def compute(self) -> Value:
        value = super().compute()
        cache.get("template")  # it goes on after it has read: others may come between
        return value

    def reader(self, process: int, name: str) -> Callable[[], Value]:
        def read() -> Value:
            asked = next(self.numbers)
            value = self.flights.run(KEY, self.compute, patience=1_000.0)
            self.answers.append(Answer(name, asked, value))
            return value

        read.__name__ = name
        return read

    def given_too_old(self, end: Any) -> bool:
        """Somebody was given what was begun before they asked, or two computed at once."""
        return self.doubled or any(answer.value.began < answer.asked for answer in self.answers)


def test_single_flight_gives_nobody_what_was_begun_before_they_asked() -> None:
    world = Flights()
    actors = world.reader(0, "a"), world.reader(0, "b"), world.reader(0, "c")
    found = explore(*actors, given=world.given, never=world.given_too_old)
    assert (found.bad, found.complete) == (0, True)

    def more_than_two(end: Any) -> bool:
        return len(world.computations) > 2  # the first, and one for all who came while it ran

    found = explore(*actors, given=world.given, never=more_than_two)
    assert (found.bad, found.complete) == (0, True)


def test_nor_where_one_comes_later_or_a_computation_raises() -> None:
    world = Flights(failing=1)

    def writer() -> None:
        world.origin.write("row")
        world.done = True

    def old(end: Any) -> bool:
        late = [answer for answer in world.answers if answer.reader == "late"]
        return world.given_too_old(end) or any(answer.value.version != 1 for answer in late)

    actors = world.reader(0, "a"), world.reader(0, "b"), writer, world.late_reader(0)
    found = explore(*actors, given=world.given, never=old, may_raise=Boom)
    assert (found.bad, found.complete) == (0, True) and found.orders >= 4


def test_single_flight_that_shares_with_everybody_is_seen(monkeypatch: Patch) -> None:
    world = Flights()

    def writer() -> None:
        world.origin.write("row")
        world.done = True

    def old(end: Any) -> bool:
        return any(answer.reader == "late" and answer.value.version != 1 for answer in world.answers)

    actors = world.reader(0, "a"), writer, world.late_reader(0)
    assert explore(*actors, given=world.given, never=old).bad == 0
    monkeypatch.setattr(Flight, "serves", lambda self, asked: self.over)
    assert explore(*actors, given=world.given, never=old).bad > 0


# The owned lease


def owner(world: World, name: str) -> Callable[[], bool | None]:
    """Computes and stores, if it is given the lease: whether it stored; None if somebody else had it."""

    def work() -> bool | None:
        with owning(LEASE, 10.0) as lease:
            return lease.commit(("%kept", world.compute(), 60.0, 360.0, 1.0), TIMEOUT, into=KEY) if lease else None

    work.__name__ = name
    return work


def test_one_owner_at_a_time_and_what_one_stores_who_has_lost_it_is_refused() -> None:
    world = World()

    def wrong(end: Any) -> bool:
        """Two stored from before and after each other, or two worked at once without a lapse."""
        order = [value.began for _, value in world.sets]
        return order != sorted(order) or len(order) != sum(bool(stored) for stored in end.returned.values())

    actors = owner(world, "a"), owner(world, "b"), clock(11.0)
    with watched(world):
        found = explore(*actors, given=world.given, never=wrong)
        assert (found.bad, found.complete) == (0, True) and found.orders > 100

        def two(end: Any) -> bool:
            return world.two_at_once(end)

        found = explore(owner(world, "a"), owner(world, "b"), given=world.given, never=two)
        assert (found.bad, found.complete) == (0, True)


def test_whoever_deletes_the_lease_takes_it_away() -> None:
    world = World()

    def forgets() -> None:
        world.called = next(world.numbers)
        cache.delete(LEASE)
        world.returned = next(world.numbers)

    with watched(world):
        found = explore(owner(world, "a"), forgets, given=world.given, never=world.stale)
    assert (found.bad, found.complete) == (0, True)


# Stale-while-revalidate


def test_stale_while_revalidate_computes_once_a_process_and_keeps_nobody_waiting() -> None:
    world = World(previous=True)

    def reader() -> Value:
        return stale.get_or_refresh(KEY, world.compute, TIMEOUT, 300.0)

    def wrong(end: Any) -> bool:
        """More than one at once, or a reader computed."""
        return world.doubled or any(step.what == "read row" and "background" not in step.actor for step in end.steps)

    found = explore(reader, reader, given=world.given, never=wrong)
    assert (found.bad, found.complete) == (0, True) and found.orders > 5


def test_its_limit_is_what_it_stores_late() -> None:
    """A refresh that began before the row was changed and forgotten puts the old row back: it has no lease."""
    world = World(previous=True)

    def reader() -> Value:
        return stale.get_or_refresh(KEY, world.compute, TIMEOUT, 300.0)

    def writer() -> None:
        world.origin.write("row")
        world.called = next(world.numbers)
        cache.delete(KEY)
        world.returned = next(world.numbers)

    with watched(world):
        assert explore(reader, writer, given=world.given, never=world.stale).bad > 0
