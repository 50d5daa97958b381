"""Notebook 07: the exercise on a map of one's own."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from django.core.cache import cache
from django.db import transaction

from ...caching.invalidation import Touches
from ...shop.models import Category, Product, Tenant
from ..exercises import NotAttempted, Wrong, exercise, expect_type
from ..starters import untouched

if TYPE_CHECKING:
    from ..bench import Lab

HERE, THERE, ELSEWHERE = 14, 9, 18  # categories; product 6 lies in the first


def ask_cheapest(category_id: int) -> list[str]:
    """The three cheapest products of a category, each with its store: "Bowl Vega, Maple and Moss"."""
    rows = Product.objects.filter(category=category_id).select_related("tenant").order_by("price", "pk")[:3]
    return [f"{product.name_en}, {product.tenant.name}" for product in rows]


def cheapest(category_id: int) -> list[str]:
    """The same, kept for a day: whatever changes it must be told."""
    return cache.get_or_set(f"category:{category_id}:cheapest", partial(ask_cheapest, category_id), 86_400)  # type: ignore[return-value]


def saved(**fields: Any) -> None:
    """Product 6 with other values, saved field by field."""
    product = Product.objects.get(pk=6)
    for name, value in fields.items():
        setattr(product, name, value)
    product.save(update_fields=[name.removesuffix("_id") for name in fields])


def store_renamed() -> None:
    """The store of product 6, under another name."""
    store = Tenant.objects.get(pk=3)
    store.name = "Moss and Maple"
    store.save()


LAMP = {"name_en": "Lamp", "name_de": "Lampe", "tenant_id": 1, "price": "0.02"}
CHANGES: dict[str, tuple[Callable[[], Any], str]] = {
    "product 6 becomes the cheapest": (partial(saved, price="0.01"), "Is the rule asked for a new price?"),
    "product 6 is renamed": (
        partial(saved, name_en="Quilt Boreas"),
        "Its name is part of what is kept. Which fields does your rule ask for?",
    ),
    "a product is created": (
        lambda: Product.objects.create(**LAMP, category_id=ELSEWHERE),
        "A new row is saved, too.",
    ),
    "a product is deleted": (lambda: Product.objects.get(name_en="Lamp").delete(), "Its category has one fewer."),
    "product 6 moves to another category": (
        partial(saved, category_id=THERE),
        "It stood in one category and stands in another: both show it, or ought to. Is your rule asked for the row as "
        "it was?",
    ),
    "the store of product 6 is renamed": (
        store_renamed,
        "The name of the store is part of what is kept, and is no column of the product: it is a rule of its own, "
        "for Tenant.",
    ),
}


@exercise("7.2", "a map of your own", seconds=20, commits=True)
def map_of_your_own(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Touches, "touches")
    if not answer.rules or all(untouched(rule.function) for rule in answer.rules):
        raise NotAttempted
    lab.restore_database()
    cleared = []
    with answer.connected():
        for what, (change, hint) in CHANGES.items():
            cleared.append(judge_change(answer, what, change, hint))
        judge_stores(answer)
        judge_waits()
    return f"{len(CHANGES)} kinds of change, {sum(cleared)} entries cleared, none of the three categories ever wrong."


def judge_change(answer: Touches, what: str, change: Callable[[], Any], hint: str) -> int:
    """Keep three categories, make the change; how many were cleared. Raises Wrong if one is stale, or all gone."""
    cache.clear()
    keys = {pk: f"category:{pk}:cheapest" for pk in (HERE, THERE, ELSEWHERE)}
    for pk in keys:
        cheapest(pk)
    change()
    left = cache.get_many(keys.values())
    for pk, key in keys.items():
        true = ask_cheapest(pk)
        if key in left and left[key] != true:
            at = next(n for n in range(3) if left[key][n] != true[n])
            told = f"{what}, and {key!r} still has {left[key][at]!r} where {true[at]!r} belongs."
            raise Wrong(f"{told} {wrong_name(answer, change) or unasked(answer, change) or hint}")
    if not left and change is not store_renamed:  # the store sells in most of them
        own = Category.objects.get(pk=HERE)
        raise Wrong(
            f"{what}, and all three categories were cleared. It concerns {own.name_en} and its like: name the key "
            "of the product's own category, no more."
        )
    return len(keys) - len(left)


def named(answer: Touches, row: Product | Tenant) -> set[str]:
    """The keys that the map names for a row."""
    return {key for key in answer.keys_of(row) if isinstance(key, str)}


def wrong_name(answer: Touches, change: Callable[[], Any]) -> str:
    """What to say where the map names keys for the row that was changed, and not the one of its category; or ""."""
    row = Tenant.objects.get(pk=3) if change is store_renamed else Product.objects.get(pk=6)
    keys, wanted = named(answer, row), f"category:{Product.objects.get(pk=6).category_id}:cheapest"
    if not keys or wanted in keys:
        return ""
    if tuples := sorted(key for key in keys if "(" in key):
        return (
            f"The map names {tuples[0]!r}: what stands between the colons is a row of values_list(), a tuple. "
            "With flat=True it gives the numbers."
        )
    return f"The map names {', '.join(map(repr, sorted(keys)[:3]))}, and not {wanted!r}: the number is the category's."


def unasked(answer: Touches, change: Callable[[], Any]) -> str:
    """What to say where a product moves and no rule is asked for a product whose category has changed; or ""."""
    if change is not CHANGES["product 6 moves to another category"][0]:
        return ""
    asked = [rule.fields for rule in answer.rules if Product in rule.models]
    if not asked or any(fields is None or "category" in fields for fields in asked):
        return ""
    fields = ", ".join(sorted(set().union(*(fields or () for fields in asked))))
    return f"Its category has changed, and the rule is asked for {fields} alone: `fields` lacks 'category'."


def judge_waits() -> None:
    """Raise Wrong where a key is gone before the transaction of its change has committed."""
    cache.clear()
    own = Product.objects.get(pk=6).category_id
    key = f"category:{own}:cheapest"
    cheapest(own)
    with transaction.atomic():
        saved(price="0.03")
        early = cache.get(key) is None
    if early:
        raise Wrong(
            f"product 6 gets another price in a transaction, and {key!r} is gone before that commits. A rule deletes "
            "nothing: it yields keys, and the map deletes them on commit."
        )


def judge_stores(answer: Touches) -> None:
    """Raise Wrong where the map names a category for a store that sells nothing in it."""
    for store in Tenant.objects.all():
        sells = Category.objects.filter(products__tenant=store).values_list("pk", flat=True)
        if beyond := named(answer, store) - {f"category:{pk}:cheapest" for pk in sells}:
            raise Wrong(
                f"{store.name} is renamed, and the map names {sorted(beyond)[0]!r}, a category where it sells nothing. "
                "Name those of its own products."
            )
