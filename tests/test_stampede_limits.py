"""Where Protection ends, on real threads and a real server: lost invalidations, plain deletes, hangs, false clocks."""
# ruff: noqa: E402

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from real_shop import fresh_lab, running_lab  # noqa: F401

# isort: split
from django.core.cache import cache
from django.db.backends.signals import connection_created
from django.utils import translation

from stampede_threads import KEY, SLACK, Asking, Row, all_threads_end, cut_off, until  # noqa: F401
from tutorial_project.caching import runtime
from tutorial_project.caching.resilience import InvalidationLost, StillComputing
from tutorial_project.caching.stampede import POLL, Protection
from tutorial_project.lab.bench import Lab
from tutorial_project.shop.models import Product

pytestmark = pytest.mark.usefixtures("lab", "all_threads_end")


# Invalidations that do not arrive, and those that take too little


def test_an_invalidation_that_is_lost_is_told_and_the_old_value_is_served_for_timeout_and_grace_at_most() -> None:
    """The longest case: nobody reads while it is in its grace, and so nobody refreshes it before its end."""
    row, reading = Row(), Protection(grace=2, lease=1, limit=3)
    writing = Protection(cache=cut_off())
    assert reading.get_or_set(KEY, row, 1) == 1
    stored = time.monotonic()
    row.version = 2
    with pytest.raises(InvalidationLost, match=f"forget {KEY}") as lost:
        writing.invalidate(KEY)
    assert lost.value.keys == (KEY,)
    assert reading.get_or_set(KEY, row, 1) == 1  # the old one, as if nothing had happened
    time.sleep(max(0.0, stored + 3.05 - time.monotonic()))
    assert reading.get_or_set(KEY, row, 1) == 2


def test_where_it_is_read_one_refresh_ends_it_after_its_timeout() -> None:
    row, reading = Row(), Protection(grace=60, lease=1, limit=3)
    assert reading.get_or_set(KEY, row, 0.2) == 1
    row.version = 2
    time.sleep(0.25)
    assert reading.get_or_set(KEY, row, 60) == 1  # this one has it refreshed
    assert until(lambda: reading.get_or_set(KEY, row, 60) == 2) and row.computations == 2


def test_one_that_is_lost_after_a_commit_is_logged_and_hinders_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "django"):
        Protection(cache=cut_off()).invalidate_on_commit(KEY)
    assert "InvalidationLost" in caplog.text


def overtaken(forget: Callable[[Protection], Any]) -> tuple[Any, Any]:
    """A value is computed from version 1; then comes version 2, and `forget`. What the reader got, and the next one."""
    row, here, there = Row(), Protection(), Protection()
    row.hold()
    reader = Asking(here.get_or_set, KEY, row, 60)
    assert row.reading.wait(10)
    row.version = 2
    forget(there)
    row.go_on.set()
    reader.join()
    return reader.value, there.get_or_set(KEY, row, 60)


def test_invalidate_takes_the_lease_too_and_a_plain_delete_does_not() -> None:
    """So `cache.delete` is outside the guarantee: the old value is stored after it."""
    assert overtaken(lambda protection: protection.invalidate(KEY)) == (1, 2)
    cache.clear()
    assert overtaken(lambda protection: cache.delete(KEY)) == (1, 1)


def test_a_thread_that_asks_after_an_invalidation_elsewhere_does_not_share_what_was_begun_before() -> None:
    row, here, there = Row(), Protection(lease=1, limit=30), Protection()
    row.hold()
    early = Asking(here.get_or_set, KEY, row, 60)
    assert row.reading.wait(10)
    row.version = 2
    there.invalidate(KEY)
    late = [Asking(here.get_or_set, KEY, row, 60) for _ in range(4)]
    time.sleep(0.1)
    row.go_on.set()
    for thread in (early, *late):
        thread.join()
    assert early.value == 1 and [thread.value for thread in late] == [2] * 4
    assert row.computations == 2


# Computations that hang


def test_a_hung_computation_is_given_up_at_its_limit_by_those_who_wait_here_and_elsewhere() -> None:
    row, here, there = Row(), Protection(lease=1.0, limit=2.0), Protection(lease=1.0, limit=2.0)
    row.hold()
    hung, began = Asking(here.get_or_set, KEY, row, 60), time.monotonic()
    assert row.reading.wait(10)
    waiting = [Asking(one.get_or_set, KEY, lambda: 7, 60) for one in (here, there)]
    for thread in waiting:
        thread.join()
    took = time.monotonic() - began
    assert [thread.value for thread in waiting] == [7, 7] and 2.0 < took < 2.0 + 1.0 + 2 * POLL + SLACK
    row.go_on.set()  # it comes back after all: its value is its own, and is not stored
    hung.join()
    assert hung.value == 1 and here.get_or_set(KEY, row, 60) == 7


def test_a_hung_refresh_hinders_nobody_and_is_given_up_too() -> None:
    row, here = Row(), Protection(grace=60, lease=0.3, limit=0.9)
    assert here.get_or_set(KEY, row, 0.1) == 1
    time.sleep(0.15)
    row.hold()
    assert here.get_or_set(KEY, row, 60) == 1 and row.reading.wait(10)
    row.version = 2
    assert until(lambda: here.get_or_set(KEY, lambda: 8, 60) == 8, 0.9 + 0.3 + SLACK)
    row.go_on.set()
    assert here.get_or_set(KEY, row, 60) == 8


