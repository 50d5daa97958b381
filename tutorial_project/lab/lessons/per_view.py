"""Notebook 03: its exercises and its questions."""

from collections.abc import Callable
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse

from ...caching.browser import Browser
from ...shop.models import Product
from ..entries import entries
from ..exercises import Wrong, attempt, exercise, expect_type
from ..leaks import learned
from ..meter import Visit
from ..quizzes import QUIZZES, Quiz
from ..xray import PAGE

if TYPE_CHECKING:
    from ..bench import Lab


def visited(lab: "Lab", url: str, who: str | None = None) -> Visit:
    """A visit of `url`. Raises Wrong unless its status is 200."""
    visit = lab.visit(url, who)
    if visit.status != 200:
        raise Wrong(f"{who or 'a stranger'} gets status {visit.status}, expected 200.")
    return visit


def answering(view: Any) -> Callable[..., HttpResponse]:
    """The learner's view, which must give a response: anything else is told to them, and not to Django."""

    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = attempt(view, request, *args, **kwargs)
        expect_type(response, HttpResponse, "what the view returns")
        return response

    return answered


def varies() -> str:
    """What the cache has learned about the page, in words."""
    lists = learned()
    if not lists:
        return "no page is kept"
    named = [name.removeprefix("HTTP_").replace("_", "-").title() for name in lists[0]]
    return f"the cache has learned that it varies on {', '.join(named) or 'nothing'}"


# 3.1

GREETING = """
@vary_on_cookie
@cache_page(60)
def greeting(request):
    return HttpResponse(f"Good morning, {request.user.username or 'stranger'}")
"""


@exercise("3.1", "a colleague has read about Vary", seconds=10, starter=GREETING)
def greets_as_another(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "greeting")
    url = lab.mount("greeting/", answering(answer))
    readers = {who: f"Good morning, {who or 'stranger'}" for who in ("alice", "bob", None, "clara")}
    for who, wanted in readers.items():
        lab.empty_cache()
        read = visited(lab, url, who).text
        if read != wanted:
            raise Wrong(
                f'from an empty cache {who or "a stranger"} reads "{read[:60]}", expected "{wanted}". '
                "Nobody came before: it is what the view itself says, and that was right."
            )
    lab.empty_cache()
    for who, wanted in readers.items():
        read = visited(lab, url, who).text
        if read != wanted:
            whose = "another's greeting"
            raise Wrong(f'{who or "a stranger"} reads "{read[:60]}", {whose}: {varies()}. What is stored first?')
    again = [visited(lab, url, who) for who in ("bob", "alice", None)]
    if not entries():
        looked = any(visit.misses for visit in again)
        why = "Is something inside that forbids it?" if looked else "Keep cache_page."
        raise Wrong(f"each reads their own, and each second visit is made anew: it is not kept any more. {why}")
    if any(visit.misses for visit in again):
        raise Wrong("each reads their own, and the second visit looks into the cache and misses. What is in the key?")
    return "four readers, four greetings, and each second visit answered from the cache."


# 3.2

TAX = {"at": 20, "de": 19, "fr": 20, "pl": 23}  # percent, as the exercise gives it
PRICES = """
def price_list(request):
    tax = TAX[request.headers["X-Country"]]
    rows = Product.objects.order_by("pk").values_list("pk", "price")[:5]
    return JsonResponse({str(pk): f"{price * (100 + tax) / 100:.2f}" for pk, price in rows})
"""


@exercise("3.2", "one price list for each country", seconds=20, starter=PRICES)
def price_list(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "price_list")
    url = lab.mount("prices/", answering(answer))
    rows = list(Product.objects.order_by("pk").values_list("pk", "price")[:5])
    wanted = {
        country: {str(pk): f"{price * (100 + tax) / 100:.2f}" for pk, price in rows} for country, tax in TAX.items()
    }
    asked, readers = 0, 0
    for number, browser in enumerate(_forty(lab)):
        country = list(TAX)[number % 4 if number < 36 else (number + 1) % 4]
        visit = Visit()
        with _counting(visit):
            visit.response = browser.get(url, headers={"x-country": country})
        _judge_prices(visit, country, wanted)
        asked += any('FROM "shop_product"' in sql for sql in visit.sql)
        readers += 1
    if asked > len(TAX):
        raise Wrong(_why_so_often(asked, readers))
    return f"{readers} readers, {asked} looks into the database, and the list of each country."


