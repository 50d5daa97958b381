"""One page, not kept."""

from django.urls import path

from .bare_urls import imprint

urlpatterns = [path("imprint/", imprint)]
