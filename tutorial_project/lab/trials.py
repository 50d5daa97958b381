"""The defences under failures, on fleets of real processes that run at the same time.

    outcomes = tried(({"get_or_set": defences.plain, "the lease": defences.lease}, MAIN))
    told(outcomes)              # a row a demand, a column a defence: "✓", or what was missing this time
    verdicts(outcomes)          # "✓" and "✗", and "varies" where luck decides

Where no fleet can be started (Windows cannot fork), these print one line that says so, and return None.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from . import servers
from .demands import ALL, cold, expiry, frozen, holder_killed, outlived, overtaken, paused, raising, refused
from .errors import LabError
from .fleet import Fleet
from .outcome import Outcome

if TYPE_CHECKING:
    import pandas as pd

Defence = Callable[[Any], Any]
Demand = Callable[[Fleet], Outcome]
Given = TypeVar("Given")
Result = TypeVar("Result")
TIMES: dict[str, Any] = {"cost": 0.2, "timeout": 2.0, "lease": 1.0, "grace": 30.0, "limit": 3.0}  # seconds
REAL: dict[str, Any] = {"clients": 8, "operation": 0.5}
IMITATION: dict[str, Any] = {"clients": 2, "operation": 1.5}  # fakeredis takes a hundred times as long for a command
AT_ONCE, SLOWLY = 6, 3  # fleets, each of about 100 MB
ORDER = [demand.__name__ for demand in ALL]
UNDER_WAY: set[Fleet] = set()


def _one_expiry(fleet: Fleet) -> Outcome:
    return expiry(fleet, expiries=1)


_one_expiry.__name__ = expiry.__name__
MAIN: tuple[Demand, ...] = (cold, _one_expiry, holder_killed, outlived, paused, frozen)
REST: tuple[Demand, ...] = (overtaken, raising, refused)
SOUND = {(demand, "lease") for demand in ORDER} | {(demand, "lock, previous") for demand in ("cold", "holder_killed")}
TRIES = 3
ASKS = {
    "cold": "1 a cold key is computed once",
    "expiry": "2 at an expiry nobody waits",
    "holder_killed": "3 whoever computes is killed",
    "outlived": "4 it takes longer than the lock",
    "paused": "5 whoever computes is stopped, and goes on",
    "overtaken": "5 the row changes meanwhile",
    "raising": "6 the computation fails",
    "frozen": "7 the cache server hangs",
    "refused": "7 the cache server is gone",
}


def forkable() -> bool:
    """Whether fleets can be started here; where not, one line that says so is printed."""
    if hasattr(os, "fork"):
        return True
    print("Real processes are tried where a process can fork, which Windows cannot: run this in WSL or on Binder.")
    return False


def fleet_of(defence: Defence | str) -> Fleet:
    """Four processes under this defence, not started yet; with fewer clients where the cache server is fakeredis."""
    module = getattr(defence, "__module__", "__main__")
    if not isinstance(defence, str) and module != "__main__":  # those of a notebook are sent as they are
        defence = f"{module}:{defence.__name__}"
    return Fleet(defence, processes=4, **TIMES, **(IMITATION if imitation() else REAL))


@contextmanager
def running(defence: Defence | str) -> Iterator[Fleet]:
    """The same, started, and known to `side_by_side`, which stops it on an interrupt."""
    fleet = fleet_of(defence)
    UNDER_WAY.add(fleet)
    try:
        with fleet as started:
            yield started
    finally:
        UNDER_WAY.discard(fleet)


def imitation() -> bool:
    """Whether a fleet's cache server will be fakeredis."""
    wanted = os.environ.get("TUTORIAL_CACHE", "").strip().lower()
    if wanted in servers.KINDS:
        return wanted == "fakeredis"
    for kind in servers.KINDS[:-1]:
        with suppress(LabError):
            servers.program(kind)
            return False
    return True


def side_by_side(function: Callable[[Given], Result], given: Iterable[Given]) -> list[Result]:
    """`function` of each, as many at a time as there can be fleets; the results in order. An interrupt ends all."""
    with ThreadPoolExecutor(SLOWLY if imitation() else AT_ONCE) as pool:
        try:
            return list(pool.map(function, given))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for fleet in list(UNDER_WAY):
                fleet.stop()
            raise


