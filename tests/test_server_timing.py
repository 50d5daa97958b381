"""The Server-Timing header: there and back again, and on every response."""

import re

import pytest
from django.http import HttpResponseNotModified, StreamingHttpResponse
from django.test import Client

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.caching.metering import Counters, Use
from tutorial_project.caching.server_timing import format_header, parse_header
from tutorial_project.lab.bench import Lab
from tutorial_project.shop.models import Tenant

ODD = [
    "popular_products",
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


def test_what_is_written_is_read_back_whatever_the_names() -> None:
    counters = Counters(19, 0.0081, 0.0004, uses={name: Use(n, n + 1, n + 2) for n, name in enumerate(ODD)})
    read, seconds, worker = parse_header(format_header(counters, 0.0123))
    assert (read.queries, read.sql_seconds, read.cache_seconds) == (19, 0.0081, 0.0004)
    assert read.uses == counters.uses
    assert seconds == 0.0123 and worker > 0


def test_the_header_is_plain_ascii_of_the_standard_form() -> None:
    header = format_header(Counters(uses={name: Use(1, 1, 1) for name in ODD}), 1.0)
    metric = r'[\w-]+(;dur=\d+\.\d+)?(;desc="[^"\\]*")?'
    assert header.isascii() and re.fullmatch(f"{metric}(, {metric})*", header)


@pytest.mark.parametrize("header", ["", "total;dur=1", 'db;dur=x;desc="1 queries"', "cdn-cache;desc=HIT"])
def test_a_header_of_somebody_else_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match="not a Server-Timing header"):
        parse_header(header)


@pytest.mark.parametrize(
    ("url", "who", "status"),
    [
        ("/", None, 200),
        ("/nowhere/", None, 404),
        ("/category/nowhere/", None, 404),
        ("/dashboard/{other}/", "alice", 403),
        ("/checkout/", None, 302),
        ("/cart/add/", None, 405),
    ],
)
def test_every_response_carries_it_with_the_counts_of_the_meter(
    lab: Lab, url: str, who: str | None, status: int
) -> None:
    visit = lab.visit(url.replace("{other}", Tenant.objects.get(pk=2).slug), who)
    counters, seconds, _ = parse_header(visit.response["Server-Timing"])
    assert visit.status == status
    assert counters.queries == visit.queries
    assert 0 < seconds <= visit.seconds


def test_a_crash_carries_it_too(lab: Lab) -> None:
    def crash(request: object) -> None:
        raise ZeroDivisionError

    url = lab.mount("crash/", crash)
    response = Client(raise_request_exception=False).get(url)
    assert response.status_code == 500
    assert parse_header(response["Server-Timing"])[0].queries == 0


def test_not_modified_and_streams_carry_it(lab: Lab) -> None:
    for answer in (HttpResponseNotModified(), StreamingHttpResponse(iter(["a", "b"]))):
        visit = lab.visit(lab.mount("odd/", lambda request, answer=answer: answer))
        assert parse_header(visit.response["Server-Timing"])


def test_the_uses_of_a_page_are_in_it(lab: Lab) -> None:
    lab.keep("popular_products")
    lab.visit("/")
    counters, _, _ = parse_header(lab.visit("/").response["Server-Timing"])
    assert (counters.uses["popular_products"].hits, counters.uses["popular_products"].misses) == (1, 0)
    assert counters.uses["popular_products"].bytes > 1000
