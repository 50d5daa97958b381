"""The freshness contract: what the layered shop keeps, under which key, how long, for whom, and until when it is right.

A value that is in no row should not be in the cache; a row that nothing stores is a promise about nothing.
`broken_by(key, reader)` says whether a look-up keeps the contract. `truth(key)` is what a kept value would be if it
were computed now, and `same` says whether two of them show the same. The tests and the notebooks hold the running
shop against every row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model

from . import kept, rates

# What a part of a key in angle brackets may be. Django puts a hash for a URL, for the headers that its page varies
# on, and for the variables that a fragment does.
PARTS = {
    **dict.fromkeys(("url", "headers", "variables"), "[0-9a-f]{32}"),
    **dict.fromkeys(("user", "product", "tenant"), r"\d+"),
    "method": "GET|HEAD",
    "language": "en|de",
    "category": "[-a-zA-Z0-9_]+",
    "currency": "[A-Z]{3}",
}

EVERYBODY = "everybody"
STRANGERS = "whoever has no session"
ITS_USER = "its user"
ITS_STAFF = "staff of its store"


@dataclass(frozen=True)
class Row:
    """One kind of entry: the value, its layer, its key with the parts that vary in <brackets>, who may see it, and
    the seconds that it lives.

    `until` says in words when it stops being correct; `told`, whether `invalidation.py` hears of every such change.
    `made_of` are the keys of the kept values that it is made from. `ask` computes the value anew, from the parts of
    the key; None where only drawing the page would say.
    """

    value: str
    layer: str
    key: str
    who_may_see: str
    seconds: int
    until: str
    told: bool = True
    made_of: tuple[str, ...] = ()
    ask: Callable[..., Any] | None = field(default=None, repr=False, compare=False)

    @property
    def pattern(self) -> re.Pattern[str]:
        """Matches this row's keys, with a group for each part that varies."""
        parts = re.split(r"<(\w+)>", self.key)
        names = [f"(?P<{name}>{PARTS[name]})" for name in parts[1::2]]
        texts = [re.escape(text) for text in parts[::2]]
        return re.compile("".join(text + name for text, name in zip(texts, [*names, ""], strict=True)))

    def parts(self, key: str) -> dict[str, str] | None:
        """What stands for the parts that vary in `key`; None where it is no key of this row."""
        found = self.pattern.fullmatch(key)
        return None if found is None else found.groupdict()

    def stale_for(self, events: bool = False) -> int:
        """The seconds for which this entry may go on showing what has changed, at most.

        Its own seconds, on top of those of what it is made from: stacked layers add up. With `events`, the shop's map
        of invalidation connected, a row whose every change is told adds none, but for what `invalidation.py` names
        as its limits. The time between reading the source and storing comes on top.
        """
        own = 0 if events and self.told else self.seconds
        within = [row.stale_for(events) for row in CONTRACT if row.key in self.made_of]
        return own + max(within, default=0)


PAGE = "views.decorators.cache.cache_"
HOME = PAGE + "page.strangers.<method>.<url>.<headers>.<language>.UTC"
SIDEBAR, BEST = (f"template.cache.{name}.<variables>" for name in ("sidebar_popular", "best_of_shelves"))


def _permissions(user: str) -> frozenset[str]:
    return kept.ask_permission_set(User.objects.get(pk=user))


