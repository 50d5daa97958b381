"""What the meter adds to a page: `python tests/measure_meter.py [PAIRS]` prints the median ratio, counting on ÷ off.

The home page is asked for by a stranger in pairs, one visit counted and one not, the order changing from pair to pair,
so that whatever else the machine does falls on both alike.
"""

from __future__ import annotations

import statistics
import sys
from time import perf_counter
from typing import TYPE_CHECKING

from django.test import Client, override_settings

if TYPE_CHECKING:
    from tutorial_project.lab.bench import Lab

TIMING = "tutorial_project.caching.server_timing.ServerTimingMiddleware"


def browser(counted: bool) -> Client:
    """A stranger's browser in front of the shop with, or without, the middleware that counts."""
    from django.conf import settings

    stack = [name for name in settings.MIDDLEWARE if counted or name != TIMING]
    with override_settings(MIDDLEWARE=stack):
        client = Client()
        client.handler.load_middleware()
    return client


def milliseconds(client: Client, url: str) -> float:
    """How long one visit takes."""
    started = perf_counter()
    response = client.get(url)
    taken = (perf_counter() - started) * 1000
    assert response.status_code == 200
    return taken


def overhead(lab: Lab, pairs: int = 300, url: str = "/") -> tuple[float, float, float]:
    """(median ratio of counted to uncounted visits, median ms counted, median ms not counted)."""
    lab.empty_cache()
    counted, plain = browser(True), browser(False)
    for client in (counted, plain):
        milliseconds(client, url)
    took: dict[bool, list[float]] = {True: [], False: []}
    for pair in range(pairs):
        for counts in (True, False) if pair % 2 else (False, True):
            client = counted if counts else plain
            client.cookies.clear()
            took[counts].append(milliseconds(client, url))
    ratio = statistics.median(on / off for on, off in zip(took[True], took[False], strict=True))
    return ratio, statistics.median(took[True]), statistics.median(took[False])


if __name__ == "__main__":
    from tutorial_project.lab.booting import boot

    lab = boot()
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    dear = ("popular_products", "best_of_category", "sidebar_popular")
    for name, kept in (("nothing kept", ()), (f"{len(dear)} selectors kept", dear)):
        lab.keep(*kept)
        ratio, on, off = overhead(lab, pairs)
        print(f"home page, {name}: median ratio {ratio:.3f} over {pairs} pairs ({on:.2f} ms counted, {off:.2f} ms not)")
