"""Views that keep an audit from its work, each in its own way."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from contextlib import suppress

from django.core.cache import cache
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.views.decorators.cache import cache_page
from django.views.decorators.http import require_POST


def raises(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError("one of those days")


def redirects(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("/elsewhere/")


@require_POST
def needs_post(request: HttpRequest) -> HttpResponse:
    return HttpResponse("done")


def streams(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(f"line {n}\n" for n in range(3))


def streams_for_ever(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(f"line {n}\n" for n in itertools.count())


def never_ends(request: HttpRequest) -> HttpResponse:
    while True:
        time.sleep(0.01)


def never_ends_and_catches(request: HttpRequest) -> HttpResponse:
    while True:
        with suppress(Exception):
            time.sleep(0.01)


def never_ends_and_catches_all(request: HttpRequest) -> HttpResponse:
    while True:
        try:
            time.sleep(0.01)
        except:  # noqa: E722
            pass


async def never_ends_async(request: HttpRequest) -> HttpResponse:
    while True:
        await asyncio.sleep(0.01)


async def sleeps_async(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(3600)
    return HttpResponse("good morning")


def exits(request: HttpRequest) -> HttpResponse:
    sys.exit("somebody thought this was a script")


def needs_a_host(request: HttpRequest) -> HttpResponse:
    if request.get_host() != "shop.example":
        return HttpResponse("which shop?", status=404)
    return HttpResponse(cache.get_or_set("host", "the shop"))


def clears_the_cache(request: HttpRequest) -> HttpResponse:
    cache.clear()
    return HttpResponse("cleared")


def wants_a_transaction(request: HttpRequest) -> HttpResponse:
    with transaction.atomic(durable=True):
        return HttpResponse("written")


def breaks_its_transaction(request: HttpRequest) -> HttpResponse:
    with suppress(Exception), connection.cursor() as cursor:
        cursor.execute("SELECT * FROM nothing_there")
    return HttpResponse("and goes on")


def asks_for_more(request: HttpRequest) -> HttpResponse:
    """What projects with django-redis ask their cache for."""
    with cache.lock("one"):  # type: ignore[attr-defined]
        cache.set("one", 1, 60, nx=True)  # type: ignore[call-arg]
    assert 0 < cache.ttl("one") <= 60  # type: ignore[attr-defined]
    return HttpResponse(str(cache.delete_pattern("on*")))  # type: ignore[attr-defined]


def closes_the_database(request: HttpRequest) -> HttpResponse:
    connection.close()
    return HttpResponse("closed")


@cache_page(60)
def cannot_be_kept(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("a page that cannot be pickled")
    response.extra = lambda: None  # type: ignore[attr-defined]
    return response