def _forty(lab: "Lab") -> list[Browser]:
    """Forty browsers: customers, strangers, and strangers with a cookie of their own."""
    names = get_user_model()._default_manager.filter(customer__language="").order_by("pk")
    signed_in: list[Any] = [lab.client(name) for name in names.values_list("username", flat=True)[:6]]
    others = [Browser() for _ in range(40 - len(signed_in))]
    for number, browser in enumerate(others[::2]):
        browser.cookies.load({"_ga": f"GA1.1.{number}"})
    # Interleaved, so that each country meets all three kinds.
    return [browser for pair in zip(signed_in, others[:6], strict=True) for browser in pair] + others[6:]


def _counting(visit: Visit) -> Any:
    from ..meter import listening

    return listening(visit, everywhere=True)


def _judge_prices(visit: Visit, country: str, wanted: dict[str, dict[str, str]]) -> None:
    """Raise Wrong unless the visitor from `country` was sent its list."""
    if visit.status != 200:
        raise Wrong(f"a reader from {country!r} gets status {visit.status}, expected 200.")
    try:
        got = visit.response.json()
    except (ValueError, JSONDecodeError):
        raise Wrong(f'a reader from {country!r} reads "{visit.text[:40]}", and no price list.') from None
    if got == wanted[country]:
        return
    others = [other for other, prices in wanted.items() if prices == got]
    if others:
        raise Wrong(f"a reader from {country!r} reads the prices of {others[0]!r}: {varies()}.")
    raise Wrong(f"a reader from {country!r} reads {got}, expected {wanted[country]}.")


def _why_so_often(asked: int, readers: int) -> str:
    lists = learned()
    if not lists:
        return f"right each time, with {asked} looks into the database for {readers} readers: no page is kept."
    if "HTTP_COOKIE" in lists[0]:
        return (
            f"right, with {asked} looks into the database for {readers} readers: {varies()}. Who reads it makes no "
            "difference to a price; a cookie in the key keeps a page for each Cookie header."
        )
    return f"right, with {asked} looks into the database for {readers} readers: {varies()}. The key holds too much."


# 3.3


BY_ROLE = """
def by_role(view):
    def kept(request, *args, **kwargs):
        return ...  # what the view answers, kept for each role
    return kept
"""


@exercise("3.3", "a page for each role", seconds=20, starter=BY_ROLE)
def a_page_for_each_role(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "by_role")
    made: list[str] = []

    def shown(request: HttpRequest, pk: int) -> HttpResponse:
        user = request.user
        role = "staff" if user.is_staff else "customer" if user.is_authenticated else "stranger"
        made.append(f"product {pk} for {role}")
        return HttpResponse(made[-1])

    kept = attempt(answer, shown)
    expect_type(kept, Callable, "what by_role(view) returns")
    url = lab.mount("role/<int:pk>/", answering(kept)).replace("<int:pk>", "7")
    readers = _readers()
    for round in ("first", "second"):
        for who, role in readers:
            read = visited(lab, url, who).text
            if read != f"product 7 for {role}":
                raise Wrong(f'a {role} reads "{read[:60]}" (the {round} time): {_why_another(lab)}')
    if len(made) > 3:
        raise Wrong(_why_so_many(made, len(readers)))
    if visited(lab, url.replace("7", "8")).text != "product 8 for stranger":
        raise Wrong("product 8 shows another product. Its number is in the address: is the address in the key?")
    if lab.client().get(url, headers={"x-role": "staff", "cookie": "role=staff"}).text.endswith("staff"):
        raise Wrong("a stranger who says so is shown the page of the staff. The role is in request.user alone.")
    _judge_lifetime()
    return f"{len(readers)} readers, who come twice each, and {len(set(made)) - 1} pages made."


