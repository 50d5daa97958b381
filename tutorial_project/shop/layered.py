"""The home page through all three layers of caching, each where it fits, and each to be switched off.

- Per-view: whoever has no session and no message waiting gets the same page, by URL and language. It is kept whole.
- Fragments: the sidebar and the best of the shelves are the same for everybody, by language. Their templates' output
  is kept; the rest of the page, greeting, cart and all, is live.
- Low-level: the ranking and the menu are the same in both languages, a permission set belongs to one user. The values
  are kept, and whoever needs them on any page finds them (`kept.py`).

What came last ("Just in") is asked anew each time: one cheap query, and the one thing here that should be fresh.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.messages.storage.cookie import CookieStorage
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.functional import SimpleLazyObject
from django.views.decorators.cache import cache_page

from . import kept, selectors, views
from .visitor import has_session, visitor

View = Callable[..., HttpResponse]


def home_view(page: bool = True, fragments: bool = True, values: bool = True) -> View:
    """The front page, with each of its layers on or off: the same bytes for the same visitor, whichever are on."""
    answers: Any = kept if values else selectors

    def personal(request: HttpRequest) -> HttpResponse:
        user = visitor(request)
        # The context processor asks for nothing that the view has asked for already.
        request.permissions = answers.permission_set(user)  # type: ignore[attr-defined]
        menu = answers.navigation()
        context = {
            "navigation": menu,
            "best": SimpleLazyObject(lambda: best_of_shelves(menu)),  # asked on a miss of the fragment alone
            "popular_products": answers.popular_products(),
            "new_products": selectors.new_products(),
            "fragments": fragments,
        }
        return render(request, "shop/home_layered.html", context)

    return for_strangers(personal) if page else personal


def best_of_shelves(menu: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best sellers of each top category: dicts of `category` and `products`."""
    return [
        {"category": entry["category"], "products": selectors.best_of_category(entry["category"].pk)} for entry in menu
    ]


def for_strangers(view: View, seconds: int = 600) -> View:
    """`view`, with its page kept whole for visitors without a session; everybody else's is never looked for or kept."""
    keep = cache_page(seconds, key_prefix="strangers")(view)

    def chosen(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if has_session(request) or CookieStorage.cookie_name in request.COOKIES:  # a message waits to be shown
            return view(request, *args, **kwargs)
        response = keep(request, *args, **kwargs)
        # cache_page tells browsers to keep the page too: whoever signs in would go on seeing it, signed out.
        response.headers["Cache-Control"] = "private, no-cache"
        del response.headers["Expires"]
        patch_vary_headers(response, ["Cookie"])
        return response

    return chosen


def product(request: HttpRequest, pk: int) -> HttpResponse:
    """A product's page from kept values: its details, and the exchange rate that every such page shares."""
    context = views.product_context(request, pk, kept.product_detail, kept.exchange_rate)
    return render(request, "shop/product.html", context)


def category(request: HttpRequest, slug: str) -> HttpResponse:
    """A category's page from kept values: its products, and what the shop's own page cannot afford, its figures."""
    context = views.category_context(request, slug, kept.category_products)
    return render(request, "shop/category_layered.html", {**context, "stats": kept.category_stats(slug)})
