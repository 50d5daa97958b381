"""One page that is kept for everybody, and is the same for everybody."""

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.cache import cache_page


def imprint(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<p>The same for everybody</p>")


urlpatterns = [path("imprint/", cache_page(60)(imprint))]
