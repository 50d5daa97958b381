"""What explore cannot do is said in one message, with what to change; and nothing is left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.db import connection, transaction

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.caching import runtime, time_limit
from tutorial_project.lab import clock, explore, exploring, scheduler, virtual_time
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.stepped_cache import SteppedCache
from tutorial_project.shop.models import Product


def never_ends() -> None:
    while True:
        cache.get("a")


def holds_on() -> None:
    while True:
        try:
            cache.get("a")
        except:  # noqa: E722
            pass


def loops() -> None:
    cache.get("a")
    while True:
        pass


def sleeps() -> None:
    time.sleep(1)


def sleeps_whatever() -> None:
    try:
        time.sleep(1)
    except Exception:
        pass


def starts_a_thread() -> None:
    threading.Thread(target=print).start()


def starts_a_pool() -> None:
    with ThreadPoolExecutor() as pool:
        pool.submit(print)


def raises() -> None:
    cache.get("a")
    raise ValueError("no such thing")


def raises_inside() -> None:
    with transaction.atomic():
        Product.objects.filter(pk=42).update(price=1)
        raise ValueError("no such thing")


def waits_for_ever() -> None:
    runtime.wait(lambda: False, float("inf"))


def explores() -> None:
    explore(never_ends)


def asks_inside() -> None:
    with cache.exclusively():  # type: ignore[attr-defined]
        Product.objects.count()


def rests_inside() -> None:
    with cache.exclusively():  # type: ignore[attr-defined]
        runtime.sleep(1)


lock = threading.Lock()


def locks() -> None:
    with lock:
        cache.get("a")


REFUSED = [
    (never_ends, "'never ends' does not end: 500 steps, the last was get a. Does a loop wait for others?"),
    (holds_on, "'holds on' does not end: 500 steps"),
    (loops, r"'loops' did not come to its next step in 0.5 s, after 'get a': it loops, or waits for a lock .*runtime"),
    (sleeps, "'sleeps' sleeps for real. Use tutorial_project.caching.runtime.sleep, which moves the virtual clock."),
    (sleeps_whatever, "'sleeps whatever' sleeps for real"),
    (starts_a_thread, "'starts a thread' starts a thread. Use caching.runtime.spawn, which adds an actor."),
    (starts_a_pool, "'starts a pool' starts a thread"),
    (raises, r"'raises' raised ValueError: no such thing \(after \d steps\). .* explore\(…, may_raise=ValueError\)"),
    (raises_inside, "'raises inside' raised ValueError: no such thing"),
    (waits_for_ever, "Nobody can go on: 'waits for ever' waits for something that never comes true. Give the wait a"),
    (explores, "One explore.. or simulate.. is running already"),
    (asks_inside, "'asks inside' asks the database inside cache.exclusively"),
    (rests_inside, "'rests inside' sleeps inside cache.exclusively"),
]


@pytest.fixture(autouse=True)
def nothing_left(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Any:
    """After whatever was refused the bench is as it was, and counts as before."""
    monkeypatch.setattr(exploring, "SECONDS", 0.5)
    before = (time.time, time.sleep, threading.Thread.start, caches["default"], threading.active_count())
    connection.ensure_connection()
    yield
    assert (time.time, time.sleep, threading.Thread.start, caches["default"], threading.active_count()) == before
    assert not virtual_time._one_at_a_time.locked() and not connection.in_atomic_block
    Product.objects.filter(pk=42).update(price=3)  # nobody holds the database
    found = explore(lambda: cache.get("a"), lambda: cache.set("a", 1), never=lambda end: cache.get("a") is None)
    assert str(found) == "bad in 0 of 2 orders"


@pytest.mark.parametrize("actor, says", REFUSED, ids=[actor.__name__ for actor, _ in REFUSED])
def test_an_actor_that_cannot_be_an_actor(actor: Callable[[], None], says: str) -> None:
    def other() -> None:
        with transaction.atomic():
            Product.objects.filter(pk=42).update(price=2)
            cache.get("b")

    for cast in ([actor], [other, actor], [actor, other]):
        with pytest.raises(LabError, match=says) as caught:
            explore(*cast)
        assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


def test_a_lock_held_over_a_step_is_named(lab: Lab) -> None:
    with pytest.raises(LabError, match="waits for a lock that another actor holds"):
        explore(locks, locks)
    assert not lock.locked()


def test_what_may_be_raised_is_told(lab: Lab) -> None:
    def raised(end: Any) -> bool:
        return list(end.raised) == ["raises"] and str(end.raised["raises"]) == "no such thing" and not end.returned

    assert str(explore(raises, never=raised, may_raise=ValueError)) == "raised in 1 of 1 order"


def test_an_actor_that_is_not_the_same_each_time(lab: Lab) -> None:
    seen: list[int] = []

    def grows() -> None:
        seen.append(1)
        for _ in seen:
            cache.get("a")

    def shrinks() -> None:
        for _ in range(3 - len(seen)):
            cache.get("a")

    assert explore(grows, lambda: cache.get("b"), given=seen.clear).orders == 2
    with pytest.raises(
        LabError, match=r"went differently the second time: an actor depends on what given\(\) does not"
    ):
        explore(shrinks, lambda: cache.get("b"), never=lambda end: seen.append(1))


def test_two_that_wait_for_each_other(lab: Lab) -> None:
    def holds() -> None:
        with transaction.atomic():
            Product.objects.filter(pk=42).update(price=2)
            runtime.wait(lambda: False, float("inf"))

    def writes() -> None:
        Product.objects.filter(pk=42).update(price=2)

    with pytest.raises(LabError, match="'writes' waits for the transaction of 'holds' before UPDATE shop_product"):
        explore(holds, writes)


@pytest.mark.parametrize("arguments", [(), (1,), (None, print)])
def test_what_is_no_actor(lab: Lab, arguments: Any) -> None:
    with pytest.raises(LabError, match="explore.. takes functions without arguments: explore.reader, writer, …."):
        explore(*arguments)


def test_inside_a_transaction(lab: Lab) -> None:
    with transaction.atomic(), pytest.raises(LabError, match="explore.. inside a transaction: .* Leave atomic.. first"):
        explore(sleeps)


def test_a_clock_outside(lab: Lab) -> None:
    with pytest.raises(LabError, match="clock.. is an actor of explore"):
        clock(60)()


def test_a_space_too_large_is_cut_off_and_says_so(lab: Lab) -> None:
    def five() -> None:
        for _ in range(5):
            cache.get("a")

    found = explore(five, five, five, schedules=50)
    assert str(found) == "bad in 0 of the first 50 orders" and not found.complete


@pytest.mark.parametrize("stop", [KeyboardInterrupt, time_limit.TimeUp])
def test_an_interrupt_in_the_middle_of_a_transaction(lab: Lab, stop: type[BaseException]) -> None:
    price = Product.objects.values_list("price", flat=True).get(pk=42)

    def stopped() -> None:
        with transaction.atomic():
            Product.objects.filter(pk=42).update(price=77)
            cache.get("a")
            raise stop

    def other() -> None:
        cache.get("b")

    with pytest.raises(stop):
        explore(other, stopped)
    assert Product.objects.values_list("price", flat=True).get(pk=42) == price


def test_a_limit_around_it_strikes_in_an_actor_too(lab: Lab) -> None:
    began = time.monotonic()
    with pytest.raises((time_limit.TimeUp, LabError)):
        time_limit.within(0.3, lambda: explore(loops))
    assert time.monotonic() - began < 5


def test_a_limit_that_strikes_anywhere_leaves_nothing_behind(lab: Lab) -> None:
    def reads() -> None:
        with transaction.atomic():
            Product.objects.filter(pk=42).update(price=2)
            cache.get_or_set("a", 1)

    for hundredths in range(1, 25):
        with pytest.raises(time_limit.TimeUp):
            time_limit.within(hundredths / 100, lambda: [explore(reads, reads) for _ in range(1000)])
        assert not isinstance(cache._connections["default"], SteppedCache)  # type: ignore[attr-defined]
        assert time.time() > 1e9 and not virtual_time._one_at_a_time.locked()


def test_in_another_thread(lab: Lab) -> None:
    said: list[str] = []

    def run() -> None:
        for actor in (loops, sleeps):
            try:
                explore(actor)
            except LabError as error:
                said.append(str(error))
        said.append(str(explore(lambda: cache.get("a"))))
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert ["loops" in said[0], "sleeps for real" in said[1], said[2]] == [True, True, "bad in 0 of 1 order"]


def test_the_limits_are_what_the_messages_say() -> None:
    assert scheduler.STEPS == 500
