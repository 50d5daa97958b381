"""The staircase: what the home page still asks the database for, as layer after layer of the cache is switched on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from ..shop import layered
from . import draw

if TYPE_CHECKING:
    from .bench import Lab

# From no layer to three, and then all three but one.
STEPS = {
    "no layer": (),
    "values": ("values",),
    "values, fragments": ("values", "fragments"),
    "all three": ("values", "fragments", "page"),
}
WITHOUT = {f"without {off}": tuple(on for on in STEPS["all three"] if on != off) for off in STEPS["all three"]}


def climb(lab: Lab, steps: Mapping[str, tuple[str, ...]], visitors: Mapping[str, str | None]) -> pd.DataFrame:
    """Visit the layered home page with the layers of each step on, twice from an empty cache, as each visitor.

    Returns a row a step and visitor: `step`, `visitor`, `queries` and `trips` (calls to the cache server) of the second
    visit, and `ms`, the fastest of three more.
    """
    rows = []
    with lab.arrangement_kept():
        for step, layers in steps.items():
            url = lab.mount("layered/", layered.home_view(**{layer: layer in layers for layer in STEPS["all three"]}))
            for visitor, who in visitors.items():
                lab.visit(url, who)
                warm = lab.visit(url, who)
                ms = 1000 * min(lab.visit(url, who).seconds for _ in range(3))
                rows.append((step, visitor, warm.queries, warm.trips["default"], ms))
    return pd.DataFrame(rows, columns=["step", "visitor", "queries", "trips", "ms"])


def staircase(climbed: pd.DataFrame, alt: str = "") -> None:
    """Draw what `climb` returned: a flight of steps for each visitor, each as high as the queries that are left.

    The first and the last step go into the alternative text, unless `alt` is given.
    """
    from matplotlib.ticker import MaxNLocator

    flights = {str(who): flight for who, flight in climbed.groupby("visitor", sort=False)}
    fig, axes = draw.figure(4.8 * len(flights), 3.2, panels=len(flights), sharey=True)
    told = []
    for i, (ax, (who, flight)) in enumerate(zip(axes, flights.items(), strict=True)):
        queries, at = list(flight["queries"]), range(len(flight))
        steps = ax.bar(at, queries, width=1.0, color=draw.COLOURS[i], hatch=draw.HATCHES[i], edgecolor="white")
        ax.bar_label(steps, [str(n) for n in queries], padding=2)
        ax.set(xticks=at, xticklabels=[str(step).replace(", ", ",\n") for step in flight["step"]])
        ax.set_ylabel("queries a visit" if i == 0 else "")
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        ax.margins(x=0.02, y=0.15)
        ax.grid(axis="x", visible=False)
        draw.title(ax, who)
        told.append(f"{who} {queries[0]} to {queries[-1]}")
    steps_told = f"from {climbed['step'].iloc[0]} to {climbed['step'].iloc[-1]}"
    said = alt or f"queries of the home page fall {steps_told}: {', '.join(told)}"
    lines = [
        f"{who}: " + ", ".join(f"{step} {n}" for step, n in zip(flight["step"], flight["queries"], strict=True))
        for who, flight in flights.items()
    ]
    draw.show(fig, said, "\n".join(lines))
