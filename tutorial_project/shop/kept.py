"""What the shop keeps by hand: the questions of `selectors` and `rates` under the same names, answered from the cache.

Each answer stands under a key that says what it is of, for so many seconds, and is computed only where nobody has it.
Nothing here deletes an answer when the data changes: it is as old as its seconds at most. `contract.py` lists them all,
and `invalidation.py`, where it is connected, deletes them as soon as a change is committed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.cache import cache

from . import rates
from .models import Product

# By their names, and not through the module: these functions may answer in the selectors' places there.
from .selectors import category_products as ask_category_products
from .selectors import category_stats as ask_category_stats
from .selectors import dashboard_stats as ask_dashboard_stats
from .selectors import navigation as ask_navigation
from .selectors import permission_set as ask_permission_set
from .selectors import popular_products as ask_popular_products
from .selectors import product_detail as ask_product_detail


def popular_products() -> list[Product]:
    """The twenty products that sold most, ten minutes old at most; the same for everybody."""
    return cache.get_or_set("popular_products", ask_popular_products, 600)  # type: ignore[return-value]


def navigation() -> list[dict[str, Any]]:
    """The menu, ten minutes old at most; both languages' names stand on its rows, so one entry serves both."""
    return cache.get_or_set("navigation", ask_navigation, 600)  # type: ignore[return-value]


def permission_set(user: AbstractBaseUser | AnonymousUser) -> frozenset[str]:
    """All permissions of a user, a minute old at most; for what a page shows, never for what it lets somebody do."""
    if not user.is_authenticated:
        return frozenset()
    return cache.get_or_set(f"user:{user.pk}:permissions", lambda: ask_permission_set(user), 60)  # type: ignore[return-value]


def product_detail(pk: int) -> dict[str, Any]:
    """One product with its store, category, tags and rating, a minute old at most. Raises `Product.DoesNotExist`."""
    return cache.get_or_set(f"product:{pk}:detail", lambda: ask_product_detail(pk), 60)  # type: ignore[return-value]


def category_products(slug: str, page: int = 1) -> dict[str, Any]:
    """A category's products, the first page a minute old at most; the other pages, which few ask for, are not kept.

    Raises `Category.DoesNotExist`.
    """
    if page != 1:
        return ask_category_products(slug, page)
    return cache.get_or_set(f"category:{slug}:products", lambda: ask_category_products(slug), 60)  # type: ignore[return-value]


def category_stats(slug: str) -> dict[str, Any]:
    """A category's range of prices and its mean rating, ten minutes old at most."""
    return cache.get_or_set(f"category:{slug}:stats", lambda: ask_category_stats(slug), 600)  # type: ignore[return-value]


def dashboard_stats(tenant_id: int) -> dict[str, Any]:
    """A store's figures, ten minutes old at most: whoever asks has made sure that the reader is staff of this store."""
    return cache.get_or_set(f"tenant:{tenant_id}:dashboard_stats", lambda: ask_dashboard_stats(tenant_id), 600)  # type: ignore[return-value]


def exchange_rate(currency: str) -> Decimal | None:
    """How many units of `currency` one euro buys, an hour old at most; None where the service does not say.

    That it did not say is not kept: the next call asks again, and may wait `settings.RATES_TIMEOUT` seconds again.
    """
    rate = cache.get(f"rate:{currency}")
    if rate is None:  # nothing kept: None is never stored here
        rate = rates.exchange_rate(currency)
        if rate is not None:
            cache.set(f"rate:{currency}", rate, 3600)
    return rate
