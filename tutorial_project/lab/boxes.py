"""A page as boxes: which of its template fragments one request rebuilt, and which it took from the cache.

`lab.boxes("/")` asks for a page and watches Django's own `{% cache %}` tag at work. What stands outside of every
fragment is built anew on each request: it is *live*. A fragment taken from the cache is one box, whatever is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any
from unittest import mock

from django.http import HttpResponse
from django.template.context import Context
from django.templatetags.cache import CacheNode
from django.test import Client

from ..caching.metering import CacheCall, Event, listening
from . import draw
from .meter import language_kept

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIVE, REBUILT, SERVED = "live", "rebuilt", "from the cache"
FILLS = {LIVE: ("white", ""), REBUILT: (draw.ORANGE, "//"), SERVED: ("#BFE0F2", "")}
PER_ROW = 4  # boxes beside each other
HEADER, GAP, RIM, LEAF = 0.34, 0.12, 0.045, 0.4  # inches
VERSION = re.compile(r"\d{9,}(\.\d+)?\Z")  # a moment as a number of seconds, or more


@dataclass
class Box:
    """A fragment of a page, or the page itself: `label` is its name and what it varies on, `state` how it came."""

    label: str
    state: str = REBUILT
    inside: list[Box] = field(default_factory=list)

    def all(self) -> Iterator[Box]:
        """This box and every box inside it, in the order of the page."""
        yield self
        for box in self.inside:
            yield from box.all()

    def lines(self, depth: int = 0) -> list[str]:
        """The boxes as an indented list."""
        return ["  " * depth + f"{self.label}: {self.state}", *(x for box in self.inside for x in box.lines(depth + 1))]


@dataclass
class Boxes:
    """One request: the `page` as a tree of boxes, and the answer. Prints as an indented list; `figure()` draws it."""

    page: Box
    response: Any = field(default_factory=HttpResponse, repr=False)

    @property
    def text(self) -> str:
        """The body of the answer."""
        return self.response.text

    @property
    def rebuilt(self) -> list[str]:
        """The labels of the fragments that this request built, in the order of the page."""
        return [box.label for box in self.page.all() if box.state == REBUILT]

    @property
    def served(self) -> list[str]:
        """The labels of the fragments that came from the cache, each as a whole."""
        return [box.label for box in self.page.all() if box.state == SERVED]

    def __repr__(self) -> str:
        return "\n".join(self.page.lines())

    def figure(self) -> None:
        """Draw the page: what is inside something stands inside its box, coloured and hatched by how it came."""
        from matplotlib.patches import Patch

        width, height = _size(self.page)
        fig, (ax,) = draw.figure(width + 0.2, height + 0.6)
        _draw(ax, self.page, 0.0, 0.0)
        ax.set(xlim=(-0.05, width + 0.05), ylim=(height + 0.05, -0.05))
        ax.axis("off")
        handles = [Patch(**_look(state), label=state) for state in FILLS]
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, 0), ncols=3, frameon=False)
        built = f": {', '.join(self.rebuilt)}" if 0 < len(self.rebuilt) <= 3 else ""
        alt = f"{len(self.rebuilt)} rebuilt{built}; {len(self.served)} from the cache; the rest of the page is live"
        draw.show(fig, alt, repr(self))


def _size(box: Box) -> tuple[float, float]:
    """Width and height of a box in inches: a title line above what is inside, side by side."""
    title = 0.3 + 0.085 * len(box.label)
    if not box.inside:
        return max(title, 1.2), LEAF
    wide, high = _cell(box)
    columns = min(len(box.inside), PER_ROW)
    rows = -(-len(box.inside) // PER_ROW)
    return max(title, columns * (wide + GAP) + GAP), HEADER + rows * (high + GAP) + GAP / 2


def _cell(box: Box) -> tuple[float, float]:
    """Room for each of the boxes inside: that of the largest."""
    sizes = [_size(inner) for inner in box.inside]
    return max(wide for wide, _ in sizes), max(high for _, high in sizes)


def _look(state: str) -> dict[str, Any]:
    """Fill and outline of a box, on the page and in the legend."""
    fill, hatch = FILLS[state]
    line = "--" if state == LIVE else "-"
    return {"facecolor": fill, "hatch": hatch, "edgecolor": "#555555", "linewidth": 0.9, "linestyle": line}


def _draw(ax: Axes, box: Box, left: float, top: float, size: tuple[float, float] | None = None) -> None:
    """Draw a box and what is inside it; `top` grows downwards."""
    from matplotlib.patches import Rectangle

    width, height = size or _size(box)
    ax.add_patch(Rectangle((left, top), width, height, **_look(box.state)))
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
    ax.text(left + 0.1, top + min(height, LEAF) / 2, box.label, va="center", fontsize=9, bbox=paper)
    if box.inside:
        wide, high = _cell(box)
        for n, inner in enumerate(box.inside):
            row, column = divmod(n, PER_ROW)
            x, y = left + GAP + column * (wide + GAP), top + HEADER + row * (high + GAP)
            rim = Rectangle((x - RIM, y - RIM), wide + 2 * RIM, high + 2 * RIM, facecolor="white", edgecolor="none")
            ax.add_patch(rim)  # sets a box apart from the one around it, of whatever colour
            _draw(ax, inner, x, y, size=(wide, high))


class _Recorder:
    """Listens to one request: a fragment that is entered becomes a box inside the one that is open."""

    def __init__(self, page: Box) -> None:
        self.open, self.names = [page], [""]
        self.undecided: list[bool] = [False]

    def render(self, node: CacheNode, context: Context, render: Any) -> Any:
        box = Box(" ".join([node.fragment_name, *(_said(var.resolve(context)) for var in node.vary_on)]))
        self.open[-1].inside.append(box)
        self.open.append(box)
        self.names.append(node.fragment_name)
        self.undecided.append(True)
        try:
            return render(node, context)
        finally:
            self.open.pop(), self.names.pop(), self.undecided.pop()

    def __call__(self, event: Event) -> None:
        """The first look-up of a fragment's own key tells how it comes."""
        if not (isinstance(event, CacheCall) and event.operation == "get" and self.undecided[-1]):
            return
        if any(key.startswith(f"template.cache.{self.names[-1]}.") for key in event.keys):
            self.open[-1].state = SERVED if event.found else REBUILT
            self.undecided[-1] = False


def _said(value: Any) -> str:
    """A value that a fragment varies on, as a label says it: a moment is a version, and nothing is shown as ''."""
    text = str(value)
    if isinstance(value, date) or VERSION.match(text):
        return "version"
    if not text:
        return "''"
    return text if len(text) <= 24 else text[:23] + "…"


def take(browser: Client, url: str) -> Boxes:
    """Ask for `url` as `browser` (its cookies, its language) and return the page as boxes."""
    page = Box(url, LIVE)
    recorder = _Recorder(page)
    render = CacheNode.render

    def watched(node: CacheNode, context: Context) -> Any:
        return recorder.render(node, context, render)

    with mock.patch.object(CacheNode, "render", watched), listening(recorder), language_kept():
        response = browser.get(url)
    return Boxes(page, response)
