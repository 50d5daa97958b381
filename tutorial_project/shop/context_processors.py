"""What every page of the shop shows around its own content."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from . import selectors
from .visitor import cart_of, chosen_currency, visitor


def every_page(request: HttpRequest) -> dict[str, Any]:
    """The visitor, what they may do, their currency and cart; and the menu and the sidebar, which ask only if drawn."""
    user = visitor(request)
    known: frozenset[str] | None = getattr(request, "permissions", None)  # of a view that has looked them up already
    return {
        "visitor": user,
        "customer": getattr(request, "customer", None),
        "permissions": selectors.permission_set(user) if known is None else known,
        "currency": chosen_currency(request),
        "cart_count": sum(cart_of(request).values()),
        # In a lambda, so that the selector is looked up when it is asked, not when the page begins.
        "navigation": SimpleLazyObject(lambda: selectors.navigation()),
        "sidebar_popular": SimpleLazyObject(lambda: selectors.sidebar_popular()),
    }
