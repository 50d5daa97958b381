"""The freshness contract: everything that the layered shop keeps, under which key, how long, and who may see it.

A value that is in no row should not be in the cache; a row that nothing stores is a promise about nothing.
`broken_by(key, reader)` says whether a look-up keeps the contract. The tests, and notebook 05, hold the running shop
against every row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser, User

# What a part of a key in angle brackets may be. Django puts a hash for a URL, for the headers that its page varies
# on, and for the variables that a fragment does.
PARTS = {
    **dict.fromkeys(("url", "headers", "variables"), "[0-9a-f]{32}"),
    **dict.fromkeys(("user", "product", "tenant"), r"\d+"),
    "method": "GET|HEAD",
    "language": "en|de",
    "currency": "[A-Z]{3}",
}

EVERYBODY = "everybody"
STRANGERS = "whoever has no session"
ITS_USER = "its user"
ITS_STAFF = "staff of its store"


@dataclass(frozen=True)
class Row:
    """One kind of entry: the value, its layer, its key with the parts that vary in <brackets>, who may see it, and
    the seconds that it lives."""

    value: str
    layer: str
    key: str
    who_may_see: str
    seconds: int

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


PAGE = "views.decorators.cache.cache_"
CONTRACT: tuple[Row, ...] = (
    Row("the home page", "per-view", PAGE + "page.strangers.<method>.<url>.<headers>.<language>.UTC", STRANGERS, 600),
    Row("what that page varies on", "per-view", PAGE + "header.strangers.<url>.<language>.UTC", STRANGERS, 600),
    Row("the sidebar", "fragment", "template.cache.sidebar_popular.<variables>", EVERYBODY, 600),
    Row("the best of each shelf", "fragment", "template.cache.best_of_shelves.<variables>", EVERYBODY, 600),
    Row("the ranking", "low-level", "popular_products", EVERYBODY, 600),
    Row("the menu", "low-level", "navigation", EVERYBODY, 600),
    Row("a permission set", "low-level", "user:<user>:permissions", ITS_USER, 60),
    Row("a product's details", "low-level", "product:<product>:detail", EVERYBODY, 60),
    Row("a store's figures", "low-level", "tenant:<tenant>:dashboard_stats", ITS_STAFF, 600),
    Row("an exchange rate", "low-level", "rate:<currency>", EVERYBODY, 3600),
)


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
