"""Finds the customer behind a request, and speaks their language."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from django.http import HttpRequest, HttpResponse
from django.utils import translation

from .models import Customer
from .visitor import ShopRequest, visitor


class CustomerMiddleware:
    """Sets `request.customer` (with its store; None for strangers) and speaks the language of the customer's profile.

    Stands after `AuthenticationMiddleware`. A profile without a language leaves the choice of `LocaleMiddleware` alone.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, plain_request: HttpRequest) -> HttpResponse:
        request = cast(ShopRequest, plain_request)
        request.customer = _customer_of(request)
        if request.customer is None or not request.customer.language:
            return self.get_response(request)
        with translation.override(request.customer.language):
            request.LANGUAGE_CODE = translation.get_language()
            response = self.get_response(request)
            # Said while the language is active: LocaleMiddleware, further out, looks when it has been put back.
            response.headers.setdefault("Content-Language", request.LANGUAGE_CODE)
            return response


def _customer_of(request: HttpRequest) -> Customer | None:
    user = visitor(request)
    if not user.is_authenticated:
        return None
    return Customer.objects.select_related("tenant").filter(user_id=user.pk).first()
