"""The short front: how stale it may be, who hears of a delete, and what it spares the shared cache."""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.core.cache.backends import locmem
from django.core.cache.backends.locmem import LocMemCache
from django.http import HttpRequest, HttpResponse

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.caching import front as module
from tutorial_project.caching.front import Front
from tutorial_project.caching.metering import counting
from tutorial_project.lab.backends import backend
from tutorial_project.lab.bench import Lab

pytestmark = pytest.mark.usefixtures("lab")


@dataclass
class Computation:
    """What is put behind a front; it counts how often it was needed."""

    value: Any
    times: int = 0

    def __call__(self) -> Any:
        self.times += 1
        return self.value


class Clock:
    """The time as caches in this process's memory see it."""

    now = 1_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(locmem, "time", clock)
    monkeypatch.setattr("django.core.cache.backends.base.time", clock)
    return clock


@pytest.fixture
def other() -> Iterator[Front]:
    """The front of another process: the same shared cache, a memory of its own."""
    memory = LocMemCache("another process", {})
    yield Front(1.0, local=memory)
    memory.clear()


def test_it_is_one_round_trip_a_time_and_not_one_a_request(clock: Clock) -> None:
    front, soup = Front(seconds=2.0), Computation("soup")
    for _ in range(3):
        with counting() as counted:
            for _ in range(10):
                assert front.get_or_set("menu", soup, 600) == "soup"
        assert counted.trips["default"] == (3 if clock.now == 1_000_000.0 else 1)  # a miss is: get, add, get
        assert counted.trips["local"] == 11  # a look each time, and one set
        clock.now += 2.1
    assert soup.times == 1


def test_what_was_deleted_or_replaced_is_served_for_the_seconds_and_no_longer(clock: Clock) -> None:
    front = Front(seconds=1.0)
    front.get_or_set("menu", lambda: "soup", 600)
    for change in (lambda: cache.set("menu", "stew"), lambda: cache.delete("menu")):
        clock.now += 0.9
        change()
        clock.now += 0.05
        before = front.get_or_set("menu", lambda: "new", 600)
        assert before == ("soup" if cache.get("menu") else "stew")
        clock.now += 0.1
        assert front.get_or_set("menu", lambda: "new", 600) == ("stew" if before == "soup" else "new")


def test_who_deletes_is_fresh_at_once_and_another_process_only_after_its_seconds(clock: Clock, other: Front) -> None:
    front = Front(1.0)
    assert front.get_or_set("menu", lambda: "soup", 600) == other.get_or_set("menu", lambda: "stew", 600) == "soup"
    front.delete("menu")
    assert front.get_or_set("menu", lambda: "stew", 600) == "stew"
    assert other.get_or_set("menu", lambda: "never", 600) == "soup"
    clock.now += 1.1
    assert other.get_or_set("menu", lambda: "never", 600) == "stew"


@pytest.mark.parametrize("value", [None, 0, "", [], False])
def test_none_and_its_like_are_values(value: Any) -> None:
    front, compute = Front(60), Computation(value)
    for _ in range(2):
        assert front.get_or_set("nobody", compute, 600) == value
    cache.delete("nobody")
    assert front.get_or_set("nobody", compute, 600) == value  # from its own memory
    caches["local"].clear()
    cache.set("nobody", value, 600)
    assert front.get_or_set("nobody", compute, 600) == value  # from the shared cache
    assert compute.times == 1


def test_the_shared_entry_has_its_own_time(clock: Clock) -> None:
    Front(60).get_or_set("menu", lambda: "soup", 600)
    assert 590 < cache._cache.get_client().ttl(cache.make_key("menu")) <= 600  # type: ignore[attr-defined]


def test_a_computation_that_fails_is_not_kept() -> None:
    front = Front(60)
    with pytest.raises(LookupError):
        front.get_or_set("menu", lambda: [][0], 600)
    assert front.get_or_set("menu", lambda: "soup", 600) == "soup"


def test_what_a_caller_does_to_the_value_stays_his() -> None:
    front = Front(60)
    front.get_or_set("menu", lambda: ["soup"], 600).append("fly")
    assert front.get_or_set("menu", lambda: ["never"], 600) == ["soup"]


def test_fronts_of_other_caches_and_all_threads_of_a_process_share_one_memory(lab: Lab) -> None:
    front, found = Front(60, shared=backend("database")), []
    front.get_or_set("menu", lambda: "soup", 600)
    assert backend("database").get("menu") == "soup" and cache.get("menu") is None
    thread = threading.Thread(target=lambda: found.append(Front(60).get_or_set("menu", lambda: "never", 600)))
    thread.start()
    thread.join()
    assert found == ["soup"]
    backend("database").delete("menu")


def test_a_reader_that_a_delete_overtakes_may_put_the_old_value_back_for_its_seconds(clock: Clock) -> None:
    front = Front(1.0)
    cache.set("menu", "soup")

    class Overtaken(LocMemCache):
        def set(self, key: str, value: Any, *args: Any, **kwargs: Any) -> None:
            front.delete("menu")  # by another thread, between this one's look and its set
            super().set(key, value, *args, **kwargs)

    reader = Front(1.0, local=Overtaken("", {}))  # the memory of the alias `local`
    assert reader.get_or_set("menu", lambda: "never", 600) == "soup"
    assert front.get_or_set("menu", lambda: "stew", 600) == "soup"  # the limit that the module's docstring states
    clock.now += 1.1
    assert front.get_or_set("menu", lambda: "stew", 600) == "stew"
    assert "reading" in (module.__doc__ or "")


def test_nothing_is_kept_in_front_for_longer_than_its_timeout(clock: Clock) -> None:
    front, soup = Front(10, shared=LocMemCache("shared", {})), Computation("soup")
    for timeout, later in ((1, 1.1), (0, 0.0)):
        for _ in range(2):
            front.get_or_set("menu", soup, timeout)
            clock.now += later
    assert soup.times == 4
    for _ in range(2):
        front.get_or_set("always", soup, None)
    assert soup.times == 5


def test_whoever_computes_while_another_deletes_stores_the_old_value_for_all(other: Front) -> None:
    front = Front(1.0)

    def slow() -> str:
        other.delete("menu")  # by another process, which has changed what this one has read already
        return "old"

    front.get_or_set("menu", slow, 600)
    assert other.get_or_set("menu", lambda: "new", 600) == "old"  # the limit that the module's docstring states
    assert "race of the shared cache" in (module.__doc__ or "")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="worker processes are forked")
def test_between_real_processes_it_holds_too(lab: Lab) -> None:
    front = Front(seconds=1.5)

    def menu(request: HttpRequest) -> HttpResponse:
        from time import time

        return HttpResponse(f"{front.get_or_set('menu', lambda: str(time()), 600)}")

    def change(request: HttpRequest) -> HttpResponse:
        front.delete("menu")
        return HttpResponse()

    lab.mount("menu/", menu)
    lab.mount("change/", change)
    with lab.workers(2) as pool:
        first = [pool.get("/menu/", worker).text for worker in (0, 1)]
        pool.get("/change/", 0)
        second = [pool.get("/menu/", worker).text for worker in (0, 1)]
        assert first[0] == first[1] == second[1] != second[0]
        run = pool.load("/menu/", clients=2, seconds=2.5)
        assert pool.get("/menu/", 1).text == second[0]
    looks = sum(sum(looks["menu"]) for looks in run["uses"])
    assert looks >= len(run)  # a look into its own memory each time
    assert len(run) > 20
