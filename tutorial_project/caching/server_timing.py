"""What a request cost, on its response: a standard `Server-Timing` header, which browsers' developer tools draw.

    Server-Timing: total;dur=12.3, db;dur=8.1;desc="19 queries", cache;dur=0.4, worker;desc="4711",
        use;desc="popular_products 1 0 5120"

Each `use` is a cache use with its hits, misses and bytes. Put the middleware first, so that it counts all the others.

Limit: at most twenty uses are named, the busiest first: servers in front refuse a header of many kilobytes. The header
tells strangers what a page costs; in production, send it to your staff alone. What a streaming response does after its
first byte is not in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from time import perf_counter
from urllib.parse import quote, unquote

from django.http import HttpRequest, HttpResponse

from .metering import Counters, Use, counting, install

MOST_USES = 20


class ServerTimingMiddleware:
    """Counts each request and says so in the response's `Server-Timing` header."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        install()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = perf_counter()
        with counting() as counters:
            response = self.get_response(request)
        response.headers["Server-Timing"] = format_header(counters, perf_counter() - started)
        return response


def format_header(counters: Counters, seconds: float) -> str:
    """The header's value for a request that took `seconds`; `parse_header` reads it back."""
    metrics = [
        f"total;dur={seconds * 1000:.2f}",
        f'db;dur={counters.sql_seconds * 1000:.2f};desc="{counters.queries} queries"',
        f"cache;dur={counters.cache_seconds * 1000:.2f}",
        f'worker;desc="{os.getpid()}"',
    ]
    busiest = sorted(counters.uses.items(), key=lambda item: -(item[1].hits + item[1].misses))
    for name, use in busiest[:MOST_USES]:
        safe = quote(name, safe=":")  # a header has no room for every letter that a key may have
        metrics.append(f'use;desc="{safe} {use.hits} {use.misses} {use.bytes}"')
    return ", ".join(metrics)


def parse_header(value: str) -> tuple[Counters, float, int]:
    """`(counters, seconds, worker)` from a header that `format_header` wrote; `worker` is the process id that answered.

    Raises ValueError where the header is not of that form.
    """
    try:
        ms = {name: float(dur) for name, dur in re.findall(r"(\w+);dur=([\d.]+)", value)}
        (queries,) = re.findall(r'desc="(\d+) queries"', value)
        (worker,) = re.findall(r'worker;desc="(\d+)"', value)
        seconds = ms["total"] / 1000
        counters = Counters(int(queries), ms["db"] / 1000, ms["cache"] / 1000)
    except (KeyError, ValueError) as error:
        raise ValueError(f"not a Server-Timing header of this project: {value!r}") from error
    for name, hits, misses, size in re.findall(r'use;desc="(\S*) (\d+) (\d+) (\d+)"', value):
        counters.uses[unquote(name)] = Use(int(hits), int(misses), int(size))
    return counters, seconds, int(worker)
