"""The trade of a TTL: how many requests are hits against how many answers are stale, a dot for each lifetime."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import draw, theory

POINTS = [10 ** (exponent / 20) for exponent in range(-20, 81)]  # seconds, from a tenth to three hours


def tradeoff(rate: float, writes: float, measured: Mapping[Any, tuple[float, float]], alt: str = "") -> None:
    """Draw `measured`, the (hit ratio, share of stale answers) of each TTL in seconds, on the curve that is predicted.

    `rate` and `writes` are those of one entry, a second. The alternative text names the first and the last dot, unless
    `alt` is given. The numbers beside the picture are the dots, and what theory says of each.
    """
    fig, (ax,) = draw.figure(7.5, 4.2)
    ax.plot(*_predicted(rate, writes, POINTS), color=draw.GREY, label="predicted, for every TTL", zorder=1)
    hits, stale = zip(*measured.values(), strict=True)
    ax.scatter(hits, stale, s=46, color=draw.BLUE, marker="o", label="measured", zorder=2)
    for ttl, (hit, share) in measured.items():
        # Above the curve and left of it there is room: it rises to the right.
        ax.annotate(_seconds(ttl), (hit, share), (-7, 6), textcoords="offset points", ha="right")
    ax.set(xlabel="hit ratio", ylabel="share of stale answers", xlim=(0, 1.02), ylim=(-0.03, 1.0))
    ax.legend(frameon=False, loc="upper left")
    ttls = list(measured)
    told = alt or (
        f"from a TTL of {_seconds(ttls[0])} to one of {_seconds(ttls[-1])} the hit ratio goes from {hits[0]:.2f} to "
        f"{hits[-1]:.2f}, the share of stale answers from {stale[0]:.2f} to {stale[-1]:.2f}"
    )
    draw.title(ax, f"read every {1 / rate:g} s, changed every {1 / writes:g} s on average")
    lines = []
    for ttl, hit, share, (h, s) in zip(
        ttls, hits, stale, zip(*_predicted(rate, writes, ttls), strict=True), strict=True
    ):
        lines.append(f"{_seconds(ttl)}: hit ratio {hit:.2f} (predicted {h:.2f}), stale {share:.2f} (predicted {s:.2f})")
    draw.show(fig, told, "\n".join(lines))


def _predicted(rate: float, writes: float, ttls: Iterable[float]) -> tuple[list[float], list[float]]:
    ttls = list(ttls)
    return [theory.hit_ratio(rate, ttl) for ttl in ttls], [theory.stale_share(rate, writes, ttl) for ttl in ttls]


def _seconds(ttl: float) -> str:
    return f"{ttl:,.0f} s" if ttl >= 1 else f"{ttl:g} s"
