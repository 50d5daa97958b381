"""Figures: a picture for the eye, an alternative text for those who cannot see it, and the plotted numbers for CI.

Every figure goes out as one bundle: `image/png`, the same picture in `text/html` with its alt text, and in `text/plain`
the alt text with the numbers that were drawn. nbval compares that last part, so the data behind a picture is checked.
Colours are those of Okabe and Ito ("Color Universal Design", 2008), told apart by people with any colour vision;
lines differ in marker and dash too. The ground is opaque, so that a figure reads the same on a dark page.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from IPython.display import display

from .errors import LabError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#8A8A8A"
COLOURS = (BLUE, ORANGE, GREEN, RED, "#CC79A7", "#56B4E9", "#7A6A00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")
HATCHES = ("", "//", "..", "xx", "\\\\")

_STYLE = {
    "figure.facecolor": "white",
    "figure.dpi": 96,
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
}


def figure(width: float = 8.0, height: float = 3.2, panels: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure of `width` × `height` inches in the course's style, and its axes, left to right."""
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]
        fig = Canvas(figsize=(width, height), layout="constrained")
        axes = fig.subplots(1, panels, squeeze=False, **options)[0]
    return fig, list(axes)


def show(fig: Figure, alt: str, data: object) -> None:
    """Display `fig`. `alt` says what the picture shows; `data` is what was plotted, as str() prints it."""
    png = io.BytesIO()
    import matplotlib

    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]
        fig.savefig(png, format="png", metadata={"Software": None})
    encoded = base64.b64encode(png.getvalue()).decode()
    picture = (
        f'<img alt="{html.escape(alt, quote=True)}" src="data:image/png;base64,{encoded}" '
        'style="max-width: 100%; height: auto; border-radius: 4px">'
    )
    bundle = {"image/png": encoded, "text/html": picture, "text/plain": f"Figure: {alt}\n{data}"}
    display(bundle, raw=True)


def title(ax: Axes, text: str) -> None:
    """Put a title over the left edge of `ax`."""
    ax.set_title(text, loc="left", fontsize=11.5, fontweight="bold")


def bars(values: Mapping[str, float], alt: str, *, ylabel: str, unit: str = "") -> None:
    """A bar for each name, with its number on it."""
    fig, (ax,) = figure(max(4.5, 1.5 * len(values) + 1.5), 3.0)
    drawn = ax.bar(list(values), list(values.values()), width=0.6, color=[COLOURS[i % 7] for i in range(len(values))])
    for i, bar in enumerate(drawn):
        bar.set_hatch(HATCHES[i % 5])
        bar.set_edgecolor("white")
    ax.bar_label(drawn, [f"{value:,g}{unit}" for value in values.values()], padding=2)
    title(ax, alt)
    ax.set(ylabel=ylabel)
    ax.margins(y=0.15)
    show(fig, alt, ", ".join(f"{name} {value:,g}{unit}" for name, value in values.items()))


Curves = Mapping[str, tuple[Sequence[float], Sequence[float]]]


def lines(curves: Curves, alt: str, predicted: Curves | None = None, /, **labels: Any) -> None:
    """A line for each name, through its (xs, ys); `labels` are those of `Axes.set` (xlabel, ylabel, ylim…).

    What is `predicted` for each of the first curves, in their order, is a dotted line of that one's colour.
    """
    fig, (ax,) = figure()
    data = [_plot(ax, curves, **labels)]
    for i, (name, (xs, ys)) in enumerate((predicted or {}).items()):
        ax.plot(xs, ys, label=name, color=COLOURS[i % 7], linestyle=":", linewidth=1.4)
        data.append(_points(name, xs, ys))
    ax.legend(frameon=False)
    title(ax, alt)
    show(fig, alt, "\n".join(data))


def lines_beside(left: tuple[str, Curves], right: tuple[str, Curves], alt: str, **labels: Any) -> None:
    """Two pictures like `lines`, beside each other: each is its title and its curves. They share the `labels`."""
    fig, axes = figure(9.5, 3.4, panels=2)
    data = []
    for ax, (name, curves) in zip(axes, (left, right), strict=True):
        data.append(f"{name}\n{_plot(ax, curves, **labels)}")
        ax.set_ylim(bottom=0)
        title(ax, name)
    show(fig, alt, "\n".join(data))


def _plot(ax: Axes, curves: Curves, **labels: Any) -> str:
    """Draw the curves; what was drawn, as text."""
    for i, (name, (xs, ys)) in enumerate(curves.items()):
        ax.plot(xs, ys, label=name, color=COLOURS[i % 7], marker=MARKERS[i % 7], linestyle=DASHES[i % 4], markersize=5)
    ax.set(**labels)
    ax.legend(frameon=False)
    return "\n".join(_points(name, xs, ys) for name, (xs, ys) in curves.items())


