"""The selectors' answers, against the same figures counted in Python; and a price in another currency."""

from __future__ import annotations

import importlib
import pickle
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from time import perf_counter, sleep
from typing import Any

import pytest

from small_shop import client, shop, shop_database, text  # noqa: F401

# isort: split
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from tutorial_project.shop import rates, selectors
from tutorial_project.shop.models import Category, OrderLine, Product, Review, Tag, Tenant

pytestmark = pytest.mark.usefixtures("shop")


def first() -> Product:
    return Product.objects.earliest("pk")


def sales() -> Counter[int]:
    """Units sold by product, counted line by line."""
    sold: Counter[int] = Counter()
    for line in OrderLine.objects.all():
        sold[line.product_id] += line.quantity
    return sold


def ranked(sold: Counter[int]) -> list[int]:
    return sorted(sold, key=lambda pk: (-sold[pk], pk))


def test_no_answer_asks_again_not_even_out_of_a_cache() -> None:
    top, product = Category.objects.earliest("pk"), Product.objects.filter(tags__slug="tag-2").earliest("pk")
    answers: list[Any] = [
        selectors.navigation(),
        selectors.popular_products(),
        selectors.sidebar_popular(),
        selectors.best_of_category(top.pk),
        selectors.new_products(),
        selectors.category_products("kitchen"),
        selectors.product_detail(product.pk),
        selectors.product_reviews(product.pk),
        selectors.related_products(product.pk),
        selectors.search_products("lamp"),
        selectors.dashboard_stats(product.tenant_id),
        selectors.cart_lines({str(product.pk): 2}),
    ]
    with CaptureQueriesContext(connection) as queries:
        for answer in pickle.loads(pickle.dumps(answers)):
            assert isinstance(answer, list | dict)
            assert answer
            repr(answer)
    assert len(queries) == 0


def test_the_menu_counts_the_products_of_each_shelf() -> None:
    menu = selectors.navigation()
    assert [entry["category"].name_en for entry in menu] == ["Kitchen", "Garden"]
    for entry in menu:
        counts = [Product.objects.filter(category=child["category"]).count() for child in entry["children"]]
        assert [child["product_count"] for child in entry["children"]] == counts
        assert entry["product_count"] == sum(counts)


def test_the_rankings_are_those_of_the_order_lines() -> None:
    sold = sales()
    popular: list[Any] = selectors.popular_products()
    assert [(product.pk, product.sold) for product in popular] == [(pk, sold[pk]) for pk in ranked(sold)[:20]]
    for top in Category.objects.filter(parent=None):
        shelf = set(Product.objects.filter(category__parent=top).values_list("pk", flat=True))
        best: list[Any] = selectors.best_of_category(top.pk)
        assert [(product.pk, product.sold) for product in best] == [
            (pk, sold[pk]) for pk in ranked(sold) if pk in shelf
        ][:3]
    OrderLine.objects.all().delete()
    assert selectors.popular_products() == selectors.best_of_category(top.pk) == []


def test_best_rated_are_those_with_enough_reviews() -> None:
    ratings = defaultdict(list)
    for review in Review.objects.all():
        ratings[review.product_id].append(review.rating)
    rated = {pk: sum(stars) / len(stars) for pk, stars in ratings.items() if len(stars) >= 5}
    assert len(rated) < len(ratings), "the small shop has products with fewer"
    best: list[Any] = selectors.sidebar_popular()
    assert best
    expected = sorted(rated, key=lambda pk: (-rated[pk], -len(ratings[pk]), pk))[:5]
    assert [product.pk for product in best] == expected
    assert [product.rating for product in best] == pytest.approx([rated[pk] for pk in expected])


def test_a_dashboard_holds_one_stores_figures_alone() -> None:
    tenant = Tenant.objects.earliest("pk")
    stats = selectors.dashboard_stats(tenant.pk)
    lines = list(OrderLine.objects.filter(order__tenant=tenant).select_related("order", "product"))
    revenue: Counter[Any] = Counter()
    for line in lines:
        revenue[line.order.placed_at.date()] += line.total  # type: ignore[assignment]
    assert stats["orders"] == len({line.order_id for line in lines}) == 10
    assert stats["units"] == sum(line.quantity for line in lines)
    assert stats["revenue"] == sum(line.total for line in lines)
    assert [(day["day"], day["revenue"]) for day in stats["by_day"]] == sorted(revenue.items())
    totals = {line.product_id: line.total for line in lines}  # each was sold once
    assert [(product.pk, product.revenue) for product in stats["top_products"]] == sorted(
        totals.items(), key=lambda item: (-item[1], item[0])
    )


def test_a_store_without_orders_has_zeros() -> None:
    stats = selectors.dashboard_stats(Tenant.objects.create(slug="new", name="New").pk)
    assert stats == {"orders": 0, "units": 0, "revenue": Decimal(0), "top_products": [], "by_day": []}


def test_pages_of_a_category_hold_each_product_once() -> None:
    pages = [selectors.category_products("kitchen", page) for page in (1, 2)]
    shown = [product.pk for page in pages for product in page["products"]]
    assert sorted(shown) == list(
        Product.objects.filter(category__parent__slug="kitchen").order_by("pk").values_list("pk", flat=True)
    )
    assert (pages[0]["pages"], pages[0]["total"], len(pages[0]["products"])) == (2, 30, 24)
    assert selectors.category_products("kitchen", 99)["page"] == 2
    with pytest.raises(Category.DoesNotExist):
        selectors.category_products("nowhere")


