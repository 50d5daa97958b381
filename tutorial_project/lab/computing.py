"""Who computed when: the recomputations of a simulation as bars over time, a panel a defence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import draw

if TYPE_CHECKING:
    from .simulating import Run

MOST = 40  # bars in a panel; of more, the first


def computing(runs: Mapping[str, Run], after: float, span: float, alt: str) -> None:
    """Draw the first recomputation that begins `after` that second of a run, and those of the `span` seconds from then.

    A bar each, from its beginning to its end, for each run on one scale. The numbers beside the picture are how many
    there were, how many ran at once, and when they began, in seconds since the first.
    """
    fig, axes = draw.figure(2.6 + 2.2 * len(runs), 2.4, panels=len(runs), sharey=True, sharex=True)
    lines, rows = [], 1
    for ax, (name, run) in zip(axes, runs.items(), strict=True):
        reads = run.recomputations
        first = float(reads["began"][reads["began"] >= after].min())
        reads = reads[(reads["began"] >= first) & (reads["began"] < first + span)]
        began, ended = (reads["began"] - first).head(MOST), (reads["ended"] - first).head(MOST)
        ax.barh(range(len(began)), ended - began, 0.7, began, color=draw.RED)
        rows = max(rows, len(began))
        draw.title(ax, f"{name}: {len(reads)}")
        ax.set(xlabel="seconds since the first", xlim=(0, span), yticks=[])
        ax.grid(axis="x", visible=True)
        times = " ".join(f"{second:.1f}" for second in began)
        most = f"{reads['at_once'].max()} at once at most"
        lines.append(f"{name}: {len(reads)} recomputations, {most}, begun at {times} s")
    axes[0].set(ylim=(rows - 0.4, -0.6), ylabel="recomputations")
    draw.show(fig, alt, "\n".join(lines))
