"""Who is asking, and what they chose.

A response that looked at the session varies on the cookie, even where it found nothing. A visitor who sent no session
cookie can only be a stranger with an empty cart: nothing is looked up for them, and they all get the same pages.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest

from .models import Customer


class ShopRequest(HttpRequest):
    """A request as the shop's views see it: for type checkers alone."""

    customer: Customer | None
    LANGUAGE_CODE: str


def has_session(request: HttpRequest) -> bool:
    """Whether the visitor sent a session cookie, looked up without touching the session."""
    return settings.SESSION_COOKIE_NAME in request.COOKIES


def visitor(request: HttpRequest) -> User | AnonymousUser:
    """The user behind a request, anonymous for a stranger."""
    return request.user if has_session(request) else AnonymousUser()


def chosen_currency(request: HttpRequest) -> str:
    """The currency chosen in this session, else the customer's, else EUR."""
    customer: Customer | None = getattr(request, "customer", None)
    chosen = request.session.get("currency") if has_session(request) else None
    return chosen or (customer.currency if customer else "EUR")


def cart_of(request: HttpRequest) -> dict[str, int]:
    """A copy of the session's cart: product id as text -> quantity."""
    return dict(request.session.get("cart", {})) if has_session(request) else {}