@pytest.mark.parametrize("page", ["", "0", "-1", "x", "²", "99999999999999999999"])
def test_a_page_number_that_is_none_shows_a_page(page: str) -> None:
    assert "Lamp" in text(client().get("/category/kitchen/", {"page": page}))


def test_relatives_share_most_tags() -> None:
    product = Product.objects.filter(tags__slug="tag-2").earliest("pk")
    tags = set(product.tags.all())
    related: list[Any] = selectors.related_products(product.pk)
    assert [relative.shared for relative in related] == [len(tags & set(relative.tags.all())) for relative in related]
    assert [relative.shared for relative in related] == [3] * 6
    assert product not in related


def test_a_product_tells_its_rating_tags_and_latest_reviews() -> None:
    product = first()
    product.tags.set(Tag.objects.all())
    detail, reviews = selectors.product_detail(product.pk), list(Review.objects.filter(product=product))
    assert detail["review_count"] == len(reviews)
    assert detail["rating"] == pytest.approx(sum(review.rating for review in reviews) / len(reviews))
    assert len(detail["tags"]) == 3
    assert selectors.product_reviews(product.pk) == sorted(reviews, key=lambda review: review.pk, reverse=True)
    assert client().get("/product/999999/").status_code == 404


@pytest.mark.parametrize(
    ("q", "found"), [("lamp 59", 1), ("LEUCHTE 59", 1), ("", 0), ("  ", 0), ("100%", 0), ("lamp", 48)]
)
def test_search_finds_every_word_in_either_language(q: str, found: int) -> None:
    assert len(selectors.search_products(q)) == found


def test_a_search_that_no_database_could_answer_finds_nothing() -> None:
    for q in ("lamp\0", "lamp " * 100):
        assert 'class="cards"' not in text(client().get("/search/", {"q": q}))
    assert 'class="cards"' in text(client().get("/search/", {"q": "lamp"}))


def test_permissions_are_the_groups_and_a_stranger_costs_nothing() -> None:
    assert selectors.permission_set(User.objects.get(username="alice")) == {"shop.add_review"}
    with CaptureQueriesContext(connection) as queries:
        assert selectors.permission_set(AnonymousUser()) == frozenset()
    assert len(queries) == 0


class Answering(BaseHTTPRequestHandler):
    """Answers with the server's `answer`, after its `pause` (seconds)."""

    server: Any

    def do_GET(self) -> None:  # noqa: N802
        """Keeps the path that was asked."""
        self.server.asked.append(self.path)
        sleep(self.server.pause)
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@contextmanager
def rates_service(answer: bytes, status: int = 200, pause: float = 0) -> Iterator[list[str]]:
    """An outside service for the settings to name; yields the paths it was asked."""
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        server.__dict__.update(answer=answer, status=status, pause=pause, asked=[])
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        with override_settings(RATES_URL=f"http://127.0.0.1:{server.server_port}", RATES_TIMEOUT=0.2):
            yield server.__dict__["asked"]
        server.shutdown()


def test_bob_pays_in_dollars_and_the_service_is_asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # a proxy would be asked in vain
    importlib.reload(rates)
    path = f"/product/{Product.objects.get(price=10).pk}/"
    with rates_service(b'{"base": "EUR", "currency": "USD", "rate": "1.0843"}') as asked:
        assert "10.84 USD" in text(client("bob").get(path))
        assert "10.84 USD" in text(client("bob").get(path))
        assert "USD" not in text(client("alice").get(path))
    assert asked == ["/rate/USD", "/rate/USD"]


@pytest.mark.parametrize(
    ("answer", "status", "pause"),
    [(b"", 200, 0), (b"{}", 200, 0), (b"[]", 200, 0), (b'{"rate": "NaN"}', 200, 0), (b'{"rate": "-1"}', 200, 0)]
    + [
        (b'{"rate": "one"}', 200, 0),
        (b'{"rate": null}', 200, 0),
        (b'{"rate": "2"}', 500, 0),
        (b'{"rate": "2"}', 200, 0.5),
    ],
)
def test_without_a_usable_rate_the_page_shows_euros_alone(answer: bytes, status: int, pause: float) -> None:
    with rates_service(answer, status, pause) as asked:
        page = text(client("bob").get(f"/product/{first().pk}/"))
    assert asked == ["/rate/USD"]
    assert "€1.00" in page
    assert "≈" not in page


def test_a_service_that_is_away_or_frozen_costs_no_more_than_the_timeout() -> None:
    with override_settings(RATES_URL="http://127.0.0.1:9", RATES_TIMEOUT=0.2):
        assert rates.exchange_rate("USD") is None
    started = perf_counter()
    with rates_service(b'{"rate": "2"}', pause=0.8):
        assert rates.exchange_rate("USD") is None
        assert perf_counter() - started < 0.7
    with override_settings(RATES_URL=""):
        assert rates.exchange_rate("USD") is None
    with rates_service(b'{"rate": "2"}') as asked:
        assert rates.exchange_rate("../calls") is None
    assert asked == []
