"""Two languages and four currencies: who decides, and whether everything is said in both."""

from __future__ import annotations

import gettext
import re
from typing import Any

import pytest
from babel.messages import pofile

from small_shop import client, sent_to, shop, shop_database, text  # noqa: F401

# isort: split
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.locale import LocaleMiddleware
from django.test import RequestFactory
from django.utils import translation
from django.utils.translation.template import templatize

from tutorial_project.shop import selectors
from tutorial_project.shop.middleware import CustomerMiddleware
from tutorial_project.shop.models import Customer, Product

pytestmark = pytest.mark.usefixtures("shop")

SHOP = settings.ROOT / "tutorial_project" / "shop"
CATALOGUE = SHOP / "locale" / "de" / "LC_MESSAGES" / "django.po"


@pytest.mark.parametrize(
    ("who", "browser", "spoken"),
    [
        (None, "en", "en"),
        (None, "de", "de"),
        (None, "fr", "en"),
        ("alice", "de", "en"),
        ("bob", "en", "en"),
        ("bob", "de", "de"),
        ("clara", "en", "de"),
    ],
)
def test_the_profile_decides_and_without_one_the_browser(who: str | None, browser: str, spoken: str) -> None:
    response = client(who, browser).get("/")
    page = text(response)
    assert response["Content-Language"] == spoken
    assert f'<html lang="{spoken}">' in page
    assert ("Kitchen-de" in page) is ("Was alle kaufen" in page) is (spoken == "de")
    assert ("What everybody buys" in page) is (spoken == "en")


def test_prices_and_counts_are_written_as_each_language_does() -> None:
    product = Product.objects.earliest("pk")
    Product.objects.filter(pk=product.pk).update(price="1234.50")
    assert "€1,234.50" in text(client().get(f"/product/{product.pk}/"))
    assert "1.234,50\u00a0€" in text(client(language="de").get(f"/product/{product.pk}/"))


def test_after_the_customers_page_the_requests_own_language_is_back() -> None:
    inside: list[str | None] = []

    def page(request: HttpRequest) -> HttpResponse:
        inside.append(translation.get_language())
        return HttpResponse()

    request = RequestFactory(headers={"accept-language": "en"}).get("/")
    request.session = client("clara").session
    request.COOKIES[settings.SESSION_COOKIE_NAME] = "sent"
    request.user = Customer.objects.get(user__username="clara").user

    def outer(request: HttpRequest) -> HttpResponse:
        response = CustomerMiddleware(page)(request)
        inside.append(translation.get_language())
        return response

    response: Any = LocaleMiddleware(outer)(request)
    assert response["Content-Language"] == "de"
    assert inside == ["de", "en"]


def test_a_failing_page_leaves_the_language_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[Product]:
        raise ZeroDivisionError

    monkeypatch.setattr(selectors, "popular_products", broken)
    browser = client("clara", raise_request_exception=False)
    assert browser.get("/").status_code == 500
    assert translation.get_language() == "en"


def test_a_stranger_keeps_a_chosen_language_and_currency() -> None:
    browser = client()
    assert "GBP" in text(browser.get("/currency/?next=/cart/"))
    assert sent_to(browser.post("/language/", {"language": "de", "next": "/cart/"})) == "/cart/"
    assert sent_to(browser.post("/currency/", {"currency": "GBP", "next": "/cart/"})) == "/cart/"
    page = text(browser.get("/cart/"))
    assert "Ihr Warenkorb" in page
    assert "DE · GBP" in page


def test_a_customers_choice_changes_the_profile_and_so_the_next_page() -> None:
    browser = client("alice")
    browser.post("/language/", {"language": "de"})
    assert "Guten Tag, Alice" in text(browser.get("/"))
    assert Customer.objects.get(user__username="alice").language == "de"
    browser.post("/language/", {"language": "fr"})
    assert Customer.objects.get(user__username="alice").language == "de"


@pytest.mark.parametrize("back", ["https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)"])
def test_nobody_is_sent_elsewhere(back: str) -> None:
    assert sent_to(client().post("/currency/", {"currency": "USD", "next": back})) == "/"
    assert sent_to(client().post("/language/", {"language": "de", "next": back})) == "/"
    assert back not in text(client().get("/currency/", {"next": back})).replace("?next=", "")


def test_a_currency_that_the_shop_does_not_know_is_refused() -> None:
    browser = client()
    assert browser.post("/currency/", {"currency": "XXX"}).status_code == 400
    assert "currency" not in browser.session


def said() -> set[str]:
    """Every text that the templates and views have translated, as the catalogue would name it."""
    found = set()
    for template in SHOP.glob("templates/**/*.html"):
        source = templatize(template.read_text(encoding="utf-8"))
        found |= {match[2] for match in re.finditer(r"""\bgettext\(\s*u?(['"])(.*?)\1\)""", source)}
        found |= {match[2] for match in re.finditer(r"""\b_\(\s*u?(['"])(.*?)\1\)""", source)}
        found |= {match[2] for match in re.finditer(r"""\bngettext\(\s*u?(['"])(.*?)\1,""", source)}
    found |= set(re.findall(r'\b_\("(.*?)"\)', (SHOP / "views.py").read_text(encoding="utf-8")))
    return {message.replace('\\"', '"').replace("\\'", "'").replace("%%", "%") for message in found}


def test_all_that_the_shop_says_it_says_in_german_and_nothing_more() -> None:
    with CATALOGUE.open("rb") as file:
        catalogue = pofile.read_po(file, locale="de")
    messages = [message for message in catalogue if message.id]
    assert {message.id[0] if message.pluralizable else message.id for message in messages} == said()
    assert not [message.id for message in messages if message.fuzzy or not all([message.string])]
    assert not [error for message in messages for error in message.check(catalogue)]


def test_the_compiled_catalogue_says_what_its_source_does() -> None:
    with CATALOGUE.open("rb") as file:
        catalogue = pofile.read_po(file, locale="de")
    with CATALOGUE.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    expected: dict[Any, Any] = {}
    for message in catalogue:
        if message.pluralizable:
            expected |= {(message.id[0], form): german for form, german in enumerate(message.string or ())}
        elif message.id:
            expected[message.id] = message.string
    held = {key: value for key, value in compiled._catalog.items() if key}  # type: ignore[attr-defined]
    assert held == expected
