"""Notebook 01: its exercises and its questions."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd
from django.core.cache import cache

from ...shop.models import Product
from ..exercises import Wrong, attempt, exercise, expect_type
from ..meter import metered
from ..quizzes import QUIZZES, Quiz

if TYPE_CHECKING:
    from ..bench import Lab

EAGER = """def new_products():
    newest = Product.objects.order_by("-created_at", "-pk")[:8]
    return cache.get_or_set("new_products", list(newest), 600)
"""


def rows_of(answer: Callable[[], Any], wanted: list[Product], what: str) -> list[int]:
    """Call `answer` four times: each must give the rows `wanted`, as a list. Returns the queries of each call."""
    cost = []
    for _ in range(4):
        with metered() as reading:
            found = attempt(answer)
        expect_type(found, list, what)
        if [getattr(row, "pk", None) for row in found] != [row.pk for row in wanted]:
            raise Wrong(
                f"{what} gives {len(found)} rows; expected are {len(wanted)}, in the order of the shop's own page."
            )
        cost.append(reading.queries)
    return cost


def seconds_left(key: str) -> int | None:
    """The seconds that the entry `key` has left on the cache server; None where there is no such entry."""
    client = cache._cache.get_client()  # type: ignore[attr-defined]  # the Redis backend's own
    left = client.ttl(cache.make_key(key))
    return None if left == -2 else left


def judge_entry(cost: list[int], key: str) -> None:
    """Raise Wrong unless calls after the first cost nothing, and the server holds `key` for about ten minutes."""
    left = seconds_left(key)
    if sum(cost[1:]) and left is None:
        raise Wrong(f"right rows, and {cost} queries for four calls: nothing is kept under {key!r}.")
    if sum(cost[1:]):
        raise Wrong(
            f"right rows, but {cost} queries for four calls, although {key!r} is in the cache: something asks the database "
            "before the cache is looked at. What does get_or_set get: rows, or a function that it can call on a miss?"
        )
    if left is None:
        raise Wrong(
            f"0 queries, but the cache server holds no {key!r}. Is it kept under another key, or in this process's own "
            "memory, where no other worker finds it?"
        )
    if left == -1:
        raise Wrong(f"{key!r} is kept for ever: it has no timeout. It should live for 600 seconds.")
    if not 590 <= left <= 600:
        raise Wrong(
            f"{key!r} has {left} seconds to live, and should have 600. Without a third argument Django takes 300."
        )


@exercise("1.1", "the cache that never saves a query", seconds=10)
def never_saves(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "new_products")
    wanted = list(Product.objects.order_by("-created_at", "-pk")[:8])
    cost = rows_of(answer, wanted, "new_products()")
    judge_entry(cost, "new_products")
    return f"{cost[0]} query for the first call, {sum(cost[1:])} for the next three."


@exercise("1.2", "your first entry", seconds=15)
def first_entry(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "popular_products")
    wanted = list(Product.objects.expensive_ranking()[:20])
    cost = rows_of(answer, wanted, "popular_products()")
    judge_entry(cost, "popular_products")
    with metered() as reading:
        [(row.tenant.name, row.category.name) for row in attempt(answer)]
    if reading.queries:
        raise Wrong(
            f"fast until a page shows store and category: {reading.queries} queries for that. Store the rows with them: "
            'select_related("tenant", "category").'
        )
    return f"{cost[0]} query for the first call, {sum(cost[1:])} for the next, {seconds_left('popular_products')} seconds left."


# What an answer gives for 2 hits and 2 misses in 5 requests, and how it came to that.
_MISTAKES = {
    1.0: "hits ÷ misses: divide by all look-ups",
    2.0: "the number of hits: divide it by the number of look-ups",
    2 / 5: "hits ÷ requests: a request may look twice, or not at all",
    1 / 3: "the mean of the requests' own ratios: one that looks twice counts twice",
    1 / 5: "the mean over all requests: two of them never looked",
    2 / 7: "that of all cache uses together: count only the one that is asked for",
}


@exercise("1.3", "the hit ratio", seconds=10, commits=True)
def ratio(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "hit_ratio")
    run = pd.DataFrame({"uses": [{"a": (0, 1)}, {"a": (2, 0), "b": (0, 3)}, {}, {"a": (0, 1)}, {}]})
    got = attempt(answer, run, "a")
    expect_type(got, float, 'hit_ratio(run, "a")')
    for value, mistake in _MISTAKES.items():
        if abs(got - value) < 1e-9:
            raise Wrong(f"2 hits and 2 misses in 5 requests gave {got:.2f}, which is {mistake}.")
    if abs(got - 0.5) > 1e-9:
        raise Wrong(f"2 hits and 2 misses gave {got:g}, expected 0.5.")
    if (none := attempt(answer, run, "never used")) != 0.0:
        raise Wrong(f"a cache use that was never looked up gave {none!r}, expected 0.0.")
    lab.keep("popular_products")
    noon = lab.replay(lab.traffic(20))
    return f"the ranking's hit ratio over twenty requests at noon is {answer(noon, 'popular_products'):.2f}."


QUIZZES["01.1"] = Quiz(
    "You send every other page to a second database. Which number is now half of what it was?",
    [
        ("The queries that a page needs", "A page asks what it asked before, only somewhere else. What falls is what "
         "each of the two databases gets."),
        ("The queries that each database gets", "Together they answer as many as before: the load is spread. A cache "
         "is what makes the sum smaller."),
        ("The time a query takes", "Each database does the same work for a query. What falls is the time a query waits "
         "for its turn, and by more than half when the queue was long."),
    ],
    right=1,
)  # fmt: skip
QUIZZES["01.2"] = Quiz(
    "The cache of product pages' details has a hit ratio of 0.99. How much of the database's work did it take away?",
    [
        ("About 99 %", "It took away 99 % of that one question's work. If it was cheap, that is next to nothing."),
        ("That cannot be told from the hit ratio", "The ratio counts look-ups, whatever they cost. Cost × repeats "
         "tells the load removed, and the two rank cache uses differently."),
        ("None: the hit ratio only says how fast the cache is", "Hits did replace queries. How much work those queries "
         "were is what the ratio does not say."),
    ],
    right=1,
)  # fmt: skip
