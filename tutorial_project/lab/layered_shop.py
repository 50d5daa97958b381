"""The shop with all that it keeps switched on, and its freshness contract held against the traffic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pandas as pd
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser

from ..caching.metering import CacheCall, Event, listening
from ..shop import contract, kept, layered
from ..shop.invalidation import TOUCHES
from .entries import entries

if TYPE_CHECKING:
    from .bench import Lab

# Whose visits show every row, where a short trace does not: (path, user or "", language).
EVERYBODY = ("", "alice", "bob", "clara", "dora", "emil", "admin")
ROUND = (
    *(("/", who, language) for who in EVERYBODY for language in ("en", "de")),
    *(("/product/42/", who, "en") for who in (*EVERYBODY, "mira.baker10")),  # mira sees prices in pounds
    *(("/category/lamps/", who, "en") for who in EVERYBODY),
    *(("/dashboard/harbour-goods/", who, "en") for who in EVERYBODY),
    *(("/dashboard/nordlicht-living/", who, "en") for who in EVERYBODY),
)


@contextmanager
def layered_shop(
    lab: Lab, page: bool = True, fragments: bool = True, values: bool = True, events: bool = False
) -> Iterator[None]:
    """For this block the shop is the layered one: home, product and category pages, and its selectors' answers kept.

    Each of the three layers can be left out. With `events` what is kept is deleted as soon as a change is committed, as
    `shop/invalidation.py` has it. The cache is empty when the block begins and when it has ended.
    """
    with lab.arrangement_kept(), TOUCHES.connected() if events else nullcontext():
        lab.mount("", layered.home_view(page, fragments, values))
        if values:
            lab.mount("product/<int:pk>/", layered.product)
            lab.keep(kept.popular_products, kept.navigation, kept.permission_set)
            lab.mount("category/<slug:slug>/", layered.category)
            lab.keep(kept.product_detail, kept.category_products, kept.dashboard_stats)
        yield


def held_against(lab: Lab, trace: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Send a trace, then everybody on two rounds of the pages, from an empty cache; a table, and what was broken.

    The table has a row for each of the contract's, with `stored` (entries), `served` (visits served from one),
    `readers` (different ones, all strangers being one), and `in time` (none lives longer than the contract says).
    """
    lab.restore_database()
    lab.empty_cache()
    kept_rows = {row.value: _Seen() for row in contract.CONTRACT}
    broken: set[str] = set()
    visits = [(r.path, r.user, r.language, dict(parse_qsl(r.body)) or None) for r in trace.itertuples()]
    for path, who, language, data in [*visits, *((*visit, None) for visit in ROUND * 2)]:
        reader = _reader(who)
        for key in _served(lab, path, who, language, data):
            if said := contract.broken_by(key, reader):
                broken.add(said)
            else:
                kept_rows[contract.row_of(key).value].readers.append(reader.pk)
    for key, left in entries().items():
        try:
            row = contract.row_of(key)
        except LookupError as error:
            broken.add(str(error))
        else:
            kept_rows[row.value].lives.append(0 < left <= row.seconds)
    broken |= {f"nothing stores {value!r}" for value, seen in kept_rows.items() if not seen.lives}
    columns = ["stored", "served", "readers", "in time"]
    table = {value: seen.row() for value, seen in kept_rows.items()}
    return pd.DataFrame.from_dict(table, orient="index", columns=columns), sorted(broken)


@dataclass
class _Seen:
    """What became of one row: who was served from its entries, and whether each of them lives as long as it may."""

    readers: list[int | None] = field(default_factory=list)
    lives: list[bool] = field(default_factory=list)

    def row(self) -> list[Any]:
        return [len(self.lives), len(self.readers), len(set(self.readers)), all(self.lives)]


def _served(lab: Lab, path: str, who: str, language: str, data: dict[str, str] | None) -> list[str]:
    """The keys from which a visit was served: what it found in the cache."""
    found: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, CacheCall) and not event.part_of:
            found.extend(event.found)

    lab.client(who or None, language)  # signing in is no part of the visit
    with listening(note):
        lab.visit(path, who or None, language, data)
    return found


def _reader(who: str) -> Any:
    users = get_user_model()._default_manager.select_related("customer")
    return users.get(username=who) if who else AnonymousUser()
