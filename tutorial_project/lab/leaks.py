"""The leak matrix: the common ways to combine Django's page cache with what is put around it, each one run.

A page that names its reader is asked for by four readers, one after the other. Whoever reads something else than with
an empty cache reads a page that was made for another: the combination *leaks* to them. What is tried stands in
`DECORATORS` and `MIDDLEWARE`, in the order in which it stands in a file: the outermost decorator first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template import engines
from django.template.response import TemplateResponse
from django.test import override_settings
from django.utils.translation import get_language
from django.views.decorators.cache import cache_control, cache_page, never_cache
from django.views.decorators.vary import vary_on_cookie

from .entries import entries
from .xray import PAGE

if TYPE_CHECKING:
    import pandas as pd

    from .bench import Lab

View = Callable[..., HttpResponseBase]
Decorator = Callable[[View], View]
Reader = tuple[str | None, str | None]  # (who, language), as `lab.client` takes them

READERS: tuple[Reader, ...] = (("alice", None), ("bob", None), (None, "en"), (None, "de"))
SECONDS = 60
PRIVATE = cache_control(private=True)

# Outermost first, as the lines stand above a view.
DECORATORS: dict[str, tuple[Decorator, ...]] = {
    "cache_page": (cache_page(SECONDS),),
    "vary_on_cookie, cache_page": (vary_on_cookie, cache_page(SECONDS)),
    "cache_page, vary_on_cookie": (cache_page(SECONDS), vary_on_cookie),
    "never_cache, cache_page": (never_cache, cache_page(SECONDS)),
    "cache_page, never_cache": (cache_page(SECONDS), never_cache),
    "cache_control(private), cache_page": (PRIVATE, cache_page(SECONDS)),
    "cache_page, cache_control(private)": (cache_page(SECONDS), PRIVATE),
    "login_required, cache_page": (login_required, cache_page(SECONDS)),
    "cache_page, login_required": (cache_page(SECONDS), login_required),
    "login_required, cache_page, vary_on_cookie": (login_required, cache_page(SECONDS), vary_on_cookie),
}

UPDATE = "django.middleware.cache.UpdateCacheMiddleware"
FETCH = "django.middleware.cache.FetchFromCacheMiddleware"

# Where the site-wide pair stands in MIDDLEWARE: what stands before the project's own, and what after it.
MIDDLEWARE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Update first, Fetch last": ((UPDATE,), (FETCH,)),
    "Fetch first, Update last": ((FETCH,), (UPDATE,)),
    "both first": ((UPDATE, FETCH), ()),
    "both last": ((), (UPDATE, FETCH)),
}
# What is tried under the pair in its right order.
UNDER_THE_PAIR: dict[str, tuple[Decorator, ...]] = {
    "never_cache": (never_cache,),
    "cache_control(private)": (PRIVATE,),
    "login_required": (login_required,),
    "cache_page": (cache_page(SECONDS),),
    "cache_page, vary_on_cookie": (cache_page(SECONDS), vary_on_cookie),
    "cache_page(key_prefix=…)": (cache_page(SECONDS, key_prefix="x"),),
}
MADE = "HttpResponse, made for 8 visits"


def plain(request: HttpRequest) -> HttpResponse:
    """A page that says who reads it, and in which language."""
    return HttpResponse(_said(request))


def templated(request: HttpRequest) -> HttpResponse:
    """The same page as a TemplateResponse, which is rendered after the decorators have run."""
    template = engines["django"].from_string("{{ said }}")
    return TemplateResponse(request, template, {"said": _said(request)})


def _said(request: HttpRequest) -> str:
    return f"{request.user.get_username() or 'stranger'} in {get_language()}"


VIEWS: dict[str, View] = {"HttpResponse": plain, "TemplateResponse": templated}


def decorated(view: View, decorators: Sequence[Decorator]) -> View:
    """`view` under `decorators`, the outermost first."""
    for decorator in reversed(decorators):
        view = decorator(view)
    return view


def site_wide(place: str = "Update first, Fetch last") -> override_settings:
    """`with site_wide():` puts the pair of cache middleware around the project's own; `place` is one of MIDDLEWARE."""
    before, after = MIDDLEWARE[place]
    return override_settings(MIDDLEWARE=[*before, *settings.MIDDLEWARE, *after], CACHE_MIDDLEWARE_SECONDS=SECONDS)


