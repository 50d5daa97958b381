"""Readings: what a block of code, or a visit to a page, did to the database and the cache.

The counting itself is `caching.metering`, which a reader can take home; here its figures become a small table.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from django.http import HttpResponse
from django.utils import translation

from ..caching.metering import Counters, Event, Statement, listening


def written_out(statement: Statement) -> str:
    """The statement with its parameters in their places: what makes two statements the same, byte for byte."""
    params = statement.params
    if statement.many:  # one text for many rows
        return f"{statement.sql} {list(params)!r}"
    if not params:
        return statement.sql
    values = {k: repr(v) for k, v in params.items()} if isinstance(params, dict) else tuple(map(repr, params))
    return statement.sql % values


@dataclass
class Reading(Counters):
    """Counts of one block, of every thread. `sql` holds its statements in order, `sql_ms` how long each took."""

    seconds: float = 0.0
    statements: list[Statement] = field(default_factory=list, repr=False)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Statement) and event.is_query:
            self.statements.append(event)
        super().__call__(event)

    @property
    def sql(self) -> list[str]:
        """The queries in order, parameters in their places."""
        return [written_out(statement) for statement in self.statements]

    @property
    def sql_ms(self) -> list[float]:
        """How long each query took, in milliseconds."""
        return [statement.seconds * 1000 for statement in self.statements]

    def rows(self) -> list[tuple[str, str]]:
        """What the table shows: (name, figure) pairs, without times, so that it is the same on every run."""
        rows = [("SQL queries", f"{self.queries:,}")]
        for name, use in self.uses.items():
            looks = use.hits + use.misses
            figure = f"{use.hits:,} hits, {use.misses:,} misses" if looks else "written"
            rows.append((f"cache: {name}", figure))
        if self.operations:
            rows.append(("cache calls", ", ".join(f"{n} {name}" for name, n in sorted(self.operations.items()))))
        return rows

    def __repr__(self) -> str:
        return as_text(self.rows())

    def _repr_html_(self) -> str:
        return as_html(self.rows())


@dataclass(repr=False)
class Visit(Reading):
    """A `Reading` of one request, with the answer: `status`, `text`, `response`."""

    response: Any = field(default_factory=HttpResponse)

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def text(self) -> str:
        """The body of the answer."""
        if not self.response.streaming:
            return self.response.text
        content = self.response.getvalue()
        self.response.streaming_content = [content]  # a stream can be read once, this again and again
        return content.decode(self.response.charset, "replace")

    def rows(self) -> list[tuple[str, str]]:
        return [("status", str(self.status)), *super().rows()]


@contextmanager
def metered() -> Iterator[Reading]:
    """Count what this block does, in every thread; yields the `Reading`, complete when the block ends."""
    reading = Reading()
    started = perf_counter()
    with listening(reading, everywhere=True):
        try:
            yield reading
        finally:
            reading.seconds = perf_counter() - started


@contextmanager
def language_kept() -> Iterator[None]:
    """The language of a request stays active on its thread afterwards: put back the one that was, for the next cell."""
    before = translation.get_language()
    try:
        yield
    finally:
        translation.activate(before) if before else translation.deactivate_all()


def as_text(rows: list[tuple[str, str]]) -> str:
    """(name, figure) pairs as aligned lines of text."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {figure}" for name, figure in rows)


def as_html(rows: list[tuple[str, str]]) -> str:
    """The same pairs as a table for JupyterLab, in the colours of its theme."""
    cell = '<td style="text-align: left">'
    body = "".join(f"<tr>{cell}{html.escape(name)}</td>{cell}{html.escape(figure)}</td></tr>" for name, figure in rows)
    return f"<table>{body}</table>"
