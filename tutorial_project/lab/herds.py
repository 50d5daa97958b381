"""What an expiry costs: how many recomputations come together, how busy the database is, and who waits meanwhile.

A herd is the recomputations of one expiry (thundering herd, dogpile, stampede). `herds` finds those of a simulation,
`herd_sizes` those of any list of times, such as the ones that `noted` computations leave on a real cache server.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from random import Random
from typing import TYPE_CHECKING, TypeVar

from django.core.cache import cache

from . import draw
from .arrivals import poisson
from .errors import LabError

if TYPE_CHECKING:
    import pandas as pd

    from .simulating import Run

WAIT = 0.01  # seconds: twenty calls of a simulated cache; who is answered later has waited for a computation
DEADLINE = 1.0  # seconds after which an answer comes too late
Value = TypeVar("Value")


def herds(run: Run, apart: float, deadline: float = DEADLINE) -> pd.DataFrame:
    """A row a herd, in order; the first is that of the cold key.

    Recomputations that begin within `apart` seconds of a herd's first belong to it: take half a TTL. Columns: `began`
    (s), `recomputations`, `at_once` (the most queries that ran together), `lasted` (s, to the end of the last), and of
    the requests that arrived before the next herd: `waited` (for a computation, their own or another's) and `late`
    (answered after more than `deadline` seconds, or with an error).
    """
    import pandas as pd

    reads, requests = run.recomputations, run.requests
    starts = _starts(reads["began"], apart)
    edges = [*starts, float("inf")]
    rows = []
    for start, following in zip(starts, edges[1:], strict=True):
        herd = reads[(reads["began"] >= start) & (reads["began"] < following)]
        during = requests[(requests["arrived"] > start - WAIT) & (requests["arrived"] <= following - WAIT)]
        late = (during["latency"] > deadline) | (during["error"] != "")
        waited = int((during["latency"] > WAIT).sum())
        rows.append((start, len(herd), herd["at_once"].max(), herd["ended"].max() - start, waited, int(late.sum())))
    return pd.DataFrame(rows, columns=["began", "recomputations", "at_once", "lasted", "waited", "late"])


def herd_sizes(times: Iterable[float], apart: float) -> list[int]:
    """How many of these times (s) belong to each herd, in order: those within `apart` seconds of its first."""
    times = sorted(times)
    edges = [*_starts(times, apart), float("inf")]
    return [
        sum(start <= time < following for time in times) for start, following in zip(edges, edges[1:], strict=False)
    ]


def _starts(times: Iterable[float], apart: float) -> list[float]:
    if not apart > 0:
        raise LabError(f"apart={apart!r}: the seconds between two herds are above 0; half a TTL will do.")
    starts: list[float] = []
    for moment in sorted(times):
        if not starts or moment >= starts[-1] + apart:
            starts.append(moment)
    return starts


def warmed(rate: float, at: float = 0.1, seed: int = 2) -> Iterator[float]:
    """Arrivals for `simulate`: one request at 0, which fills the cache, and `rate` a second (Poisson) from `at` on."""
    yield 0.0
    for moment in poisson(rate, Random(f"{seed} warmed")):
        yield at + moment


# On a real server


def noted(name: str, compute: Callable[[], Value]) -> Value:
    """Compute, and leave the time at which it began on the cache server, under a key of its own that never ends."""
    cache.add(f"{name}:count", 0, None)
    cache.set(f"{name}:{cache.incr(f'{name}:count')}", time.time(), None)
    return compute()


def noted_times(name: str) -> list[float]:
    """When each computation `noted` under this name began, by the clocks of whoever computed (s)."""
    count = cache.get(f"{name}:count", 0)
    return sorted(cache.get_many([f"{name}:{number}" for number in range(1, count + 1)]).values())


# For the eye


def as_replay(run: Run, use: str) -> pd.DataFrame:
    """The requests of a simulation as `lab.scoreboard` wants them: `queries`, and `uses` with one cache use.

    Queries that ran in the background are counted with the last request, so that none is lost.
    """
    import pandas as pd

    hits = run.requests["hit"]
    queries = [0] * (len(hits) - 1) + [len(run.recomputations)]
    return pd.DataFrame({"queries": queries, "uses": [{use: (int(hit), int(not hit))} for hit in hits]})


def under_way(
    runs: Mapping[str, Run], window: tuple[float, float], capacity: int, alt: str, yscale: str = "linear"
) -> None:
    """Draw, for each run, the requests under way and the queries at once over a `window` of it (s), on one scale.

    `capacity` is how many queries the database runs at full speed; `yscale` as in `Axes.set_yscale` ("symlog" shows
    one query beside hundreds). The numbers beside the picture are the peaks, and
    for how long more queries ran than that.
    """
    fig, axes = draw.figure(max(8.0, 1.6 + 2.0 * len(runs)), 3.2, panels=len(runs), sharey=True)
    lines = []
    for ax, (name, run) in zip(axes, runs.items(), strict=True):
        state = _within(run.state, window)
        at = state["at"] - window[0]
        ax.fill_between(at, state["requests"], step="post", color=draw.BLUE, alpha=0.35, label="requests under way")
        ax.plot(at, state["queries"], drawstyle="steps-post", color=draw.RED, linewidth=1.4, label="queries at once")
        ax.axhline(capacity, color=draw.GREY, linestyle=":", label="full speed up to here")
        ax.set(xlabel="seconds", xlim=(0, window[1] - window[0]))
        draw.title(ax, name)
        over = float((state["at"].shift(-1) - state["at"])[state["queries"] > capacity].sum())
        lines.append(
            f"{name}: at most {state['requests'].max():,} requests under way, {state['queries'].max():,} queries; "
            f"more than {capacity} queries for {over:.1f} s"
        )
    axes[0].set_yscale(yscale)
    axes[0].set_ylim(bottom=0)
    axes[0].yaxis.set_major_formatter("{x:g}")
    top = axes[0].get_ylim()[1]
    axes[0].set_ylim(top=top * (4 if yscale == "symlog" else 1.3))  # room for the legend
    axes[-1].legend(frameon=False, fontsize=9, loc="upper right", ncols=3 if len(runs) == 1 else 1)
    draw.show(fig, alt, "\n".join(lines))


def _within(state: pd.DataFrame, window: tuple[float, float]) -> pd.DataFrame:
    """The changes in the window, with the state that it began and ended with."""
    import pandas as pd

    before = state[state["at"] <= window[0]].tail(1).assign(at=window[0])
    inside = state[(state["at"] > window[0]) & (state["at"] < window[1])]
    last = pd.concat([before, inside]).tail(1).assign(at=window[1])
    return pd.concat([before, inside, last], ignore_index=True)
