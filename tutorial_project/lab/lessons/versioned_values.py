"""Notebook 08: the exercises of its second half, generations and shapes."""

import secrets
import time
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from unittest import mock

from django.core.cache import cache
from django.db import transaction

from ...caching.generations import Namespace
from ...shop.models import Product
from ..entries import entries
from ..exercises import Wrong, attempt, exercise, expect_type
from ..exploring import End, explore
from ..meter import metered
from .backends import lifetime

if TYPE_CHECKING:
    from ..bench import Lab

# 8.2

PLACE = "product:{}:generation"
LOSSES = 300  # more than a byte, or two digits, can tell apart
Remembered = Callable[[int, str, Callable[[], Any]], Any]


def change_generation(pk: int) -> None:
    """What the exercise says that whoever changes a product does, on commit."""
    cache.set(PLACE.format(pk), secrets.token_hex(8), None)


class Computing:
    """A function that counts its calls, and answers with what it is told to."""

    def __init__(self, value: Any) -> None:
        self.value, self.calls = value, 0

    def __call__(self) -> Any:
        self.calls += 1
        return self.value


@exercise("8.2", "a generation, by hand", seconds=20, commits=True)
def a_generation_by_hand(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "remembered")
    judge_values(answer, lab)
    judge_lives(answer, lab)
    judge_changes(answer, lab)
    found = every_order(answer)
    return f"a lost generation brings nothing back, and it is {found}."


def asked(answer: Remembered, pk: int, what: str, compute: Computing, wanted: Any, when: str) -> None:
    """Call remembered(). Raises Wrong where it does not give `wanted`."""
    found = attempt(answer, pk, what, compute)
    if found != wanted or (found is None) is not (wanted is None):
        raise Wrong(f"{when}, remembered({pk}, {what!r}, …) gives {found!r}, expected {wanted!r}.")


def judge_values(answer: Remembered, lab: "Lab") -> None:
    """Raise Wrong unless values are kept, each for itself."""
    for value in ("10.00", None, 0):
        lab.empty_cache()
        compute = Computing(value)
        asked(answer, 7, "price", compute, value, "at first")
        stored = set(entries())
        asked(answer, 7, "price", compute, value, "asked again")
        if compute.calls > 1:
            raise Wrong(f"{value!r} is computed {compute.calls} times in two calls. {why_again(value, stored)}")
    asked(answer, 7, "label", Computing("a label"), "a label", "with the price kept")
    asked(answer, 8, "price", Computing("99.00"), "99.00", "with product 7 kept")
    with metered() as reading:
        asked(answer, 7, "label", Computing("again"), "a label", "asked again")
    if (trips := reading.trips["default"]) > 2:
        raise Wrong(f"a hit takes {trips} round trips. Two are enough: the generation, and the value under it.")


def why_again(value: Any, stored: set[str]) -> str:
    """Why `value` was computed a second time, with `stored` there after the first."""
    if value is None:
        return "get(key, missing) tells a stored None from nothing."
    if set(entries()) - stored:
        return "The second call stores it under another name than the first: read the generation that is there."
    if stored - {PLACE.format(7)}:
        return "It is stored, but compute() comes before the look-up: ask the cache first, and compute on a miss."
    return "Is it stored, and found?"


def judge_lives(answer: Remembered, lab: "Lab") -> None:
    """Raise Wrong unless the generation lives for ever, and the value for ten minutes."""
    lab.empty_cache()
    asked(answer, 7, "price", Computing("10.00"), "10.00", "at first")
    kept = entries()
    if (left := kept.pop(PLACE.format(7), None)) is None:
        if any(":generation=" in name for name in kept):
            raise Wrong(f"that is Namespace: here with `cache` alone, and the generation under {PLACE.format(7)!r}.")
        there = ", ".join(map(repr, sorted(kept))) or "nothing"
        raise Wrong(f"there is no {PLACE.format(7)!r} after the first call, it holds {there}. Draw one, and add it.")
    if left != -1:
        raise Wrong(
            f"the generation lives {lifetime(left)}. Give it timeout=None: when it ends, all that hangs on it is lost."
        )
    if any(not 590 <= left <= 600 for left in kept.values()):
        raise Wrong(f"the value lives {lifetime(next(iter(kept.values())))}, and should for 600.")


def judge_changes(answer: Remembered, lab: "Lab") -> None:
    """Raise Wrong where a changed generation shows an old value, or a lost one does."""
    lab.empty_cache()
    asked(answer, 7, "price", Computing("10.00"), "10.00", "at first")
    change_generation(7)
    asked(answer, 7, "price", Computing("20.00"), "20.00", "after a change, with another generation stored")
    cache.delete(PLACE.format(7))
    found = attempt(answer, 7, "price", Computing("20.00"))
    if found == "10.00":
        raise Wrong(
            "the generation was lost, and '10.00' is back, the price from before the change: one that begins again "
            "brings back what was stored under it. Draw one at random."
        )
    if found != "20.00":
        raise Wrong(f"after the generation was lost, remembered(7, 'price', …) gives {found!r}, expected '20.00'.")
    judge_losses(answer, lab)


def judge_losses(answer: Remembered, lab: "Lab") -> None:
    """Raise Wrong where a generation is drawn from so few that one of `LOSSES` is a second time the same."""
    lab.empty_cache()  # what comes back is then the value of one of these losses
    for loss in range(LOSSES):
        cache.delete(PLACE.format(7))
        if (found := attempt(answer, 7, "price", Computing(loss))) != loss:
            raise Wrong(
                f"lost once it is right; lost {loss} times, and the value of loss {found} is back: drawn from so few, "
                "the same one comes again. Sixteen random characters are enough for ever."
            )
    judge_clock(answer, lab)


