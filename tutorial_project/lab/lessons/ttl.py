"""Notebook 06: its exercises."""

import math
import time
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.core.cache import caches

from ...caching.metering import CacheCall, Event
from ...caching.time_limit import TimeUp, within
from ...shop.models import Product
from .. import theory
from ..exercises import Wrong, attempt, exercise, expect_type
from ..meter import Reading, listening, metered
from ..recorded_time import recorded_time
from .backends import lifetime

if TYPE_CHECKING:
    from ..bench import Lab

# 6.1: what the learner is given to repair
NEVER_LETS_GO = """
def price_of(pk):
    key = f"price:{pk}"
    if (price := cache.get(key)) is None:
        price = Product.objects.get(pk=pk).price
        cache.set(key, price, 60)
    cache.touch(key, 60)
    return price
"""
EVERY, UNTIL, CHANGES = 10, 600, {25: Decimal("1.00"), 305: Decimal("2.00")}  # seconds: price


@exercise("6.1", "the price that never lets go", seconds=15, starter=NEVER_LETS_GO)
def never_lets_go(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "price_of")
    first = {pk: Product.objects.get(pk=pk).price for pk in (42, 43)}
    true, oldest, lives = {0: first[42]}, 0, _Lives()
    with recorded_time() as clock, metered() as reading, listening(lives):
        for pk, price in first.items():
            _is_price(pk, attempt(answer, pk), {price}, first)
        for now in range(EVERY, UNTIL + 1, EVERY):
            clock.at(now)
            for at in [at for at in CHANGES if at <= now and at not in true]:
                true[at] = CHANGES[at]
                Product.objects.filter(pk=42).update(price=true[at])
            got = attempt(answer, 42)
            _is_price(42, got, set(true.values()), first)
            if (old := _old(got, true, now)) > 60:
                raise Wrong(_why_old(reading, lives.longest, old, now))
            oldest = max(oldest, old)
    asked = reading.queries - len(CHANGES)  # those were the judge's own
    judge_asked(asked, reading)
    return f"read every {EVERY} seconds for ten minutes, wrong for {oldest} seconds at most, asked {asked - 1} times."


def _is_price(pk: int, got: Any, known: set[Decimal], first: dict[int, Decimal]) -> None:
    """Raise Wrong where `got` is no price that the product has ever had."""
    if got in known:
        return
    if got in first.values():
        raise Wrong(f"price_of({pk}) gives {got}, the price of another product: whose is in the key?")
    expected = " or ".join(str(price) for price in sorted(known))
    raise Wrong(f"price_of({pk}) gives {got!r}, expected {expected}.")


def _old(got: Decimal, true: dict[int, Decimal], now: int) -> int:
    """For how many seconds another price has been true."""
    later = [at for at in true if at > max(start for start, price in true.items() if price == got)]
    return now - min(later, default=now)


class _Lives:
    """A listener that remembers the longest life, in seconds, that an entry of the cache was given."""

    def __init__(self) -> None:
        self.longest = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, CacheCall) and event.operation in ("set", "add", "touch", "set_many"):
            self.longest = max([self.longest, *_lives(time.time())])


def _lives(now: float) -> list[float]:
    """How many seconds each entry has left."""
    ends = caches["default"]._expire_info.values()  # type: ignore[attr-defined]  # LocMemCache's own
    return [math.inf if end is None else end - now for end in ends]


def _why_old(reading: Reading, longest: float, old: int, now: int) -> str:
    said = f"after {now} seconds price_of(42) still gives a price that was changed {old} seconds before."
    if not reading.operations:
        return f"{said} It is kept, but not in Django's cache: who lets go of it there, and in the other processes?"
    if longest > 61:
        return f"{said} The entry lives {lifetime(longest)}, and should for 60."
    if reading.operations["touch"]:
        return f"{said} Each visit lengthens the entry's life (touch), so while it is asked for it never ends."
    return f"{said} Each visit stores what it has found once more, and with it another 60 seconds."


