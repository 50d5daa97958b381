"""Ways to keep one cached price in step with its row, right ones and wrong ones, for `explore` to run in every order.

Each is a reader and a writer (some: two) of product 42's price, over the real ORM and Django's own cache. What goes
wrong is named `stale`: when all have ended, the next reader is given something else than the database has. What a
reader is given while a writer is still under way is not counted: no order of steps can make that new.
`Strategy.sound` says which of them no order breaks; `why` says, in one line, how the others break.
Sources: Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013 (leases); Django, "Performing actions after commit".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd
from django.core.cache import cache
from django.db import transaction

from ..caching import leases, runtime
from ..caching.generations import Namespace
from ..shop.models import Product

PRODUCT, KEY, SECONDS = 42, "product:42:price", 600
OLD, NEW, NEWER = Decimal("10.00"), Decimal("20.00"), Decimal("30.00")

Actor = Callable[[], Any]


# What the readers and writers are made of


def price() -> Decimal:
    """The price that the database has: one SELECT."""
    return Product.objects.values_list("price", flat=True).get(pk=PRODUCT)


def write(to: Decimal = NEW) -> None:
    """Give the product another price: one UPDATE."""
    Product.objects.filter(pk=PRODUCT).update(price=to)


def fresh() -> None:
    """What every order begins with: the old price in the database. The cache is empty."""
    write(OLD)


def warm() -> None:
    """The same, with the old price in the cache."""
    write(OLD)
    cache.set(KEY, OLD, SECONDS)


def reader() -> Decimal:
    """Look; on a miss read the row and store it: three steps."""
    if (kept := cache.get(KEY)) is None:
        cache.set(KEY, kept := price(), SECONDS)
    return kept


def adding_reader() -> Decimal:
    """The same, storing with `add`, as get_or_set does: where something is, it stays."""
    if (kept := cache.get(KEY)) is None:
        cache.add(KEY, kept := price(), SECONDS)
    return kept


def locking_reader() -> Decimal:
    """On a miss read and store while holding the lock that a writer needs (on SQLite a transaction is that lock)."""
    if (kept := cache.get(KEY)) is None:
        with transaction.atomic():
            kept = Product.objects.select_for_update().values_list("price", flat=True).get(pk=PRODUCT)
            cache.set(KEY, kept, SECONDS)
    return kept


def slow_reader() -> Decimal:
    """A reader that needs five seconds between its SELECT and its set."""
    if (kept := cache.get(KEY)) is None:
        kept = price()
        runtime.sleep(5)
        cache.set(KEY, kept, SECONDS)
    return kept


# The writers


def ttl_alone() -> None:
    """Tells the cache nothing: what is kept runs out by itself."""
    write()


def delete_then_write() -> None:
    cache.delete(KEY)
    write()


def write_then_delete() -> None:
    write()
    cache.delete(KEY)


def delete_inside() -> None:
    """What a receiver of post_save does inside atomic(): in the admin, and under ATOMIC_REQUESTS."""
    with transaction.atomic():
        write()
        cache.delete(KEY)


def delete_on_commit() -> None:
    with transaction.atomic():
        write()
        transaction.on_commit(lambda: cache.delete(KEY))


def delete_twice() -> None:
    """Before the write and after the commit."""
    cache.delete(KEY)
    with transaction.atomic():
        write()
        transaction.on_commit(lambda: cache.delete(KEY))


def delete_again_later() -> None:
    """On commit, and once more two seconds later: "delayed double delete"."""
    delete_on_commit()
    runtime.sleep(2)
    cache.delete(KEY)


def set_inside() -> None:
    """Write-through before the commit: what is stored may never become true."""
    with transaction.atomic():
        write()
        cache.set(KEY, NEW, SECONDS)


def set_inside_rolled_back() -> None:
    with transaction.atomic():
        write()
        cache.set(KEY, NEW, SECONDS)
        transaction.set_rollback(True)


def set_on_commit(to: Decimal = NEW) -> None:
    with transaction.atomic():
        write(to)
        transaction.on_commit(lambda: cache.set(KEY, to, SECONDS))


def other_set_on_commit() -> None:
    set_on_commit(NEWER)


# A generation in the key, and a lease on the right to store


def of_generation() -> Decimal:
    """Read the generation, look under it, and store under the one that was read: before the row was."""
    return Namespace("product", PRODUCT).get_or_set("price", price, SECONDS)


def of_late_generation() -> Decimal:
    """The wrong way round: what is stored goes under the generation of now, read after the row."""
    if (kept := cache.get(Namespace("product", PRODUCT).key("price"))) is None:
        kept = price()
        cache.set(Namespace("product", PRODUCT).key("price"), kept, SECONDS)
    return kept


def bump_inside() -> None:
    with transaction.atomic():
        write()
        Namespace("product", PRODUCT).bump()


def bump_on_commit() -> None:
    with transaction.atomic():
        write()
        Namespace("product", PRODUCT).bump_on_commit()


def with_generation() -> None:
    """The old price in the database, and a generation in the cache, as after the first visit."""
    write(OLD)
    Namespace("product", PRODUCT).generation()


def leasing_reader() -> Decimal:
    """Store only where nobody has deleted the key since the look."""
    return leases.get_or_compute(KEY, price, SECONDS)


def forget_on_commit() -> None:
    with transaction.atomic():
        write()
        transaction.on_commit(lambda: leases.forget(KEY))


@dataclass(frozen=True)
class Strategy:
    """Two actors, a reader and a writer (once: two writers), what each order begins with, and how it breaks."""

    name: str
    reader: Actor
    writer: Actor
    given: Actor = fresh
    sound: bool = False
    why: str = ""
    look: Actor | None = None  # how the next reader looks, where it is not as the first of the two does

    def explore(self, **bounds: Any) -> Any:
        """Run it in every order; what `lab.explore` returns."""
        from .exploring import explore

        def stale(end: Any) -> bool:
            return bool((self.look or self.reader)() != price())

        return explore(self.reader, self.writer, given=self.given, never=stale, **bounds)


STRATEGIES: tuple[Strategy, ...] = (
    Strategy("no deletion, a TTL alone", reader, ttl_alone, why="whoever stored before the write"),
    Strategy("delete, then write", reader, delete_then_write, why="a reader between the two"),
    Strategy("write, then delete", reader, write_then_delete, why="looked before, stores after"),
    Strategy("delete in the transaction", reader, delete_inside, why="until the commit all read the old row"),
    Strategy("delete on commit", reader, delete_on_commit, why="looked before the commit, stores after"),
    Strategy("delete before, and on commit", reader, delete_twice, why="the same: one deletion too many"),
    Strategy("on commit, and 2 s later", reader, delete_again_later, sound=True, why="if no reader takes longer"),
    Strategy("that, and a reader of 5 s", slow_reader, delete_again_later, why="the reader takes longer"),
    Strategy("set in the transaction", reader, set_inside, why="the reader stores the old row over it"),
    Strategy("that, rolled back", reader, set_inside_rolled_back, why="a price that never was"),
    Strategy("that, with the old price kept", reader, set_inside_rolled_back, warm, why="a price that never was"),
    Strategy("set on commit", reader, set_on_commit, why="the reader stores the old row over it"),
    Strategy("set on commit, readers add", adding_reader, set_on_commit, sound=True, why="if nobody else writes"),
    Strategy("two writers set on commit", set_on_commit, other_set_on_commit, why="in another order", look=reader),
    Strategy("on commit, and readers lock", locking_reader, delete_on_commit, sound=True, why="misses wait"),
    Strategy("generation, in the transaction", of_generation, bump_inside, with_generation, why="old row, new key"),
    Strategy("generation read late", of_late_generation, bump_on_commit, with_generation, why="old row, new key"),
    Strategy("generation on commit", of_generation, bump_on_commit, with_generation, sound=True, why="two trips a hit"),
    Strategy("lease, delete on commit", leasing_reader, forget_on_commit, sound=True, why="needs atomic steps"),
)  # fmt: skip


def table(strategies: Sequence[Strategy] = STRATEGIES) -> pd.DataFrame:
    """Each strategy in every order: a row each, `stale` ("12 of 20"), `share` (of the orders), `because or price`."""
    rows = {}
    for strategy in strategies:
        found = strategy.explore()
        rows[strategy.name] = (f"{found.bad} of {found.orders}", round(found.bad / found.orders, 2), strategy.why)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["stale", "share", "because, or if"])
