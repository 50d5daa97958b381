"""Each way to change the shop: what is cleared covers what had to be, and the next reader sees the truth."""

import os
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest

from real_shop import fresh_lab, keys, running_lab  # noqa: F401

# isort: split
from django.contrib.auth.models import Group, Permission, User
from django.core.cache import cache
from django.db import connection, transaction
from django.utils import timezone

from tutorial_project.caching.invalidation import Telling
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.touched import keep_all, missed, stale_now, touched
from tutorial_project.shop import contract, invalidation, kept
from tutorial_project.shop.invalidation import TOUCHES
from tutorial_project.shop.models import Category, Order, OrderLine, Product, Review, Tag, Tenant

BEST, ORDINARY, RATED = 6, 42, 1031
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="worker processes are forked")


def saved(model: Any, pk: int, **changes: Any) -> Any:
    row = model.objects.get(pk=pk)
    for name, value in changes.items():
        setattr(row, name, value)
    row.save()
    return row


def with_sql(sql: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def sold(quantity: int) -> None:
    """As a checkout does it: an order, and its lines in bulk."""
    customer = User.objects.get(username="alice").customer
    with transaction.atomic():
        order = Order.objects.create(tenant_id=4, customer=customer)
        OrderLine.objects.bulk_create([OrderLine(order=order, product_id=ORDINARY, quantity=quantity, unit_price=1)])


def reviewed(pk: int, rating: int) -> None:
    Review.objects.create(product_id=pk, customer=User.objects.get(username="alice").customer, rating=rating)


def deleted() -> None:
    OrderLine.objects.filter(product=ORDINARY).delete()
    Product.objects.get(pk=ORDINARY).delete()


def updated_with_the_remedy() -> None:
    Telling(Product).filter(pk__in=(BEST, ORDINARY)).update(price=1, category=20)


def bulk_updated_with_the_remedy() -> None:
    rows = list(Product.objects.filter(pk__in=(BEST, RATED)))
    for row in rows:
        row.name_en, row.tenant_id = "Other", 2
    Telling(Product).bulk_update(rows, ["name_en", "tenant"])


def raw_sql_with_the_remedy() -> None:
    with transaction.atomic():
        TOUCHES.tell(Product.objects.filter(pk=BEST))
        with_sql("UPDATE shop_product SET category_id = 20, price = 1 WHERE id = %s", BEST)
        TOUCHES.tell(Product.objects.filter(pk=BEST))


def through_table_with_the_remedy() -> None:
    Product.tags.through.objects.filter(product=BEST).delete()
    TOUCHES.tell(Product.objects.get(pk=BEST))


CHANGES: dict[str, Callable[[], Any]] = {
    "price of an ordinary one": lambda: saved(Product, ORDINARY, price=Decimal("1.23")),
    "price of a best seller": lambda: saved(Product, BEST, price=Decimal("1.23")),
    "stock": lambda: saved(Product, BEST, stock=0),
    "renamed": lambda: saved(Product, RATED, name_en="Other", name_de="Anders"),
    "moved to another category": lambda: saved(Product, BEST, category_id=20),
    "moved to another store": lambda: saved(Product, BEST, tenant_id=2),
    "a tag added": lambda: Product.objects.get(pk=BEST).tags.add(*Tag.objects.exclude(products=BEST)[:1]),
    "its tags cleared": lambda: Product.objects.get(pk=BEST).tags.clear(),
    "cleared from the tag's side": lambda: Tag.objects.filter(products=BEST)[0].products.clear(),
    "removed from the tag's side": lambda: Tag.objects.filter(products=BEST)[0].products.remove(BEST),
    "a new product": lambda: Product.objects.create(tenant_id=1, category_id=20, name_en="x", name_de="y", price=9999),
    "a review": lambda: reviewed(RATED, 1),
    "a review gone": lambda: Review.objects.filter(product=RATED)[0].delete(),
    "a review of another product": lambda: saved(Review, Review.objects.filter(product=RATED)[0].pk, product_id=BEST),
    "sold": lambda: sold(100_000),
    "a line gone": lambda: OrderLine.objects.filter(product=BEST).delete(),
    "an order of another day": lambda: saved(Order, 1, placed_at="2026-03-03 12:00:00+00:00", tenant_id=3),
    "an order gone": lambda: Order.objects.filter(lines__product=BEST)[0].delete(),
    "deleted": deleted,
    "a tag renamed": lambda: [saved(Tag, tag.pk, name_en="Other") for tag in Tag.objects.filter(products=BEST)],
    "a tag gone": lambda: Tag.objects.filter(products=BEST).delete(),
    "a store renamed": lambda: saved(Tenant, 3, name="Other"),
    "a category renamed": lambda: saved(Category, 14, name_en="Other", slug="other"),
    "a top category renamed": lambda: saved(Category, 2, name_en="Other", slug="other"),
    "a category moved": lambda: saved(Category, 14, parent_id=3),
    "a new category": lambda: Category.objects.create(slug="new", name_en="New", name_de="Neu", parent_id=3),
    "nobody's permission": lambda: Permission.objects.get(codename="add_review").delete(),
    "a group's permissions": lambda: Group.objects.get(name="staff").permissions.clear(),
    "a group": lambda: User.objects.get(username="alice").groups.clear(),
    "a user put to sleep": lambda: saved(User, User.objects.get(username="bob").pk, is_active=False),
    "update() with the remedy": updated_with_the_remedy,
    "bulk_update() with the remedy": bulk_updated_with_the_remedy,
    "raw SQL with the remedy": raw_sql_with_the_remedy,
    "a through table with the remedy": through_table_with_the_remedy,
}


@pytest.mark.parametrize("way", CHANGES)
def test_what_is_cleared_covers_what_had_to_be(lab: Lab, way: str) -> None:
    with lab.layered(events=True):
        table = touched(lab, CHANGES[way])
    assert table["had_to"].any(), "the change changes nothing that is kept"
    assert missed(table) == []


# The way to change the shop that shows that a rule is missing.
NEEDED = {
    invalidation.details: "its tags cleared",
    invalidation.shelves: "price of an ordinary one",
    invalidation.rankings: "price of a best seller",
    invalidation.boxes: "renamed",
    invalidation.counts: "moved to another category",
    invalidation.stars: "a review",
    invalidation.sales: "sold",
    invalidation.takings: "an order of another day",
    invalidation.tagged: "a tag renamed",
    invalidation.sold_by: "a store renamed",
    invalidation.menu: "a category renamed",
    invalidation.permissions: "a group",
    invalidation.permissions_of_group: "a group's permissions",
    invalidation.permissions_by_name: "nobody's permission",
}


@pytest.mark.parametrize("rule", NEEDED, ids=lambda rule: rule.__name__)
def test_without_any_one_of_its_rules_the_map_misses_a_key(lab: Lab, rule: Callable[..., Any]) -> None:
    with lab.layered(events=True), TOUCHES.without(rule):
        assert missed(touched(lab, CHANGES[NEEDED[rule]])) != []


def test_every_rule_is_needed_for_something() -> None:
    assert [rule.function for rule in TOUCHES.rules] == list(NEEDED)


@pytest.mark.parametrize(
    "unheard",
    [
        lambda: Product.objects.filter(pk=BEST).update(price=1),
        lambda: with_sql("UPDATE shop_product SET price = 1 WHERE id = %s", BEST),
        lambda: Product.tags.through.objects.filter(product=BEST).delete(),
        lambda: Category.objects.get(pk=20).products.add(Product.objects.get(pk=BEST)),
    ],
    ids=["update()", "raw SQL", "a through table", "add() of a reverse foreign key"],
)
def test_without_its_remedy_a_write_that_sends_no_signal_leaves_stale_entries(
    lab: Lab, unheard: Callable[[], Any]
) -> None:
    with lab.layered(events=True):
        assert missed(touched(lab, unheard)) != []


def test_what_no_event_reaches_is_said_to_be_stale_and_not_missed(lab: Lab) -> None:
    with lab.layered(events=True):
        table = touched(lab, CHANGES["price of a best seller"])
    page = table[table["value"] == "the home page"]
    assert len(page) == 2 and page["had_to"].all() and not page["cleared"].any()


def written(lab: Lab) -> list[str]:
    """What is stale after the day's first writes, when all had been kept before."""
    day = lab.traffic(3000, "09:00")
    keep_all(lab)
    for request in day[day["method"] == "POST"].head(60).itertuples():
        lab.visit(request.path, request.user or None, request.language, dict(parse_qsl(request.body)))
    return stale_now()


def test_after_the_days_own_writes_nothing_is_stale_and_without_events_much_is(lab: Lab) -> None:
    with lab.layered(events=True):
        assert written(lab) == []
    lab.restore_database()
    with lab.layered():
        assert {contract.row_of(key).value for key in written(lab)} >= {"the ranking", "a store's figures"}


def test_the_price_of_a_change_is_counted(lab: Lab) -> None:
    product = Product.objects.get(pk=ORDINARY)
    with lab.layered(), lab.meter() as without:
        product.save()
    with lab.layered(events=True), lab.meter() as heard:
        product.price += 1
        product.save()
    assert (without.queries, heard.queries) == (1, 4)  # the row before, and its categories before and after
    assert heard.operations == {"delete_many": 1}


def test_nothing_is_heard_outside_the_block(lab: Lab) -> None:
    assert not TOUCHES.is_connected
    with lab.layered(events=True):
        assert TOUCHES.is_connected
    assert not TOUCHES.is_connected
    cache.set(f"product:{ORDINARY}:detail", "kept")
    saved(Product, ORDINARY, price=1)
    assert keys() == [f"product:{ORDINARY}:detail"]


def test_a_login_asks_for_nothing_more(lab: Lab) -> None:
    with lab.layered(events=True), lab.meter() as reading:
        user = User.objects.get(username="alice")
        user.last_login = timezone.now()
        user.save(update_fields=["last_login"])
    assert reading.queries == 2 and not reading.operations


@forks
def test_a_worker_process_hears_too(lab: Lab) -> None:
    with lab.layered(events=True), lab.workers(1) as pool:
        pk = Product.objects.filter(tenant=1).values_list("pk", flat=True)[0]  # of dora's store
        kept.product_detail(pk)
        pool.get(f"/product/{pk}/price/", who="dora", data={"price": "1.23"})
        assert f"product:{pk}:detail" not in keys() and kept.product_detail(pk)["product"].price == Decimal("1.23")
