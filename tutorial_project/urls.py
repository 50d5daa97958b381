"""Every address of the project."""

from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import URLPattern, URLResolver, include, path, re_path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("tutorial_project.shop.urls")),
    path("admin/", admin.site.urls),
    # On the bench there is no web server in front; in production there is, and this line never sees a request.
    re_path(r"^static/(?P<path>.+)$", serve, {"insecure": True}),
]
