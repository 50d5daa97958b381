"""The contract executed: ages follow the data, the shop keeps its promises, and one that is broken is seen."""

from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import engines
from django.views.decorators.cache import cache_page

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.caching.metering import listening
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.freshness import Ages, busy, executed
from tutorial_project.lab.recorded_time import recorded_time
from tutorial_project.shop import kept, views
from tutorial_project.shop.models import Product


def served(ages: Ages, call: Any) -> dict[str, float]:
    """The ages of what one request was served from, by key."""
    ages.begin()
    with listening(ages):
        call()
    return dict(ages.served)


def test_an_entry_is_as_old_as_its_reading(lab: Lab) -> None:
    with recorded_time() as clock:
        ages = Ages(lambda: clock.now)
        assert served(ages, kept.navigation) == {}  # computed, and found again by get_or_set itself
        clock.at(200)
        assert served(ages, kept.navigation) == {"navigation": 200}
        clock.at(600)
        assert served(ages, kept.navigation) == {}


def test_what_is_made_from_something_old_is_that_old(lab: Lab) -> None:
    def shelf() -> Any:
        return cache.get_or_set("shelf", lambda: [kept.navigation(), "drawn"], 600)

    with recorded_time() as clock:
        ages = Ages(lambda: clock.now)
        served(ages, kept.navigation)
        clock.at(500)
        assert served(ages, shelf) == {"navigation": 500}
        clock.at(1000)
        assert served(ages, shelf) == {"shelf": 1000}
        served(ages, kept.popular_products)
        clock.at(1050)
        assert served(ages, lambda: (kept.popular_products(), shelf())) == {"popular_products": 50, "shelf": 1050}


def test_a_page_is_as_old_as_the_oldest_fragment_on_it(lab: Lab) -> None:
    template = engines["django"].from_string("{% load cache %}{% cache 600 box %}{{ now }}{% endcache %}")
    with recorded_time() as clock:

        @cache_page(600)
        def page(request: HttpRequest, name: str) -> HttpResponse:
            return HttpResponse(template.render({"now": clock.now}, request))

        lab.mount("aged/<name>/", page)
        ages = Ages(lambda: clock.now)
        ends = []
        for at, name in ((0, "a"), (599, "b"), (1198, "b")):
            clock.at(at)
            ends.append(sorted(served(ages, lambda name=name: lab.visit(f"/aged/{name}/")).values()))
    assert ends == [[], [599], [599, 1198]]  # the last: what the page varies on, and the page


def test_a_mended_entry_is_young_again(lab: Lab) -> None:
    with recorded_time() as clock:
        ages = Ages(lambda: clock.now)
        with listening(ages):
            cache.set_many({"a": 1, "b": 2}, 600)
            clock.at(100)
            ages.begin()
            cache.set("a", 2, 600)
        assert served(ages, lambda: cache.get_many(["a", "b", "c"])) == {"a": 0, "b": 100}


def test_the_shop_keeps_its_promises_under_traffic(lab: Lab) -> None:
    with lab.layered():
        table, broken = executed(busy(minutes=25))
    assert broken == [], broken
    assert (table["served"] > 0).all() and (table["broken"] == 0).all()
    assert (table["oldest"] <= table["promised"]).all()
    assert table.loc["the home page", "oldest"] > 600, "a page shows what is older than the page"
    assert int(table.loc["a store's figures", "wrong"]) > 0 and table.loc["the sidebar", "wrong"] == "drawn"


def test_a_promise_that_is_broken_is_seen(lab: Lab) -> None:
    def product(request: HttpRequest, pk: int) -> HttpResponse:
        def too_long(pk: int) -> Any:
            return cache.get_or_set(f"product:{pk}:detail", lambda: kept.ask_product_detail(pk), 600)

        return render(request, "shop/product.html", views.product_context(request, pk, too_long, kept.exchange_rate))

    with lab.layered():
        lab.mount("product/<int:pk>/", product)
        table, broken = executed(busy(minutes=8).query("path == '/product/747/'"))
    row = table.loc["a product's details"]
    said = f"{row['broken']} of {row['served']} answers older than 60 s, the oldest {row['oldest']} s"
    assert f"a product's details: {said}" in broken and row["broken"] > 0
    assert "nothing was served from 'the ranking'" in broken


def test_a_key_of_no_row_is_seen(lab: Lab) -> None:
    def page(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(cache.get_or_set("who:knows", 1, 60)))

    lab.mount("product/747/", page)
    _, broken = executed(busy(minutes=3).query("path == '/product/747/'"))
    assert any("'who:knows' is an entry of 0 rows" in line for line in broken), broken


@pytest.mark.parametrize("seed", [6, 7])
def test_the_traffic_is_the_same_each_time_and_the_shop_takes_it(lab: Lab, seed: int) -> None:
    trace = busy(minutes=6, seed=seed)
    assert trace.equals(busy(minutes=6, seed=seed)) and set(trace["method"]) == {"GET", "POST"}
    before = Product.objects.get(pk=747).price
    statuses = set(lab.replay(trace)["status"])
    assert statuses <= {200, 302} and Product.objects.get(pk=747).price != before