def tried(
    *rounds: tuple[Mapping[str, Defence | str], Collection[Demand]], again: Collection[tuple[str, str]] = ()
) -> dict[tuple[str, str], Outcome] | None:
    """Each round's defences under its demands, every defence of a round on a fleet of its own, all at the same time.

    A round is (defences by name, demands). Returns an `Outcome` by (demand's function, name of the defence). Six fleets
    on two processors disturb each other: what is not met, and is one of `again`, is tried twice more, alone.
    """
    if not forkable():
        return None
    trials = [(name, defence, demands) for defences, demands in rounds for name, defence in defences.items()]

    def one(trial: tuple[str, Defence | str, Collection[Demand]]) -> dict[tuple[str, str], Outcome]:
        name, defence, demands = trial
        with running(defence) as fleet:
            return {(demand.__name__, name): demand(fleet) for demand in demands}

    found = {which: outcome for outcomes in side_by_side(one, trials) for which, outcome in outcomes.items()}
    for name, defence, demands in trials * (TRIES - 1):
        spoilt = [demand for demand in demands if not found[demand.__name__, name].meets]
        if spoilt := [demand for demand in spoilt if (demand.__name__, name) in again]:
            found |= one((name, defence, spoilt))
    return found


def told(found: Mapping[tuple[str, str], Outcome] | None) -> pd.DataFrame | None:
    """A row a demand, a column a defence: "✓", or the first thing that was missing; "" where it was not tried."""
    return _table(found, lambda demand, name, outcome: "✓" if outcome.meets else _short(outcome.faults[0]))


def verdicts(
    found: Mapping[tuple[str, str], Outcome] | None, varies: Collection[tuple[str, str]] = ()
) -> pd.DataFrame | None:
    """The same with "✓" and "✗", as it comes out every time; "varies" where luck decides: (demand, defence)."""
    by_luck = set(varies)
    return _table(
        found, lambda demand, name, outcome: "varies" if (demand, name) in by_luck else "✓" if outcome.meets else "✗"
    )


def missing(found: Mapping[tuple[str, str], Outcome] | None, name: str) -> dict[str, str]:
    """What one defence does not meet, and what was missing; {} where it meets all that it was tried with."""
    return {
        demand: outcome.says for (demand, who), outcome in (found or {}).items() if who == name and not outcome.meets
    }


def _table(
    found: Mapping[tuple[str, str], Outcome] | None, cell: Callable[[str, str, Outcome], str]
) -> pd.DataFrame | None:
    import pandas as pd

    if found is None:
        return None
    names = list(dict.fromkeys(name for _, name in found))
    demands = [demand for demand in ORDER if any((demand, name) in found for name in names)]
    rows = [
        [cell(demand, name, found[demand, name]) if (demand, name) in found else "" for name in names]
        for demand in demands
    ]
    return pd.DataFrame(rows, [ASKS[demand] for demand in demands], names)


def _short(fault: str) -> str:
    """A fault without its examples: "32 errors (TimeoutError: …)" is "32 times TimeoutError"."""
    if error := re.fullmatch(r".*?(\d+) errors \((\w+).*\)", fault):
        return f"{error[1]} times {error[2]}"
    return re.sub(r" \(.*\)|[\[\]]", "", fault)


# One failure, step by step


def holder_dies(**defences: Defence | str) -> pd.DataFrame | None:
    """A row a defence: nobody has a value, all clients ask, and the process that computes is ended by SIGKILL.

    Columns: `computations` (with the one that was cut off), `answered` ("none", "all" or how many of the clients in the
    other processes have a value within three seconds), `left for ever` (keys that nothing will ever remove).
    """
    import pandas as pd

    if not forkable():
        return None

    def one(defence: Defence | str) -> list[Any]:
        with running(defence) as fleet:
            asking = fleet.begin("key")
            if (holder := fleet.holder("key")) is not None:
                fleet.kill(holder)
            left = {who for who in asking.asked if who[0] in fleet.pids}
            answered = {(row.pid, row.client) for row in fleet.finish(asking, 3.0) if not row.error} & left
            shown = {0: "none", len(left): "all"}.get(len(answered), f"{len(answered)} of {len(left)}")
            return [len(fleet.log.of("key")), shown, len(fleet.server.endless())]

    names = [name.replace("_", " ") for name in defences]
    return pd.DataFrame(side_by_side(one, defences.values()), names, ["computations", "answered", "left for ever"])
