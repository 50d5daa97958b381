"""Notebook 05: its exercises."""

from collections.abc import Callable, Sized
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.core.cache import cache
from django.db.models import QuerySet
from django.utils import translation

from ...caching.metering import CacheCall, Event
from ...shop.models import Product
from ..entries import entries
from ..exercises import Wrong, attempt, exercise, expect_type
from ..meter import Reading, listening, metered
from .backends import lifetime

if TYPE_CHECKING:
    from ..bench import Lab

# 5.1: what the learner is given to repair
STILL_ASKS = """
def best_sellers():
    ranking = cache.get_or_set("best_sellers", Product.objects.expensive_ranking, 600)
    return [f"{product.name}, {product.tenant.name}" for product in ranking[:5]]
"""


@exercise("5.1", "the box that still asks", seconds=15, starter=STILL_ASKS)
def still_asks(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "best_sellers")
    first, again = lines_of(answer, "en"), lines_of(answer, "en")
    lines_of(answer, "de")
    german = lines_of(answer, "de")
    own = {key: left for key, left in entries().items() if key.startswith("best_sellers")}
    judge_hits(first, max(again.queries, german.queries), own)
    for key, left in own.items():
        if not 590 <= left <= 600:
            raise Wrong(f"{key!r} lives {lifetime(left)}, and should for 600.")
        stored = cache.get(key)
        if isinstance(stored, Sized) and not isinstance(stored, str | bytes) and len(stored) > 5:
            raise Wrong(
                f"hits ask nothing, and {key!r} holds {len(stored):,} rows for a box that shows five. "
                "Cut before you store: what is pickled is all of it."
            )
        if isinstance(stored, QuerySet):
            raise Wrong(
                f"hits ask nothing, and {key!r} holds a {type(stored).__name__}: the rows, and with them the query "
                "object, which another version of Django may not be able to use. Store a list of the rows."
            )
    return f"{first.queries} for the first visit, none for the next; five rows are kept, right in both languages."


def lines_of(answer: Callable[..., Any], language: str) -> Reading:
    """Call it in a language. Raises Wrong where its lines are not those of the database; returns what it cost."""
    ranking = Product.objects.expensive_ranking().select_related("tenant")[:5]
    with translation.override(language):
        wanted = [f"{product.name}, {product.tenant.name}" for product in ranking]
        with metered() as reading:
            found = attempt(answer)
    if isinstance(found, QuerySet) or (isinstance(found, list) and any(isinstance(row, Product) for row in found)):
        raise Wrong("best_sellers() gives products. The box shows five texts, as it did: name, comma, store.")
    expect_type(found, list, "best_sellers()")
    if found == wanted:
        return reading
    with translation.override("en"):
        english = [f"{product.name}, {product.tenant.name}" for product in ranking]
    if language == "de" and found == english:
        raise Wrong(
            f"a German reader gets {found[0]!r}: the texts are kept as the first reader saw them. Keep the rows and "
            "write the texts after the look-up, or let the language follow `best_sellers` in the key."
        )
    shown = f"{len(found)} texts" if len(found) != 5 else repr(found[0])
    raise Wrong(f"best_sellers() gives {shown}; expected are five, the first of them {wanted[0]!r}.")


def judge_hits(first: Reading, queries: int, own: dict[str, int]) -> None:
    """Raise Wrong unless a hit asks the database nothing, and say why it does."""
    if not own:
        kept = ", ".join(map(repr, sorted(entries()))) or "nothing"
        where = f"the cache server holds {kept}" if kept != "nothing" or queries else "it holds nothing"
        raise Wrong(f"there is no entry called 'best_sellers': {where}. Who else would find it?")
    if queries == 5:
        raise Wrong(
            "the rows are found in the cache, and each visit sends 5 queries all the same: one for the store of each "
            'row. What is stored with a row is what was loaded with it: select_related("tenant").'
        )
    if queries:
        raise Wrong(
            f"the entry is there, and a visit sends {queries} queries. Is something asked before the cache is? What "
            "get_or_set is to compute on a miss alone goes into a function."
        )


