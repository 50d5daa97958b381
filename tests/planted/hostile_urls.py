"""The pages that keep an audit from its work, and one that leaks among them."""

from django.urls import path

from . import leaking_pages
from .urls import hostile_patterns

urlpatterns = [*hostile_patterns, path("leaks/name/", leaking_pages.name)]
