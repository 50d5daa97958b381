"""The shop: stores that sell products to customers, in two languages.

A *tenant* is a store. Products, orders and customers belong to one; categories and tags are shared by all.
Prices are in euros. Names stand in both languages on the row (`name_en`, `name_de`): `name` picks the active one.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Sum
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language

from ..caching.telling import Telling


class Bilingual(models.Model):
    """A row with a name in English and in German."""

    name_en = models.CharField(max_length=120)
    name_de = models.CharField(max_length=120)

    class Meta:
        abstract = True

    @property
    def name(self) -> str:
        """The name in the active language; English where that is neither English nor German."""
        return self.in_active_language("name")

    def in_active_language(self, field: str) -> str:
        """The value of `<field>_de` while German is active, of `<field>_en` otherwise."""
        german = (get_language() or "en").startswith("de")
        return str(getattr(self, f"{field}_{'de' if german else 'en'}"))

    def __str__(self) -> str:
        return self.name_en


class Tenant(models.Model):
    """A store. Its staff see its dashboard, and nobody else's."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=80)

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("dashboard", args=[self.slug])


class Category(Bilingual):
    """A shelf. Top categories have no parent; every product lies in a category that has one."""

    slug = models.SlugField(unique=True)
    parent = models.ForeignKey("self", models.CASCADE, null=True, blank=True, related_name="children")

    class Meta:
        verbose_name_plural = "categories"

    def get_absolute_url(self) -> str:
        return reverse("category", args=[self.slug])


class Tag(Bilingual):
    """A label that products share across categories."""

    slug = models.SlugField(unique=True)


class ProductQuerySet(models.QuerySet["Product"]):
    """Questions about products that more than one page asks."""

    def expensive_ranking(self) -> ProductQuerySet:
        """All products that ever sold, most units first, each with `.sold` (units): a sum over every order line."""
        return self.filter(lines__isnull=False).annotate(sold=Sum("lines__quantity")).order_by("-sold", "pk")


class Product(Bilingual):
    """Something a store sells."""

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="products")
    category = models.ForeignKey(Category, models.PROTECT, related_name="products")
    tags = models.ManyToManyField(Tag, related_name="products", blank=True)
    description_en = models.TextField(blank=True)
    description_de = models.TextField(blank=True)
    price = models.DecimalField(max_digits=8, decimal_places=2, help_text="in euros")
    stock = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ProductQuerySet.as_manager()

    @property
    def description(self) -> str:
        """The description in the active language."""
        return self.in_active_language("description")

    def get_absolute_url(self) -> str:
        return reverse("product", args=[self.pk])


class Customer(models.Model):
    """A user's profile: the store they belong to, and the language and currency they chose."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="customer")
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="customers")
    language = models.CharField(max_length=5, blank=True, help_text="empty: whatever the browser asks for")
    currency = models.CharField(max_length=3, default="EUR")

    def __str__(self) -> str:
        return str(self.user)


class Review(models.Model):
    """What a customer thought of a product, in stars from 1 to 5."""

    product = models.ForeignKey(Product, models.CASCADE, related_name="reviews")
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="reviews")
    rating = models.PositiveSmallIntegerField()
    text = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.rating} of 5 for {self.product_id}"


class Order(models.Model):
    """A purchase from one store."""

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="orders")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="orders")
    placed_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"order {self.pk}"


class OrderLine(models.Model):
    """So many of one product, at the price of that day."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, models.PROTECT, related_name="lines")
    quantity = models.PositiveIntegerField()
    unit_price = models.DecimalField(max_digits=8, decimal_places=2, help_text="in euros")

    objects = Telling.as_manager()  # a checkout writes its lines in bulk, of which Django tells nobody

    class Meta:
        # The rankings sum quantities by product: from this index alone, without reading a single line's row.
        indexes = [models.Index(fields=["product", "quantity"], name="line_product_quantity")]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.product_id}"

    @property
    def total(self) -> Decimal:
        """Quantity times unit price, in euros."""
        return self.quantity * self.unit_price

    @staticmethod
    def revenue() -> Any:
        """The expression that sums the lines' totals in the database."""
        return Sum(F("quantity") * F("unit_price"))
