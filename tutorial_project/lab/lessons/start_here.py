"""Notebook 00: its exercise and its question."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..exercises import Wrong, exercise, expect_type
from ..quizzes import QUIZZES, Quiz

if TYPE_CHECKING:
    from ..bench import Lab

SHELVES = ("kitchen", "lamps")


@exercise("0.1", "the shelves", seconds=10)
def shelves(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "fast_category")
    url = lab.mount("try/<slug:slug>/", answer)
    pages = [(url.replace("<slug:slug>", slug), language) for slug in SHELVES for language in ("en", "de")]
    first, second = ([lab.visit(page, language=language) for page, language in pages] for _ in range(2))
    if any(visit.status != 200 for visit in first):
        raise Wrong(f"a shelf answers with status {first[0].status}. Is fast_category the shop's view, decorated?")
    for (page, language), visit in zip(pages, first):
        plain = lab.visit(page.replace("/try/", "/category/"), language=language)
        if visit.text != plain.text:
            raise Wrong(
                f"{page} in {language!r} shows something else than the shop's own page. One entry for every shelf and "
                "language is needed: what is in your key?"
            )
    cost = [visit.queries for visit in second]
    if sum(cost) and not lab_has_entries():
        raise Wrong(
            f"right, and the second visits cost {cost} queries: nothing was stored. For how many seconds is it kept?"
        )
    if sum(cost):
        raise Wrong(f"right, but the second visits still cost {cost} queries. Is the view called each time?")
    return f"first visits cost {[visit.queries for visit in first]} queries, second visits {cost}."


def lab_has_entries() -> bool:
    """Whether the cache server holds anything at all."""
    from django.core.cache import cache

    return bool(cache._cache.get_client().dbsize())  # type: ignore[attr-defined]  # the Redis backend's own


QUIZZES["00.1"] = Quiz(
    "Where was the page that the second visitor got?",
    [
        ("In the memory of this notebook's Python process", "A cache in memory would do that, and only for this one "
         "process. Here the page went to a server: notebook 02 shows the difference."),
        ("In the cache server, under a key made from its address", "The view did not run, and neither did a query. "
         "Anybody who asks for that address within a minute gets that page."),
        ("In the visitor's browser", "Browsers do keep pages, and cache_page tells them how long they may. But these "
         "visitors were strangers to each other, without a browser between them."),
    ],
    right=1,
)  # fmt: skip
