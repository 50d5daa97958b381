"""Which pages are stale: each as the cache makes it now, beside the same page made from an empty cache."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pandas as pd
from django.core.cache import cache

from ..shop.models import Product
from .origin import Origin
from .simulating import simulate

if TYPE_CHECKING:
    from .bench import Lab

PRODUCT_PAGE = r"^/product/(\d+)/(price/)?$"
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="[^"]*"')


def stale_pages(lab: Lab, paths: Iterable[str], who: str | None = None, language: str = "en") -> list[str]:
    """Those of the pages whose visitor is shown something else than the database says; the cache is empty after it."""
    asked = list(paths)
    shown = {path: _seen(lab, path, who, language) for path in asked}
    lab.empty_cache()
    return [path for path in asked if shown[path] != _seen(lab, path, who, language)]


def _seen(lab: Lab, path: str, who: str | None, language: str) -> str:
    return TOKEN.sub("", lab.visit(path, who, language).text)


def about_changes(trace: pd.DataFrame, minutes: float = 24 * 60) -> pd.DataFrame:
    """Of the first minutes of a trace: the visits of the products whose price is changed in them, and those changes."""
    some = trace[trace["t"] < trace["t"].iloc[0] + 60 * minutes]
    parts = some["path"].str.extract(PRODUCT_PAGE)
    changed = parts[0][parts[1].notna()].unique()
    return some[parts[0].isin(changed)].reset_index(drop=True)


def stale_reads(lab: Lab, trace: pd.DataFrame) -> pd.DataFrame:
    """Send a trace of product pages and new prices to the shop as it was loaded, and look at each price that is shown.

    Returns a row a GET of the trace: `path`, `shown` and `true` (prices in euros, as the page and as the database has
    it), `stale` (they differ). The cache and the database are what the trace leaves.
    """
    lab.restore_database()
    lab.empty_cache()
    rows = []
    for request in trace.itertuples():
        visit = lab.visit(request.path, request.user or None, request.language, dict(parse_qsl(request.body)) or None)
        if request.method == "GET":
            shown = price_on(visit.text)
            true = f"{Product.objects.values_list('price', flat=True).get(pk=int(request.path.split('/')[2])):.2f}"
            rows.append((request.path, shown, true, shown != true))
    return pd.DataFrame(rows, columns=["path", "shown", "true", "stale"])


def a_day(trace: pd.DataFrame, ttl: float, delete: bool = False) -> tuple[int, float, int, int]:
    """A day of visits and new prices on the virtual clock, at the pace at which they were recorded.

    `trace` is what `about_changes` returns. Each visit is `cache.get_or_set(key, read the row, ttl)`, each new price a
    write, with `delete` followed by `cache.delete(key)`. Returns how many visits there were, their hit ratio, how many
    were shown an old row, and how many whole seconds one was behind, at most.
    """
    origin = Origin(seconds=0.05)

    def read(pk: int) -> object:
        return cache.get_or_set(f"product:{pk}:detail", lambda: origin.read(pk), ttl)

    def change(pk: int) -> None:
        origin.write(pk)
        if delete:
            cache.delete(f"product:{pk}:detail")

    events = trace.assign(pk=trace["path"].str.split("/").str[2].astype(int))
    streams: dict[Any, Any] = {
        function: list(events.loc[events["method"] == method, ["t", "pk"]].itertuples(index=False, name=None))
        for function, method in ((read, "GET"), (change, "POST"))
    }
    run = simulate(streams, seconds=24 * 3600, origin=origin)
    seen = run.requests.query("stream == 'read'")
    return len(seen), round(run.hit_ratio, 2), int(seen["stale"].sum()), int(seen["behind"].max())


def price_on(page: str) -> str:
    """The price in euros that a product's page shows, as "1234.50" in either language."""
    found = re.search(r'<p class="prices"><span class="price">€?([\d.,\xa0\u202f]+)', page)
    if found is None:
        return ""
    number = found[1].strip("\xa0\u202f")
    return re.sub(r"\D", "", number[:-3]) + "." + number[-2:]
