"""The home page of three layers: the same page for the same visitor whichever are on, and nobody else's."""

import re
from itertools import product

import pytest

from real_shop import fresh_lab, keys, running_lab  # noqa: F401

# isort: split
from django.core.cache import cache
from django.http import HttpRequest
from django.test import Client

from tutorial_project.lab import rates_api
from tutorial_project.lab.bench import Lab
from tutorial_project.shop import kept, layered, rates
from tutorial_project.shop.models import Product

PEOPLE = (None, "alice", "bob", "clara", "dora", "admin")
LANGUAGES = ("en", "de")
QUERIES = {  # of a second visit, by (page, fragments, values): alice's and a stranger's
    (False, False, False): (17, 12),
    (False, False, True): (13, 10),
    (False, True, False): (8, 3),
    (False, True, True): (4, 1),
    (True, False, False): (17, 0),
    (True, False, True): (13, 0),
    (True, True, False): (8, 0),
    (True, True, True): (4, 0),
}


def unmasked(text: str) -> str:
    """The page without its CSRF token, which Django masks anew each time."""
    return re.sub(r'(csrfmiddlewaretoken" value=")\w+', r"\1", text)


@pytest.mark.parametrize("layers", list(product((False, True), repeat=3)))
def test_everybody_gets_their_own_page_in_their_own_language_whichever_layers_are_on(
    lab: Lab, layers: tuple[bool, bool, bool]
) -> None:
    visits = [(who, language) for language in LANGUAGES for who in PEOPLE]
    plain = {visit: unmasked(lab.visit("/", *visit).text) for visit in visits}
    assert len(set(plain.values())) == 10  # two for each, but alice and clara have one language
    url = lab.mount("", layered.home_view(*layers))
    for _ in range(2):
        for visit in visits:
            assert unmasked(lab.visit(url, *visit).text) == plain[visit], visit
    lab.empty_cache()
    for visit in reversed(visits):  # whoever came first before comes last now
        assert unmasked(lab.visit(url, *visit).text) == plain[visit], visit


@pytest.mark.parametrize("layers", list(QUERIES))
def test_what_is_left_to_ask_with_each_of_the_layers(lab: Lab, layers: tuple[bool, bool, bool]) -> None:
    url = lab.mount("layered/", layered.home_view(*layers))
    left = []
    for who in ("alice", None):
        lab.visit(url, who)
        left.append(lab.visit(url, who).queries)
    assert tuple(left) == QUERIES[layers]


def test_a_signed_in_visitors_page_is_never_kept_or_looked_for(lab: Lab) -> None:
    lab.mount("", layered.home_view())
    visit = lab.visit("/", "alice")
    assert "page" not in visit.uses and not [key for key in keys() if key.startswith("views.")]


def test_a_stranger_with_a_cart_or_a_message_gets_their_own_page(lab: Lab) -> None:
    lab.mount("", layered.home_view())
    lab.visit("/")
    told, buyer = Client(), Client()
    told.post("/cart/add/", {"product": "none"})  # "That could not be put into the cart.", on the next page
    assert "could not be put" in told.get("/").text
    buyer.post("/cart/add/", {"product": 1, "quantity": 3})
    assert '<span class="badge">3</span>' in buyer.get("/").text
    assert "could not be put" not in lab.visit("/").text and "badge" not in lab.visit("/").text


def test_nobody_downstream_keeps_a_strangers_page_for_those_who_sign_in(lab: Lab) -> None:
    lab.mount("", layered.home_view())
    for _ in range(2):  # stored, then served
        headers = lab.visit("/").response.headers
        assert headers["Cache-Control"] == "private, no-cache" and "Expires" not in headers
        assert "Cookie" in headers["Vary"] and "Accept-Language" in headers["Vary"]


def test_urls_and_methods_are_pages_of_their_own(lab: Lab) -> None:
    lab.mount("", layered.home_view())
    assert "page%3D2" in lab.visit("/?page=2").text
    assert "page%3D2" not in lab.visit("/").text
    assert Client().head("/").content == b"" and lab.visit("/").text


def test_a_post_by_its_token_is_taken_from_a_page_of_three_layers(lab: Lab) -> None:
    lab.mount("", layered.home_view())
    signed_in = lab.client("alice")
    for who in (None, "bob", "alice", "alice"):
        page = lab.visit("/", who).text
    strict = Client(enforce_csrf_checks=True)
    strict.cookies.update(signed_in.cookies)
    found = re.search(r'csrfmiddlewaretoken" value="(\w+)"', page)
    assert found is not None and strict.post("/logout/").status_code == 403
    assert strict.post("/logout/", {"csrfmiddlewaretoken": found[1]}).status_code == 302
    assert "csrfmiddlewaretoken" not in lab.visit("/").text


def test_the_product_page_is_the_shops_own(lab: Lab) -> None:
    visits = [(who, language) for who in (*PEOPLE, "mira.baker10") for language in LANGUAGES]
    plain = {visit: unmasked(lab.visit("/product/42/", *visit).text) for visit in visits}
    assert "GBP" in plain["mira.baker10", "en"]
    lab.mount("product/<int:pk>/", layered.product)
    for _ in range(2):
        assert {visit: unmasked(lab.visit("/product/42/", *visit).text) for visit in visits} == plain
    assert "product:42:detail" in keys() and "rate:GBP" in keys()
    assert lab.visit("/product/999999/").status == 404 and "product:999999:detail" not in keys()


def test_a_rate_that_the_service_does_not_say_is_not_kept(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "exchange_rate", lambda currency: None)
    assert kept.exchange_rate("USD") is None and keys() == []
    monkeypatch.undo()
    assert kept.exchange_rate("USD") == kept.exchange_rate("USD") != None and keys() == ["rate:USD"]  # noqa: E711


def test_a_strangers_permissions_are_not_kept(lab: Lab) -> None:
    request = HttpRequest()
    assert kept.permission_set(layered.visitor(request)) == frozenset() and keys() == []


def test_what_is_kept_costs_nothing_the_second_time_and_shows_all_that_a_page_shows(lab: Lab) -> None:
    kept.popular_products()
    with lab.meter() as reading:
        shown = [(product.name, product.tenant.name, product.category.name) for product in kept.popular_products()]
    assert (len(shown), reading.queries) == (20, 0)
    assert kept.product_detail(42)["product"] == Product.objects.get(pk=42)
    assert isinstance(cache.get("popular_products"), list)


def test_the_layered_shop_is_there_for_the_block_with_the_layers_that_are_left_on(lab: Lab) -> None:
    with lab.layered(page=False, fragments=False):
        lab.visit("/product/42/")
        assert lab.visit("/").queries == 11 and "product:42:detail" in keys()  # the menu was kept with the product
    assert keys() == [] and lab.visit("/").queries == 12
    with lab.layered(values=False):
        lab.visit("/product/42/")
        assert keys() == []


def test_the_bench_tells_how_often_the_service_was_asked(lab: Lab) -> None:
    before = rates_api.calls()
    for _ in range(2):
        kept.exchange_rate("USD")
        rates.exchange_rate("GBP")
    assert rates_api.calls() == before + 3
