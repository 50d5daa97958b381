"""What a change touches: the kept entries that were cleared, against those that had to be.

Which had to be is on no list. The same pages and values are kept before the change and, from an empty cache, after it;
an entry that differs, or that can no longer be made, had to go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.exceptions import ObjectDoesNotExist
from django.http import HttpResponse

from ..shop import contract, kept
from ..shop.models import Category
from .entries import entries, shortened

if TYPE_CHECKING:
    from .bench import Lab

# The best seller, two more of the ranking and of the shelves' best, one of the sidebar, and one that stands nowhere
# else; and the stores that sell them.
PRODUCTS = (6, 747, 1003, 1031, 42)
STORES = (1, 2, 3, 4)
PEOPLE = ("alice", "bob", "dora", "emil", "admin")


def touched(lab: Lab, change: Callable[[], Any], products: Iterable[int] = PRODUCTS) -> pd.DataFrame:
    """Keep all there is to keep (of products, `products`; of stores, `STORES`), change the loaded shop, and look.

    Returns a row an entry that was cleared or had to be, by `key` (hashes cut to six digits): `value`, the row of the
    contract that it is of; `cleared`, whether the change deleted it; `had_to`, whether it differs from what would be
    kept now. To be used inside `with lab.layered(events=True)`. The shop is left as the change has made it.
    """
    lab.restore_database()
    lab.empty_cache()
    before = keep_all(lab, products)
    change()
    left = set(entries())
    lab.empty_cache()
    after = keep_all(lab, products)
    rows = {
        key: (
            contract.row_of(key).value,
            key not in left,
            key not in after or not contract.same(before[key], after[key]),
        )
        for key in sorted(before)
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["value", "cleared", "had_to"])
    table.index = pd.Index([shortened(key) for key in table.index], name="key")
    return table[table["cleared"] | table["had_to"]]


def missed(table: pd.DataFrame) -> list[str]:
    """The keys that had to be cleared and were not, but for those that no event reaches (a stranger's page)."""
    told = {row.value for row in contract.CONTRACT if row.told}
    return list(table.index[table["had_to"] & ~table["cleared"] & table["value"].isin(told)])


def keep_all(lab: Lab, products: Iterable[int] = PRODUCTS) -> dict[str, Any]:
    """Have all that kept which the layered shop keeps, exchange rates aside; returns what lies in the cache, by key."""
    for language in ("en", "de"):
        lab.visit("/", None, language)
        lab.visit("/", "bob", language)
    for pk in products:
        _kept(kept.product_detail, pk)
    for slug in Category.objects.values_list("slug", flat=True):
        _kept(kept.category_products, slug)
        _kept(kept.category_stats, slug)
    for pk in STORES:
        _kept(kept.dashboard_stats, pk)
    for user in User.objects.filter(username__in=PEOPLE):
        _kept(kept.permission_set, user)
    found = cache.get_many(entries())
    return {key: value.content if isinstance(value, HttpResponse) else value for key, value in found.items()}


def _kept(ask: Callable[[Any], Any], what: Any) -> None:
    try:
        ask(what)
    except ObjectDoesNotExist:  # gone, and so there is nothing to keep
        pass
