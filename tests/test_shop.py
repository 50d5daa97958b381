"""The pages of the shop: what they cost, who may see what, and how a cart becomes an order."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest

from small_shop import client, sent_to, shop, shop_database, text  # noqa: F401

# isort: split
from django.apps import apps
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tutorial_project.shop.models import Category, Order, OrderLine, Product, Review

pytestmark = pytest.mark.usefixtures("shop")

# What pages cost

HOME = {"navigation": 1, "best of two categories": 2, "popular": 1, "new": 1, "sidebar": 1}
SIGNED_IN = {"session": 1, "user": 1, "customer": 1, "own and group permissions": 2}
CATEGORY = {"navigation": 1, "category": 1, "count": 1, "products": 1, "sidebar": 1}
PRODUCT = {"navigation": 1, "product": 1, "rating": 1, "tags": 1, "reviews": 1, "related": 1}
COSTS = [
    ("/", HOME),
    ("/category/kitchen/", CATEGORY),
    ("/category/kitchen-1/?page=2", CATEGORY),
    ("/product/{pk}/", PRODUCT),
    ("/search/?q=lamp", {"navigation": 1, "products": 1, "sidebar": 1}),
    ("/cart/", {"navigation": 1}),
]


@pytest.mark.parametrize(("path", "cost"), COSTS)
@pytest.mark.parametrize("who", [None, "alice"])
def test_a_page_costs_a_known_number_of_queries_whatever_it_shows(
    path: str, cost: dict[str, int], who: str | None
) -> None:
    path = path.format(pk=Product.objects.earliest("pk").pk)
    browser = client(who)
    with CaptureQueriesContext(connection) as queries:
        text(browser.get(path))
    expected = sum(cost.values()) + (sum(SIGNED_IN.values()) if who else 0)
    assert len(queries) == expected, "\n".join(query["sql"] for query in queries)


def test_home_asks_once_for_each_of_eight_top_categories_seventeen_in_all() -> None:
    for number in range(6):
        Category.objects.create(slug=f"more-{number}", name_en=f"More {number}", name_de=f"Mehr {number}")
    browser = client("alice")
    with CaptureQueriesContext(connection) as queries:
        text(browser.get("/"))
    assert len(queries) == 17


def test_a_dashboard_costs_three_aggregates() -> None:
    browser = client("dora")
    with CaptureQueriesContext(connection) as queries:
        text(browser.get("/dashboard/north/"))
    assert len(queries) == sum(SIGNED_IN.values()) + 5  # the store, three aggregates, the menu


def test_every_admin_list_costs_the_same_with_more_rows() -> None:
    User.objects.filter(username="dora").update(is_superuser=True)
    browser = client("dora")
    for model in ("tenant", "category", "tag", "product", "customer", "review", "order", "orderline"):
        costs = []
        for shown in (1, 30):
            with CaptureQueriesContext(connection) as queries, _page_length(model, shown):
                text(browser.get(f"/admin/shop/{model}/"))
            costs.append(len(queries))
        assert costs[0] == costs[1], model


def _page_length(model: str, length: int) -> AbstractContextManager[Any]:
    return patch.object(site.get_model_admin(apps.get_model("shop", model)), "list_per_page", length)


# Who sees what


def test_strangers_without_a_session_all_get_the_same_bytes_and_no_cookie() -> None:
    for path in ("/", "/category/garden/", "/search/?q=lamp"):
        first, second = client().get(path), client().get(path)
        assert first.content == second.content
        assert not first.cookies
        assert first["Vary"] == "Accept-Language"


def test_the_greeting_names_the_customer_and_nobody_else() -> None:
    assert "Hello, Alice" in text(client("alice").get("/"))
    assert "Hello, Bob" in text(client("bob").get("/"))
    assert "Hello" not in text(client().get("/"))


@pytest.mark.parametrize(
    ("who", "status"),
    [(None, 403), ("alice", 403), ("emil", 403), ("dora", 200)],
    ids=["anonymous", "customer", "emil", "dora"],
)
def test_a_dashboard_opens_for_staff_of_its_store_alone(who: str | None, status: int) -> None:
    assert client(who).get("/dashboard/north/").status_code == status


def test_a_superuser_of_no_store_gets_pages_but_no_dashboard() -> None:
    User.objects.create_superuser("root")
    assert "Hello, root" in text(client("root").get("/"))
    assert client("root").get("/dashboard/north/").status_code == 403
    assert (
        client("root").post(f"/product/{Product.objects.earliest('pk').pk}/review/", {"rating": 3}).status_code == 403
    )


@pytest.mark.parametrize(("who", "status"), [(None, 403), ("alice", 403), ("emil", 403), ("dora", 302)])
def test_a_price_is_changed_by_staff_of_its_store_alone(who: str | None, status: int) -> None:
    product = Product.objects.filter(tenant__slug="north").earliest("pk")
    before = product.updated_at
    response = client(who).post(f"/product/{product.pk}/price/", {"price": "12.34"})
    assert response.status_code == status
    product.refresh_from_db()
    assert (product.price == Decimal("12.34")) is (product.updated_at > before) is (status == 302)


@pytest.mark.parametrize("price", ["", "-1", "0", "1.234", "NaN", "9999999999"])
def test_a_price_that_is_none_is_refused_with_the_page(price: str) -> None:
    product = Product.objects.filter(tenant__slug="north").earliest("pk")
    assert client("dora").post(f"/product/{product.pk}/price/", {"price": price}).status_code == 400
    assert Product.objects.get(pk=product.pk).price == product.price


def test_a_review_needs_a_customer_and_one_to_five_stars() -> None:
    path, reviews = f"/product/{Product.objects.latest('pk').pk}/review/", Review.objects.count()
    assert sent_to(client().post(path, {"rating": 4})).startswith("/login/")
    assert client("bob").post(path, {"rating": 6, "text": "kept <b>"}).status_code == 400
    assert Review.objects.count() == reviews
    assert client("bob").post(path, {"rating": 4, "text": "<b>bold</b>"}).status_code == 302
    page = text(client().get(path.removesuffix("review/")))
    assert "&lt;b&gt;bold" in page
    assert "<b>bold" not in page


def test_a_post_without_its_token_is_refused_and_with_it_taken() -> None:
    browser = client("bob", enforce_csrf_checks=True)
    path = f"/product/{Product.objects.earliest('pk').pk}/"
    assert browser.post(f"{path}review/", {"rating": 4}).status_code == 403
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', text(browser.get(path)))
    assert token
    assert browser.post(f"{path}review/", {"rating": 4, "csrfmiddlewaretoken": token[1]}).status_code == 302


def test_signing_in_and_out_by_hand() -> None:
    user = User.objects.get(username="alice")
    user.set_password("a pass phrase")
    user.save()
    browser = client()
    assert browser.post("/login/", {"username": "alice", "password": "wrong"}).status_code == 200
    assert sent_to(browser.post("/login/", {"username": "alice", "password": "a pass phrase"})) == "/"
    assert "Hello, Alice" in text(browser.get("/"))
    assert sent_to(browser.post("/logout/")) == "/"
    assert "Hello" not in text(browser.get("/"))


# Buying


def test_a_cart_becomes_one_order_for_each_store_at_the_price_of_the_day() -> None:
    north, south = (Product.objects.filter(tenant__slug=slug).earliest("pk") for slug in ("north", "south"))
    browser, orders = client("bob"), Order.objects.count()
    browser.post("/cart/add/", {"product": north.pk, "quantity": 2})
    browser.post("/cart/add/", {"product": north.pk})
    browser.post("/cart/add/", {"product": south.pk})
    assert f"€{3 * north.price + south.price}" in text(browser.get("/cart/"))
    assert sent_to(browser.post("/checkout/")) == "/"
    assert Order.objects.count() == orders + 2
    bought = OrderLine.objects.filter(order__customer__user__username="bob").order_by("product")
    assert [(line.product_id, line.order.tenant_id, line.quantity, line.unit_price) for line in bought] == [
        (north.pk, north.tenant_id, 3, north.price),
        (south.pk, south.tenant_id, 1, south.price),
    ]
    assert sent_to(browser.post("/checkout/")) == "/cart/", "the cart is empty now"
    assert Order.objects.count() == orders + 2


def test_a_strangers_cart_survives_signing_in() -> None:
    browser = client()
    browser.post("/cart/add/", {"product": Product.objects.earliest("pk").pk})
    assert sent_to(browser.post("/checkout/")) == "/login/?next=/checkout/"
    browser.force_login(User.objects.get(username="alice"))
    assert sent_to(browser.get("/checkout/")) == "/cart/"
    assert "Lamp 0" in text(browser.get("/cart/"))


@pytest.mark.parametrize(
    "sent", [{}, {"product": "no"}, {"product": 10**9}, {"product": 1, "quantity": -1}, {"product": 1, "quantity": 100}]
)
def test_what_cannot_be_bought_does_not_enter_the_cart(sent: dict[str, Any]) -> None:
    browser = client()
    assert sent_to(browser.post("/cart/add/", sent)) == "/cart/"
    assert "Your cart is empty" in text(browser.get("/cart/"))


def test_a_cart_line_can_be_changed_taken_out_and_outlive_its_product() -> None:
    browser, lamp = client(), Product.objects.latest("pk")
    browser.post("/cart/add/", {"product": lamp.pk, "quantity": 98})
    browser.post("/cart/add/", {"product": lamp.pk, "quantity": 98})
    assert browser.session["cart"] == {str(lamp.pk): 99}
    browser.post("/cart/", {"product": lamp.pk, "quantity": 5})
    assert browser.session["cart"] == {str(lamp.pk): 5}
    lamp.delete()
    assert "Your cart is empty" in text(browser.get("/cart/"))
    other = Product.objects.latest("pk")
    browser.post("/cart/", {"product": other.pk, "quantity": 0})
    assert str(other.pk) not in browser.session["cart"]
