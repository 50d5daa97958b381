"""Notebook 07: its exercises."""

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from django.core.cache import cache
from django.db import IntegrityError, transaction

from ...shop import kept
from ...shop.models import Product
from ..entries import entries
from ..exercises import Wrong, attempt, exercise, expect_type
from ..exploring import explore
from .backends import lifetime

if TYPE_CHECKING:
    from ..bench import Lab

OLD, NEW = Decimal("10.00"), Decimal("20.00")


def detail(pk: int) -> str:
    """The key under which the shop keeps a product's details."""
    return f"product:{pk}:detail"


def price_of(pk: int) -> Decimal:
    """The price that the database has."""
    return Product.objects.values_list("price", flat=True).get(pk=pk)


# 7.1: what the learner is given to repair

TOO_EARLY = """
def import_prices(prices):
    with transaction.atomic():
        for pk, price in prices.items():
            Product.objects.filter(pk=pk).update(price=price)
            cache.delete(f"product:{pk}:detail")
"""


@exercise("7.1", "the import that clears too early", seconds=20, starter=TOO_EARLY, commits=True)
def clears_too_early(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "import_prices")
    judge_cleared(answer)
    judge_all_or_nothing(answer)
    found = explore(
        reader_of(42), partial_named("import_prices", attempt, answer, {42: NEW}), given=given(42), never=stale(42)
    )
    if found.bad > 0.25 * found.orders:
        raise Wrong(
            f"{found} with one reader. A deletion that comes after the commit is at 3 of 20: until the commit every "
            "reader finds the old row, and stores it again."
        )
    judge_within_another(answer)
    was = "12 of 20"
    if found.orders != 20:
        was += " (yours has other steps, so compare the shares)"
    return f"{found} with one reader, where it was {was}; and nothing is cleared for an import that fails."


def judge_cleared(answer: Callable[..., Any]) -> None:
    """Raise Wrong unless the prices are written, their products cleared, and the others left."""
    prices = {42: Decimal("21.00"), 7: Decimal("22.00"), 43: Decimal("23.00")}
    for pk in (*prices, 41):
        kept.product_detail(pk)
    attempt(answer, dict(prices))
    for pk, price in prices.items():
        if price_of(pk) != price:
            raise Wrong(f"the import says {price} for product {pk}, and the database has {price_of(pk)}.")
    there = entries()
    left = [pk for pk in prices if detail(pk) in there]
    if len(left) == len(prices):
        if not isinstance(cache.get(detail(left[0])), dict):
            raise Wrong(
                f"{detail(left[0])!r} holds {cache.get(detail(left[0]))!r} after the import, and the shop keeps "
                "more than a price there. Delete it: the next reader stores what belongs there."
            )
        raise Wrong(
            f"after the import of {len(prices)} prices all their entries are still there, {detail(left[0])!r} for one. "
            "Who deletes that key?"
        )
    if left:
        gone = next(pk for pk in prices if pk not in left)
        raise Wrong(
            f"{detail(gone)!r} is gone, and {detail(left[0])!r} is still there. A function that is called on commit "
            "looks at its names then: in a loop, `pk` is the last one by that time."
        )
    if detail(41) not in there:
        raise Wrong(f"{detail(41)!r} is gone as well, and nobody changed product 41. Delete what was imported.")


def judge_all_or_nothing(answer: Callable[..., Any]) -> None:
    """Raise Wrong where an import that fails half way is half written, or has cleared what is still true."""
    kept.product_detail(42)
    before, half = price_of(42), {42: Decimal("24.00"), 43: None}
    try:
        attempt(answer, half)
    except IntegrityError:
        pass
    else:
        raise Wrong("an import with a price of None, which the database refuses, ended as if all were well.")
    if price_of(42) != before:
        raise Wrong("the second price was refused, and the first one is written: half an import. One atomic() for all.")
    if detail(42) not in entries():
        raise Wrong(
            f"{detail(42)!r} is gone after an import that was rolled back: the old price is true, and its entry was. "
            "What is to happen only if the transaction commits goes into transaction.on_commit."
        )


def judge_within_another(answer: Callable[..., Any]) -> None:
    """Raise Wrong where it clears before the commit of a transaction that the caller has begun."""
    Product.objects.filter(pk=42).update(price=OLD)
    kept.product_detail(42)
    try:
        with transaction.atomic():
            attempt(answer, {42: NEW})
            early = detail(42) not in entries()
    except RuntimeError as error:
        if "durable" not in str(error):
            raise
        raise Wrong(
            f"called within another transaction, it raises {error!r}. What was kept is to go when that one "
            "commits, whoever has begun it: it may be called within one. transaction.on_commit waits for the outermost."
        ) from None
    if early:
        raise Wrong(
            "called within another transaction, as from a view under ATOMIC_REQUESTS, it clears before that one "
            "commits. transaction.on_commit waits for the outermost."
        )
    if detail(42) in entries():
        raise Wrong("called within another transaction it clears nothing, not even after that one has committed.")


