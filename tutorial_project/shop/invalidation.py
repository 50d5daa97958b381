"""The shop's map of invalidation: which of the kept values a change touches. `TOUCHES.connected()` makes them fresh.

It covers every row of `contract.py` that says so (`told`). Not covered, and bounded by their seconds alone: the home
page that strangers get, since Django has no public call that deletes one page; and the exchange rates, since the
service that sets them tells nobody. What a rule asks of the database to find its keys is the price of a change.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.core.cache.utils import make_template_fragment_key
from django.db.models import Q, QuerySet

from ..caching.invalidation import Touches
from .models import Category, Order, OrderLine, Product, Review, Tag, Tenant

TOUCHES = Touches()

# A kept row holds all columns of a product. `updated_at` changes with each save, and no page shows it.
ROW = [field.name for field in Product._meta.concrete_fields if field.name != "updated_at"]


@TOUCHES.when(Product, before=False)
def details(product: Product) -> Iterator[str]:
    """The product itself, its tags too."""
    yield f"product:{product.pk}:detail"


@TOUCHES.when(Product, fields=ROW)
def shelves(product: Product) -> Iterator[str]:
    """The category that it lies in and the one above: their products, and their figures."""
    yield from of_categories(Category.objects.filter(Q(pk=product.category_id) | Q(children=product.category_id)))


@TOUCHES.when(Product, fields=ROW)
def rankings(product: Product) -> Iterator[str]:
    """The rows of the best sellers, in the shop and in its store."""
    yield "popular_products"
    yield f"tenant:{product.tenant_id}:dashboard_stats"


@TOUCHES.when(Product, fields=("name_en", "name_de", "price", "category"))
def boxes(product: Product) -> Iterator[str]:
    """The two boxes of the home page that show a product."""
    yield from of_fragment("best_of_shelves")
    yield from of_fragment("sidebar_popular")


@TOUCHES.when(Product, fields=("category",))
def counts(product: Product) -> Iterator[str]:
    """The menu, which says how many products lie in each category."""
    yield "navigation"


@TOUCHES.when(Review, fields=("product", "rating"))
def stars(review: Review) -> Iterator[str]:
    """A mean: of its product, of the two categories above, and of who stands in the sidebar."""
    yield f"product:{review.product_id}:detail"
    of_it = Category.objects.filter(Q(products=review.product_id) | Q(children__products=review.product_id))
    yield from of_categories(of_it, "stats")
    yield from of_fragment("sidebar_popular")


@TOUCHES.when(OrderLine)
def sales(line: OrderLine) -> Iterator[str]:
    """The rankings by units, and the figures of the stores that sold it and that took the order."""
    yield "popular_products"
    yield from of_fragment("best_of_shelves")
    yield f"tenant:{line.order.tenant_id}:dashboard_stats"
    yield f"tenant:{line.product.tenant_id}:dashboard_stats"


@TOUCHES.when(Order, fields=("tenant", "placed_at"))
def takings(order: Order) -> Iterator[str]:
    """The figures of its store, day by day."""
    yield f"tenant:{order.tenant_id}:dashboard_stats"


@TOUCHES.when(Tag)
def tagged(tag: Tag) -> Iterator[str]:
    """The products that show it."""
    yield from of_products(Product.objects.filter(tags=tag))


@TOUCHES.when(Tenant)
def sold_by(store: Tenant) -> Iterator[str]:
    """Wherever a product stands with the name of its store."""
    yield "popular_products"
    yield from of_products(Product.objects.filter(tenant=store))
    theirs = Q(products__tenant=store) | Q(children__products__tenant=store)
    yield from of_categories(Category.objects.filter(theirs).distinct(), "products")


@TOUCHES.when(Category)
def menu(category: Category) -> Iterator[str]:
    """The menu, the pages of the category and of those above and below, and wherever a product stands with its name."""
    yield "navigation"
    yield "popular_products"
    yield from of_fragment("best_of_shelves")
    yield f"category:{category.slug}:products"  # as the row has it: it may have had another name before
    yield f"category:{category.slug}:stats"
    yield from of_categories(
        Category.objects.filter(Q(children=category) | Q(parent=category) | Q(pk=category.parent_id))
    )
    yield from of_products(Product.objects.filter(Q(category=category) | Q(category__parent=category)))


@TOUCHES.when(User, fields=("is_active", "is_superuser", "groups", "user_permissions"), before=False)
def permissions(user: User) -> Iterator[str]:
    """What the user may do."""
    yield f"user:{user.pk}:permissions"


@TOUCHES.when(Group, fields=("permissions",), before=False)
def permissions_of_group(group: Group) -> Iterator[str]:
    """What its users may do."""
    yield from of_users(User.objects.filter(groups=group))


@TOUCHES.when(Permission, before=False)
def permissions_by_name(permission: Permission) -> Iterator[str]:
    """What those may do who have it, and those who have all there are."""
    has = Q(user_permissions=permission) | Q(groups__permissions=permission) | Q(is_superuser=True)
    yield from of_users(User.objects.filter(has).distinct())


def of_categories(categories: QuerySet[Category], *which: str) -> Iterator[str]:
    """The keys of these categories, of `which` values: without any, of both."""
    for slug in categories.values_list("slug", flat=True):
        yield from (f"category:{slug}:{what}" for what in which or ("products", "stats"))


def of_products(products: QuerySet[Product]) -> Iterator[str]:
    """The keys of these products' details."""
    yield from (f"product:{pk}:detail" for pk in products.values_list("pk", flat=True))


def of_users(users: QuerySet[User]) -> Iterator[str]:
    """The keys of these users' permissions."""
    yield from (f"user:{pk}:permissions" for pk in users.values_list("pk", flat=True))


def of_fragment(name: str) -> Iterator[str]:
    """The keys of a fragment that varies on the language alone, in all the languages that the shop speaks."""
    yield from (make_template_fragment_key(name, [language]) for language, _ in settings.LANGUAGES)
