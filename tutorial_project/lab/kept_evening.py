"""An evening in the shop, with its answers kept in the way that you give, and somebody told of each changed product."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.db.models.signals import post_save

from ..shop import selectors
from ..shop.models import Product, Review

if TYPE_CHECKING:
    import pandas as pd

GetOrSet = Callable[[tuple[Any, ...], str, Callable[[], Any]], Any]
GENERATIONS = ("product", "catalogue")  # the cache uses as which the look-ups of a namespace's generation are counted


def replay_kept(trace: pd.DataFrame, get_or_set: GetOrSet, on_save: Callable[..., Any] | None = None) -> pd.DataFrame:
    """Replay `trace` with five of the shop's answers kept: what `lab.replay` returns.

    The menu and permissions are kept as `lab.keep` does it. The ranking, and each product's details and reviews, are
    kept by `get_or_set(entity, what, ask)`: the parts of what an entry is of, such as ("product", 42), what of it, and
    the function that asks the database. `on_save(sender, instance)` hears of each saved product and review, until the
    replay ends, however it ends. The look-ups of generations are not among the uses. What is kept stays kept, for
    whoever looks: `lab.restore()` ends it.
    """
    from .bench import current

    lab = current()
    lab.restore()
    lab.keep("navigation", "permission_set", _kept(("catalogue", "all"), get_or_set, selectors.popular_products))
    lab.keep(*(_kept(("product",), get_or_set, ask) for ask in (selectors.product_detail, selectors.product_reviews)))
    with heard(on_save):
        replayed = lab.replay(trace)
    replayed["uses"] = [{use: n for use, n in uses.items() if use not in GENERATIONS} for uses in replayed["uses"]]
    return replayed


@contextmanager
def heard(on_save: Callable[..., Any] | None) -> Iterator[None]:
    """Connect `on_save` to Django's `post_save` of products and reviews, for this block."""
    for model in (Product, Review):
        if on_save is not None:
            post_save.connect(on_save, sender=model)
    try:
        yield
    finally:
        for model in (Product, Review):
            post_save.disconnect(on_save, sender=model)


def _kept(entity: tuple[str, ...], get_or_set: GetOrSet, ask: Any) -> Callable[..., Any]:
    def answer(*pk: Any) -> Any:
        return get_or_set((*entity, *pk), ask.__name__, lambda: ask(*pk))

    answer.__name__ = ask.__name__
    return answer
