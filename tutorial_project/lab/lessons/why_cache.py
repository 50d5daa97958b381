"""Notebook 01: its exercises and its questions."""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd
from django.core.cache import cache
from django.db.models import QuerySet

from ...shop.models import Product
from ..entries import entries
from ..exercises import Wrong, attempt, exercise, expect_type
from ..meter import Reading, metered
from ..quizzes import QUIZZES, Quiz

if TYPE_CHECKING:
    from ..bench import Lab


def rows_of(answer: Callable[[], Any], wanted: list[Product], what: str) -> list[Reading]:
    """Call `answer` four times: each must give the rows `wanted`. Returns what each call cost."""
    readings = []
    for call in ("first", "second", "third", "fourth"):
        with metered() as reading:
            found = attempt(answer)
        if isinstance(found, QuerySet):
            raise Wrong(
                f"{what} gives a QuerySet, which is a question. Make a list of its rows, in the function that "
                "get_or_set calls on a miss."
            )
        expect_type(found, list, f"{what}, called for the {call} time,")
        for row in found:
            expect_type(row, Product, f"what {what} lists")
        if len(found) != len(wanted):
            raise Wrong(f"{what} gives {len(found)} rows; expected are {len(wanted)}.")
        if found != wanted:
            raise Wrong(f"{what} gives {len(found)} rows, and not those of the shop's own page in their order.")
        readings.append(reading)
    return readings


def judge_entry(readings: list[Reading], key: str) -> list[int]:
    """Raise Wrong unless calls after the first cost nothing, and the server holds `key` for about ten minutes.

    Returns the queries of each call.
    """
    cost, kept = [reading.queries for reading in readings], entries()
    if sum(cost[1:]):
        raise Wrong(f"right rows, but {cost} queries for four calls: {_why_asked_again(readings, key, kept)}")
    if key not in kept:
        where = (
            f"what is kept is called {', '.join(map(repr, kept))}"
            if kept
            else ("it is kept in this process's own memory, where no other worker finds it. Use Django's cache")
        )
        raise Wrong(f"0 queries, but the cache server holds no {key!r}: {where}.")
    if kept[key] == -1:
        raise Wrong(f"{key!r} is kept for ever: its timeout is None. It should live for 600 seconds.")
    if not 590 <= kept[key] <= 600:
        hint = " Without a third argument Django takes 300." if 290 <= kept[key] <= 300 else ""
        raise Wrong(f"{key!r} has {kept[key]} seconds to live, and should have 600.{hint}")
    return cost


def _why_asked_again(readings: list[Reading], key: str, kept: dict[str, int]) -> str:
    """Why calls after the first sent queries, as far as the cache calls and the entries tell."""
    calls = sum((reading.operations for reading in readings), Counter())
    if not calls:
        return "the cache is never asked. cache.get_or_set looks, and stores on a miss."
    if not calls["set"] + calls["add"]:
        return "the cache is asked, and nothing is ever stored in it."
    if not calls["get"] + calls["get_many"] + calls["has_key"]:
        return f"{key!r} is stored by each call, and none looks whether it is there."
    if not kept:
        return "what is stored is gone at once. For how many seconds is it kept?"
    if len(kept) > 1:
        return f"every call makes a key of its own ({', '.join(map(repr, sorted(kept)[:2]))} …)."
    if any(reading.hits for reading in readings[1:]):
        return (
            "the entry is there, and the query is sent all the same. Is something evaluated before the cache is asked? "
            "get_or_set takes rows, or a function that it calls on a miss alone."
        )
    return f"they look, and do not find it. It is stored under {', '.join(map(repr, kept))}; where do they look?"


# What the learner is given to repair: as long as it is this, nothing has been attempted.
NEVER_SAVES = """
def new_products():
    newest = Product.objects.order_by("-created_at", "-pk")[:8]
    return cache.get_or_set("new_products", list(newest), 600)
"""


