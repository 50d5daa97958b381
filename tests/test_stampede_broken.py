"""What holds Protection up, taken away piece by piece: each time, exploring finds the order in which it falls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache

from stampede_world import KEY, LEASE, Boom, World, watched
from tutorial_project.caching import atomic, owned, runtime
from tutorial_project.caching.single_flight import Flight
from tutorial_project.caching.stampede import Protection
from tutorial_project.lab import clock, explore
from tutorial_project.lab.exploring import Found

Patch = pytest.MonkeyPatch
LAPSE = 11.0


def explored(world: World, *actors: Callable[[], Any], never: Callable[[Any], Any] | None = None, **how: Any) -> Found:
    with watched(world):
        return explore(*actors, given=world.given, never=never or world.stale, **how)


def taken(found: Found) -> list[str]:
    """The steps of the shortest bad order."""
    return [step.what for step in found.shortest]


# The atomic steps


def look_then_set(key: str, token: str, value: Any, timeout: Any, *, into: str = "", cache: Any = cache) -> bool:
    """A commit in two steps."""
    if mine := cache.get(key) == atomic.MARK + token:
        cache.set(into or key, value, timeout)
        cache.delete(key)
    return mine


def test_a_late_write_that_looks_first_and_then_sets_leaves_stale_values(monkeypatch: Patch) -> None:
    world = World()
    actors = world.reader(0, "a"), world.writer(1), world.late_reader(0)
    assert explored(world, *actors).bad == 0
    monkeypatch.setattr(atomic, "commit", look_then_set)
    found = explored(world, *actors)
    assert found.bad > 0
    steps = taken(found)
    assert steps.index(f"get {LEASE}") < steps.index(f"delete_many {LEASE} {KEY}") < steps.index(f"set {KEY}")


def test_a_late_write_that_does_not_look_leaves_them_too(monkeypatch: Patch) -> None:
    world = World()
    monkeypatch.setattr(atomic._Memory, "_stands", lambda *_: True)
    assert explored(world, world.reader(0, "a"), world.writer(1)).bad > 0


def test_a_release_by_anybody_lets_two_compute_at_once(monkeypatch: Patch) -> None:
    """Whoever was too slow, and failed, deletes the lock of the next owner: a third begins beside that one."""
    world = World(processes=3, failing=1)
    passes = clock(LAPSE)

    def stopped_and_failing() -> Any:
        try:
            return world.compute()
        finally:
            passes()

    def a() -> Any:
        return world.processes[0].get_or_set(KEY, stopped_and_failing, 60)

    actors = a, world.reader(1, "b"), world.reader(2, "c")
    how: dict[str, Any] = {"never": world.two_at_once, "may_raise": Boom, "preemptions": 2}
    assert explored(world, *actors, **how).bad == 0
    monkeypatch.setattr(atomic, "release", lambda key, token, *, cache=cache: cache.delete(key))
    found = explored(world, *actors, **how)
    assert found.bad > 0 and taken(found).count("read row") == 3


# The second look


def test_without_a_second_look_there_are_two_computations(monkeypatch: Patch) -> None:
    look = Protection._look

    def _look(self: Protection, key: str, lease: owned.Lease | None = None) -> Any:
        return None if lease else look(self, key)

    world = World()
    actors = world.reader(0, "a"), world.reader(1, "b")
    assert explored(world, *actors, never=world.not_one).bad == 0
    monkeypatch.setattr(Protection, "_look", _look)
    found = explored(world, *actors, never=world.not_one)
    assert found.bad > 0 and taken(found).count("read row") == 2


def test_without_the_lease_each_process_computes(monkeypatch: Patch) -> None:
    world = World()
    actors = world.reader(0, "a"), world.reader(0, "a2"), world.reader(1, "b")
    monkeypatch.setattr(owned, "acquire", lambda key, seconds, *, cache: owned.Lease(key, seconds, cache))
    assert explored(world, *actors, never=world.not_one, preemptions=2).bad > 0


def test_without_renewal_a_computation_longer_than_the_lease_is_done_again(monkeypatch: Patch) -> None:
    world = World(lease=3.0, limit=60.0)

    def slow() -> Any:
        value = world.compute()
        runtime.sleep(9.0)
        return value

    def first() -> Any:
        return world.processes[0].get_or_set(KEY, slow, 60)

    def second() -> Any:
        return world.processes[1].get_or_set(KEY, slow, 60)

    actors = first, second
    assert explored(world, *actors, never=world.not_one, preemptions=1).bad == 0
    monkeypatch.setattr(owned.Lease, "keep", lambda *_, **__: None)
    assert explored(world, *actors, never=world.not_one, preemptions=1).bad > 0


# The invalidation


def only_the_value(self: Protection, *keys: str) -> None:
    for key in keys:
        self.cache.delete(key)
        self._flights.drop(key)


def the_value_and_then_the_lease(self: Protection, *keys: str) -> None:
    for key in keys:
        self.cache.delete(key)
        self.cache.delete(f"{key}:lease")
        self._flights.drop(key)


def the_lease_and_then_the_value(self: Protection, *keys: str) -> None:
    for key in keys:
        self.cache.delete(f"{key}:lease")
        self.cache.delete(key)
        self._flights.drop(key)


@pytest.mark.parametrize("invalidate", [only_the_value, the_value_and_then_the_lease])
@pytest.mark.parametrize("previous", [False, True], ids=["cold", "expired"])
def test_an_invalidation_that_takes_the_value_first_is_too_late_for_the_lease(
    invalidate: Callable[..., None], previous: bool, monkeypatch: Patch
) -> None:
    world = World(previous=previous)
    actors = world.reader(0, "a"), world.writer(1), world.late_reader(1)
    monkeypatch.setattr(Protection, "invalidate", invalidate)
    found = explored(world, *actors)
    assert found.bad > 0 and f"delete {KEY}" in taken(found)


def test_in_two_steps_the_lease_has_to_go_first(monkeypatch: Patch) -> None:
    """It costs a computation that was just stored, and nothing stale stays: one step is still what is shipped."""
    world = World()
    actors = world.reader(0, "a"), world.reader(1, "b"), world.writer(1), world.late_reader(0)
    monkeypatch.setattr(Protection, "invalidate", the_lease_and_then_the_value)
    assert explored(world, *actors, preemptions=2).bad == 0


def test_a_plain_delete_is_outside_the_guarantee() -> None:
    """As the module's docstring says: it takes the value, and not the lease of who is computing."""
    world = World()

    def deleting() -> None:
        world.origin.write("row")
        world.called = next(world.numbers)
        cache.delete(KEY)
        world.returned, world.done = next(world.numbers), True

    found = explored(world, world.reader(0, "a"), deleting)
    assert found.bad > 0 and taken(found)[-1] == f"commit {LEASE}"


