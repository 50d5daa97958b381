"""The back office."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from .models import Category, Customer, Order, OrderLine, Product, Review, Tag, Tenant


@admin.register(Tenant)
class TenantAdmin(admin.ModelAdmin):
    """Stores."""

    list_display = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin):
    """Shelves."""

    list_display = ["name_en", "name_de", "parent"]
    list_select_related = ["parent"]


@admin.register(Tag)
class TagAdmin(admin.ModelAdmin):
    """Labels."""

    list_display = ["name_en", "name_de"]


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    """Products, found by name in either language."""

    list_display = ["name_en", "name_de", "tenant", "category", "price", "stock"]
    list_filter = ["tenant"]
    list_select_related = ["tenant", "category"]
    search_fields = ["name_en", "name_de"]
    filter_horizontal = ["tags"]


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    """Profiles."""

    list_display = ["user", "tenant", "language", "currency"]
    list_filter = ["tenant", "language", "currency"]
    list_select_related = ["user", "tenant"]
    raw_id_fields = ["user"]
    search_fields = ["user__username"]


@admin.register(Review)
class ReviewAdmin(admin.ModelAdmin):
    """Reviews."""

    list_display = ["product", "customer", "rating", "created_at"]
    list_filter = ["rating"]
    list_select_related = ["product", "customer__user"]
    raw_id_fields = ["product", "customer"]


class OrderLineInline(admin.TabularInline):
    """The lines of an order, on its page."""

    model = OrderLine
    raw_id_fields = ["product"]
    extra = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[OrderLine]:
        """The lines with their products, whose names are shown."""
        return super().get_queryset(request).select_related("product")


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """Orders."""

    list_display = ["id", "tenant", "customer", "placed_at"]
    list_filter = ["tenant"]
    list_select_related = ["tenant", "customer__user"]
    raw_id_fields = ["customer"]
    inlines = [OrderLineInline]


@admin.register(OrderLine)
class OrderLineAdmin(admin.ModelAdmin):
    """Every line sold."""

    list_display = ["order", "product", "quantity", "unit_price"]
    list_select_related = ["order", "product"]
    raw_id_fields = ["order", "product"]
