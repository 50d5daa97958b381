"""The defences under failures, on fleets of real processes that run at the same time.

    outcomes = tried(({"get_or_set": defences.plain, "the lease": defences.lease}, MAIN))
    told(outcomes)              # a row a demand, a column a defence: "✓", or what was missing this time
    verdicts(outcomes)          # "✓" and "✗", and "varies" where luck decides

Where no fleet can be started (Windows cannot fork), these print one line that says so, and return None.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from .demands import Outcome, cold, expiry, holder_killed, outlived, paused
from .demands_away import ALL, frozen, overtaken, raising, refused
from .fleet import Fleet

if TYPE_CHECKING:
    import pandas as pd

Defence = Callable[[Any], Any]
Demand = Callable[[Fleet], Outcome]
TIMES: dict[str, Any] = {"cost": 0.2, "timeout": 1.0, "lease": 1.0, "grace": 30.0, "limit": 3.0}  # seconds
AT_ONCE = 6  # fleets; each takes about 100 MB
ORDER = [demand.__name__ for demand in ALL]

MAIN: tuple[Demand, ...] = (cold, expiry, holder_killed, outlived, paused, frozen)  # about 20 s for a lock
REST: tuple[Demand, ...] = (overtaken, raising, refused)
ASKS = {
    "cold": "a cold key is computed once",
    "expiry": "at an expiry nobody waits",
    "holder_killed": "whoever computes is killed",
    "outlived": "it takes longer than the lock",
    "paused": "whoever computes is stopped, and goes on",
    "overtaken": "the row changes meanwhile",
    "raising": "the computation fails",
    "frozen": "the cache server hangs",
    "refused": "the cache server is gone",
}


def forkable() -> bool:
    """Whether fleets can be started here; where not, one line that says so is printed."""
    if hasattr(os, "fork"):
        return True
    print("Real processes are tried where a process can fork, which Windows cannot: run this in WSL or on Binder.")
    return False


def tried(*rounds: tuple[Mapping[str, Defence | str], Collection[Demand]]) -> dict[tuple[str, str], Outcome] | None:
    """Each round's defences under its demands, every defence of a round on a fleet of its own, all at the same time.

    A round is (defences by name, demands). Returns an `Outcome` by (demand's function, name of the defence).
    """
    if not forkable():
        return None
    trials = [(name, defence, demands) for defences, demands in rounds for name, defence in defences.items()]
    found: dict[tuple[str, str], Outcome] = {}
    lock = threading.Lock()

    def one(trial: tuple[str, Defence | str, Collection[Demand]]) -> None:
        name, defence, demands = trial
        with Fleet(_named(defence), processes=4, clients=8, **TIMES) as fleet:
            for demand in demands:
                outcome = demand(fleet)
                with lock:
                    found[demand.__name__, name] = outcome

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, trials))
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
    """A fault without its examples: "32 errors (TimeoutError: …)" is "32 TimeoutError"."""
    error = re.fullmatch(r"(.*?)(\d+) errors \((\w+).*\)", fault)
    return f"{error[2]} answers are {error[3]}" if error else re.sub(r" \(.*\)", "", fault)


def _named(defence: Defence | str) -> Defence | str:
    """A defence of a module by its name: only those of a notebook have to be sent to the processes as they are."""
    module = getattr(defence, "__module__", "__main__")
    if isinstance(defence, str) or module == "__main__":
        return defence
    return f"{module}:{defence.__name__}"


# One failure, step by step


def holder_dies(**defences: Defence | str) -> pd.DataFrame | None:
    """A row a defence: nobody has a value, 32 clients ask, and the process that computes is ended by SIGKILL.

    Columns: `computations` (with the one that was cut off), `answered` of the clients in the other processes within
    four seconds, `left for ever` (keys on the server that nothing will ever remove).
    """
    import pandas as pd

    if not forkable():
        return None

    def one(defence: Defence | str) -> list[int]:
        with Fleet(_named(defence), processes=4, clients=8, **TIMES) as fleet:
            asking = fleet.begin("key")
            if (holder := fleet.holder("key")) is not None:
                fleet.kill(holder)
            answers = [answer for answer in fleet.finish(asking, 4.0) if answer.pid in fleet.pids and not answer.error]
            return [len(fleet.log.of("key")), len(answers), len(fleet.server.endless())]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        rows = list(pool.map(one, defences.values()))
    names = [name.replace("_", " ") for name in defences]
    return pd.DataFrame(rows, names, ["computations", "answered, of 24", "left for ever"])