def judge_asked(asked: int, reading: Reading) -> None:
    """Raise Wrong where the database was asked more often than once a minute, and say why."""
    reads = UNTIL // EVERY + 2
    if not reading.operations and asked < reads:
        raise Wrong("it is kept in a memory of this process alone. Keep it in Django's cache, for all of them.")
    if asked >= reads:
        said = f"never more than a minute old, and the database was asked on each of {asked} calls"
        if any(use.hits for use in reading.uses.values()):
            raise Wrong(
                f"{said}, hits too. Does the query run before the cache has been asked? Hand a function over "
                "(a lambda), which get_or_set calls on a miss alone."
            )
        raise Wrong(f"{said}: nothing was found in the cache. Is the price stored, and for how long?")
    if asked > UNTIL // 60 + 3:
        raise Wrong(
            f"never more than a minute old, but the database was asked {asked - 1} times in ten minutes for one "
            "product. Once a minute is enough: which timeout does the entry have?"
        )


# 6.2

LONG = 2  # seconds, for a search
CASES = ((1.0, 1 / 60, 0.05), (0.2, 1 / 120, 0.2), (20.0, 1 / 3600, 0.01), (0.05, 1 / 600, 0.1))


@exercise("6.2", "the longest lifetime that keeps the promise", seconds=10)
def longest_lifetime(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "ttl_for")
    told = []
    for reads, writes, stale in CASES:
        ttl = _searched(answer, reads, writes, stale)
        expect_type(ttl, float, _call(reads, writes, stale))
        judge_lifetime(float(ttl), reads, writes, stale)
        told.append(f"{ttl:.1f}")
    return f"{' s, '.join(told)} s: as many stale answers as are allowed, and no lifetime left unused."


def _call(reads: float, writes: float, stale: float) -> str:
    return f"ttl_for({reads:g}, 1/{1 / writes:.0f}, {stale:g})"


def _searched(answer: Any, reads: float, writes: float, stale: float) -> Any:
    """What the learner's function gives; raises Wrong where it is still searching after a while."""
    began = time.monotonic()
    try:
        return within(LONG, lambda: attempt(answer, reads, writes, stale))
    except TimeUp:
        if time.monotonic() - began < LONG:  # it is the limit of the exercise
            raise
        raise Wrong(
            f"{_call(reads, writes, stale)} has found nothing in {LONG} seconds. Does the loop wait until low "
            "meets high? They come as close as two numbers can, and there the middle is one of them. Halve sixty "
            "times, or until they are close enough."
        ) from None


def judge_lifetime(ttl: float, reads: float, writes: float, stale: float) -> None:
    """Raise Wrong unless `ttl` seconds make a share of `stale` answers stale, to a hundredth of it."""
    call = _call(reads, writes, stale)
    if not math.isfinite(ttl) or ttl <= 0:
        early = " Does the search end before it has found one?" if ttl == 0 else ""
        raise Wrong(f"{call} gives {ttl:g}: a lifetime is a number of seconds above 0.{early}")
    found = theory.stale_share(reads, writes, ttl)
    if abs(found / stale - 1) < 0.01:
        return
    said = f"{call} gives {ttl:.4g} s: {found:.4f} of the answers are stale then, {stale:g} are allowed."
    if why := _another_question(ttl, reads, writes, stale):
        raise Wrong(f"{said} {why}")
    if found > stale:
        raise Wrong(f"{said} {_too_long(ttl, writes)}")
    raise Wrong(f"{said} It can be longer. {_too_short(ttl, writes, stale)}".strip())


def _another_question(ttl: float, reads: float, writes: float, stale: float) -> str:
    """What the lifetime would be right for, or nothing."""

    def asked(share: float) -> bool:
        return math.isclose(share, stale, rel_tol=0.005)

    if asked(theory.stale_share(writes, reads, ttl)):
        return (
            "It would be right for a value that is changed so often and read so seldom: are reads and writes swapped?"
        )
    if asked(theory.stale_share_regular(reads, writes, ttl)):
        return "It would be right for changes that come evenly. Here they come at random: theory.stale_share."
    if asked(theory.stale_of_uniform(writes * ttl)):
        return "Is it the share of the hits? The misses are fresh, and count among the answers."
    if ttl != int(ttl):
        return ""
    near = [theory.stale_share(reads, writes, whole) <= stale for whole in (ttl - 1, ttl, ttl + 1)]
    if near[0] and not near[2]:
        other = "after" if near[1] else "before"
        return f"Whole seconds are too coarse: the lifetime lies between this one and the one {other}."
    return ""