def test_a_hung_computation_keeps_nothing_alive_of_what_comes_after_it() -> None:
    class Report(list[int]):
        """A value that can be watched."""

    row, here, seen = Row(), Protection(lease=0.3, limit=0.3), []

    def compute() -> Report:
        seen.append(weakref.ref(report := Report([1])))
        return report

    row.hold()
    hung = Asking(here.get_or_set, KEY, row, 60)
    assert row.reading.wait(10)
    waiting = [Asking(here.get_or_set, KEY, compute, 60) for _ in range(4)]
    for thread in waiting:
        thread.join()
        thread.value = None
    for _ in range(20):
        here.invalidate(KEY)
        asking = [Asking(here.get_or_set, KEY, compute, 60) for _ in range(2)]
        for thread in asking:
            thread.join()
            thread.value = None

    def alive() -> int:
        gc.collect()
        return sum(value() is not None for value in seen)

    assert len(seen) >= 21 and until(lambda: alive() <= 5, 3.0), alive()  # a few, and not all that there were
    row.go_on.set()
    hung.join()


def test_who_has_waited_for_as_long_as_its_patience_is_told(caplog: pytest.LogCaptureFixture) -> None:
    row, here, there = Row(), Protection(patience=0.3), Protection(patience=0.3)
    row.hold()
    slow = Asking(here.get_or_set, KEY, row, 60)
    assert row.reading.wait(10)
    for one in (here, there):
        began = time.monotonic()
        with pytest.raises(StillComputing, match="after 0.3 seconds"):
            one.get_or_set(KEY, row, 60)
        assert 0.3 <= time.monotonic() - began + POLL < 0.3 + SLACK
    row.go_on.set()
    slow.join()
    assert slow.value == 1 and row.computations == 1


# Clocks that jump


class Elsewhere(runtime.Runtime):
    """The runtime of a machine whose clock is wrong by `ahead` seconds."""

    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


@pytest.fixture
def clock() -> Iterator[Elsewhere]:
    machine = Elsewhere()
    with runtime.using(machine):
        yield machine


def test_a_clock_that_jumps_ahead_costs_a_refresh(clock: Elsewhere) -> None:
    row, here = Row(), Protection(grace=60)
    assert here.get_or_set(KEY, row, 60) == 1
    clock.ahead, row.version = 3_600, 2
    assert here.get_or_set(KEY, row, 60) == 1
    assert until(lambda: here.get_or_set(KEY, row, 60) == 2) and row.computations == 2


def test_a_clock_that_is_set_back_serves_a_value_for_timeout_and_grace_at_most(clock: Elsewhere) -> None:
    row, here = Row(), Protection(grace=1)
    assert here.get_or_set(KEY, row, 1) == 1
    stored = time.monotonic()
    clock.ahead, row.version = -3_600, 2
    time.sleep(1.2)
    assert here.get_or_set(KEY, row, 1) == 1  # for this machine it is fresh
    time.sleep(max(0.0, stored + 2.05 - time.monotonic()))
    assert here.get_or_set(KEY, row, 1) == 2


@pytest.mark.parametrize("jump", [3_600.0, -3_600.0])
def test_a_jump_in_the_middle_of_a_computation_ends_no_lease_and_no_wait(jump: float, clock: Elsewhere) -> None:
    """A lease lasts by the server's clock, and whoever waits counts its looks."""
    row, here, there = Row(), Protection(lease=1.2, limit=6), Protection(lease=1.2, limit=6)
    row.hold()

    def ask(one: Protection) -> int:
        with runtime.using(clock):
            return one.get_or_set(KEY, row, 60)

    asking = [Asking(ask, here)]
    assert row.reading.wait(10)
    asking += [Asking(ask, one) for one in (here, there)]
    clock.ahead = jump
    time.sleep(1.5)  # longer than a lease: it is renewed
    row.go_on.set()
    for thread in asking:
        thread.join()
    assert [thread.value for thread in asking] == [1, 1, 1] and row.computations == 1


# The background


def test_a_refresh_runs_in_the_callers_language_and_closes_its_connection(lab: Lab) -> None:
    opened: list[tuple[threading.Thread, Any]] = []
    seen: list[tuple[str | None, str]] = []

    def note(connection: Any, **_: Any) -> None:
        opened.append((threading.current_thread(), connection))

    def compute() -> int:
        seen.append((translation.get_language(), threading.current_thread().name))
        return Product.objects.count()

    here = Protection(grace=60)
    connection_created.connect(note)
    try:
        here.get_or_set(KEY, compute, 0.1)
        time.sleep(0.15)
        opened.clear()
        with translation.override("de"):
            here.get_or_set(KEY, compute, 60)
        assert until(lambda: len(seen) == 2 and opened and opened[0][1].connection is None)
    finally:
        connection_created.disconnect(note)
    assert seen[1][0] == "de" and opened[0][0] is not threading.current_thread() and len(opened) == 1


def test_a_refresh_that_fails_is_logged_with_its_key_and_without_the_value(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> str:
        raise ZeroDivisionError

    here = Protection(grace=60)
    here.get_or_set(KEY, lambda: "alice@example.com", 0.1)
    time.sleep(0.15)
    assert here.get_or_set(KEY, fails, 60) == "alice@example.com"
    assert until(lambda: "ZeroDivisionError" in caplog.text)
    assert KEY in caplog.text and "alice" not in caplog.text


def test_a_hit_is_one_question_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    from redis.connection import Connection

    here, sent = Protection(), 0
    here.get_or_set(KEY, lambda: 1, 60)
    send = Connection.send_packed_command

    def counted(*arguments: Any, **more: Any) -> Any:
        nonlocal sent
        sent += 1
        return send(*arguments, **more)

    monkeypatch.setattr(Connection, "send_packed_command", counted)
    here.get_or_set(KEY, lambda: 1, 60)
    assert sent == 1
