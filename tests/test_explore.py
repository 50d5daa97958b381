"""Every order of a few steps: how many there are, how many end badly, and that leaving something out is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.db import connections, transaction
from django.db.models.signals import post_save

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.lab import actor_connections, explore
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.exploring import End
from tutorial_project.lab.scheduler import Orders
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
