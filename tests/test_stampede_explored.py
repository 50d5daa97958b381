"""Protection in every order of its readers, writers and clocks: the code that is shipped, on the scheduler.

Two promises. No order ends with a stale value: one whose computation began before `invalidate` was called is never
stored after it, nor given to a request that began after it had returned. And in each order in which no lease lapses
there is exactly one computation. How many orders that were, and how far they were bounded, is printed.
"""
# ruff: noqa: E402

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from real_shop import fresh_lab, running_lab  # noqa: F401

# isort: split
from django.core.cache import cache
from django.db import transaction

from stampede_world import KEY, LEASE, TIMEOUT, Boom, Value, World, watched
from tutorial_project.caching import runtime
from tutorial_project.caching.owned import acquire
from tutorial_project.caching.stampede import POLL
from tutorial_project.lab import clock, explore
from tutorial_project.lab.exploring import Found
from tutorial_project.shop.models import Product

LAPSE = 11.0  # seconds: longer than a lease


@pytest.fixture(name="orders")
def printed_orders(capsys: pytest.CaptureFixture[str]) -> Callable[..., Found]:
    """Explores a world and prints what came of it, bound and all."""

    def orders(world: World, *actors: Callable[[], Any], never: Any = None, **how: Any) -> Found:
        with watched(world):
            found = explore(*actors, given=world.given, never=never or world.stale, **how)
        with capsys.disabled():
            print(f"\n  {', '.join(found.actors)}: {found}", end=" ")
        return found

    return orders


Orders = Callable[..., Found]
PREVIOUS = pytest.mark.parametrize("previous", [False, True], ids=["cold", "expired"])


# Nothing stale


@PREVIOUS
def test_nothing_stale_where_a_lease_may_lapse_at_any_moment(previous: bool, orders: Orders) -> None:
    world = World(previous=previous)
    found = orders(world, world.reader(0, "a"), world.writer(1), world.late_reader(0), clock(LAPSE))
    assert found.bad == 0 and found.complete and found.orders > 2_000


@PREVIOUS
def test_nor_with_two_processes_reading(previous: bool, orders: Orders) -> None:
    world = World(previous=previous)
    actors = world.reader(0, "a"), world.reader(1, "b"), world.writer(1), clock(LAPSE)
    found = orders(world, *actors, preemptions=2)
    assert found.bad == 0 and found.orders > 4_000


@PREVIOUS
def test_nor_for_late_readers_of_both_processes(previous: bool, orders: Orders) -> None:
    world = World(previous=previous)
    actors = world.reader(0, "a"), world.writer(1), world.late_reader(0), world.late_reader(1, "late b")
    found = orders(world, *actors, preemptions=3)
    assert found.bad == 0 and found.orders > 1_000


@PREVIOUS
@pytest.mark.parametrize("where", [0, 1], ids=["same process", "other process"])
def test_nor_among_threads_wherever_the_writer_is(previous: bool, where: int, orders: Orders) -> None:
    world = World(previous=previous)
    actors = world.reader(0, "a"), world.reader(0, "a2"), world.writer(where), world.late_reader(0)
    found = orders(world, *actors, preemptions=3)
    assert found.bad == 0 and found.orders > 500


def test_nor_for_who_waits_for_another_process(orders: Orders) -> None:
    """Time passes while one computes, so that those who wait look again; a writer and a late reader come between."""
    world = World()
    actors = world.reader(0, "a"), world.reader(1, "b"), clock(POLL), world.writer(0), world.late_reader(1)
    found = orders(world, *actors, preemptions=2)
    assert found.bad == 0 and found.orders > 1_000


@PREVIOUS
def test_nor_where_a_computation_raises(previous: bool, orders: Orders) -> None:
    world = World(previous=previous, failing=1)
    actors = world.reader(0, "a"), world.reader(1, "b"), world.writer(1), world.late_reader(0)
    found = orders(world, *actors, may_raise=Boom, preemptions=2)
    assert found.bad == 0 and found.orders > 500


# One computation


@PREVIOUS
def test_one_computation_of_two_threads_and_another_process(previous: bool, orders: Orders) -> None:
    world = World(previous=previous)
    actors = world.reader(0, "a"), world.reader(0, "a2"), world.reader(1, "b")
    found = orders(world, *actors, never=world.not_one)
    assert found.bad == 0 and found.complete and found.orders > 500


@PREVIOUS
def test_one_computation_of_three_processes(previous: bool, orders: Orders) -> None:
    world = World(processes=3, previous=previous)
    actors = world.reader(0, "a"), world.reader(1, "b"), world.reader(2, "c")
    found = orders(world, *actors, never=world.not_one, preemptions=3)
    assert found.bad == 0 and found.orders > 1_000


@PREVIOUS
def test_one_more_for_each_lease_that_lapses_and_for_each_invalidation(previous: bool, orders: Orders) -> None:
    world = World(previous=previous)
    readers = world.reader(0, "a"), world.reader(1, "b")

    def more_than_two(end: Any) -> bool:
        return len(world.computations) > 2

    for third in (clock(LAPSE), world.writer(1)):
        found = orders(world, *readers, third, never=more_than_two, preemptions=3)
        assert found.bad == 0 and found.orders > 900


