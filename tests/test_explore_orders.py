"""What an order is, how time moves in it, and that nothing is left behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.db import connection
from django.utils import translation

from real_shop import fresh_lab, running_lab  # noqa: F401
from test_explore import after, fresh, inside, reader, stale
from tutorial_project.caching import runtime
from tutorial_project.lab import clock, explore
from tutorial_project.lab.actors import Step
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.exploring import End
from tutorial_project.lab.stepped_cache import SteppedCache

# What an order is


def test_the_result_has_a_row_an_order_and_the_shortest_bad_one(lab: Lab) -> None:
    found = explore(reader, after, given=fresh, never=stale)
    frame: Any = found.frame
    assert list(frame.columns) == ["order", "steps", "changes", "bad"] and len(frame) == found.orders == 20
    assert frame["order"].is_unique and frame.bad.sum() == found.bad == 3
    assert frame.iloc[0].tolist() == ["reader reader reader after after after", 6, 1, False]
    assert [(step.actor, step.what, step.where, step.saw) for step in found.shortest] == [
        ("reader", "get product:42:price", "cache", "nothing"),
        ("reader", "SELECT shop_product", "database", ""),
        ("after", "BEGIN, UPDATE shop_product", "database", ""),
        ("after", "COMMIT", "database", ""),
        ("after", "delete product:42:price", "cache", ""),
        ("reader", "set product:42:price", "cache", "10.00"),
    ]
    assert found.wrong == 5 and found.table()["step"].tolist() == [1, 2, 3, 4, 5, 6]


def test_the_same_each_time(lab: Lab) -> None:
    once, again = (explore(reader, inside, given=fresh, never=stale) for _ in range(2))
    assert once.rows == again.rows and once.shortest == again.shortest


def test_chance_is_the_same_each_time_too(lab: Lab) -> None:
    import random
    import secrets
    import uuid

    drawn = []

    def draws() -> None:
        cache.get("a")
        drawn.append((random.random(), secrets.token_urlsafe(8), uuid.uuid4()))

    explore(draws, draws)
    explore(draws, draws)
    assert drawn[:2] == drawn[2:4] == drawn[4:6] and len(set(drawn)) == 2
    assert secrets.token_urlsafe(8) not in {one[1] for one in drawn}


def test_two_of_a_kind_get_a_number(lab: Lab) -> None:
    found = explore(reader, reader, given=fresh, never=lambda end: set(end.returned) != {"reader", "reader 2"})
    assert found.bad == 0 and found.orders > 1


def test_bounds_are_in_the_sentence(lab: Lab) -> None:
    few = explore(reader, inside, given=fresh, never=stale, preemptions=1)
    assert str(few) == "stale in 2 of 6 orders of at most 1 preemption" and not few.complete
    assert few.frame.changes.max() <= 3 and few.bound == "at most 1 preemption"
    first = explore(reader, inside, given=fresh, never=stale, schedules=5)
    assert str(first).endswith(" of the first 5 orders") and first.orders == 5 and not first.complete
    exact = explore(reader, inside, given=fresh, never=stale, schedules=20)
    assert exact.complete and str(exact) == "stale in 12 of 20 orders"
    assert str(explore(reader, inside, given=fresh, never=stale, preemptions=9)) == (
        "stale in 12 of 20 orders of at most 9 preemptions"
    )


# Time


def test_time_moves_when_nobody_can_run(lab: Lab) -> None:
    def sleeper() -> list[float]:
        cache.set("a", 1, 30)
        began = runtime.now()
        runtime.sleep(31)
        return [began, runtime.now(), cache.get("a", 0)]

    def other() -> float:
        cache.get("b")
        return runtime.now()

    def moved(end: End) -> bool:
        return end.returned != {"sleeper": [0, 31, 0], "other": 0}

    found = explore(sleeper, other, never=moved)
    assert str(found) == "moved in 0 of 2 orders"


def test_a_clock_is_an_actor(lab: Lab) -> None:
    def keeps() -> Any:
        cache.set("a", 1, 60)
        return cache.get("a")

    def gone(end: End) -> bool:
        return end.returned["keeps"] is None

    found = explore(keeps, clock(60), never=gone)
    assert str(found) == "gone in 1 of 3 orders"
    assert [(step.actor, step.what) for step in found.shortest] == [
        *(("keeps", "set a"), ("clock", "+60 s"), ("keeps", "get a"))
    ]


def test_waiting_for_somebody(lab: Lab) -> None:
    done: list[int] = []

    def works() -> None:
        cache.set("a", 1)
        done.append(1)

    def waits() -> bool:
        answer = runtime.wait(lambda: bool(done), 5)
        cache.get("a")
        return answer

    def gives_up(end: End) -> bool:
        return not end.returned["waits"] or end.returned["waits late"]

    def waits_late() -> bool:
        return runtime.wait(lambda: len(done) > 1, 5)

    found = explore(works, waits, waits_late, given=done.clear, never=gives_up)
    assert str(found) == "gives up in 0 of 1 order"


def test_background_work_is_an_actor_of_its_own(lab: Lab) -> None:
    def refreshes() -> None:
        runtime.spawn(lambda: cache.set("a", 1))
        cache.get("a")

    found = explore(refreshes, never=lambda end: Step("refreshes", "get a", "cache", "1") in end.steps)
    assert str(found) == "bad in 1 of 2 orders"
    assert [step.actor for step in found.shortest] == ["refreshes's background", "refreshes"]


# In a notebook, where an event loop runs, connections belong to the context and not to the thread


def test_in_a_running_event_loop(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")

    async def cell() -> list[str]:
        own = connection.connection
        fresh()
        said = [str(explore(reader, writer, given=fresh, never=stale)) for writer in (inside, after)]
        said.append(str(own is None and connection.connection is not None))
        connection.close()
        return said

    assert asyncio.run(cell()) == ["stale in 12 of 20 orders", "stale in 3 of 20 orders", "True"]


# What is left behind: nothing


def test_everything_is_put_back(lab: Lab) -> None:
    import threading
    import time

    cache.set("mine", "kept")
    fresh()
    before = (caches["default"], connection.connection, time.time, time.sleep, threading.Thread.start)
    with translation.override("de"):
        spoken = []
        explore(lambda: spoken.append((translation.get_language(), cache.get("mine"))), given=fresh)
        assert spoken == [("de", None)] and translation.get_language() == "de"
    assert (caches["default"], connection.connection, time.time, time.sleep, threading.Thread.start) == before
    assert cache.get("mine") == "kept" and isinstance(runtime.current(), runtime.Runtime)
    assert not isinstance(cache._connections["default"], SteppedCache)  # type: ignore[attr-defined]


def test_the_meter_may_be_on(lab: Lab) -> None:
    with lab.meter() as reading:
        found = explore(reader, inside, given=fresh, never=stale)
    assert found.bad == 12 and reading.queries > 20
