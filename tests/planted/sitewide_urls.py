"""Pages without a decorator, for the site-wide pair. In the wrong order those under leaks/ leak."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from .parts import page, word


def name(request: HttpRequest) -> HttpResponse:
    return page(request, "<p>Hello, {{ user.username }}</p>")


def language(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>{word(request)}</p>")


def imprint(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<p>The same for everybody.</p>")


urlpatterns = [
    path("leaks/name/", name, name="name"),
    path("safe/language/", language, name="language"),
    path("safe/imprint/", imprint, name="imprint"),
]