def learned() -> list[list[str]]:
    """What the cache believes about each page it holds: the request headers that its answer depends on."""
    return [cache.get(key) for key in sorted(entries()) if key.startswith("views.decorators.cache.cache_header.")]


def pages_kept() -> int:
    """How many whole responses `cache_page` or the pair of middleware has in the cache now."""
    return sum(key.startswith(PAGE) for key in entries())


def leaks(lab: Lab, url: str, readers: Iterable[Reader] = READERS) -> list[str]:
    """Who reads another's page at `url`: each of `readers` by name and language, in their order.

    Each answer is held against the one that the same reader gets from an empty cache. All ask once in the order given
    and, from an empty cache, once in the reverse one, for what leaks may depend on who came first.
    """
    readers = list(readers)
    own = {}
    for reader in readers:
        lab.empty_cache()
        own[reader] = _answer(lab, url, reader)
    strangers = set()
    for order in (readers, readers[::-1]):
        lab.empty_cache()
        strangers |= {reader for reader in order if _answer(lab, url, reader) != own[reader]}
    return [_named(reader) for reader in readers if reader in strangers]


def _answer(lab: Lab, url: str, reader: Reader) -> tuple[int, str]:
    visit = lab.visit(url, *reader)
    return visit.status, visit.text


def _named(reader: Reader) -> str:
    who, language = reader
    return (who or "stranger") + (f" ({language})" if language and not who else "")


def greeted_as_another(lab: Lab, visits: pd.DataFrame) -> Counter[str]:
    """By which names these visitors of the home page were greeted that are not their own, and how many of them.

    `visits` are rows of recorded traffic (`lab.traffic`); they are sent in order, from an empty cache.
    """
    names = dict(get_user_model()._default_manager.values_list("username", "first_name"))
    lab.empty_cache()
    wrong: Counter[str] = Counter()
    for visit in visits.itertuples():
        text = lab.visit("/", visit.user or None, visit.language).text
        greeting = re.search(r'class="greeting">(?:Hello|Guten Tag), ([^<]*)<', text)
        if greeting is not None and greeting[1] != names.get(visit.user):
            wrong[greeting[1]] += 1
    return wrong


def stored(lab: Lab, view: View, method: str = "get", **headers: str) -> bool:
    """Whether `cache_page` keeps what `view` answers to a stranger's request: is there a page in the cache after it?"""
    with lab.arrangement_kept():
        url = lab.mount("tried/", cache_page(SECONDS)(view))
        response = getattr(lab.client(), method)(url, headers=headers)
        if response.streaming:
            response.getvalue()
        return pages_kept() > 0


def matrix(lab: Lab) -> pd.DataFrame:
    """The leak matrix: a row a combination, a column for each of `VIEWS`: whom it leaks to, "safe", or "not kept".

    "not kept": safe, and the page is made for each request. The column `MADE` says how many times the HttpResponse was
    made for eight visits, each reader twice. The bench is as before afterwards; the cache is emptied.
    """
    import pandas as pd

    rows = {}
    with lab.arrangement_kept():
        for name, decorators in DECORATORS.items():
            rows[name] = _tried(lab, decorators)
        for place in MIDDLEWARE:
            with site_wide(place):
                rows[f"pair: {place}"] = _tried(lab, ())
        for name, decorators in UNDER_THE_PAIR.items():
            with site_wide():
                rows[f"pair, and {name}"] = _tried(lab, decorators)
    return pd.DataFrame.from_dict(rows, orient="index", columns=[*VIEWS, MADE])


def _tried(lab: Lab, decorators: Sequence[Decorator]) -> list[Any]:
    """A row of the matrix: a verdict for each view, and the pages made for eight visits of the first."""
    row: list[Any] = []
    made_for_all = []
    for view in VIEWS.values():
        made: list[HttpRequest] = []

        url = lab.mount("tried/", decorated(_noting(view, made), decorators))
        found = leaks(lab, url)
        lab.empty_cache()
        made.clear()
        statuses = [lab.visit(url, *reader).status for reader in READERS * 2]
        row.append("leaks to " + ", ".join(found) if found else _kept(len(made), statuses.count(200)))
        made_for_all.append(len(made))
    return [*row, made_for_all[0]]


def _noting(view: View, made: list[HttpRequest]) -> View:
    """`view`, which notes each request that it is called with."""

    def noting(request: HttpRequest) -> HttpResponseBase:
        made.append(request)
        return view(request)

    return noting


def _kept(made: int, shown: int) -> str:
    return "safe" if made < shown else "not kept"
