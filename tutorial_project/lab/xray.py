"""An x-ray of one request: every middleware it passes, every cache call and SQL statement on the way, in order."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from unittest import mock

from django.core.handlers import base
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.test.client import ClientHandler
from django.utils.module_loading import import_string

from ..caching.metering import Event, Statement, listening
from . import draw
from .entries import shortened
from .meter import language_kept

COLOURS = {"middleware": draw.GREY, "view": draw.BLUE, "cache": draw.ORANGE, "sql": draw.RED}


@dataclass
class Step:
    """One thing that happened: `depth` counts what it happened inside of, times are seconds since the request began."""

    depth: int
    kind: str
    label: str
    started: float
    ended: float = 0.0


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
        marks = {"middleware": "", "view": "view  ", "cache": "cache ", "sql": "SQL   "}
        lines = [f"GET {self.url} -> {self.response.status_code}"]
        lines += ["  " * (step.depth + 1) + marks[step.kind] + step.label for step in self.steps]
        return "\n".join(lines)

    def figure(self, times: bool = False, until: float | None = None) -> None:
        """Draw the request from left to right, what is inside something below it: by order, or by time in ms.

        With `until` (seconds) the axis of a figure by time ends there, so that two of them can be compared.
        Times differ from run to run: draw them in a cell whose output is not compared.
        """
        from matplotlib.patches import Patch

        bars = self._spans(times)
        deepest = max(step.depth for step, _, _ in bars)
        fig, (ax,) = draw.figure(9.5, 0.9 + 0.34 * (deepest + 1))
        for step, left, right in bars:
            ax.barh(step.depth, right - left, 0.86, left, color=COLOURS[step.kind], edgecolor="white", linewidth=0.8)
            if step.kind in ("middleware", "view"):
                ax.text(left, step.depth, " " + step.label, va="center", color="white", fontsize=8.5, clip_on=True)
        handles = [Patch(color=colour, label=kind) for kind, colour in COLOURS.items()]
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        ax.set(
            xlabel="milliseconds" if times else "order of events",
            yticks=[],
            xlim=(0, until * 1000 if times and until else None),
        )
        draw.title(ax, f"GET {self.url}")
        ax.invert_yaxis()
        ax.grid(visible=False)
        counts = {kind: sum(step.kind == kind for step in self.steps) for kind in COLOURS}
        said = (
            f"{counts['middleware']} middleware around the view, {counts['cache']} cache calls, {counts['sql']} queries"
        )
        draw.show(fig, said, self.url if times else repr(self))

    def _spans(self, times: bool) -> list[tuple[Step, float, float]]:
        """(step, left, right) of each bar: in ms, or in places where every beginning and every end takes one."""
        if times:
            return [(step, step.started * 1000, step.ended * 1000) for step in self.steps]
        starts = [(step.started, 0, i) for i, step in enumerate(self.steps)]
        ends = sorted(starts + [(step.ended, 1, i) for i, step in enumerate(self.steps)])
        place = {(i, end): n for n, (_, end, i) in enumerate(ends)}
        return [(step, place[i, 0], place[i, 1]) for i, step in enumerate(self.steps)]


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
            self.steps.append(Step(self.depth, "cache", label, ended - event.seconds, ended))


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
    client = Client()
    client.defaults = browser.defaults
    client.handler = _Handler(recorder)
    client.cookies = browser.cookies
    with listening(recorder), language_kept():
        response = client.get(url)
    recorder.steps.sort(key=lambda step: step.started)
    return Xray(url, recorder.steps, response)
