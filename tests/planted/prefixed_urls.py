"""One leak and one safe page for each language, and one whose address is a regular expression."""

from django.conf.urls.i18n import i18n_patterns
from django.urls import include, path, re_path

from . import leaking_pages, safe_pages

inner = [
    path("name/", leaking_pages.name),
    re_path(r"^language/$", safe_pages.language),
    re_path(r"^archive/(?P<year>[0-9]{4})/$", safe_pages.language),
]
urlpatterns = [*i18n_patterns(path("shop/", include(inner))), re_path(r"^old/name/$", leaking_pages.name)]
