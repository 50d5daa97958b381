"""Exchange rates, asked from an outside service that takes its time and is sometimes away."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from http.client import HTTPException
from urllib.request import ProxyHandler, build_opener

from django.conf import settings

CURRENCIES = ("EUR", "USD", "GBP", "CHF")

# The service is reached directly: a proxy set for the web at large does not know it.
_opener = build_opener(ProxyHandler({}))


def exchange_rate(currency: str) -> Decimal | None:
    """How many units of `currency` one euro buys, asked anew at each call; None where the service does not say.

    Waits at most `settings.RATES_TIMEOUT` seconds for the service to say something.
    """
    if not settings.RATES_URL or currency not in CURRENCIES:
        return None
    address = f"{settings.RATES_URL.rstrip('/')}/rate/{currency}"
    try:
        with _opener.open(address, timeout=settings.RATES_TIMEOUT) as response:
            rate = Decimal(json.load(response)["rate"])
    except (OSError, HTTPException, ValueError, TypeError, LookupError, InvalidOperation):
        return None  # refused, too slow, or not the answer we know: the page shows euros alone
    return rate if rate.is_finite() and rate > 0 else None
