"""What the planted views share."""

from functools import wraps
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.template import engines

WORDS = {"en": "Welcome", "de": "Willkommen"}
REVENUE = {1: 17, 2: 3}


def page(request: HttpRequest | None, source: str, **context: Any) -> HttpResponse:
    """A template, drawn."""
    return HttpResponse(engines["django"].from_string(source).render(context, request))


def who(request: HttpRequest) -> str:
    """The user name, or "stranger"."""
    return request.user.get_username() or "stranger"


def store(request: HttpRequest) -> int:
    """The store of the visitor; 1 for a stranger."""
    return 1 if isinstance(request.user, AnonymousUser) else getattr(getattr(request.user, "profile", None), "store", 1)


def word(request: HttpRequest) -> str:
    """A word in the language of the request."""
    return WORDS[getattr(request, "LANGUAGE_CODE", "en")[:2]]


def chosen(request: HttpRequest) -> str:
    """The language chosen in the profile, else the browser's."""
    profile = None if isinstance(request.user, AnonymousUser) else getattr(request.user, "profile", None)
    return (profile.language if profile else "") or getattr(request, "LANGUAGE_CODE", "en")


def hello(request: HttpRequest) -> HttpResponse:
    """A page that differs by user, and is kept by nobody yet."""
    return HttpResponse(f"<p>Hello, {who(request)}</p>")


def by_path(view: Any) -> Any:
    """A decorator somebody wrote: keeps the content of a page under its path."""

    @wraps(view)
    def keeping(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        content = cache.get(f"page:{request.path}")
        if content is None:
            content = view(request, *args, **kwargs).content
            cache.set(f"page:{request.path}", content)
        return HttpResponse(content)

    return keeping