def _readers() -> list[tuple[str | None, str]]:
    """(who, role) of eight readers, all of one language; staff first, so that a leak is seen."""
    users = get_user_model()._default_manager.filter(customer__language__in=("", "en")).order_by("pk")
    staff, customers = (
        list(users.filter(is_staff=flag, is_superuser=False).values_list("username", flat=True)[:3])
        for flag in (True, False)
    )
    groups = ([(who, "staff") for who in staff], [(who, "customer") for who in customers], [(None, "stranger")] * 2)
    return [reader for group in groups for reader in group]


def _why_another(lab: "Lab") -> str:
    prefixes = {key.removeprefix(PAGE).split(".")[0] for key in entries() if key.startswith(PAGE)}
    if prefixes == {""}:
        return f"{varies()}, and all roles share one key."
    return f"the prefixes of the keys are {', '.join(sorted(map(repr, prefixes)))}. There are three roles."


def _why_so_many(made: list[str], readers: int) -> str:
    if not entries():
        return f"right, and {len(made)} pages made for {readers} readers who come twice: nothing is kept."
    anew = {role for role in ("staff", "customer", "stranger") if sum(page.endswith(role) for page in made) > 3}
    if anew and len(anew) < 3:
        return f"right, and the page is made anew at each visit of: {', '.join(sorted(anew))}. Keep all three."
    return f"right, and {len(made)} pages made for {readers} readers: the key holds who they are, and not their role."


def _judge_lifetime() -> None:
    if any(left == -1 for left in entries().values()):
        raise Wrong("a page is kept for ever: what ends its life?")
    cache.clear()


QUIZZES["03.1"] = Quiz(
    "From notebook 01. Two functions cost the database the same and are asked equally often. The first answers the "
    "same question over and over, the second a new one each time. Which one is worth keeping?",
    [
        ("The second: there is more to keep", "A new question each time is a miss each time. A cache holds answers, "
         "and nobody asks for these again."),
        ("The first", "Work that repeats is the only work that a cache can take away. A page for each reader repeats "
         "less than one page for all: keep that in mind today."),
        ("Both alike: they cost the same", "Cost is one factor of three. What repeats nothing saves nothing, however "
         "dear it is."),
    ],
    right=1,
)  # fmt: skip
QUIZZES["03.2"] = Quiz(
    "From notebook 01. A second database was set beside the first one, and a cache in front of one. What did only the "
    "cache do?",
    [
        ("It took queries away for good", "The second database answered half of the same queries. A hit is a query "
         "that nobody has to answer."),
        ("It halved what each database gets", "That is what the second database did. The sum of the queries stayed "
         "what it was."),
        ("It made each query faster", "Those queries that were still sent took as long as before. The others were not "
         "sent."),
    ],
    right=0,
)  # fmt: skip
QUIZZES["03.3"] = Quiz(
    "A page under cache_page says Vary: Cookie in the browser's tools. Is it kept by reader?",
    [
        ("Yes: the cache goes by Vary", "By what Vary said when the page was stored. The session middleware may have "
         "added its line to the answer on the way out, later."),
        ("It cannot be told from there", "What counts is the list in the cache, learned at the moment of storing. Two "
         "readers, one after the other, will tell; so will the x-ray."),
        ("No: cache_page never looks at Vary", "It does look, and puts into the key what it finds. With vary_on_cookie "
         "inside it finds the cookie."),
    ],
    right=1,
)  # fmt: skip
QUIZZES["03.4"] = Quiz(
    "never_cache stands above cache_page on a function view. A name on the page is wrong. What do you change?",
    [
        ("Nothing there: never_cache forbids storing", "It writes its headers on the way out, after cache_page below "
         "it has stored the page. Browsers obey it, and your own cache never saw it."),
        ("The timeout of cache_page, to a second", "The name is then wrong for a second at a time. A leak is about "
         "whose page it is, and not about how old."),
        ("The order, or better, one of the two", "Inside, never_cache is read in time and nothing is stored. But then "
         "cache_page does nothing at all, and may go."),
    ],
    right=2,
)  # fmt: skip
