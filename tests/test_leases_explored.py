"""Leases and generations in every order of readers and writers, over the shop's own selector and the real ORM."""
# ruff: noqa: E402

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from real_shop import fresh_lab, running_lab  # noqa: F401

# isort: split
from django.core.cache import cache
from django.db import transaction

from tutorial_project.caching import atomic, leases, runtime
from tutorial_project.caching.families import store_of
from tutorial_project.caching.generations import Namespace, Stamped
from tutorial_project.lab import explore
from tutorial_project.shop.models import Product

pytestmark = pytest.mark.usefixtures("lab")

KEY = "product:1:detail"
OLD, NEW = Decimal("10.00"), Decimal("12.00")


def fresh() -> None:
    Product.objects.filter(pk=1).update(price=OLD)


def price() -> Decimal:
    return Product.objects.values_list("price", flat=True).get(pk=1)


def change(then: Callable[[], object], *, on_commit: bool) -> None:
    """One writer: a new price, and what invalidates the old one, after the commit or in the transaction."""
    with transaction.atomic():
        Product.objects.filter(pk=1).update(price=NEW)
        transaction.on_commit(then) if on_commit else then()


# Leases


def reader() -> Decimal:
    return leases.get_or_compute(KEY, price, 60)


def writer() -> None:
    change(lambda: leases.forget(KEY), on_commit=True)


def stale(end: Any) -> bool:
    leased = leases.get(KEY)
    return leased.hit and leased.value != price()


def test_with_a_lease_and_a_delete_on_commit_nothing_stale_stays() -> None:
    assert str(explore(reader, writer, given=fresh, never=stale)) == "stale in 0 of 20 orders"


def test_a_plain_delete_is_enough() -> None:
    def deleting() -> None:
        change(lambda: cache.delete(KEY), on_commit=True)

    assert str(explore(reader, deleting, given=fresh, never=stale)) == "stale in 0 of 20 orders"


def test_neither_does_it_with_two_readers_or_with_a_warm_cache() -> None:
    found = explore(reader, reader, writer, given=fresh, never=stale)
    assert (found.bad, found.complete) == (0, True) and found.orders > 500

    def warm() -> None:
        fresh()
        reader()

    found = explore(reader, reader, writer, given=warm, never=stale)
    assert (found.bad, found.complete) == (0, True) and found.orders >= 30


def test_whoever_reads_after_the_delete_reads_the_new_price_even_where_an_old_one_is_being_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once the writer is done, nobody is given what is older than its delete."""
    done: list[int] = []

    def given() -> None:
        done.clear()
        fresh()

    def writing() -> None:
        writer()
        done.append(1)

    def late_reader() -> Decimal:
        runtime.wait(lambda: bool(done), 1_000.0)  # it begins when the writer is done, at any moment from then on
        return reader()

    def late_and_old(end: Any) -> bool:
        return end.returned["late reader"] != NEW

    found = explore(reader, late_reader, writing, given=given, never=late_and_old)
    assert (found.bad, found.complete) == (0, True) and found.orders > 20
    monkeypatch.setattr(atomic._Memory, "_stands", lambda *_: True)  # the mark is not looked at
    assert explore(reader, late_reader, writing, given=given, never=late_and_old).bad > 0


def test_the_delete_inside_the_transaction_is_not_enough() -> None:
    def too_early() -> None:
        change(lambda: leases.forget(KEY), on_commit=False)

    assert explore(reader, too_early, given=fresh, never=stale).bad > 0


def test_a_put_that_is_two_steps_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_then_set(key: str, token: str, value: Any, timeout: Any, **_: Any) -> bool:
        if mine := cache.get(key) == atomic.MARK + token:
            cache.set(key, value, timeout)
        return mine

    monkeypatch.setattr(atomic, "commit", look_then_set)
    found = explore(reader, writer, given=fresh, never=stale)
    assert found.bad > 0 and "delete" in str([step.what for step in found.shortest])


def test_a_put_that_does_not_look_whose_the_mark_is_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic._Memory, "_stands", lambda *_: True)
    assert explore(reader, writer, given=fresh, never=stale).bad == 3  # as with on_commit alone


def test_a_step_is_one_point_with_a_name() -> None:
    found = explore(reader, given=fresh, never=lambda end: True)
    assert [step.what for step in found.shortest] == [f"acquire {KEY}", found.shortest[1].what, f"commit {KEY}"]
    assert found.shortest[1].where == "database"


def test_the_limit_is_a_delete_that_never_comes_or_rows_that_only_the_writer_sees() -> None:
    def killed_between_commit_and_delete() -> None:
        Product.objects.filter(pk=1).update(price=NEW)

    assert explore(reader, killed_between_commit_and_delete, given=fresh, never=stale).bad > 0

    def reading_its_own_change_and_then_rolling_back() -> None:
        with transaction.atomic():
            Product.objects.filter(pk=1).update(price=NEW)
            leases.forget_on_commit(KEY)
            reader()
            transaction.set_rollback(True)

    found = explore(reading_its_own_change_and_then_rolling_back, given=fresh, never=stale)
    assert str(found) == "stale in 1 of 1 order"


# Generations


def through(product: Namespace) -> Callable[[], Decimal]:
    def reader() -> Decimal:
        return product.get_or_set("detail", price, 60)

    return reader


def old_in(product: Namespace) -> Callable[[Any], bool]:
    def stale(end: Any) -> bool:
        return product.get_or_set("detail", price, 60) != price()

    return stale


def with_generation(product: Namespace) -> None:
    fresh()
    product.bump()


@pytest.mark.parametrize(
    ("kind", "on_commit", "says"),
    [
        (Namespace, True, "stale in 0 of 35 orders"),
        (Namespace, False, "stale in 2 of 35 orders"),
        (Stamped, True, "stale in 0 of 20 orders"),
        (Stamped, False, "stale in 2 of 20 orders"),
    ],
)
def test_a_bump_on_commit_is_right_and_one_in_the_transaction_is_not(
    kind: type[Namespace], on_commit: bool, says: str
) -> None:
    product = kind("product", 1)

    def writer() -> None:
        change(product.bump, on_commit=on_commit)

    given = partial(with_generation, product)
    assert str(explore(through(product), writer, given=given, never=old_in(product))) == says


@pytest.mark.parametrize("kind", [Namespace, Stamped])
def test_it_is_right_where_nobody_has_drawn_a_generation_yet_and_with_two_readers(kind: type[Namespace]) -> None:
    product = kind("product", 1)

    def writer() -> None:
        with transaction.atomic():
            Product.objects.filter(pk=1).update(price=NEW)
            product.bump_on_commit()

    def losing() -> None:
        cache.delete(product.generation_key)

    read, never = through(product), old_in(product)
    for actors in ((read, writer), (read, writer, losing)):
        found = explore(*actors, given=fresh, never=never)
        assert (found.bad, found.complete) == (0, True) and found.orders >= 30
    found = explore(read, read, writer, given=partial(with_generation, product), never=never, preemptions=2)
    assert found.bad == 0 and found.orders > 100


def test_a_generation_that_is_read_after_the_database_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    product = Namespace("product", 1)

    def reader() -> None:
        value = price()
        cache.set(product.key("detail"), value, 60)

    def writer() -> None:
        change(product.bump, on_commit=True)

    given = partial(with_generation, product)
    assert explore(reader, writer, given=given, never=old_in(product)).bad > 0


def test_inside_explore_the_cache_is_local_memory_of_the_schedulers() -> None:
    seen = []
    explore(lambda: seen.append(hasattr(store_of(cache), "exclusively") or cache.get("a")))
    assert seen == [True]
