"""Every order of a few steps: how many there are, how many end badly, and that leaving something out is seen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.db import connection, connections, transaction
from django.db.models.signals import post_save
from django.utils import translation

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.caching import runtime
from tutorial_project.lab import actor_connections, clock, explore
from tutorial_project.lab.actors import Step
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.exploring import End
from tutorial_project.lab.scheduler import Orders
from tutorial_project.lab.stepped_cache import SteppedCache
from tutorial_project.shop import kept
from tutorial_project.shop.models import Product

KEY = "product:42:price"
GENERATION = "product:42:generation"
ROWS = Product.objects.filter(pk=42)


def fresh() -> None:
    ROWS.update(price=Decimal("10.00"))


def price() -> Any:
    return ROWS.values_list("price", flat=True).get()


def reader() -> Any:
    found = cache.get(KEY)
    if found is None:
        found = price()
        cache.set(KEY, found, 60)
    return found


def stale(end: End) -> bool:
    return cache.get(KEY) not in (None, price())


def rise() -> None:
    ROWS.update(price=Decimal("12.00"))


def inside() -> None:
    with transaction.atomic():
        rise()
        cache.delete(KEY)


def after() -> None:
    with transaction.atomic():
        rise()
        transaction.on_commit(lambda: cache.delete(KEY))


def write_then_delete() -> None:
    rise()
    cache.delete(KEY)


def delete_then_write() -> None:
    cache.delete(KEY)
    rise()


# The counts


@pytest.mark.parametrize(
    "writer, says",
    [
        (inside, "stale in 12 of 20 orders"),
        (after, "stale in 3 of 20 orders"),
        (write_then_delete, "stale in 1 of 10 orders"),
        (delete_then_write, "stale in 6 of 10 orders"),
    ],
)
def test_deletion_over_the_real_orm(lab: Lab, writer: Callable[[], None], says: str) -> None:
    found = explore(reader, writer, given=fresh, never=stale)
    assert (str(found), repr(found)) == (says, says) and found.complete and not found.bound
    assert str(explore(writer, reader, given=fresh, never=stale)) == says  # whoever comes first


def generation_reader() -> Any:
    generation = cache.get(GENERATION)
    found = cache.get(f"{KEY}:{generation}")
    if found is None:
        found = price()
        cache.set(f"{KEY}:{generation}", found, 60)
    return found


def fresh_generation() -> None:
    fresh()
    cache.set(GENERATION, "first")


def old(end: End) -> bool:
    return cache.get(f"{KEY}:{cache.get(GENERATION)}") not in (None, price())


def bump_inside() -> None:
    with transaction.atomic():
        rise()
        cache.set(GENERATION, "second")


def bump_after() -> None:
    with transaction.atomic():
        rise()
        transaction.on_commit(lambda: cache.set(GENERATION, "second"))


def test_a_generation_read_before_the_database(lab: Lab) -> None:
    assert str(explore(generation_reader, bump_after, given=fresh_generation, never=old)) == "old in 0 of 35 orders"
    assert str(explore(generation_reader, bump_inside, given=fresh_generation, never=old)) == "old in 2 of 35 orders"


def test_the_shops_own_selectors_and_receivers(lab: Lab) -> None:
    """get_or_set is a get, an add and a get, with the selector's two statements between; `save` is an UPDATE."""

    def forget(instance: Product, **_: Any) -> None:
        cache.delete(f"product:{instance.pk}:detail")

    def detail() -> Any:
        return kept.product_detail(42)

    def save() -> None:
        with transaction.atomic():
            Product(pk=42, price=Decimal("12.00")).save(update_fields=["price"])

    def shows_the_old(end: End) -> bool:
        shown = cache.get("product:42:detail")
        return shown is not None and shown["product"].price != price()

    post_save.connect(forget, sender=Product)
    try:
        found = explore(detail, save, given=fresh, never=shows_the_old)
    finally:
        post_save.disconnect(forget, sender=Product)
    whats = {step.what for step in found.shortest}
    assert {"get product:42:detail", "add product:42:detail", "delete product:42:detail", "COMMIT"} <= whats
    assert "BEGIN, UPDATE shop_product" in whats and found.bad > 0 and found.complete


