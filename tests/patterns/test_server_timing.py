"""The Server-Timing header: there and back again, on every response, with what the request did."""

import re
from typing import Any

from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory, SimpleTestCase, TestCase, override_settings
from django.urls import path

from tutorial_project.caching.metering import Counters, Use
from tutorial_project.caching.server_timing import MOST_USES, ServerTimingMiddleware, format_header, parse_header

MEMORY = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": __name__}
ODD = [
    "popular",
    "product:detail",
    'a "quoted" one',
    "back\\slash",
    "two words",
    "100%",
    "größe",
    "日本",
    "a,b;c=d",
    "",
]


def ask(times: int) -> None:
    """Send the database that many queries."""
    with connection.cursor() as cursor:
        for _ in range(times):
            cursor.execute(f"SELECT 1{connection.features.bare_select_suffix}")


def page(request: HttpRequest) -> HttpResponse:
    """Two queries, and a value of 500 letters that is looked up twice."""
    ask(2)
    for _ in range(2):
        cache.get_or_set("menu", "x" * 500, 60)
    return HttpResponse("A page.")


def crash(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError


urlpatterns = [path("page/", page), path("crash/", crash)]


# Plain answers: the project's own error pages may need what is not here.


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    return HttpResponse("There is no such page.", status=404)


def handler500(request: HttpRequest) -> HttpResponse:
    return HttpResponse("That went wrong.", status=500)


class HeaderTests(SimpleTestCase):
    def test_what_is_written_is_read_back_whatever_the_names(self) -> None:
        counters = Counters(19, 0.0081, 0.0004, uses={name: Use(n, n + 1, n + 2) for n, name in enumerate(ODD)})
        read, seconds, worker = parse_header(format_header(counters, 0.0123))
        self.assertEqual((read.queries, read.sql_seconds, read.cache_seconds), (19, 0.0081, 0.0004))
        self.assertEqual(read.uses, counters.uses)
        self.assertEqual(seconds, 0.0123)
        self.assertGreater(worker, 0)

    def test_it_is_plain_ascii_of_the_standard_form(self) -> None:
        header = format_header(Counters(uses={name: Use(1, 1, 1) for name in ODD}), 1.0)
        metric = r'[\w-]+(;dur=\d+\.\d+)?(;desc="[^"\\]*")?'
        self.assertTrue(header.isascii())
        self.assertRegex(header, f"^{metric}(, {metric})*$")

    def test_the_busiest_uses_are_named_and_no_more_than_there_is_room_for(self) -> None:
        uses = {f"use{n}": Use(hits=n) for n in range(MOST_USES + 30)}
        read, _, _ = parse_header(format_header(Counters(uses=uses), 1.0))
        self.assertEqual(list(read.uses), [f"use{n}" for n in range(MOST_USES + 29, 29, -1)])

    def test_a_header_of_somebody_else_is_refused(self) -> None:
        for header in ("", "total;dur=1", 'db;dur=x;desc="1 queries"', "cdn-cache;desc=HIT"):
            with self.subTest(header), self.assertRaisesRegex(ValueError, "not a Server-Timing header"):
                parse_header(header)


@override_settings(
    CACHES={"default": MEMORY},
    MIDDLEWARE=[f"{ServerTimingMiddleware.__module__}.{ServerTimingMiddleware.__qualname__}"],
    ROOT_URLCONF=__name__,
)
class MiddlewareTests(TestCase):
    def setUp(self) -> None:
        self.addCleanup(cache.clear)

    def test_a_response_tells_what_its_request_did(self) -> None:
        counters, seconds, _ = parse_header(self.client.get("/page/")["Server-Timing"])
        self.assertEqual(counters.queries, 2)
        self.assertEqual((counters.uses["menu"].hits, counters.uses["menu"].misses), (1, 1))
        self.assertGreater(counters.uses["menu"].bytes, 1000)
        self.assertGreater(seconds, counters.sql_seconds + counters.cache_seconds - 0.0001)

    def test_each_request_is_counted_from_zero(self) -> None:
        told = [parse_header(self.client.get("/page/")["Server-Timing"])[0] for _ in range(2)]
        self.assertEqual([counters.queries for counters in told], [2, 2])
        self.assertEqual([counters.uses["menu"].misses for counters in told], [1, 0])

    def test_pages_that_are_missing_or_crash_carry_it_too(self) -> None:
        client = Client(raise_request_exception=False)
        for url, status in (("/nowhere/", 404), ("/crash/", 500)):
            with self.subTest(url), self.assertLogs("django.request"):
                response = client.get(url)
                self.assertEqual(response.status_code, status)
                self.assertEqual(parse_header(response["Server-Timing"])[0].queries, 0)

    def test_what_a_stream_does_later_is_not_in_it(self) -> None:
        def stream(request: HttpRequest) -> Any:
            def rows() -> Any:
                ask(5)
                yield "a row"

            ask(1)
            return StreamingHttpResponse(rows())

        response: Any = ServerTimingMiddleware(stream)(RequestFactory().get("/"))
        self.assertTrue(re.search("1 queries", response["Server-Timing"]))  # the limit
        self.assertEqual(b"".join(response.streaming_content), b"a row")
