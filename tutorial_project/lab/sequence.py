"""One order of steps as a sequence diagram: a lane for each actor, the cache and the database in the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import draw
from .errors import LabError

if TYPE_CHECKING:
    import pandas as pd

    from .actors import Step

ROOM = 30  # characters of a label between two lanes
COLOURS = (draw.BLUE, draw.GREEN, "#7A6A00", "#AA4499")  # of the lanes; what went wrong is red


def table(steps: list[Step]) -> pd.DataFrame:
    """A row a step: `step` (from 1), `actor`, `what`, `saw` (what the cache answered or was given, or "")."""
    import pandas as pd

    return pd.DataFrame(
        {
            "step": range(1, len(steps) + 1),
            "actor": [step.actor for step in steps],
            "what": [step.what for step in steps],
            "saw": [step.saw for step in steps],
        }
    )


def sequence(steps: list[Step], actors: list[str], says: str, word: str, wrong: int) -> None:
    """Draw the steps, time going down. Step number `wrong` (from 1; 0: none) stands out: from it on, it ends in `word`.

    `says` is the sentence above it. Raises LabError where there are no steps.
    """
    says = says[0].upper() + says[1:]
    if not steps:
        raise LabError(f"{says}: there is no such order to draw.")
    lanes = _lanes(actors, steps)
    at = {lane: i for i, lane in enumerate(lanes)}
    fig, (ax,) = draw.figure(max(6.0, 2.3 * len(lanes)), 1.0 + 0.42 * len(steps))
    bottom = len(steps) + 0.6
    for lane, x in at.items():
        ax.plot([x, x], [0.3, bottom], color="#BBBBBB", linewidth=1, zorder=1)
        face = "#EEEEEE" if lane in ("cache", "database") else "white"
        box = {"boxstyle": "round,pad=0.35", "facecolor": face, "edgecolor": "#888888"}
        ax.text(x, 0, lane, ha="center", va="center", fontweight="bold", bbox=box)
    for y, step in enumerate(steps, 1):
        colour = draw.RED if y == wrong else COLOURS[list(at).index(step.actor) % len(COLOURS)]
        _arrow(ax, at[step.actor], at.get(step.where), y, _label(step), colour, y == wrong)
        ax.text(-0.62, y, str(y), ha="center", va="center", color="#555555")
    ax.set(xlim=(-0.75, len(lanes) - 0.35), ylim=(bottom, -0.5), xticks=[], yticks=[])
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    verdict = f"from step {wrong} on, this one can only end {word}" if wrong else f"this one ended {word}"
    draw.title(ax, f"{says}; {verdict}")
    lines = [f"{i} {step.actor}: {_said(step)}" for i, step in enumerate(steps, 1)]
    draw.show(fig, f"{says}; {verdict}: {'; '.join(lines)}", "\n".join(lines))


def _said(step: Step) -> str:
    return f"{step.what}: {step.saw}" if step.saw else step.what


def _lanes(actors: list[str], steps: list[Step]) -> list[str]:
    """The actors on both sides of the cache and the database; whoever was spawned on the way comes last."""
    everybody = list(dict.fromkeys([*actors, *(step.actor for step in steps)]))
    left = everybody[: (len(everybody) + 1) // 2]
    middle = [where for where in ("cache", "database") if any(step.where == where for step in steps)]
    return [*left, *middle, *everybody[len(left) :]]


def _label(step: Step) -> str:
    text = step.what
    if len(text) > ROOM:
        text = f"{text[: ROOM // 2]}…{text[-(ROOM // 2 - 1) :]}"
    return f"{text}: {step.saw}" if step.saw else text


def _arrow(ax: Any, start: int, end: int | None, y: int, label: str, colour: str, wrong: bool) -> None:
    if end is None or end == start:  # the clock, or a step of no lane's
        ax.plot([start], [y], marker="o", color=colour, markersize=7, zorder=3)
        ax.text(start + 0.08, y, label, ha="left", va="center", fontsize=9, color="#222222")
        return
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": 2.4 if wrong else 1.5, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", xy=(end, y), xytext=(start, y), arrowprops=style, zorder=2)
    ax.plot([start], [y], marker="X" if wrong else "o", color=colour, markersize=10 if wrong else 5, zorder=3)
    weight, ink = ("bold", colour) if wrong else ("normal", "#222222")
    nearest = start + (0.5 if end > start else -0.5)
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    ax.text(nearest, y - 0.24, label, ha="center", va="center", fontsize=9, color=ink, weight=weight, bbox=ground)
