"""Part of `isolation`: the pages of a project, each with an address at which it can be visited."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.db import transaction
from django.urls import Resolver404, URLPattern, URLResolver, get_resolver, resolve
from django.urls.resolvers import LocalePrefixPattern, RoutePattern
from django.utils import translation
from django.utils.regex_helper import normalize

from .isolation_rehearsal import AuditError, _line

EXAMPLE = "its address needs an example: name one"
NOWHERE = "no pattern of the URLconf matches it"
ROWS = 3  # of each model, that are asked for their address
ARGUMENT = re.compile(r"<(?:[^<>:]+:)?(\w+)>")


@dataclass(frozen=True)
class Page:
    """A pattern of the URLconf, and an address that leads to it; `why` says what there is instead of one."""

    url: str
    view: str
    why: str = ""


@dataclass(frozen=True)
class _Found:
    """A pattern in the URLconf, with the patterns around it."""

    parts: tuple[Any, ...]
    callback: Callable[..., Any]

    @property
    def route(self) -> str:
        """Django's name for it: `ResolverMatch.route`."""
        route = ""
        for part in reversed(self.parts):
            text = str(part)
            route = text + (route[1:] if text and route.startswith("^") else route)
        return route


def named(urls: Sequence[str]) -> list[Page]:
    """The pages at these addresses; one that leads nowhere says so."""
    return [_named(url) for url in dict.fromkeys(urls)]


def _named(url: str) -> Page:
    path = "/" + urlsplit(url).path.lstrip("/")
    try:
        return Page(url if "://" in url else "/" + url.lstrip("/"), view_name(resolve(path).func))
    except Resolver404:
        pass
    try:
        resolve(path + "/")
        return Page(url, "", f"{NOWHERE}; {path}/ would lead somewhere")
    except Resolver404:
        return Page(url, "", NOWHERE)


def every_page(languages: Sequence[str]) -> list[Page]:
    """Every pattern of the URLconf. Raises AuditError where it cannot be read."""
    found = list(_patterns())
    examples = _examples()
    pages = [page for each in found for page in _pages(each, examples, languages)]
    return sorted(dict.fromkeys(pages), key=lambda page: (page.url.startswith("<"), page.url))


def check_urlconf() -> None:
    """Raises AuditError where the URLconf cannot be read."""
    try:
        list(_patterns())
    except Exception as error:
        raise AuditError(f"ROOT_URLCONF {_conf()!r} does not work: {_line(error)}") from error


def _conf() -> Any:
    return getattr(settings, "ROOT_URLCONF", None)


def _patterns() -> Iterator[_Found]:
    def walk(patterns: Iterable[Any], parts: tuple[Any, ...]) -> Iterator[_Found]:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, (*parts, pattern.pattern))
            elif isinstance(pattern, URLPattern):
                yield _Found((*parts, pattern.pattern), pattern.callback)

    yield from walk(get_resolver().url_patterns, ())


def view_name(view: Any) -> str:
    """The dotted name of a view, without what its decorators wrapped around it."""
    view = getattr(view, "view_class", None) or view
    name = getattr(view, "__qualname__", type(view).__name__).replace("<locals>.", "")
    return f"{getattr(view, '__module__', '')}.{name}".removeprefix("__main__.")


def _pages(found: _Found, examples: dict[str, tuple[str, dict[str, Any]]], languages: Sequence[str]) -> list[Page]:
    view = view_name(found.callback)
    prefixed = any(isinstance(part, LocalePrefixPattern) for part in found.parts)
    pages: dict[str, Page] = {}
    for language in languages if prefixed else languages[:1]:
        with translation.override(language):
            url = _plain(found) or _by_example(found, examples)
        if url is not None:
            pages[url] = Page(url, view)
    return list(pages.values()) or [Page(f"<{found.route}>", view, EXAMPLE)]


def _plain(found: _Found) -> str | None:
    """Its address, if it needs no argument."""
    url = "/"
    for part in found.parts:
        if isinstance(part, LocalePrefixPattern):
            url += part.language_prefix
        elif isinstance(part, RoutePattern):
            if "<" in str(part):
                return None
            url += str(part)
        else:
            plain = next((text for text, arguments in normalize(str(part)) if not arguments), None)
            if plain is None:
                return None
            url += plain
    return url if _leads_to(url, found) else None


def _leads_to(url: str, found: _Found) -> bool:
    try:
        return resolve(url).func == found.callback
    except Resolver404:
        return False


def _by_example(found: _Found, examples: dict[str, tuple[str, dict[str, Any]]]) -> str | None:
    """Its address with the arguments of a row's own address: of the same pattern, or of one that this one goes on."""
    route = found.route
    if route in examples:
        return examples[route][0]
    admin = getattr(found.callback, "model_admin", None)
    if admin is not None and ARGUMENT.findall(route) == ["object_id"]:
        row = _first_rows(admin.model)[:1]
        return _filled(found, {"object_id": row[0].pk}) if row else None
    for known, (_, arguments) in examples.items():
        if route.startswith(known.rstrip("$")) and set(ARGUMENT.findall(route)) == set(arguments):
            return _filled(found, arguments)
    return None


def _filled(found: _Found, arguments: dict[str, Any]) -> str | None:
    if not all(isinstance(part, (RoutePattern, LocalePrefixPattern)) for part in found.parts):
        return None
    url = "/" + ARGUMENT.sub(lambda match: str(arguments[match[1]]), found.route)
    return url if _leads_to(url, found) else None


def _examples() -> dict[str, tuple[str, dict[str, Any]]]:
    """route -> (an address, its arguments), from the first rows of every model that tells its own address."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for model in apps.get_models():
        if not hasattr(model, "get_absolute_url"):
            continue
        for row in _first_rows(model):
            try:
                url = str(row.get_absolute_url())
                match = resolve(urlsplit(url).path)
            except Exception:  # a row without an address, or with one that the URLconf does not know
                continue
            found.setdefault(match.route, (url, match.kwargs))
    return found


def _first_rows(model: Any) -> list[Any]:
    try:
        with transaction.atomic():
            return list(model._default_manager.order_by("pk")[:ROWS])
    except Exception:  # a model without a table
        return []
