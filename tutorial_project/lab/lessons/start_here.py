"""Notebook 00: its exercise and its question."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse

from ...shop import views
from ..entries import entries
from ..exercises import Wrong, attempt, exercise, expect_type
from ..meter import Visit
from ..quizzes import QUIZZES, Quiz

if TYPE_CHECKING:
    from ..bench import Lab

PAGES = [(slug, language) for slug in ("kitchen", "lamps") for language in ("en", "de")]
SECONDS = 120


@exercise("0.1", "the shelves", seconds=10)
def shelves(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "fast_category")

    def page(request: HttpRequest, slug: str) -> HttpResponse:
        try:
            response = attempt(answer, request, slug=slug)
        except TypeError as error:
            if "argument" not in str(error):
                raise
            says = re.sub(r"\S*<locals>\.", "", str(error))
            raise Wrong(
                f"called with a request and slug={slug!r}, as the shop calls views.category, it says: {says}. "
                "Is it another view, or cache_page(seconds) still waiting for its view?"
            ) from error
        expect_type(response, HttpResponse, "what fast_category returns")
        return response

    address = "try/<slug:slug>/"  # the same for both: a page holds its own address
    lab.mount(address, views.category)
    plain = [visit.text for visit in visits(lab)]
    lab.mount(address, page)
    first, left, second = visits(lab), list(entries().values()), visits(lab)
    for own, visit in [*enumerate(first), *enumerate(second)]:
        judge_page(own, visit.status, visit.text, plain)
    cost = [visit.queries for visit in second]
    if not left:
        how = "it is views.category as it was" if answer is views.category else "for how many seconds is it kept?"
        raise Wrong(f"right, and the second visits cost {cost} queries: the cache server holds nothing ({how}).")
    if sum(cost):
        raise Wrong(f"right, but the second visits still cost {cost} queries. Is the view called each time?")
    if -1 in left:
        raise Wrong("a page is kept for ever. It should live for two minutes.")
    if not SECONDS - 10 <= max(left) <= SECONDS:
        raise Wrong(f"a page is kept for {max(left)} seconds. Two minutes are {SECONDS}.")
    return f"first visits cost {[visit.queries for visit in first]} queries, second visits {cost}."


def visits(lab: "Lab") -> list[Visit]:
    """A visit to each of PAGES."""
    return [lab.visit(f"/try/{slug}/", language=language) for slug, language in PAGES]


def judge_page(own: int, status: int, text: str, plain: list[str]) -> None:
    """Raise Wrong unless `text` is the shop's own page at the index `own` of PAGES; `plain` are all of those."""
    slug, spoken = PAGES[own]
    what = f"/{slug}/ in {spoken!r}"
    if status != 200:
        raise Wrong(f"{what} answers with status {status}. Is fast_category the shop's view, decorated?")
    if text == plain[own]:
        return
    if text not in plain:
        raise Wrong(f"{what} is not the shop's own page. Is it views.category that is decorated, and given its slug?")
    shown = PAGES[plain.index(text)]
    lacks = "slug" if shown[0] != slug else "language"
    raise Wrong(f"{what} shows the page of /{shown[0]}/ in {shown[1]!r}: the {lacks} is missing in the key.")


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