@exercise("1.1", "the cache that never saves a query", seconds=10, starter=NEVER_SAVES)
def never_saves(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "new_products")
    wanted = list(Product.objects.order_by("-created_at", "-pk")[:8])
    cost = judge_entry(rows_of(answer, wanted, "new_products()"), "new_products")
    return f"{cost[0]} query for the first call, {sum(cost[1:])} for the next three."


@exercise("1.2", "your first entry", seconds=15)
def first_entry(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "popular_products")
    wanted = list(Product.objects.expensive_ranking()[:20])
    cost = judge_entry(rows_of(answer, wanted, "popular_products()"), "popular_products")
    with metered() as reading:
        [(row.tenant.name, row.category.name) for row in attempt(answer)]
    if reading.queries:
        raise Wrong(
            f"fast, until a page shows each row's store and category: {reading.queries} queries for that. Store the "
            'rows with them: select_related("tenant", "category").'
        )
    if (stored := len(cache.get("popular_products"))) > len(wanted):
        raise Wrong(f"{stored:,} rows are stored, for a page that shows {len(wanted)}: cut before you store.")
    return f"{cost[0]} query for the first call, {sum(cost[1:])} for the next three, kept for 600 seconds."


# Four requests, with 3 hits and 2 misses of "a". What an answer gives for them, and how it came to that.
_RUN = [{"a": (0, 2)}, {"a": (2, 0), "b": (0, 3)}, {}, {"a": (1, 0)}]
_MISTAKES = {
    2 / 5: "the share of misses",
    3 / 2: "hits ÷ misses: divide by all look-ups",
    3.0: "the number of hits: divide it by the number of look-ups",
    60.0: "the ratio as a percentage: leave it between 0 and 1",
    3 / 4: "hits ÷ requests: a request may look twice, or not at all",
    2 / 3: "the mean of the requests' own ratios: one that looks twice counts twice",
    1 / 2: "the mean over all requests: one of them never looked",
    3 / 8: "that of all cache uses together: count only the one that is asked for",
    1.0: "that of the last request alone: add them all up first",
    0.0: "that of the first request alone (is the return inside the loop?), or a division by //",
}


@exercise("1.3", "the hit ratio", seconds=10, commits=True)  # a replay puts the database back
def ratio(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "hit_ratio")
    looks = [[sum(use[i] for use in uses.values()) for uses in _RUN] for i in (0, 1)]
    run = pd.DataFrame({"uses": _RUN, "hits": looks[0], "misses": looks[1]})
    got = ratio_of(answer, run, "a")
    for value, mistake in _MISTAKES.items():
        if abs(got - value) < 1e-9:
            raise Wrong(f"3 hits and 2 misses in 4 requests gave {got:.2f}, which is {mistake}.")
    if not abs(got - 3 / 5) < 1e-9:
        raise Wrong(f"3 hits and 2 misses gave {got:g}, expected 0.6.")
    try:
        none = ratio_of(answer, run, "never used")
    except ZeroDivisionError:
        raise Wrong("a cache use that was never looked up has nothing to divide by. Expected is 0.0.") from None
    if none != 0.0:
        raise Wrong(f"a cache use that was never looked up gave {none:g}, expected 0.0.")
    lab.keep("popular_products")
    morning = lab.replay(20)
    hits, misses = (sum(uses.get("popular_products", (0, 0))[i] for uses in morning["uses"]) for i in (0, 1))
    if abs((got := ratio_of(answer, morning, "popular_products")) - hits / (hits + misses)) > 1e-9:
        raise Wrong(f"right for four requests; for a replay with {hits} hits and {misses} misses it gives {got:.2f}.")
    return f"the ranking's hit ratio over twenty requests in the morning is {got:.2f}."


def ratio_of(answer: Callable[..., Any], run: pd.DataFrame, use: str) -> float:
    """What `answer` gives, a number. Raises Wrong where it stumbles over a request that never looked."""
    try:
        got = attempt(answer, run.copy(), use)
    except KeyError as error:
        if error.args == (use,):
            raise Wrong(
                f"KeyError: a request that never looked has no {use!r} in its dict. What counts it as 0 and 0?"
            ) from None
        raise
    expect_type(got, float, f"hit_ratio(run, {use!r})")
    return got


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
