"""The pages of the shop: each asks its selectors, through the module, and fills a template."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST
from django.views.i18n import set_language

from . import rates, selectors
from .forms import MOST_OF_ONE, CartForm, CurrencyForm, PriceForm, ReviewForm, SearchForm
from .models import Category, Customer, Order, OrderLine, Product, Review, Tenant
from .visitor import ShopRequest, cart_of, chosen_currency


def home(request: HttpRequest) -> HttpResponse:
    """The front page: a greeting, the best of each category, what sells most, what is new."""
    navigation = selectors.navigation()
    tops = [entry["category"] for entry in navigation]
    context = {
        "navigation": navigation,
        "best": [{"category": top, "products": selectors.best_of_category(top.pk)} for top in tops],
        "popular_products": selectors.popular_products(),
        "new_products": selectors.new_products(),
    }
    return render(request, "shop/home.html", context)


def category(request: HttpRequest, slug: str) -> HttpResponse:
    """A shelf, 24 products a page; `?page=` beyond either end shows the nearest page."""
    return render(request, "shop/category.html", category_context(request, slug, selectors.category_products))


def category_context(
    request: HttpRequest, slug: str, category_products: Callable[[str, int], dict[str, Any]]
) -> dict[str, Any]:
    """What a category's page shows, as this answers. Raises Http404."""
    page = request.GET.get("page", "1")
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 10 else 1
    try:
        return category_products(slug, number)
    except Category.DoesNotExist:
        raise Http404(f"no category {slug}") from None


def product(request: HttpRequest, pk: int) -> HttpResponse:
    """A product, its reviews and its relatives, with its price in the visitor's currency too."""
    return _product_page(request, pk)


def _product_page(request: HttpRequest, pk: int, status: int = 200, **forms: Any) -> HttpResponse:
    context = product_context(request, pk, selectors.product_detail, rates.exchange_rate)
    return render(request, "shop/product.html", {**context, **forms}, status=status)


def product_context(
    request: HttpRequest,
    pk: int,
    product_detail: Callable[[int], dict[str, Any]],
    exchange_rate: Callable[[str], Decimal | None],
) -> dict[str, Any]:
    """What a product's page shows, its details and the rate as these two answer. Raises Http404."""
    try:
        detail = product_detail(pk)
    except Product.DoesNotExist:
        raise Http404(f"no product {pk}") from None
    currency = chosen_currency(request)
    rate = None if currency == "EUR" else exchange_rate(currency)
    return {
        **detail,
        "reviews": selectors.product_reviews(pk),
        "related_products": selectors.related_products(pk),
        "price_abroad": None if rate is None else (detail["product"].price * rate).quantize(selectors.CENT),
        "is_keeper": keeps(request, detail["product"].tenant_id),
    }


@login_required
def review(request: ShopRequest, pk: int) -> HttpResponse:
    """Takes a signed-in customer's review; a GET, as after signing in, shows the product."""
    if request.method != "POST":
        return redirect("product", pk)
    if request.customer is None:
        raise PermissionDenied("only a customer reviews")
    get_object_or_404(Product, pk=pk)
    form = ReviewForm(request.POST)
    if not form.is_valid():
        return _product_page(request, pk, status=400, review_form=form)
    Review.objects.create(product_id=pk, customer=request.customer, **form.cleaned_data)
    messages.success(request, _("Thank you for your review."))
    return redirect("product", pk)


@require_POST
def price(request: HttpRequest, pk: int) -> HttpResponse:
    """Sets a product's price, for staff of its store; 403 for everybody else."""
    found = get_object_or_404(Product, pk=pk)
    if not keeps(request, found.tenant_id):
        raise PermissionDenied("only staff of its store set a product's price")
    form = PriceForm(request.POST)
    if not form.is_valid():
        return _product_page(request, pk, status=400, price_form=form)
    found.price = form.cleaned_data["price"]
    found.save(update_fields=["price", "updated_at"])
    messages.success(request, _("The price has been changed."))
    return redirect("product", pk)


def search(request: HttpRequest) -> HttpResponse:
    """Products whose name holds the words of `?q=`."""
    form = SearchForm(request.GET)
    q = form.cleaned_data["q"] if form.is_valid() else ""
    return render(request, "shop/search.html", {"q": q, "products": selectors.search_products(q)})


