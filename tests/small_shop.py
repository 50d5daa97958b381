"""A shop small enough to know by heart, and browsers to visit it with.

A test module imports the two fixtures and uses `shop`. Importing this module sets Django up, so it stands before the
imports that need that.
"""
# ruff: noqa: E402

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import django
import pytest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tutorial_project.settings")
django.setup()

# isort: split
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.test import Client
from django.test.utils import setup_databases, teardown_databases
from django.utils import translation

from tutorial_project.shop.models import Category, Customer, Order, OrderLine, Product, Review, Tag, Tenant


@pytest.fixture(scope="module")
def shop_database() -> Iterator[None]:
    """A migrated database in memory with the small shop in it."""
    replaced = setup_databases(verbosity=0, interactive=False)
    fill()
    yield
    teardown_databases(replaced, verbosity=0)


@pytest.fixture
def shop(shop_database: None) -> Iterator[None]:
    """The small shop. Whatever a test writes is gone after it, and so is the language that it spoke."""
    with transaction.atomic(), translation.override("en"):
        yield
        transaction.set_rollback(True)


def fill() -> None:
    """Two stores, two top categories of two children each, 60 products, five people, reviews, and orders of 2026."""
    stores = [Tenant.objects.create(slug=slug, name=slug.title()) for slug in ("north", "south")]
    children = []
    for top_name in ("Kitchen", "Garden"):
        top = Category.objects.create(slug=top_name.lower(), name_en=top_name, name_de=f"{top_name}-de")
        for number in (1, 2):
            name = f"{top_name} {number}"
            children.append(
                Category.objects.create(slug=f"{top.slug}-{number}", name_en=name, name_de=f"{name}-de", parent=top)
            )
    tags = [Tag.objects.create(slug=f"tag-{n}", name_en=f"tag {n}", name_de=f"Marke {n}") for n in range(3)]
    products = [
        Product.objects.create(
            tenant=stores[n % 2],
            category=children[n % 4],
            name_en=f"Lamp {n}",
            name_de=f"Leuchte {n}",
            price=Decimal(n + 1),
            stock=n % 3,
        )
        for n in range(60)
    ]
    for n, product in enumerate(products):
        product.tags.set(tags[: n % 4])
    people(stores)
    alice = Customer.objects.get(user__username="alice")
    Review.objects.bulk_create(
        Review(product=products[n], customer=alice, rating=1 + (n + i) % 5) for n in range(12) for i in range(3 + n % 4)
    )
    for n in range(20):
        order = Order.objects.create(
            tenant=stores[n % 2], customer=alice, placed_at=f"2026-05-{1 + n // 4:02} 10:00:00+00:00"
        )
        OrderLine.objects.create(order=order, product=products[n], quantity=1 + n % 7, unit_price=products[n].price)


def people(stores: list[Tenant]) -> None:
    """alice (English), bob (no language, dollars), clara (German), dora and emil (staff of north, of south)."""
    groups = {name: Group.objects.create(name=name) for name in ("customers", "staff")}
    groups["customers"].permissions.add(Permission.objects.get(codename="add_review"))
    groups["staff"].permissions.add(Permission.objects.get(codename="change_product"))
    for name, store, language, currency, group in (
        ("alice", 0, "en", "EUR", "customers"),
        ("bob", 1, "", "USD", "customers"),
        ("clara", 0, "de", "EUR", "customers"),
        ("dora", 0, "en", "EUR", "staff"),
        ("emil", 1, "en", "EUR", "staff"),
    ):
        user = User.objects.create(username=name, first_name=name.title(), is_staff=group == "staff")
        user.groups.add(groups[group])
        Customer.objects.create(user=user, tenant=stores[store], language=language, currency=currency)


def client(who: str | None = None, language: str = "en", **options: Any) -> Client:
    """A browser, signed in as somebody or as nobody."""
    browser = Client(headers={"accept-language": language}, **options)
    if who:
        browser.force_login(User.objects.get(username=who))
    return browser


def text(response: Any) -> str:
    """The page, after a check that it was served."""
    assert response.status_code == 200
    return str(response.content.decode())


def sent_to(response: Any) -> str:
    """Where the visitor is sent, after a check that they are."""
    assert response.status_code == 302
    return str(response["Location"])
