"""The `lab` that `boot()` returns: one running shop, and what a notebook does with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.contrib.auth import get_user_model
from django.core.cache import cache, caches
from django.db import connections
from django.test import Client
from django.test.signals import setting_changed
from django.urls import clear_url_caches, path

from .. import urls
from ..caching.browser import Browser
from ..caching.metering import install
from ..shop import models, selectors
from . import boxes, draw, entries, layered_shop, live_page, meter, rush, survey, traffic, workers, xray
from .errors import LabError
from .meter import language_kept
from .starters import untouched

if TYPE_CHECKING:
    import pandas as pd

    from .environment import Environment

_current: Lab | None = None


def current() -> Lab:
    """The lab of this kernel. Raises LabError before boot()."""
    if _current is None:
        raise LabError("The shop is not running yet: run the cell with boot() first.")
    return _current


class Lab:
    """A running shop: its pages, its traffic, and what measures them.

    Pages are asked for through Django's own test client: the real middleware, views, database and cache server, in
    this kernel, one request after the other.
    """

    def __init__(self, environment: Environment, notebook: str | None = None) -> None:
        global _current
        self.environment = environment
        self.notebook = notebook
        self._clients: dict[tuple[str | None, str | None], Client] = {}
        self._mounted: list[Any] = []
        self._swapped: dict[str, Callable[..., Any]] = {}
        self._live_page = live_page.LivePage(self)
        install()
        setting_changed.connect(self._setting_changed)
        _current = self

    # What it is

    def rows(self) -> list[tuple[str, str]]:
        """What the card says. Nothing in it differs between machines: doctor() tells what does."""
        lines, products, stores = (
            m._default_manager.count() for m in (models.OrderLine, models.Product, models.Tenant)
        )
        return [
            ("shop", f"{stores} stores, {products:,} products, {lines:,} order lines"),
            ("database", "this notebook's own copy: change what you like"),
            ("cache", "a server of this notebook's own, through Django's Redis backend"),
            ("if stuck", "doctor() looks for what is wrong, reset() starts this notebook anew"),
        ]

    def __repr__(self) -> str:
        return meter.as_text(self.rows())

    def _repr_html_(self) -> str:
        return meter.as_html(self.rows())

    # Asking for pages

    def client(self, who: str | None = None, language: str | None = None) -> Client:
        """A browser: signed in as the user named `who` (None: a stranger), asking for `language` ("en" or "de").

        The same browser is returned each time, with its cookies; a stranger's is new each time.
        Raises LabError where there is no such user.
        """
        if (known := self._clients.get((who, language))) is not None:
            return known
        browser = Browser(headers={"accept-language": language} if language else None)
        if who is not None:
            user = get_user_model()._default_manager.filter(username=who).first()
            if user is None:
                raise LabError(f"Nobody here is called {who!r}. Try 'alice', 'bob', 'clara' or 'dora'.")
            browser.force_login(user)
            self._clients[who, language] = browser
        return browser

    def _setting_changed(self, setting: str, **_: Any) -> None:
        if setting == "MIDDLEWARE":  # inside override_settings, and after it: a browser's handler loads it anew
            for browser in self._clients.values():
                browser.handler._middleware_chain = None  # type: ignore[attr-defined]  # not in the stubs

    def visit(
        self, url: str, who: str | None = None, language: str | None = None, data: Mapping[str, Any] | None = None
    ) -> meter.Visit:
        """Ask for a page, or send it `data`, and count what that took. The visit prints as a small table."""
        browser = self.client(who, language)
        visit = meter.Visit()
        started = perf_counter()
        with meter.listening(visit, everywhere=True), language_kept():
            visit.response = browser.post(url, data) if data is not None else browser.get(url)
        visit.seconds = perf_counter() - started
        return visit

    def meter(self) -> AbstractContextManager[meter.Reading]:
        """`with lab.meter() as reading:` counts what the block does, in every thread."""
        return meter.metered()

    def xray(self, url: str, who: str | None = None, language: str | None = None) -> xray.Xray:
        """Ask for a page and record every middleware, cache call and SQL statement on the way, in order."""
        return xray.take(self.client(who, language), url)

    def boxes(self, url: str, who: str | None = None, language: str | None = None) -> boxes.Boxes:
        """Ask for a page and record which of its fragments were rebuilt and which came from the cache."""
        return boxes.take(self.client(who, language), url)

    def entries(self) -> pd.DataFrame:
        """What lies in the cache: a row an entry, `use`, `key`, `bytes`, `lives` (seconds); see `lab/entries.py`."""
        return entries.table()

    # Traffic

    def traffic(self, requests: int | None = None, start: str = "09:00") -> pd.DataFrame:
        """Recorded traffic of the shop from `start` ("HH:MM") on, a row a request, `t` in seconds since midnight."""
        return traffic.read(requests, start)

    def survey(self, trace: pd.DataFrame | int) -> pd.DataFrame:
        """Replay a trace and watch each of the shop's selectors: what it costs, how often it is asked and changes.

        Returns a row a selector, the best candidate for a cache first; see `lab/survey.py` for the columns.
        """
        return survey.survey(self, self._trace(trace))

    def replay(self, trace: pd.DataFrame | int, start: str = "09:00", databases: int = 1) -> pd.DataFrame:
        """Send recorded traffic to the shop, request after request, from an empty cache and the shop as it was loaded.

        `trace` is what `lab.traffic` returns, or how many requests of the recorded day to send, from `start` on.
        Returns a row a request: those of the trace and `page`, `status`, `queries`, `hits`, `misses`, `ms`, `sql` (the
        statements), `sql_ms` (how long each took), `uses` (cache use: (hits, misses)), `on` (queries by database).
        With `databases=2` every second page is read from a copy of the database.
        """
        return traffic.replay(self, self._trace(trace, start), databases)

    def _trace(self, trace: pd.DataFrame | int, start: str = "09:00") -> pd.DataFrame:
        return self.traffic(trace, start) if isinstance(trace, int) else trace

    def rush(self, url: str, visitors: int = 4, seconds: float = 1.0) -> pd.DataFrame:
        """Let strangers ask for a page at once, in threads, for some seconds; see `lab/rush.py` for the columns."""
        return rush.rush(url, visitors, seconds)

    def workers(self, n: int, cache: str = "redis", threads: int = 8, port: int = 0) -> workers.Workers:
        """Start `n` worker processes over the shop as this notebook has arranged it; use it as a `with` block.

        `cache` is the backend of their default cache: redis, locmem, database, file or dummy. See `lab/workers.py`.
        Raises LabError where they cannot be started.
        """
        return workers.Workers(self, n, cache, threads, port)

    def show(self, path: str = "/") -> None:
        """Show a live page of the shop below the cell, as this notebook has arranged it; see `lab/live_page.py`.

        Raises LabError where `path` is none of the shop's, or the process behind it cannot be started.
        """
        self._live_page.show(path)

    def scoreboard(self, **runs: pd.DataFrame) -> None:
        """Draw the scoreboard of one or more replays: `lab.scoreboard(before=…, after=…)`."""
        draw.scoreboard(traffic.board({name.replace("_", " "): run for name, run in runs.items()}))

    # Changing the shop, for one lesson

    def mount(self, url: str, view: Callable[..., Any]) -> str:
        """Put a view of yours into the shop at `url`, with an empty cache. Returns the path to visit."""
        pattern = path(url.lstrip("/"), view)
        urls.urlpatterns.insert(0, pattern)
        self._mounted.append(pattern)
        self._urls_changed()
        self.empty_cache()
        return "/" + url.lstrip("/")

    def swap(self, name: str, function: Callable[..., Any]) -> None:
        """Let `function` answer in place of the shop's selector called `name`, with an empty cache.

        An exercise that nobody has begun yet changes nothing. Raises LabError where the shop has no such selector.
        """
        own = self._selector(name)
        if untouched(function):
            return
        self._swapped.setdefault(name, own)
        setattr(selectors, name, function)
        self.empty_cache()

    def keep(self, *which: str | Callable[..., Any], seconds: int = 600) -> None:
        """Keep the answers of some of the shop's selectors in the cache, by their arguments, for `seconds`.

        Each is the name of a selector, or a function of yours with a selector's name, which then answers in its place
        and keeps what it likes. Raises LabError where the shop has no selector of that name.
        """
        names = [one.__name__ if callable(one) else str(one) for one in which]
        for name in names:  # all of them first: a slip in the last keeps none
            self._selector(name)
        if not isinstance(seconds, int) or seconds < 0:
            raise LabError(f"seconds={seconds!r} is no whole number from 0 up.")
        for name, one in zip(names, which, strict=True):
            self.swap(name, one if callable(one) else _kept(name, self._selector(name), seconds))

    def _selector(self, name: str) -> Callable[..., Any]:
        """The shop's own selector of that name, swapped or not. Raises LabError where there is none."""
        found = self._swapped.get(name) or getattr(selectors, name, None)
        if not callable(found):
            raise LabError(
                f"The shop has no selector called {name!r}: tutorial_project/shop/selectors.py has them all."
            )
        return found

    def layered(
        self, page: bool = True, fragments: bool = True, values: bool = True, events: bool = False
    ) -> AbstractContextManager[None]:
        """`with lab.layered():` the shop is the one with all layers, or those left on; see `lab/layered_shop.py`."""
        return layered_shop.layered_shop(self, page, fragments, values, events)

    def restore(self) -> None:
        """Take out every view that was mounted and put back every selector that was swapped. The cache is emptied."""
        self._rearrange([], {}, {})

    def arranged(self) -> tuple[list[tuple[str, Any]], dict[str, Callable[..., Any]]]:
        """What a worker process must be told: (route, view) of what is mounted, and who answers for which selector."""
        mounted = [(str(pattern.pattern), pattern.callback) for pattern in reversed(self._mounted)]
        return mounted, {name: getattr(selectors, name) for name in self._swapped}

    @contextmanager
    def arrangement_kept(self) -> Iterator[None]:
        """What this block mounts and swaps is gone after it; what was there before is there again."""
        mounted, originals = list(self._mounted), dict(self._swapped)
        answering = {name: getattr(selectors, name) for name in originals}
        try:
            yield
        finally:
            self._rearrange(mounted, originals, answering)

    def _rearrange(
        self, mounted: list[Any], originals: dict[str, Callable[..., Any]], answering: dict[str, Callable[..., Any]]
    ) -> None:
        for pattern in self._mounted:
            urls.urlpatterns.remove(pattern)
        self._mounted = list(mounted)
        urls.urlpatterns[:0] = reversed(mounted)
        for name, function in (self._swapped | answering).items():
            setattr(selectors, name, function)
        self._swapped = originals
        self._urls_changed()
        self.empty_cache()

    def _urls_changed(self) -> None:
        clear_url_caches()

    # Starting anew

    def empty_cache(self) -> None:
        """Remove every entry that this notebook stored. A server that is not our own is never flushed."""
        server = self.environment.cache_server
        if server.owned:
            cache.clear()
        else:
            server.forget_own_keys()
        caches["local"].clear()

    def restore_database(self) -> None:
        """Put the shop back as it was loaded. Everybody is signed out. Raises LabError inside a transaction."""
        if connections["default"].in_atomic_block:
            raise LabError("The database cannot be put back in the middle of a transaction. Leave atomic() first.")
        self._clients.clear()
        connections.close_all()
        self.environment.restore_database()


def _kept(name: str, ask: Any, seconds: int) -> Callable[..., Any]:
    """`ask`, through the cache: an entry for each of its arguments, a model by its primary key."""

    def answer(*args: Any) -> Any:
        key = ":".join([name, *(quote(str(getattr(arg, "pk", arg)), safe="") for arg in args)])
        return cache.get_or_set(key, lambda: ask(*args), seconds)

    return answer