# 5.2

KNOWN, UNKNOWN = [12, 3, 7], 987654


@exercise("5.2", "many in one trip", seconds=15)
def many_in_one_trip(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "cards")
    wanted = {pk: Product.objects.get(pk=pk) for pk in KNOWN} | {UNKNOWN: None}
    first = cards_of(answer, wanted)
    judge_kept(list(wanted))
    if first.queries > 1:
        raise Wrong(f"{first.queries} queries for {len(wanted)} products nobody had. in_bulk(pks) takes one for all.")
    again = cards_of(answer, wanted)
    if again.queries:
        why = (
            "everything was stored a moment ago. Is the query sent before the cache has been asked?"
            if cost(answer, KNOWN).queries
            else f"it is for product {UNKNOWN}, which does not exist: that is an answer too. Store None for it, and "
            "look with `in` for what get_many did not give."
        )
        raise Wrong(f"asked again, it sends {again.queries} queries: {why}")
    if (trips := again.trips["asked"]) > 1:
        raise Wrong(f"{trips} round trips for {len(wanted)} products that are all there. get_many takes all keys.")
    more = cards_of(answer, wanted | {20: Product.objects.get(pk=20), 21: Product.objects.get(pk=21)})
    if more.queries > 1 or more.trips["asked"] > 2:
        raise Wrong(
            f"with 2 of 6 missing it took {more.queries} queries and {more.trips['default']} round trips; one and two "
            "are enough: get_many, one query for the missing, set_many."
        )
    judge_from_cache(answer)
    cards_of(answer, {})
    return "four in one query and two trips, then in one trip and no query; the one that does not exist, too."


def cost(answer: Callable[..., Any], pks: list[int]) -> Reading:
    """What cards(pks) costs."""
    with metered() as reading:
        attempt(answer, pks)
    return reading


def cards_of(answer: Callable[..., Any], wanted: dict[int, Product | None]) -> Reading:
    """Call cards() for these. Raises Wrong where it gives something else; returns what it cost."""
    pks = list(wanted)
    with metered() as reading, listening(lambda event: count_trip(event, reading)):
        found = attempt(answer, list(pks))
    expect_type(found, dict, f"cards({pks})")
    if lost := [pk for pk in pks if pk not in found]:
        kinds = {type(key).__name__ for key in found}
        why = "Its keys are the keys of the cache: give the numbers back." if kinds == {"str"} else ""
        if lost == [UNKNOWN]:
            why = "It does not exist, and None should say so."
        raise Wrong(f"cards({pks}) has no {lost[0]}. {why}".strip())
    for pk, product in wanted.items():
        if found[pk] != product:
            raise Wrong(f"cards({pks})[{pk}] is {found[pk]!r}, expected {product!r}.")
    with metered() as shown:
        [product.tenant.name for product in found.values() if product is not None]
    if shown.queries:
        raise Wrong(f'showing the stores took {shown.queries} more queries: load them too, select_related("tenant").')
    return reading


def count_trip(event: Event, reading: Reading) -> None:
    """Count a call that reaches the cache server: one for no keys at all stays at home."""
    if isinstance(event, CacheCall) and event.keys and not event.parts:
        reading.trips["asked"] += 1


def judge_kept(pks: list[int]) -> None:
    """Raise Wrong unless each product has an entry of its own, for ten minutes."""
    kept = entries()
    for pk in pks:
        if (key := f"product:{pk}:card") not in kept:
            if pk == UNKNOWN:
                raise Wrong(f"there is no {key!r}: that a product does not exist is worth remembering too. Store None.")
            there = ", ".join(map(repr, sorted(kept)[:2])) or "nothing"
            raise Wrong(f"after a call the cache server has no {key!r}; it holds {there}.")
        if not 590 <= kept[key] <= 600:
            raise Wrong(f"{key!r} lives {lifetime(kept[key])}, and should for 600. set_many takes a timeout, too.")


