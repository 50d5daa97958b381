"""What the pages ask the database, one function a question.

Every function answers with evaluated rows (lists, dicts, model instances): nothing here is lazy, so an answer can be
kept and served again without touching the database. Names stand on the rows in both languages; the template picks one.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.paginator import Paginator
from django.db.models import Avg, Count, F, Max, Min, OuterRef, Q, Subquery, Sum
from django.db.models.functions import TruncDate

from .models import Category, OrderLine, Product, Review

PER_PAGE = 24
SEARCH_LIMIT = 48
REVIEWS_TO_RANK = 5  # fewer say more about one reviewer than about the product
CENT = Decimal("0.01")


def navigation() -> list[dict[str, Any]]:
    """The menu, one dict a top category: `category`, `product_count` and `children`, dicts of the same first two."""
    top: dict[int, dict[str, Any]] = {}
    # Top categories first: each child then finds the entry it belongs to.
    counted = Category.objects.annotate(product_count=Count("products"))
    for category in counted.order_by(F("parent_id").asc(nulls_first=True), "pk"):
        entry = {"category": category, "product_count": category.product_count}
        if category.parent_id is None:
            top[category.pk] = {**entry, "children": []}
        else:
            top[category.parent_id]["children"].append(entry)
            top[category.parent_id]["product_count"] += category.product_count
    return list(top.values())


def popular_products() -> list[Product]:
    """The twenty products that sold most, best first, each with `.sold` (units), its store and its category."""
    return list(Product.objects.expensive_ranking().select_related("tenant", "category")[:20])


def sidebar_popular() -> list[Product]:
    """The five best rated products with five reviews or more, each with `.rating` (mean) and `.review_count`."""
    rated = Product.objects.annotate(rating=Avg("reviews__rating"), review_count=Count("reviews"))
    return list(rated.filter(review_count__gte=REVIEWS_TO_RANK).order_by("-rating", "-review_count", "pk")[:5])


def best_of_category(category_id: int) -> list[Product]:
    """The three best sellers of a top category, best first, each with `.sold` (units) and its store."""
    lines = OrderLine.objects.filter(product=OuterRef("pk")).order_by().values("product")
    # One short sum a product is a third of the work of grouping all the shelf's order lines by every column.
    ranking = Product.objects.filter(category__parent_id=category_id).annotate(
        sold=Subquery(lines.annotate(units=Sum("quantity")).values("units"))
    )
    best = ranking.select_related("tenant").order_by(F("sold").desc(nulls_last=True), "pk")[:3]
    return [product for product in best if product.sold]


def new_products() -> list[Product]:
    """The eight products that came last, latest first, each with its store."""
    return list(Product.objects.select_related("tenant").order_by("-created_at", "-pk")[:8])


def permission_set(user: AbstractBaseUser | AnonymousUser) -> frozenset[str]:
    """All permissions of a user ("shop.add_review"), their own and those of their groups; none for a stranger."""
    if isinstance(user, AnonymousUser) or not user.is_authenticated:
        return frozenset()
    return frozenset(user.get_all_permissions())  # type: ignore[attr-defined]  # of PermissionsMixin


def category_products(slug: str, page: int = 1) -> dict[str, Any]:
    """One page of a category, a top category showing its children's products too.

    Returns `category` (with `.parent`), `products` (at most 24), `page` (the nearest that exists), `pages` and `total`.
    Raises `Category.DoesNotExist`.
    """
    category = Category.objects.select_related("parent").get(slug=slug)
    products = Product.objects.filter(Q(category=category) | Q(category__parent=category))
    paginator = Paginator(products.select_related("tenant").order_by("pk"), PER_PAGE)
    shown = paginator.get_page(page)
    return {
        "category": category,
        "products": list(shown.object_list),
        "page": shown.number,
        "pages": paginator.num_pages,
        "total": paginator.count,
    }


def category_stats(slug: str) -> dict[str, Any]:
    """The figures of a category, a top category with its children's products: `cheapest` and `dearest` (euros, None
    where it is empty), the mean `rating` of all their reviews or None, and `review_count`.
    """
    products = Product.objects.filter(Q(category__slug=slug) | Q(category__parent__slug=slug))
    # A product stands there once for each of its reviews: that changes neither end of the range, nor their mean.
    return products.aggregate(
        cheapest=Min("price"), dearest=Max("price"), rating=Avg("reviews__rating"), review_count=Count("reviews")
    )


def product_detail(pk: int) -> dict[str, Any]:
    """One product: `product` (with store, category and top category), `tags`, mean `rating` or None, `review_count`.

    Raises `Product.DoesNotExist`.
    """
    product = Product.objects.select_related("tenant", "category__parent").get(pk=pk)
    reviews = Review.objects.filter(product_id=pk).aggregate(rating=Avg("rating"), review_count=Count("pk"))
    return {"product": product, "tags": list(product.tags.order_by("pk")), **reviews}


def product_reviews(pk: int) -> list[Review]:
    """The ten latest reviews of a product, latest first, each with its customer and their user."""
    reviews = Review.objects.filter(product_id=pk).select_related("customer__user")
    return list(reviews.order_by("-created_at", "-pk")[:10])


def related_products(pk: int) -> list[Product]:
    """The six products that share most tags with this one, each with `.shared` (tags in common) and its store."""
    sharing = Product.objects.filter(tags__products=pk).exclude(pk=pk).annotate(shared=Count("tags"))
    return list(sharing.select_related("tenant").order_by("-shared", "pk")[:6])


def search_products(q: str) -> list[Product]:
    """Up to 48 products whose English or German name holds every word of `q`; none for an empty `q`."""
    words = q.split()
    if not words:
        return []
    products = Product.objects.select_related("tenant")
    for word in words:
        products = products.filter(Q(name_en__icontains=word) | Q(name_de__icontains=word))
    return list(products.order_by("pk")[:SEARCH_LIMIT])


def dashboard_stats(tenant_id: int) -> dict[str, Any]:
    """The figures of one store, over all its order lines.

    Returns `orders` and `units` (counts), `revenue` (euros), `top_products` (ten products with `.sold` and `.revenue`)
    and `by_day` (dicts of `day`, a UTC date, and `revenue`, oldest first).
    """
    lines = OrderLine.objects.filter(order__tenant_id=tenant_id)
    totals = lines.aggregate(
        orders=Count("order", distinct=True), units=Sum("quantity", default=0), revenue=OrderLine.revenue()
    )
    sales = Sum(F("lines__quantity") * F("lines__unit_price"))
    ranking = Product.objects.expensive_ranking().filter(tenant_id=tenant_id).annotate(revenue=sales)
    top_products = list(ranking.order_by("-revenue", "pk")[:10])
    for product in top_products:
        product.revenue = _euros(product.revenue)
    days = lines.values(day=TruncDate("order__placed_at")).annotate(euros=OrderLine.revenue()).order_by("day")
    return {
        "orders": totals["orders"],
        "units": totals["units"],
        "revenue": _euros(totals["revenue"]),
        "top_products": top_products,
        "by_day": [{"day": day["day"], "revenue": _euros(day["euros"])} for day in days],
    }


def cart_lines(cart: Mapping[str, int]) -> list[dict[str, Any]]:
    """The lines of a cart (product id as text -> quantity), in its order: `product`, `quantity`, `total` (euros).

    Each product comes with its store; one that no longer exists is left out.
    """
    if not cart:
        return []
    products = Product.objects.select_related("tenant").in_bulk([int(pk) for pk in cart])
    return [
        {"product": products[int(pk)], "quantity": quantity, "total": quantity * products[int(pk)].price}
        for pk, quantity in cart.items()
        if int(pk) in products
    ]


def _euros(amount: Decimal | None) -> Decimal:
    # SQLite sums decimals as floating point numbers.
    return (amount or Decimal(0)).quantize(CENT)