def judge_clock(answer: Remembered, lab: "Lab") -> None:
    """Raise Wrong where a generation is the time: the same twice within a tick, or where the clock is put back."""
    lab.empty_cache()
    stands = time.time_ns()
    with mock.patch("time.time", lambda: stands / 1e9), mock.patch("time.time_ns", lambda: stands):
        for loss in range(2):
            cache.delete(PLACE.format(7))
            if attempt(answer, 7, "price", Computing(loss)) != loss:
                raise Wrong(
                    "the clock stood still, or was put back: two losses at one time draw the same generation, and the "
                    "value from before is back. Draw it at random: secrets.token_hex(8)."
                )


def every_order(answer: Remembered) -> str:
    """What `explore` finds of a reader and a writer; raises Wrong where it finds a stale order."""

    def price() -> Decimal:
        return Product.objects.values_list("price", flat=True).get(pk=7)

    def given() -> None:
        Product.objects.filter(pk=7).update(price=10)
        change_generation(7)

    def reader() -> Any:
        return answer(7, "price", price)

    def writer() -> None:
        with transaction.atomic():
            Product.objects.filter(pk=7).update(price=20)
            transaction.on_commit(lambda: change_generation(7))

    def stale(end: End) -> bool:
        return reader() != price()

    found = explore(reader, writer, given=given, never=stale)
    if found.bad:
        steps = [step.what.split(":generation")[0] for step in found.shortest if step.actor == "reader"]
        raise Wrong(
            f"one after the other it is right; with a writer between its steps it is {found}. The reader's own: "
            f"{', '.join(steps)}. What comes first, the generation under which you store, or the row?"
        )
    return str(found)


# 8.3

CARD = 42


def old_card(pk: int) -> str:
    """The release that is running, as the exercise gives it."""

    def row() -> Any:
        return Product.objects.values("name_en", "price").get(pk=pk)

    card = Namespace("product", pk).get_or_set("card", row, 600)
    return f"{card['name_en']}: {card['price']:.2f}"


@exercise("8.3", "two releases, one cache", seconds=15)
def two_releases(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "new_card")
    judge_alone(answer, lab)
    for first in ("old", "new"):
        lab.empty_cache()
        for release in (first, "new" if first == "old" else "old", "old", "new"):
            served(answer, release, f"with {first} code first")
    judge_hit(answer)
    Product.objects.filter(pk=CARD).update(price=Decimal("77.50"))
    Namespace("product", CARD).bump()
    for release in ("old", "new"):
        served(answer, release, "after a change of the price, which bumped the product's namespace")
    for left in entries().values():
        if left != -1 and not 590 <= left <= 600:
            raise Wrong(f"an entry lives {lifetime(left)}; both releases keep theirs for 600.")
    return "two shapes side by side, each computed once, and one bump forgets both."


def judge_alone(answer: Callable[[int], Any], lab: "Lab") -> None:
    """Raise Wrong where new_card, with no other release beside it, keeps nothing, or a text, or asks at each call."""
    lab.empty_cache()
    served(answer, "new", "alone")
    namespace = Namespace("product", CARD)
    word, kept = cache.get(namespace.generation_key), set(entries()) - {namespace.generation_key}
    if any(" left" in value for value in map(cache.get, kept) if isinstance(value, str)):
        raise Wrong(
            "what it keeps is the finished text. Keep `name`, `cents` and `stock`: who shows them otherwise, say in "
            "another language, can then use the same entry."
        )
    with metered() as reading:
        attempt(answer, CARD)
    if not reading.queries:
        return
    if cache.get(namespace.generation_key) != word:
        raise Wrong(
            "each call of new_card bumps, and so throws away what both releases keep. Who bumps is who changes."
        )
    why = "It keeps something: is all that it shows among it, the stock too?" if kept else "It keeps nothing."
    raise Wrong(f"asked again, new_card sends a query ({reading.queries} in all). {why}")


def served(answer: Callable[[int], Any], release: str, when: str) -> None:
    """Let a release show the card. Raises Wrong where it fails, or shows something else than the database says."""
    product = Product.objects.get(pk=CARD)
    wanted = f"{product.name_en}: {product.price:.2f}"
    if release == "new":
        wanted += f", {product.stock} left"
    try:
        found = attempt(answer, CARD) if release == "new" else old_card(CARD)
    except (KeyError, TypeError, IndexError) as error:
        if release == "new" and not entries():
            raise
        told = f"{type(error).__name__}: {error}"
        whose = (
            "new_card fails on what old_card stored" if release == "new" else "old_card fails on what new_card stored"
        )
        raise Wrong(f"{when}, {whose}, {told}. Two shapes cannot lie under one name.") from None
    if found != wanted:
        hint = "" if "after" not in when else " Does its entry hang on the generation that was bumped?"
        raise Wrong(f"{when}, {release}_card({CARD}) gives {found!r}, expected {wanted!r}.{hint}")


def judge_hit(answer: Callable[[int], Any]) -> None:
    """Raise Wrong unless both releases find what they stored."""
    with metered() as reading:
        attempt(answer, CARD)
        old_card(CARD)
        attempt(answer, CARD)
    if reading.queries:
        raise Wrong(
            f"both have stored their card, and three calls send {reading.queries} queries. Does one of them throw away "
            "what the other one needs, or is nothing kept?"
        )