def cart(request: HttpRequest) -> HttpResponse:
    """The cart; a POST of `product` and `quantity` sets a line, and 0 takes it out."""
    if request.method == "POST":
        _keep_line(request, adding=False)
        return redirect("cart")
    lines = selectors.cart_lines(cart_of(request))
    return render(request, "shop/cart.html", {"lines": lines, "total": sum(line["total"] for line in lines)})


@require_POST
def cart_add(request: HttpRequest) -> HttpResponse:
    """Puts `quantity` (one, where none is sent) of `product` into the cart."""
    _keep_line(request, adding=True)
    return redirect("cart")


def _keep_line(request: HttpRequest, adding: bool) -> None:
    form = CartForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("That could not be put into the cart."))
        return
    key, quantity = str(form.cleaned_data["product"].pk), form.cleaned_data["quantity"]
    kept = cart_of(request)
    kept[key] = min(quantity + (kept.get(key, 0) if adding else 0), MOST_OF_ONE)
    request.session["cart"] = {pk: count for pk, count in kept.items() if count}


@login_required
def checkout(request: ShopRequest) -> HttpResponse:
    """Turns the cart into orders, one for each store; a GET, as after signing in, shows the cart."""
    if request.method != "POST":
        return redirect("cart")
    if request.customer is None:
        raise PermissionDenied("only a customer buys")
    lines = selectors.cart_lines(cart_of(request))
    if not lines:
        messages.error(request, _("Your cart is empty."))
        return redirect("cart")
    _place_orders(request.customer, lines)
    request.session["cart"] = {}
    messages.success(request, _("Thank you for your order."))
    return redirect("home")


@transaction.atomic
def _place_orders(customer: Customer, lines: list[dict[str, Any]]) -> None:
    orders: dict[int, Order] = {}
    for tenant_id in sorted({line["product"].tenant_id for line in lines}):
        orders[tenant_id] = Order.objects.create(tenant_id=tenant_id, customer=customer)
    OrderLine.objects.bulk_create(
        OrderLine(
            order=orders[line["product"].tenant_id],
            product=line["product"],
            quantity=line["quantity"],
            unit_price=line["product"].price,
        )
        for line in lines
    )


def dashboard(request: HttpRequest, slug: str) -> HttpResponse:
    """A store's figures, for its staff; 403 for everybody else."""
    tenant = get_object_or_404(Tenant, slug=slug)
    if not keeps(request, tenant.pk):
        raise PermissionDenied("only staff of a store see its dashboard")
    stats = selectors.dashboard_stats(tenant.pk)
    days = stats["by_day"][-30:]
    peak = max((day["revenue"] for day in days), default=0)
    return render(request, "shop/dashboard.html", {"tenant": tenant, "stats": stats, "days": days, "peak": peak})


def keeps(request: HttpRequest, tenant_id: int) -> bool:
    """Whether the visitor is staff of this store."""
    customer: Customer | None = getattr(request, "customer", None)
    return customer is not None and request.user.is_staff and customer.tenant_id == tenant_id


@require_POST
def language(request: ShopRequest) -> HttpResponse:
    """Django's own `set_language`, and for a customer a change of their profile, which would otherwise overrule it."""
    response = set_language(request)
    chosen = request.POST.get("language")
    # Django takes any language it knows itself; a profile holds only those that the shop speaks.
    if request.customer is not None and chosen in dict(settings.LANGUAGES):
        request.customer.language = chosen
        request.customer.save(update_fields=["language"])
    return response


def currency(request: HttpRequest) -> HttpResponse:
    """The page on which language and currency are chosen; a POST of `currency` keeps the choice in the session."""
    back = request.POST.get("next") or request.GET.get("next") or ""
    if not url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure()):
        back = reverse("home")
    context = {"back": back, "currencies": rates.CURRENCIES}
    if request.method != "POST":
        return render(request, "shop/preferences.html", context)
    form = CurrencyForm(request.POST)
    if not form.is_valid():
        return render(request, "shop/preferences.html", {**context, "currency_form": form}, status=400)
    request.session["currency"] = form.cleaned_data["currency"]
    return redirect(back)
