"""Notebook 06: its exercises."""

import math
import time
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.core.cache import caches

from ...caching.metering import CacheCall, Event
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
        raise Wrong(f"never old, and the database was asked on each of {asked} calls. What does a hit save?")
    if asked > UNTIL // 60 + 3:
        raise Wrong(
            f"never more than a minute old, but the database was asked {asked - 1} times in ten minutes for one "
            "product. Once a minute is enough: which timeout does the entry have?"
        )


# 6.2

CASES = ((1.0, 1 / 60, 0.05), (0.2, 1 / 120, 0.2), (20.0, 1 / 3600, 0.01), (0.05, 1 / 600, 0.1))


@exercise("6.2", "the longest lifetime that keeps the promise", seconds=10)
def longest_lifetime(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "ttl_for")
    told = []
    for reads, writes, stale in CASES:
        ttl = attempt(answer, reads, writes, stale)
        expect_type(ttl, float, f"ttl_for({reads:g}, 1/{1 / writes:.0f}, {stale:g})")
        judge_lifetime(float(ttl), reads, writes, stale)
        told.append(f"{ttl:.1f}")
    return f"{' s, '.join(told)} s: as many stale answers as are allowed, and no lifetime left unused."


def judge_lifetime(ttl: float, reads: float, writes: float, stale: float) -> None:
    """Raise Wrong unless `ttl` seconds make a share of `stale` answers stale, to a hundredth of it."""
    call = f"ttl_for({reads:g}, 1/{1 / writes:.0f}, {stale:g})"
    if not math.isfinite(ttl) or ttl <= 0:
        raise Wrong(f"{call} gives {ttl:g}: a lifetime is a number of seconds above 0.")
    found = theory.stale_share(reads, writes, ttl)
    if abs(found / stale - 1) < 0.01:
        return
    said = f"{call} gives {ttl:.4g} s: {found:.4f} of the answers are stale then, {stale:g} are allowed."
    if found > stale:
        raise Wrong(f"{said} {_too_long(ttl, writes, stale)}")
    raise Wrong(f"{said} It can be longer. {_too_short(ttl, reads, writes, stale)}".strip())


def _too_long(ttl: float, writes: float, stale: float) -> str:
    if math.isclose(ttl, 1 / writes, rel_tol=0.01):
        return "That is the time between two changes. A lifetime as long as that is stale for much of it."
    return "Too long. Is the lifetime in seconds, and does the search keep the side on which the share is small enough?"


def _too_short(ttl: float, reads: float, writes: float, stale: float) -> str:
    if math.isclose(ttl, stale / writes, rel_tol=0.01):
        return "An entry is not stale all its life: a change falls anywhere in it, so on average half of it is."
    if math.isclose(ttl, 2 * stale / writes, rel_tol=0.01):
        return "2 × stale ÷ writes is right for rare changes and many reads. Elsewhere search: the share grows with T."
    if theory.stale_of_uniform(writes * ttl) / stale - 1 > -0.01:
        return "Is it the share of the hits? The misses are fresh, and count among the answers."
    return "Does the search end too early, or is the lifetime in minutes?"


# 6.3


@exercise("6.3", "until the next list", seconds=10)
def until_the_next(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "price_list")
    asked: list[int] = []
    with recorded_time() as clock, metered() as reading:
        for now in sorted((*range(1000, 7200, 420), 7200, 7200, *range(7500, 18_000, 420), 14_399, 14_399)):
            clock.at(now)

            def ask(now: int = now) -> list[str]:
                asked.append(now)
                return [f"the list of hour {now // 3600}"]

            judge_list(attempt(answer, now, ask), now, asked[-1] if asked else now, reading)
    return judge_asks(asked)


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


def judge_asks(asked: list[int]) -> str:
    """Raise Wrong where a list was asked for more than once in its hour. Returns what was seen."""
    by_hour = [[now for now in asked if now // 3600 == hour] for hour in range(5)]
    if all(len(times) == 1 for times in by_hour):
        return f"five hours, {len(asked)} lists asked for, and never one of the hour before."
    if asked.count(7200) > 1 and all(len(times) == 1 for times in by_hour if 7200 not in times):
        raise Wrong(
            f"at {clock_time(7200)} exactly it was asked for again and again: 3600 seconds are left then, and not 0, "
            "which is a timeout that keeps nothing."
        )
    times = max(by_hour, key=len)
    raise Wrong(
        f"never old, but in the hour of {clock_time(times[0])} the list was asked for {len(times)} times. It stays "
        "right until the next full hour: how many seconds is that?"
    )


def clock_time(now: float) -> str:
    """Seconds since midnight as a clock shows them."""
    return f"{int(now) // 3600:02}:{int(now) % 3600 // 60:02}:{int(now) % 60:02}"