def test_a_rollback_is_a_step_and_two_writers_take_turns(lab: Lab) -> None:
    def gives_up() -> None:
        with transaction.atomic():
            rise()
            transaction.set_rollback(True)

    def lower() -> None:
        with transaction.atomic():
            ROWS.update(price=Decimal("9.00"))
            ROWS.update(price=Decimal("8.00"))

    def wrong(end: End) -> bool:
        return price() != Decimal("8.00")

    found = explore(gives_up, lower, given=fresh, never=wrong)
    assert str(found) == "wrong in 0 of 2 orders"  # one whole after the other: nobody writes in between
    assert set(found.frame["order"]) == {"gives up gives up lower lower lower", "lower lower lower gives up gives up"}


def test_savepoints_are_no_steps(lab: Lab) -> None:
    def nested() -> None:
        with transaction.atomic(), transaction.atomic():
            rise()

    found = explore(
        nested, never=lambda end: [step.what for step in end.steps] != ["BEGIN, UPDATE shop_product", "COMMIT"]
    )
    assert (found.bad, found.orders) == (0, 1)


# What would make the counts wrong, put in on purpose: each is seen


@contextmanager
def no_point_before_commit() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(actor_connections.ActorConnections, "_then_ended", lambda self, end, name: end)
        patch.setattr(Orders, "_blocked", lambda self, actor: False)
        yield


@contextmanager
def one_connection_for_all() -> Iterator[None]:
    shared: dict[str, Any] = {}
    create = connections.create_connection
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "create_connection", lambda alias: shared.setdefault(alias, create(alias)))
        yield


@pytest.mark.parametrize("fault", [no_point_before_commit, one_connection_for_all])
def test_a_fault_of_the_scheduler_changes_the_count(lab: Lab, fault: Callable[[], Any]) -> None:
    with fault():
        try:
            found = str(explore(reader, inside, given=fresh, never=stale))
        except Exception as error:  # it may not even come to an end
            found = str(error)
    assert found != "stale in 12 of 20 orders"
    assert str(explore(reader, inside, given=fresh, never=stale)) == "stale in 12 of 20 orders"


def test_a_second_writer_that_is_let_go_on_is_locked_out(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"]["OPTIONS"], "timeout", 0.01)
    assert explore(inside, after, given=fresh).orders == 5  # the delete after the commit may fall anywhere
    monkeypatch.setattr(Orders, "_blocked", lambda self, actor: False)
    with pytest.raises(Exception, match="database is locked"):
        explore(inside, after, given=fresh)


# Steps that nobody can come between


def take(owner: str, exclusively: Callable[[], Any]) -> bool:
    """Compare and set: one step on a cache server, three of anybody's otherwise."""
    with exclusively():
        if cache.get("lock") is None:
            cache.set("lock", owner)
            return True
    return False


def both(end: End) -> bool:
    return all(end.returned.values())


@pytest.mark.parametrize("whole, says", [(True, "both in 0 of 2 orders"), (False, "both in 4 of 6 orders")])
def test_taking_the_atomicity_out_of_a_step_turns_it_red(lab: Lab, whole: bool, says: str) -> None:
    def exclusively() -> Any:
        return cache.exclusively() if whole else nullcontext()  # type: ignore[attr-defined]

    def first() -> bool:
        return take("first", exclusively)

    def second() -> bool:
        return take("second", exclusively)

    assert str(explore(first, second, never=both)) == says


def test_the_block_is_named_by_its_function_or_as_it_says(lab: Lab) -> None:
    def acquire(key: str) -> None:
        with cache.exclusively():  # type: ignore[attr-defined]
            cache.get(key)

    def named() -> None:
        with cache.exclusively("swap", "a", "b"):  # type: ignore[attr-defined]
            cache.get("a")

    assert said(lambda: acquire("k")) == ["acquire k"] and said(named) == ["swap a b"]


def said(*actors: Callable[[], Any]) -> list[str]:
    """The steps of the first order."""
    return [step.what for step in explore(*actors, never=lambda end: True, schedules=1).shortest]


def test_each_cache_call_is_a_step_as_the_caller_sees_it(lab: Lab) -> None:
    def calls() -> None:
        cache.set_many({"a": 1, "b": 2})
        cache.get_many(["a", "b"])
        cache.incr("a")
        cache.decr("a")
        cache.touch("a")
        assert "a" in cache
        cache.get_or_set("c", lambda: 3)
        cache.delete_many(iter(["a", "b"]))
        cache.clear()
        caches["local"].set("d", 1)

    assert said(calls) == [
        *("set_many a b", "get_many a b", "incr a", "incr a", "touch a", "has_key a"),
        *("get c", "add c", "get c", "delete_many a b", "clear", "set d"),
    ]


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
