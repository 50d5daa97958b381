"""Each way to change the shop: what is cleared covers what had to be, and the next reader sees the truth."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from real_shop import fresh_lab, keys, running_lab  # noqa: F401

# isort: split
from django.contrib.auth.models import Group, Permission, User
from django.db import connection, transaction

from tutorial_project.caching.invalidation import Telling
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.touched import missed, touched
from tutorial_project.shop.invalidation import TOUCHES
from tutorial_project.shop.models import Category, Order, OrderLine, Product, Review, Tag, Tenant

BEST, ORDINARY, RATED, STORE_2 = 6, 42, 1031, 1003


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