# fmt: off
CONTRACT: tuple[Row, ...] = (
    Row("the home page", "per-view", HOME, STRANGERS, 600, "anything on it changes: a page has no name to delete it by",
        told=False, made_of=(SIDEBAR, BEST, "popular_products", "navigation")),
    Row("what that page varies on", "per-view", PAGE + "header.strangers.<url>.<language>.UTC", STRANGERS, 600,
        "a release makes the page vary on another header", told=False),
    Row("the sidebar", "fragment", SIDEBAR, EVERYBODY, 600, "a review comes or goes, or one of its products changes"),
    Row("the best of each shelf", "fragment", BEST, EVERYBODY, 600,
        "an order is placed, or one of its products or categories changes", made_of=("navigation",)),
    Row("the ranking", "low-level", "popular_products", EVERYBODY, 600,
        "an order is placed, or one of its products, their stores or categories changes",
        ask=kept.ask_popular_products),
    Row("the menu", "low-level", "navigation", EVERYBODY, 600,
        "a category changes, or a product enters or leaves one", ask=kept.ask_navigation),
    Row("a permission set", "low-level", "user:<user>:permissions", ITS_USER, 60,
        "the user, one of their groups or a permission changes", ask=_permissions),
    Row("a product's details", "low-level", "product:<product>:detail", EVERYBODY, 60,
        "the product, its store, category or tags change, or it is reviewed",
        ask=lambda product: kept.ask_product_detail(int(product))),
    Row("a category's products", "low-level", "category:<category>:products", EVERYBODY, 60,
        "the category changes, or a product enters or leaves it, or one on its first page or its store changes",
        ask=lambda category: kept.ask_category_products(category)),
    Row("a category's figures", "low-level", "category:<category>:stats", EVERYBODY, 600,
        "a product enters or leaves it, has another price, or is reviewed",
        ask=lambda category: kept.ask_category_stats(category)),
    Row("a store's figures", "low-level", "tenant:<tenant>:dashboard_stats", ITS_STAFF, 600,
        "an order of the store is placed, or one of its products changes",
        ask=lambda tenant: kept.ask_dashboard_stats(int(tenant))),
    Row("an exchange rate", "low-level", "rate:<currency>", EVERYBODY, 3600,
        "the service says another one, and it tells nobody", told=False,
        ask=lambda currency: rates.exchange_rate(currency)),
)
# fmt: on


def row_of(key: str) -> Row:
    """The row that `key` is an entry of. Raises LookupError where there is none, or more than one."""
    rows = [row for row in CONTRACT if row.parts(key) is not None]
    if len(rows) != 1:
        raise LookupError(f"{key!r} is an entry of {len(rows)} rows of the contract; it must be one.")
    return rows[0]


def may_see(row: Row, key: str, reader: User | AnonymousUser) -> bool:
    """Whether `reader` may be shown the entry under `key`, which is one of `row`."""
    parts = row.parts(key) or {}
    if row.who_may_see == STRANGERS:
        return not reader.is_authenticated
    if row.who_may_see == ITS_USER:
        return str(reader.pk) == parts["user"]
    if row.who_may_see == ITS_STAFF:
        customer = getattr(reader, "customer", None)
        return customer is not None and reader.is_staff and str(customer.tenant_id) == parts["tenant"]
    return row.who_may_see == EVERYBODY


def broken_by(key: str, reader: User | AnonymousUser) -> str:
    """What the contract says against `reader` being served from `key`, in words; "" where it says nothing."""
    try:
        row = row_of(key)
    except LookupError as error:
        return str(error)
    who = reader if reader.is_authenticated else "a stranger"
    return "" if may_see(row, key, reader) else f"{who} was served from {key!r}: that is for {row.who_may_see}"


GONE = "no longer there"


def truth(key: str) -> Any:
    """What the value under `key` would be if it were computed now, past the cache; GONE where there is no such thing.

    Raises LookupError for a key of no row, and for a page or a fragment, of which only drawing it would say.
    """
    row = row_of(key)
    if row.ask is None:
        raise LookupError(f"{row.value} is drawn, not computed: compare it with one drawn from an empty cache.")
    try:
        return row.ask(**(row.parts(key) or {}))
    except ObjectDoesNotExist:
        return GONE


def same(kept: Any, true: Any) -> bool:
    """Whether two values show the same. Rows of a model are compared by what was loaded with them, `updated_at` left
    out, which no page shows: to Django two rows with one primary key are equal, whatever else they hold."""
    return bool(shown(kept) == shown(true))


def shown(value: Any) -> Any:
    """`value` as plain data, its models' rows as dicts of their columns and of the related rows loaded with them."""
    match value:
        case Model():
            held = {name: held for name, held in vars(value).items() if name[0] != "_" and name != "updated_at"}
            return {"model": value._meta.label, **shown(held), **shown(value._state.fields_cache)}
        case Mapping():
            return {key: shown(item) for key, item in value.items()}
        case str() | bytes():
            return value
        case Sequence():
            return [shown(item) for item in value]
    return value