def _points(name: str, xs: Sequence[float], ys: Sequence[float]) -> str:
    return f"{name}: " + " ".join(f"({x:g}, {y:g})" for x, y in zip(xs, ys, strict=True))


def scoreboard(board: pd.DataFrame) -> None:
    """The course's own figure: the hit ratio of each cache use, beside the database queries per 1,000 requests.

    `board` has a row for each way the shop was run, and the columns `queries` (per 1,000 requests) and one for each
    cache use (its hit ratio, or nothing where it was not used).
    """
    uses = [column for column in board.columns if column != "queries"]
    fig, (left, right) = figure(9.0, 1.0 + max(0.55, 0.17 * len(uses)) * len(board), panels=2, sharey=True)
    runs = list(board.index)
    height = 0.8 / max(len(uses), 1)
    for i, use in enumerate(uses):
        at = [row + (i - (len(uses) - 1) / 2) * height for row in range(len(runs))]
        drawn = left.barh(at, board[use].fillna(0), height * 0.9, label=use, color=COLOURS[i % 7], hatch=HATCHES[i % 5])
        labels = ["" if ratio != ratio else f"{ratio:.2f}" for ratio in board[use]]
        left.bar_label(drawn, labels, padding=2, fontsize=9)
    for row in range(len(runs)):
        if not uses or board[uses].iloc[row].isna().all():
            left.text(0.01, row, "nothing kept", va="center", color="#555555")
    left.set(xlim=(0, 1.12), ylim=(len(runs) - 0.45, -0.55), yticks=range(len(runs)), yticklabels=runs)
    title(left, "Hit ratio by cache use")
    if uses:
        left.legend(loc="upper left", bbox_to_anchor=(0, -0.12), fontsize=9, ncols=2, frameon=False)
    drawn = right.barh(range(len(runs)), board["queries"], 0.5, color=GREY)
    right.bar_label(drawn, [f"{value:,.0f}" for value in board["queries"]], padding=3)
    title(right, "Database queries per 1,000 requests")
    right.margins(x=0.18)
    for ax in (left, right):
        ax.grid(axis="y", visible=False)
        ax.grid(axis="x", visible=True)
    first, last = board["queries"].iloc[0], board["queries"].iloc[-1]
    if len(board) > 1:
        alt = f"queries per 1,000 requests go from {first:,.0f} ({runs[0]}) to {last:,.0f} ({runs[-1]})"
    else:
        alt = f"{first:,.0f} database queries per 1,000 requests, {runs[0]}"
    show(fig, alt, _plain(board))


def _plain(board: pd.DataFrame) -> str:
    """A board as text: a line a run, hit ratios to two digits."""
    rows = []
    for run, row in board.iterrows():
        ratios = [f"{use} {ratio:.2f}" for use, ratio in row.drop("queries").items() if ratio == ratio]
        rows.append(f"{run}: {row['queries']:,.0f} queries; hit ratio {', '.join(ratios) or 'none, no cache'}")
    return "\n".join(rows)


def barcode(requests: pd.DataFrame, alt: str) -> None:
    """Every SQL statement of a replay as one thin line, in order: repeats of an earlier one coloured, new ones dark.

    `requests` is what `lab.replay` returns. Four rows of equal length, to be read as text is.
    """
    import numpy as np
    from matplotlib.colors import to_rgb

    repeats = repeated(requests)
    if not repeats:
        raise LabError("There is no SQL statement to draw.")
    rows = np.array_split(np.array(repeats), 4)
    palette = np.array([to_rgb("#1B1B1B"), to_rgb(ORANGE)])  # new, repeated
    fig, (ax,) = figure(9.0, 2.6)
    for i, row in enumerate(rows):
        stripes = palette[row.astype(int)][np.newaxis]
        ax.imshow(stripes, extent=(0, 1, 3 - i, 3.82 - i), aspect="auto", interpolation="nearest")
    ax.grid(visible=False)
    ax.set(xlim=(0, 1), ylim=(-0.1, 3.9), xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
    share = sum(repeats) / len(repeats)
    title(ax, f"{len(repeats):,} statements in order: {share:.0%} sent before (orange), the rest new (black)")
    quarters = " ".join(f"{row.mean():.2f}" for row in rows)
    show(fig, alt, f"{len(repeats)} statements, {sum(repeats)} repeated; share repeated in each row: {quarters}")


def repeated(requests: pd.DataFrame) -> list[bool]:
    """For each SQL statement of a replay, in order: was the same statement, byte for byte, sent before?"""
    seen: set[str] = set()
    marks = []
    for statement in (sql for statements in requests["sql"] for sql in statements):
        marks.append(statement in seen)
        seen.add(statement)
    return marks