# What is shared inside a process


def test_sharing_with_those_who_asked_later_gives_them_an_old_value(monkeypatch: Patch) -> None:
    world = World()
    actors = world.reader(0, "a"), world.writer(1), world.late_reader(0)
    monkeypatch.setattr(Flight, "serves", lambda self, asked: self.over and self._began >= 0)
    found = explored(world, *actors)
    assert found.bad > 0
    assert {value.began < world.called for _, value in world.sets} <= {False}  # through no cache


# Errors


def test_a_lease_that_is_not_given_back_after_an_error_is_seen(monkeypatch: Patch) -> None:
    world = World(failing=1)

    def left_behind(end: Any) -> bool:
        return bool(cache.get(LEASE))

    assert explored(world, world.reader(0, "a"), never=left_behind, may_raise=Boom).bad == 0
    monkeypatch.setattr(owned.Lease, "release", lambda self: None)
    assert explored(world, world.reader(0, "a"), never=left_behind, may_raise=Boom).bad > 0


def test_a_refresh_that_fails_and_is_not_put_off_is_tried_by_the_next_reader(monkeypatch: Patch) -> None:
    world = World(previous=True, failing=9)
    actors = world.reader(0, "a"), world.reader(1, "b")
    assert explored(world, *actors, never=world.not_one, may_raise=Boom).bad == 0
    monkeypatch.setattr(Protection, "_postpone", lambda *_: None)
    assert explored(world, *actors, never=world.not_one, may_raise=Boom).bad > 0


def test_a_flight_that_is_begun_too_late_is_seen(monkeypatch: Patch) -> None:
    """A computation counts from before it reads: numbered when it ends, it would be shared with late comers."""
    end = Flight.end

    def ends(self: Flight, *value: Any) -> Any:
        self.begin()
        return end(self, *value)

    world = World()
    monkeypatch.setattr(Flight, "end", ends)
    assert explored(world, world.reader(0, "a"), world.writer(1), world.late_reader(0)).bad > 0
