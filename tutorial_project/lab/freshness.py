"""The freshness contract, executed: what every answer from the cache was made from, how old that was, and was it right.

A value is as old as the oldest thing that it was made from: a page that is a second old can show a fragment that was
drawn ten minutes ago, from a row that was read ten minutes before that. `Ages` follows each value from the database
into the entries that show it; `executed` sends traffic, and holds every entry that was served against its row.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import pandas as pd
from django.core.cache import cache

from ..caching.metering import CacheCall, Event, Statement, listening
from ..shop import contract
from .bench import current
from .recorded_time import recorded_time
from .traffic import COLUMNS

# Few pages and many changes: (path, user or "", how often), and the forms that change what those pages show.
READS = (
    *(("/", "", 4), ("/", "alice", 2), ("/product/747/", "", 4), ("/product/747/", "mira.baker10", 1)),
    *(("/category/seeds-and-bulbs/", "", 3), ("/dashboard/harbour-goods/", "dora", 1)),
)
WRITES = (
    ("/product/747/price/", "dora", "price={price}"),
    ("/product/747/review/", "bob", "rating={stars}&text=As+told."),
    ("/cart/add/", "alice", "product=747&quantity=2"),
    ("/checkout/", "alice", ""),
)
CHANGES = re.compile(r'(?:INSERT|UPDATE|DELETE)\b[^"]*"(?:shop|auth)_', re.IGNORECASE)  # of what answers are made from
HEADERS = contract.PAGE + "header."  # names of headers: they come from the code, and no row is read for them


class Ages:
    """A listener for requests that come one after the other: when the oldest data in each entry was read.

    What is found between an entry's miss and its storing went into it; into a page, whatever its request found.
    `served` holds (key, age in seconds) of every find since `begin()`.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.read_at: dict[str, float] = {}
        self.begin()

    def begin(self) -> None:
        """A request begins: nothing is being made, nothing has been found."""
        self.served: list[tuple[str, float]] = []
        self._oldest = self.now()
        self._making: dict[str, float] = {}
        self._stored: set[str] = set()

    def __call__(self, event: Event) -> None:
        if not isinstance(event, CacheCall) or event.parts or event.alias != "default":
            return
        for key in event.found:
            self._found(key)
        for key in event.missed:
            self._making[key] = self.now()
        if event.operation in ("set", "add", "set_many"):
            for key in event.keys:
                self._store(key)

    def _found(self, key: str) -> None:
        read_at = self.read_at.get(key, self.now())
        if key not in self._stored:  # get_or_set looks again for what it has stored
            self.served.append((key, self.now() - read_at))
        self._oldest = min(self._oldest, read_at)
        self._making = {made: min(oldest, read_at) for made, oldest in self._making.items()}

    def _store(self, key: str) -> None:
        oldest = self._making.pop(key, self._oldest)
        self.read_at[key] = self.now() if key.startswith(HEADERS) else oldest
        self._stored.add(key)


def busy(minutes: float = 40, seed: int = 6) -> pd.DataFrame:
    """Traffic on few pages whose data changes often, as a trace: four visits and a change a minute."""
    draw, at = random.Random(seed), 0.0
    rows: list[tuple[float, str, int, str, str, str, str]] = []
    pages, weights = [read[:2] for read in READS], [read[2] for read in READS]
    while (at := at + draw.expovariate(1 / 12)) < 60 * minutes:
        if draw.random() < 0.2:
            path, who, form = WRITES[sum(row[4] == "POST" for row in rows) % len(WRITES)]
            body = form.format(price=draw.randint(3, 9), stars=draw.randint(1, 5))
            rows.append((at, who, 1, "en", "POST", path, body))
        else:
            path, who = draw.choices(pages, weights)[0]
            rows.append((at, who, 1, "en", "GET", path, ""))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def executed(trace: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Send a trace to the shop as it is arranged, at its own pace, and hold each entry that it serves to the contract.

    Returns a table and, in words, what was broken. The table has a row for each of the contract's: `served` (how often
    from an entry), `wrong` (how often the value was not the database's any more; nothing for what is drawn),
    `oldest` (the age of the oldest data served, in seconds), `promised` (what the contract allows), and `broken` (how
    often it was older than that).
    """
    lab, seen, broken = current(), {row.value: _Kept() for row in contract.CONTRACT}, set()
    lab.restore_database()
    for who in sorted(set(trace["user"]) - {""}):
        lab.client(who, "en")  # signing in is no part of the traffic
    with recorded_time() as clock:
        ages, truths = Ages(lambda: clock.now), _Truths()
        for visit in trace.itertuples():
            clock.at(visit.t)
            ages.begin()
            with listening(ages), listening(truths):
                lab.visit(visit.path, visit.user or None, visit.language, _form(visit))
            for key, age in ages.served:
                try:
                    row = contract.row_of(key)
                except LookupError as error:
                    broken.add(str(error))
                else:
                    seen[row.value].ages.append(age)
                    seen[row.value].wrong += visit.method == "GET" and truths.differs(row, key)
    broken |= {said for row in contract.CONTRACT if (said := seen[row.value].breach(row))}
    table = {row.value: seen[row.value].told(row) for row in contract.CONTRACT}
    columns = ["served", "wrong", "oldest", "promised", "broken"]
    return pd.DataFrame.from_dict(table, orient="index", columns=columns), sorted(broken)


def _form(visit: Any) -> dict[str, str] | None:
    return dict(parse_qsl(visit.body)) if visit.method == "POST" else None


@dataclass
class _Kept:
    """What was seen of one row of the contract: the ages at which it was served, and how often it was wrong."""

    ages: list[float] = field(default_factory=list)
    wrong: int = 0

    def told(self, row: contract.Row) -> list[Any]:
        """This row's line of the table."""
        wrong = str(self.wrong) if row.ask else "drawn"
        return [len(self.ages), wrong, round(max(self.ages, default=0)), row.stale_for(), self._too_old(row)]

    def breach(self, row: contract.Row) -> str:
        """What is broken of the row's promise, in words; "" where it is kept."""
        if not self.ages:
            return f"nothing was served from {row.value!r}"
        if not (old := self._too_old(row)):
            return ""
        oldest, promised = max(self.ages), row.stale_for()
        return f"{row.value}: {old} of {len(self.ages)} answers older than {promised:,} s, the oldest {oldest:,.0f} s"

    def _too_old(self, row: contract.Row) -> int:
        return sum(age > row.stale_for() for age in self.ages)


class _Truths:
    """A listener that remembers what the database says of each key, until something is written to it."""

    def __init__(self) -> None:
        self._said: dict[str, Any] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, Statement) and CHANGES.match(event.sql):
            # What no event tells of, an exchange rate, is not in the database.
            self._said = {key: said for key, said in self._said.items() if not contract.row_of(key).told}

    def differs(self, row: contract.Row, key: str) -> bool:
        """Whether what is kept under `key` is not what the database says now; never, where only drawing would say."""
        if row.ask is None:
            return False
        if key not in self._said:
            self._said[key] = contract.shown(contract.truth(key))
        return bool(contract.shown(cache.get(key)) != self._said[key])