def _too_long(ttl: float, writes: float) -> str:
    if math.isclose(ttl, 1 / writes, rel_tol=0.01):
        return "That is the time between two changes. A lifetime as long as that is stale for much of it."
    return (
        "Too long. Is the lifetime in seconds? Does the search go on for long enough, and keep the side on which the "
        "share is small enough?"
    )


def _too_short(ttl: float, writes: float, stale: float) -> str:
    if math.isclose(ttl, stale / writes, rel_tol=0.01):
        return "An entry is not stale all its life: a change falls anywhere in it, so on average half of it is."
    if math.isclose(ttl, 2 * stale / writes, rel_tol=0.01):
        return "2 × stale ÷ writes is right for rare changes and many reads. Elsewhere search: the share grows with T."
    return "Does the search end too early, or is the lifetime in minutes?"


# 6.3

VISITS = sorted((*range(1000, 7200, 420), 7200, 7200, *range(7500, 18_000, 420), 14_399, 14_399))


@exercise("6.3", "until the next list", seconds=10)
def until_the_next(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "price_list")
    asked: list[int] = []
    with recorded_time() as clock, metered() as reading:
        for now in VISITS:
            clock.at(now)

            def ask(now: int = now) -> list[str]:
                asked.append(now)
                return [f"the list of hour {now // 3600}"]

            judge_list(attempt(answer, now, ask), now, asked[-1] if asked else now, reading)
    return judge_asks(asked, reading)


def judge_list(got: Any, now: int, asked: int, reading: Reading) -> None:
    """Raise Wrong where `got` is not the list of the hour in which it is given."""
    expect_type(got, list, f"price_list({now}, ask)")
    if got == [f"the list of hour {now // 3600}"]:
        return
    shown = got[0] if got else "an empty list"
    said = f"at {clock_time(now)} price_list gives {shown}; it was asked for at {clock_time(asked)}."
    if not reading.operations:
        raise Wrong(f"{said} It is not in Django's cache: what ends its life?")
    life, left = max(_lives(asked), default=0.0), 3600 - asked % 3600
    passed = " Those are the seconds since the last full hour; how many are left?" if life == 3600 - left else ""
    raise Wrong(f"{said} The entry lives {lifetime(life)}, and the next list came {left} seconds later.{passed}")


def judge_asks(asked: list[int], reading: Reading) -> str:
    """Raise Wrong where a list was asked for more than once in its hour. Returns what was seen."""
    if len(asked) >= len(VISITS):
        _why_each_time(reading)
    by_hour = [[now for now in asked if now // 3600 == hour] for hour in range(5)]
    if all(len(times) == 1 for times in by_hour):
        return f"five hours, {len(asked)} lists asked for, and never one of the hour before."
    if asked.count(7200) > 1 and all(len(times) == 1 for times in by_hour if 7200 not in times):
        raise Wrong(
            f"at {clock_time(7200)} exactly it was asked for again and again: 3600 seconds are left then, and not 0, "
            "which is a timeout that keeps nothing."
        )
    times = max(by_hour, key=len)
    hour = f"the hour from {clock_time(times[0] // 3600 * 3600)[:5]}"
    raise Wrong(
        f"never old, but in {hour} the list was asked for {len(times)} times. It stays right until the next full "
        "hour: how many seconds is that?"
    )


def _why_each_time(reading: Reading) -> None:
    """Raise Wrong: the list was asked for on each call."""
    said = f"never old, and the list was asked for on each of {len(VISITS)} calls"
    if any(use.hits for use in reading.uses.values()):
        raise Wrong(f"{said}, hits too. With ask() it is fetched before the cache is asked: hand over ask itself.")
    if not reading.operations:
        raise Wrong(f"{said}. Nothing is kept: where is the cache?")
    raise Wrong(f"{said}: nothing was found in the cache. Is the list stored, under one key, and for how long?")


def clock_time(now: float) -> str:
    """Seconds since midnight as a clock shows them."""
    return f"{int(now) // 3600:02}:{int(now) % 3600 // 60:02}:{int(now) % 60:02}"
