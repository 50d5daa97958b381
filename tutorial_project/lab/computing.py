"""Who computed when: the recomputations of a simulation as bars over time, a panel a defence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import draw

if TYPE_CHECKING:
    from .simulating import Run

MOST = 40  # bars in a panel; of more, the first


def computing(runs: Mapping[str, Run], window: tuple[float, float], alt: str) -> None:
    """Draw each recomputation that begins in the `window` (seconds of the run) as a bar, for each run on one scale.

    The numbers beside the picture are how many there were, how many ran at once, and when the first began and the last
    ended.
    """
    fig, axes = draw.figure(2.6 + 2.2 * len(runs), 2.8, panels=len(runs), sharey=True, sharex=True)
    lines, rows = [], 1
    for ax, (name, run) in zip(axes, runs.items(), strict=True):
        reads = run.recomputations
        reads = reads[(reads["began"] >= window[0]) & (reads["began"] < window[1])].reset_index(drop=True)
        shown = reads.head(MOST)
        ax.barh(shown.index, shown["ended"] - shown["began"], 0.8, shown["began"] - window[0], color=draw.RED)
        rows = max(rows, len(shown))
        draw.title(ax, f"{name}: {len(reads)}")
        ax.set(xlabel="seconds", xlim=(0, window[1] - window[0]), yticks=[])
        ax.grid(axis="x", visible=True)
        first, last = reads["began"].min() - window[0], reads["ended"].max() - window[0]
        lines.append(
            f"{name}: {len(reads)} recomputations from {first:.1f} to {last:.1f} s, {_at_once(run, window)} at once"
        )
    axes[0].set(ylim=(rows - 0.4, -0.6), ylabel="recomputations")
    draw.show(fig, alt, "\n".join(lines))


def _at_once(run: Run, window: tuple[float, float]) -> int:
    state = run.state
    return int(state[(state["at"] >= window[0]) & (state["at"] < window[1])]["queries"].max())