def test_two_do_happen_where_a_lease_lapses(orders: Orders) -> None:
    """The bound is reached: one computation cannot be promised to whoever is stopped for longer than the lease."""
    world = World()
    found = orders(world, world.reader(0, "a"), world.reader(1, "b"), clock(LAPSE), never=world.not_one, preemptions=1)
    assert found.bad > 0 and "+11 s" in [step.what for step in found.shortest]


@PREVIOUS
def test_whoever_has_a_previous_value_is_served_it_and_computes_nothing(previous: bool, orders: Orders) -> None:
    """No reader ever computes; with a cold key, one does."""
    world = World(previous=previous)

    def a_reader_computed(end: Any) -> bool:
        return any(step.what == "read row" and "background" not in step.actor for step in end.steps)

    found = orders(world, world.reader(0, "a"), world.reader(1, "b"), never=a_reader_computed)
    assert (found.bad == 0) is previous
    if previous:
        assert {answer.value for answer in world.answers} == {Value(0, 0)}


# Owners that fail, die, or hang


@PREVIOUS
def test_a_computation_that_raises_gives_its_lease_back_and_poisons_nothing(previous: bool, orders: Orders) -> None:
    world = World(previous=previous, failing=1)

    def wrong(end: Any) -> bool:
        raised = {name for name, error in end.raised.items() if isinstance(error, Boom)}
        if previous:  # everybody is served; the refresh alone has failed, and is not tried again at once
            told = all("background" in name for name in raised) and len(world.answers) == 3
            return bool(cache.get(LEASE)) or not told or len(world.computations) != 1 or world.stored() != Value(0, 0)
        told = 1 <= len(raised) and len(raised) + len(world.answers) == 3  # an error or a value, each of them
        after = world.stored() is not None or len(raised) == 3
        return bool(cache.get(LEASE)) or not told or not after or len(world.computations) > 2

    actors = world.reader(0, "a"), world.reader(0, "a2"), world.reader(1, "b")
    found = orders(world, *actors, never=wrong, may_raise=Boom)
    assert found.bad == 0 and found.complete and found.orders > 300


def when(read: Callable[[], Value], world: World) -> float:
    """The virtual second at which this one reader is answered, and nobody else is there."""
    answered: list[float] = []

    def reading() -> None:
        read()
        answered.append(runtime.now())

    def given() -> None:
        world.given()
        acquire(LEASE, 10.0)  # its owner was killed

    explore(reading, given=given)
    return answered[-1]


def test_a_killed_owner_is_succeeded_after_its_lease_and_one_look() -> None:
    world = World()
    assert 10.0 <= when(world.reader(0, "a"), world) <= 10.0 + POLL and len(world.computations) == 1


@PREVIOUS
def test_an_owner_that_hangs_is_given_up_at_the_limit(previous: bool) -> None:
    """Its thread stays where it is; another request goes on after `limit` and a lease, and what it stores stands."""
    world = World(previous=previous, lease=1.0, limit=3.0)
    answered: list[float] = []

    def hangs() -> Value:
        world.computations.append(-1)
        runtime.sleep(5_000.0)
        return Value(-1, 0)

    def stuck() -> None:
        world.processes[0].get_or_set(KEY, hangs, TIMEOUT)

    def other() -> None:
        runtime.sleep(0.25)
        while world.stored() in (None, Value(0, 0)):
            world.reader(1, "b")()
            runtime.sleep(0.25)
        answered.append(runtime.now())

    found = explore(stuck, other, given=world.given, never=lambda end: world.stored() == Value(-1, 0), preemptions=0)
    assert found.bad == 0 and 3.0 <= answered[-1] <= 3.0 + 1.0 + 0.5 + POLL


# The shop's own rows


OLD, NEW = Decimal("10.00"), Decimal("12.00")


def price() -> Decimal:
    return Product.objects.values_list("price", flat=True).get(pk=1)


@PREVIOUS
@pytest.mark.usefixtures("lab")
def test_nothing_stale_over_the_real_orm(previous: bool, orders: Orders) -> None:
    """A reader and a writer in a transaction, another process, and a reader that comes after the commit."""
    world = World(previous=previous)
    begin = world.given
    late: list[Decimal] = []

    def given() -> None:
        begin()
        Product.objects.filter(pk=1).update(price=OLD)
        late.clear()

    def reader() -> Decimal:
        return world.processes[0].get_or_set(KEY, price, TIMEOUT)

    def writer() -> None:
        with transaction.atomic():
            Product.objects.filter(pk=1).update(price=NEW)
            world.processes[1].invalidate_on_commit(KEY)
        world.done = True

    def late_reader() -> None:
        runtime.wait(lambda: world.done, 1_000.0)
        late.append(reader())

    def stale(end: Any) -> bool:
        return world.stored() not in (None, NEW) or late != [NEW]

    world.given = given  # type: ignore[method-assign]
    found = orders(world, reader, writer, late_reader, never=stale)
    assert found.bad == 0 and found.complete and found.orders >= 60
