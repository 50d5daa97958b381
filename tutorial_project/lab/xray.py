"""An x-ray of one request: every middleware it passes, every cache call and SQL statement on the way, in order.

Where Django's page cache stores the response, two things are marked: that moment, and where its Vary header grows. A
header that is added further out, after the response was stored, is no part of what the cache knows about the page.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from unittest import mock

from django.core.handlers import base
from django.http import HttpRequest, HttpResponse
from django.http.response import ResponseHeaders
from django.test import Client
from django.test.client import ClientHandler
from django.utils.module_loading import import_string

from ..caching.browser import Browser
from ..caching.metering import Event, Statement, listening
from . import draw
from .entries import shortened
from .meter import language_kept

COLOURS = {"middleware": draw.GREY, "view": draw.BLUE, "cache": draw.ORANGE, "sql": draw.RED, "vary": draw.GREEN}
PAGE = "views.decorators.cache.cache_page."  # what the keys of whole responses begin with
NOTE: dict[str, Any] = {"va": "center", "fontsize": 9, "fontweight": "bold", "color": "#1B1B1B"}
STORED = "<- the response is stored here"


@dataclass
class Step:
    """One thing that happened: `depth` counts what it happened inside of, times are seconds since the request began.

    `kind` is middleware, view, cache, sql, or vary: the response's Vary header grew. `stores`: a response was stored.
    """

    depth: int
    kind: str
    label: str
    started: float
    ended: float = 0.0
    stores: bool = False


@dataclass
class Xray:
    """The steps of one request in the order in which they began. Prints as an indented list; `figure()` draws it."""

    url: str
    steps: list[Step] = field(default_factory=list, repr=False)
    response: Any = field(default_factory=HttpResponse, repr=False)

    @property
    def seconds(self) -> float:
        """How long the request took, x-ray and all."""
        return max((step.ended for step in self.steps), default=0.0)

    def __repr__(self) -> str:
        marks = {"middleware": "", "view": "view  ", "cache": "cache ", "sql": "SQL   ", "vary": "+ Vary: "}
        lines = [f"GET {self.url} -> {self.response.status_code}"]
        for step in self.steps:
            stored = f"  {STORED}" if step.stores else ""
            lines.append("  " * (step.depth + 1) + marks[step.kind] + step.label + stored)
        return "\n".join(lines)

    def varied(self) -> tuple[str, str]:
        """What Vary named when the response was stored, and what was added afterwards: "Cookie", or "" for nothing."""
        at = next((i for i, step in enumerate(self.steps) if step.stores), 0)
        before, after = (
            ", ".join(step.label for step in part if step.kind == "vary") for part in (self.steps[:at], self.steps[at:])
        )
        return before, after

    def figure(self, times: bool = False, until: float | None = None) -> None:
        """Draw the request from left to right, what is inside something below it: by order, or by time in ms.

        With `until` (seconds) the axis of a figure by time ends there, so that two of them can be compared.
        Times differ from run to run: draw them in a cell whose output is not compared.
        """
        from matplotlib.patches import Patch

        bars = self._spans(times)
        deepest = max(step.depth for step, _, _ in bars)
        fig, (ax,) = draw.figure(9.5, 0.9 + 0.34 * (deepest + 1 + any(self.varied())))
        labels = []
        for step, left, right in bars:
            outer = self._grown_in(step, bars)
            row = step.depth - 1 if outer else step.depth  # on the bar of the middleware that adds it
            ax.barh(row, right - left, 0.86, left, color=COLOURS[step.kind], edgecolor="white", linewidth=0.8)
            if step.kind in ("middleware", "view"):
                label = ax.text(left, row, " " + step.label, va="center", color="white", fontsize=8.5, clip_on=True)
                labels.append((label, right))
            elif step.stores:
                ax.text(right, row, " stored here", **NOTE)
            elif step.kind == "vary":  # by a decorator: below, for on its right is what came next
                x, y = (outer[2], row) if outer else (left, row + 0.8)
                ax.text(x, y, f" Vary: {step.label} added here", **NOTE)
        kinds = [kind for kind in COLOURS if any(step.kind == kind for step in self.steps)]
        handles = [Patch(color=COLOURS[kind], label=kind) for kind in kinds]
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        ax.set(
            xlabel="milliseconds" if times else "order of events",
            yticks=[],
            xlim=(0, until * 1000 if times and until else self._room(bars)),
        )
        draw.title(ax, f"GET {self.url}")
        ax.invert_yaxis()
        ax.grid(visible=False)
        _beside(ax, labels)
        counts = {kind: sum(step.kind == kind for step in self.steps) for kind in COLOURS}
        said = (
            f"{counts['middleware']} middleware around the view, {counts['cache']} cache calls, {counts['sql']} queries"
        )
        draw.show(fig, said + self._stored(), self.url if times else repr(self))

    def _room(self, bars: list[tuple[Step, float, float]]) -> float | None:
        """Where the axis ends: with something written beside the last bars, further right than they do."""
        noted = any(self.varied()) or any(step.stores for step in self.steps)
        return max(right for _, _, right in bars) * 1.3 if noted else None

    def _grown_in(self, step: Step, bars: list[tuple[Step, float, float]]) -> tuple[Step, float, float] | None:
        """The bar of the middleware that made Vary grow; None for other steps, and where a decorator did it."""
        around = [
            bar for bar in bars if bar[0].depth == step.depth - 1 and bar[0].started <= step.started <= bar[0].ended
        ]
        return around[-1] if step.kind == "vary" and around and around[-1][0].kind == "middleware" else None

    def _stored(self) -> str:
        """What a figure says of the two moments that are marked, after the counts."""
        if not any(step.stores for step in self.steps):
            return ""
        before, after = self.varied()
        known = f"when Vary named {before}" if before else "before anything was in Vary"
        return f"; stored {known}" + (f", above it Vary: {after} is added" if after else "")

    def _spans(self, times: bool) -> list[tuple[Step, float, float]]:
        """(step, left, right) of each bar: in ms, or in places where every beginning and every end takes one."""
        if times:
            return [(step, step.started * 1000, step.ended * 1000) for step in self.steps]
        starts = [(step.started, 0, i) for i, step in enumerate(self.steps)]
        ends = sorted(starts + [(step.ended, 1, i) for i, step in enumerate(self.steps)])
        place = {(i, end): n for n, (_, end, i) in enumerate(ends)}
        return [(step, place[i, 0], place[i, 1]) for i, step in enumerate(self.steps)]


def _beside(ax: Any, labels: list[tuple[Any, float]]) -> None:
    """Move each label for which its bar is too short to where the bar ends. `labels` are (text, right end of its bar).

    The axes must have their limits already: how much room a bar has depends on them.
    """
    ax.figure.draw_without_rendering()  # where things are is known only once they are laid out
    for label, right in labels:
        box = label.get_window_extent()
        if box.x1 > ax.transData.transform((right, 0))[0]:
            label.set(x=right, color=NOTE["color"])


class _Recorder:
    """Listens to one request. Middleware and view open a step and close it, SQL and cache calls come in between."""

    def __init__(self) -> None:
        self.began = perf_counter()
        self.steps: list[Step] = []
        self.depth = 0

    def around(self, kind: str, label: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        step = Step(self.depth, kind, label, perf_counter() - self.began)
        self.steps.append(step)
        self.depth += 1
        try:
            return call(*args, **kwargs)
        finally:
            self.depth -= 1
            step.ended = perf_counter() - self.began

    def __call__(self, event: Event) -> None:
        ended = perf_counter() - self.began
        if isinstance(event, Statement):
            if event.is_query:
                self.steps.append(Step(self.depth, "sql", summarised(event.sql), ended - event.seconds, ended))
        elif not event.part_of:
            outcome = " hit" if event.found else " miss" if event.missed else ""
            keys = shortened(", ".join(event.keys))
            label = f"{event.operation} {keys}{outcome}"
            stores = event.operation in ("set", "add") and event.keys[0].startswith(PAGE)
            self.steps.append(Step(self.depth, "cache", label, ended - event.seconds, ended, stores))

    @contextmanager
    def watching_vary(self) -> Iterator[None]:
        """Notes each time that a Vary header of this thread grows, whoever makes it grow: middleware or decorator."""
        write, here = ResponseHeaders.__setitem__, threading.get_ident()

        def noted(headers: ResponseHeaders, name: str, value: Any) -> None:
            before = _names(headers.get(name, "")) if str(name).lower() == "vary" else None
            write(headers, name, value)
            if before is None or threading.get_ident() != here:
                return
            known = {one.lower() for one in before}
            if new := [one for one in _names(headers[name]) if one.lower() not in known]:
                now = perf_counter() - self.began
                self.steps.append(Step(self.depth, "vary", ", ".join(new), now, now))

        with mock.patch.object(ResponseHeaders, "__setitem__", noted):
            yield


def _names(vary: str) -> list[str]:
    """The header names that a Vary header lists."""
    return [name.strip() for name in vary.split(",") if name.strip()]


def summarised(sql: str) -> str:
    """What a statement does, on one line of at most 76 characters: its verb, its table and what it joins or sums."""
    sql = re.sub(r"\s+", " ", sql).replace('"', "")
    if found := re.match(r"SELECT (.*?) FROM (\w+)(.*)", sql):
        columns, table, rest = found.groups()
        sums = " (an aggregate)" if re.search(r"\b(SUM|COUNT|AVG|MAX|MIN)\(", columns) else ""
        joins = re.findall(r"JOIN (\w+)", rest)
        sql = f"SELECT … FROM {table}{sums}" + (f" JOIN {', '.join(joins)}" if joins else "")
    return sql if len(sql) <= 76 else sql[:75] + "…"


class _Traced:
    """A middleware that records when it is entered and left, and is otherwise what it was."""

    def __init__(self, inner: Any, label: str, recorder: _Recorder) -> None:
        self._inner, self._label, self._recorder = inner, label, recorder

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._recorder.around("middleware", self._label, self._inner, request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Handler(ClientHandler):
    """Django's handler for test clients, over the project's own middleware, each of them traced."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__(enforce_csrf_checks=False)
        self.recorder = recorder

    def load_middleware(self, is_async: bool = False) -> None:
        found = import_string

        def traced(dotted: str) -> Any:
            factory = found(dotted)

            def make(get_response: Any) -> _Traced:
                return _Traced(factory(get_response), dotted.rsplit(".", 1)[1], self.recorder)

            return make

        with mock.patch.object(base, "import_string", traced):
            super().load_middleware(is_async)

    def make_view_atomic(self, view: Any) -> Any:
        inner = super().make_view_atomic(view)
        label = getattr(view, "__name__", type(view).__name__)
        return lambda *args, **kwargs: self.recorder.around("view", label, inner, *args, **kwargs)


def take(browser: Client, url: str) -> Xray:
    """Ask for `url` as `browser` (its cookies, its language) and return the x-ray of that request."""
    recorder = _Recorder()
    client = Browser()
    client.defaults = browser.defaults
    client.handler = _Handler(recorder)
    client.cookies = browser.cookies
    with listening(recorder), recorder.watching_vary(), language_kept():
        response = client.get(url)
    kept = any(step.stores for step in recorder.steps)
    # Where nothing is stored, it does not matter who adds what to Vary, and when.
    steps = [step for step in recorder.steps if kept or step.kind != "vary"]
    return Xray(url, sorted(steps, key=lambda step: step.started), response)