def given(pk: int) -> Callable[[], None]:
    """What each order begins with: the old price."""

    def old_price() -> None:
        Product.objects.filter(pk=pk).update(price=OLD)

    return old_price


def reader_of(pk: int) -> Callable[[], Any]:
    """A reader in three steps: get, SELECT, set."""

    def reader() -> None:
        if cache.get(detail(pk)) is None:
            cache.set(detail(pk), price_of(pk), 60)

    return reader


def stale(pk: int) -> Callable[[Any], bool]:
    """Whether the entry is there, and is not what the database has."""

    def stale(end: Any) -> bool:
        return cache.get(detail(pk), price_of(pk)) != price_of(pk)

    return stale


def partial_named(name: str, function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    """`function` with its arguments, under a name for the diagram."""
    actor = partial(function, *args)
    actor.__name__ = name  # type: ignore[attr-defined]
    return actor


# 7.3

KEY = "product:42:price"


def get_or_set() -> Any:
    """The reader of the exercise."""
    return cache.get_or_set(KEY, lambda: price_of(42), 600)


def next_is_stale(end: Any) -> bool:
    """Whether the next reader gets another price than the database has."""
    return bool(get_or_set() != price_of(42))


next_is_stale.__name__ = "stale"  # the word in the report


@exercise("7.3", "a writer that beats on_commit", seconds=25, commits=True)
def beats_on_commit(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "change")
    judge_changes(answer)
    judge_rolled_back(answer)
    writer = partial_named("change", attempt, answer, NEW)
    cold = explore(get_or_set, writer, given=given(42), never=next_is_stale)

    def kept_before() -> None:
        given(42)()
        get_or_set()

    warm = explore(get_or_set, writer, given=kept_before, never=next_is_stale)
    for found, where in ((cold, "nothing kept"), (warm, "the old price kept")):
        if found.bad:
            first = "; ".join(f"{step.actor}: {step.what}" for step in found.shortest)
            raise Wrong(f"with {where} at first, {found}. The shortest: {first}.")
    other = partial_named("other", attempt, answer, Decimal("30.00"))
    both = explore(get_or_set, writer, other, given=given(42), never=next_is_stale, preemptions=2)
    return f"{cold}, and {warm} where it was kept. With a second writer it is {both}: notebook 11 goes on from there."


def judge_changes(answer: Callable[..., Any]) -> None:
    """Raise Wrong unless it changes the price, and readers are served it from the cache."""
    given(42)()
    get_or_set()
    attempt(answer, NEW)
    if price_of(42) != NEW:
        raise Wrong(f"change({NEW}) leaves the database at {price_of(42)}.")
    shown = get_or_set()
    if shown == OLD and stores_where_nothing_is(answer):
        raise Wrong(
            f"change({NEW}) stores the new price where nothing is kept. The old price was kept here, and the next "
            f"reader gets {shown!r}: `add` stores only where nothing is."
        )
    if shown != NEW:
        raise Wrong(f"change({NEW}) alone, nobody beside it: the next reader gets {shown!r}.")
    left = entries().get(KEY)
    if left is None or not 590 <= left <= 600:
        seen = "is not there" if left is None else f"lives {lifetime(left)}"
        raise Wrong(f"after it, and a reader, {KEY!r} {seen}; it should live for 600, as the readers store it.")


def stores_where_nothing_is(answer: Callable[..., Any]) -> bool:
    """Whether it stores the new price itself, if none is kept."""
    given(42)()
    cache.delete(KEY)
    attempt(answer, NEW)
    return bool(cache.get(KEY) == NEW)


def judge_rolled_back(answer: Callable[..., Any]) -> None:
    """Raise Wrong where a transaction that is rolled back leaves its price in the cache."""
    given(42)()
    cache.delete(KEY)
    with suppress(RolledBack), transaction.atomic():
        attempt(answer, NEW)
        raise RolledBack
    if get_or_set() != OLD:
        raise Wrong(
            f"called within a transaction that is rolled back, it leaves {NEW} in the cache: a price that never was. "
            "The cache knows nothing of transactions, and an atomic() within another commits nothing: "
            "transaction.on_commit waits for the outermost."
        )


class RolledBack(Exception):
    """Ends a transaction."""
