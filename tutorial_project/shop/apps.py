"""The shop as a Django app."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """The app's name in settings and its label in tables and permissions."""

    name = "tutorial_project.shop"
    label = "shop"
    verbose_name = "Shop"
