"""The freshness contract, executed: what every answer from the cache was made from, how old that was, and was it right.

A value is as old as the oldest thing that it was made from: a page that is a second old can show a fragment that was
drawn ten minutes ago, from a row that was read ten minutes before that. `Ages` follows each value from the database into
the entries that show it; `executed` sends traffic, and holds every entry that was served against its row of the contract.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import pandas as pd
from django.core.cache import cache

from ..caching.metering import CacheCall, Event, Statement, listening
from ..shop import contract
from .bench import current
from .layered_shop import ROUND
from .recorded_time import recorded_time

COLUMNS = ["served", "wrong", "oldest", "promised", "broken"]
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


@dataclass
class _Kept:
    """What was seen of one row of the contract: the ages at which it was served, and how often it was wrong."""

    ages: list[float] = field(default_factory=list)
    wrong: int = 0

    def row(self, row: contract.Row) -> list[Any]:
        promised = row.stale_for()
        oldest = max(self.ages, default=0.0)
        wrong = self.wrong if row.ask else None
        return [len(self.ages), wrong, round(oldest), promised, sum(age > promised for age in self.ages)]


def executed(trace: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Send a trace to the shop as it is arranged, at its own pace, and hold each entry that it serves to the contract.

    Everybody goes round the pages at the beginning and half a minute later, so that each row is stored and served.
    Returns a table and, in words, what was broken. The table has a row for each of the contract's: `served` (how often
    from an entry), `wrong` (how often the value was not the database's any more; nothing for what is drawn),
    `oldest` (the age of the oldest data served, in seconds), `promised` (what the contract allows), and `broken` (how
    often it was older than that).
    """
    lab, seen, broken = current(), {row.value: _Kept() for row in contract.CONTRACT}, set()
    start = float(trace["t"].iloc[0])
    lab.restore_database()
    for who, language in sorted({(r.user, r.language) for r in trace.itertuples()} | {visit[1:] for visit in ROUND}):
        lab.client(who or None, language)  # signing in is no part of the traffic
    with recorded_time(start - 60) as clock:
        ages, truths = Ages(lambda: clock.now), _Truths()
        for at, path, who, language, body in [*_rounds(start), *_visits(trace)]:
            clock.at(at)
            ages.begin()
            with listening(ages), listening(truths):
                lab.visit(path, who or None, language, dict(parse_qsl(body)) or None)
            for key, age in ages.served:
                try:
                    row = contract.row_of(key)
                except LookupError as error:
                    broken.add(str(error))
                    continue
                kept = seen[row.value]
                kept.ages.append(age)
                kept.wrong += not body and row.ask is not None and truths.differs(key)
                if age > row.stale_for():
                    broken.add(f"{row.value}: {age:,.0f} s old, promised {row.stale_for():,} s ({key})")
    broken |= {f"nothing was served from {value!r}" for value, kept in seen.items() if not kept.ages}
    table = {row.value: seen[row.value].row(row) for row in contract.CONTRACT}
    return pd.DataFrame.from_dict(table, orient="index", columns=COLUMNS), sorted(broken)


def _visits(trace: pd.DataFrame) -> list[tuple[float, str, str, str, str]]:
    return [(r.t, r.path, r.user, r.language, r.body) for r in trace.itertuples()]


def _rounds(start: float) -> list[tuple[float, str, str, str, str]]:
    return [(start - ahead, *visit, "") for ahead in (60, 30) for visit in ROUND]


class _Truths:
    """A listener that remembers what the database says of each key, until something is written to it."""

    def __init__(self) -> None:
        self._said: dict[str, Any] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, Statement) and event.is_query and not event.sql.lstrip(" (").upper().startswith("SELECT"):
            # What no event tells of, an exchange rate, is not in the database.
            self._said = {key: said for key, said in self._said.items() if not contract.row_of(key).told}

    def differs(self, key: str) -> bool:
        """Whether what is kept under `key` is not what the database says now."""
        if key not in self._said:
            self._said[key] = contract.shown(contract.truth(key))
        return bool(contract.shown(cache.get(key)) != self._said[key])