def judge_from_cache(answer: Callable[..., Any]) -> None:
    """Raise Wrong where the rows that were found are loaded anew, together with the missing ones."""
    Product.objects.filter(pk=KNOWN[0]).update(price=Decimal("0.01"))
    found = attempt(answer, [KNOWN[0], 22])
    if found[KNOWN[0]].price == Decimal("0.01"):
        raise Wrong(f"product {KNOWN[0]} was in the cache, and was loaded again with a missing one. Load those alone.")


# 5.3


class Service:
    """An outside service of which a test says what it answers, and which counts how often it is asked."""

    def __init__(self, rate: Decimal | None) -> None:
        self.rate, self.calls = rate, 0

    def __call__(self, currency: str) -> Decimal | None:
        self.calls += 1
        return self.rate


GOOD, NEW = Decimal("1.0843"), Decimal("1.1000")
HALF_A_DAY = 43_200


@exercise("5.3", "the last good rate", seconds=10)
def last_good_rate(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "steady_rate")
    service = Service(GOOD)
    asked(answer, service, GOOD, "while the service answers")
    asked(answer, service, GOOD, "while the service answers")
    if service.calls > 1:
        raise Wrong(f"two calls asked the service {service.calls} times. What it said is good for 600 seconds.")
    lives("rate:USD", 600, "what the service said")
    lives("rate:USD:last", 86_400, "the last good rate")
    passes(600, "rate:USD")
    cache.touch("rate:USD:last", HALF_A_DAY)
    service.rate = None
    service.calls = 0
    asked(answer, service, GOOD, "after ten minutes, with the service away")
    lives("rate:USD", 10, "what stands in for an answer that did not come")
    asked(answer, service, GOOD, "with the service away, for the second time")
    if service.calls > 1:
        raise Wrong(f"with the service away two calls asked it {service.calls} times: each waits. Once in 10 seconds.")
    if entries().get("rate:USD:last", 0) > HALF_A_DAY:
        raise Wrong(
            "the service is away, and 'rate:USD:last' has been stored anew: with a failure every ten seconds the last "
            "rate never dies. Its day begins when the service said it."
        )
    passes(10, "rate:USD")
    service.rate = NEW
    asked(answer, service, NEW, "ten seconds later, with the service back")
    never = Service(None)
    cache.clear()
    asked(answer, never, None, "for a rate that nobody ever had")
    asked(answer, never, None, "for a rate that nobody ever had")
    if never.calls > 1:
        raise Wrong(
            f"a rate that nobody ever had was asked for {never.calls} times in two calls. None stands in the cache for "
            "10 seconds then: get(key, MISSING) tells it from nothing."
        )
    return "asked once in ten minutes, or once in ten seconds while it is away; the last good rate stood in."


def asked(answer: Callable[..., Any], service: Service, wanted: Decimal | None, when: str) -> None:
    """Call steady_rate. Raises Wrong where it does not give `wanted`."""
    found = attempt(answer, "USD", service)
    if found != wanted or (found is None) is not (wanted is None):
        why = {None: " rate:USD:last has it." if wanted == GOOD else ""}.get(found, "")
        if wanted == NEW and found == GOOD:
            why = " What the service says now comes before what it said."
        raise Wrong(f"{when}, steady_rate gives {found!r}, expected {wanted!r}.{why}")


def lives(key: str, seconds: int, what: str) -> None:
    """Raise Wrong unless the entry `key` is there, and lives for so many seconds."""
    if key not in (kept := entries()):
        there = ", ".join(map(repr, sorted(kept))) or "nothing"
        raise Wrong(f"{what} is not under {key!r}: the cache server holds {there}.")
    if not seconds * 0.95 - 1 <= kept[key] <= seconds:
        raise Wrong(f"{what}, {key!r}, lives {lifetime(kept[key])}, and should for {seconds}.")


def passes(seconds: int, key: str) -> None:
    """Let what lives for `seconds` be over: the entry is gone."""
    cache.delete(key)
