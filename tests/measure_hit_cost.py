"""What a protected hit costs: `python tests/measure_hit_cost.py [PAIRS]` prints median ratios to a plain `cache.get`.

The same value from the same server in pairs, one call plain and one protected, the order changing from pair to pair,
so that whatever else the machine does falls on both alike.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

VALUE = {"name": "Field Notebook", "price": "12.50", "tags": [f"tag {number}" for number in range(20)]}
Hit = Callable[[], Any]


def hits() -> dict[str, Hit]:
    """Ways to read the same value, each one a hit from now on; the first is the plain `get`."""
    from django.core.cache import cache

    from tutorial_project.caching.generations import Namespace, Stamped
    from tutorial_project.caching.stampede import Protection

    protection, early, product = Protection(), Protection(beta=1.0), Namespace("product", 42)
    stamped = Stamped("product", 42)
    cache.set("product:42:detail", VALUE, 600)
    ways: dict[str, Hit] = {
        "plain get": lambda: cache.get("product:42:detail"),
        "protected": lambda: protection.get_or_set("protected:product:42:detail", lambda: VALUE, 600),
        "protected, refreshed early": lambda: early.get_or_set("early:product:42:detail", lambda: VALUE, 600),
        "protected, with a generation": lambda: protection.get_or_set(product.key("detail"), lambda: VALUE, 600),
        "a generation alone": lambda: product.get_or_set("kept", lambda: VALUE, 600),
        "a stamp alone": lambda: stamped.get_or_set("kept", lambda: VALUE, 600),
    }
    for way in ways.values():
        assert way() == VALUE and way() == VALUE
    return ways


def ratio(plain: Hit, other: Hit, pairs: int = 1500) -> float:
    """How many times as long the other takes: the ratio of the medians over so many alternating pairs."""
    took: dict[bool, list[float]] = {True: [], False: []}
    for pair in range(pairs):
        for is_plain in (True, False) if pair % 2 else (False, True):
            call = plain if is_plain else other
            began = perf_counter()
            call()
            took[is_plain].append(perf_counter() - began)
    return statistics.median(took[False]) / statistics.median(took[True])


if __name__ == "__main__":
    from tutorial_project.lab.booting import boot

    boot()
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
    plain, *others = hits().items()
    for name, hit in others:
        print(f"{name}: {ratio(plain[1], hit, pairs):.3f} times a {plain[0]}, over {pairs} pairs")
