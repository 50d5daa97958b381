"""Protection without its cache server, in one process: how many compute, who is told what, and how it comes back."""
# ruff: noqa: E402

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from real_shop import fresh_lab, running_lab  # noqa: F401

# isort: split
from django.core.cache.backends.redis import RedisCache

from stampede_threads import KEY, SLACK, Asking, Row, all_threads_end, cut_off, until  # noqa: F401
from tutorial_project.caching import atomic
from tutorial_project.caching.resilience import Breaker, InvalidationLost, Overloaded
from tutorial_project.caching.stampede import Protection
from tutorial_project.lab.bench import Lab

pytestmark = pytest.mark.usefixtures("all_threads_end")


def test_one_computation_at_a_time_for_a_key_and_all_who_asked_before_it_share_it() -> None:
    row, here = Row(), Protection(cache=cut_off())
    row.hold()
    first = Asking(here.get_or_set, KEY, row, 60)
    assert row.reading.wait(10)
    asking = [Asking(here.get_or_set, KEY, row, 60) for _ in range(6)]
    time.sleep(0.1)
    assert row.computations == 1  # they asked while it ran: they wait for the next
    row.seconds = 0.2
    row.go_on.set()
    for thread in (first, *asking):
        thread.join()
    assert [thread.value for thread in asking] == [1] * 6 and row.computations == 2


def test_at_most_so_many_at_a_time_and_whoever_finds_no_slot_in_time_is_told() -> None:
    rows, here = [Row() for _ in range(3)], Protection(cache=cut_off(), slots=2, patience=0.3)
    for row in rows:
        row.hold()
    running = [Asking(here.get_or_set, f"{KEY}:{n}", rows[n], 60) for n in (0, 1)]
    assert all(row.reading.wait(10) for row in rows[:2])
    began = time.monotonic()
    with pytest.raises(Overloaded, match="2 computations run in this process"):
        here.get_or_set(f"{KEY}:2", rows[2], 60)
    assert 0.3 <= time.monotonic() - began < 0.3 + 0.4 + SLACK and rows[2].computations == 0
    for row in rows:
        row.go_on.set()
    for thread in running:
        thread.join()
    assert here.get_or_set(f"{KEY}:2", rows[2], 60) == 1  # a slot is free again


def test_a_slot_is_given_back_where_the_computation_raises() -> None:
    here = Protection(cache=cut_off(), slots=1, patience=0.3)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            here.get_or_set(KEY, lambda: 1 // 0, 60)
    assert here.get_or_set(KEY, lambda: 1, 60) == 1


class Counting(RedisCache):
    """A cache that counts the questions it is asked; nothing listens at its address."""

    asked = 0

    def get(self, *arguments: Any, **more: Any) -> Any:
        self.asked += 1
        return super().get(*arguments, **more)


def test_after_a_few_failures_the_server_is_left_alone_but_for_one_try_in_a_while() -> None:
    store = Counting("redis://127.0.0.1:1", {"OPTIONS": {"socket_connect_timeout": 0.2, "socket_timeout": 0.2}})
    here = Protection(cache=store, breaker=Breaker(after=3, pause=0.5))
    began = time.monotonic()
    while time.monotonic() < began + 1.2:
        here.get_or_set(KEY, lambda: 1, 60)
        time.sleep(0.01)
    tries = 3 + (time.monotonic() - began) / 0.5
    assert 3 <= store.asked <= tries + 1


def test_it_comes_back_by_itself(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is out of reach, and then within: the first try that works closes the breaker."""
    address = lab.environment.cache_server.url
    store = RedisCache(address, {"OPTIONS": {"socket_connect_timeout": 0.2, "socket_timeout": 0.2}})
    here, row = Protection(cache=store, breaker=Breaker(after=2, pause=0.3)), Row()

    def refused(*_: Any, **__: Any) -> Any:
        raise ConnectionRefusedError("it is away")

    with monkeypatch.context() as away:
        away.setattr("redis.connection.Connection.connect", refused)
        store._cache._pools.clear()  # type: ignore[attr-defined]
        for _ in range(5):
            assert here.get_or_set(KEY, row, 60) == 1
        with pytest.raises(InvalidationLost):
            here.invalidate(KEY)
    assert row.computations == 5 and not here.breaker.closed
    assert until(lambda: here.get_or_set(KEY, row, 60) and store.get(KEY), 0.3 + SLACK)
    computed = row.computations
    assert [here.get_or_set(KEY, row, 60) for _ in range(3)] == [1, 1, 1] and row.computations == computed


def test_a_server_that_goes_away_in_the_middle_costs_no_second_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease was taken, the value is computed, and it cannot be stored: whoever asked has it, and no error."""
    row, here = Row(), Protection(cache=Counting("redis://127.0.0.1:1", {}))

    def taken(key: str, token: str, ttl: float, **_: Any) -> atomic.Leased:
        return atomic.Leased(token=token)

    monkeypatch.setattr(atomic, "acquire", taken)
    monkeypatch.setattr(Counting, "get", lambda *_, **__: None)
    assert here.get_or_set(KEY, row, 60) == 1 and row.computations == 1


def test_no_thread_is_left_of_many_requests_without_a_server() -> None:
    before = threading.active_count()
    here = Protection(cache=cut_off(), slots=2)
    for number in range(20):
        here.get_or_set(f"{KEY}:{number}", lambda: 1, 60)
    assert until(lambda: threading.active_count() <= before)
