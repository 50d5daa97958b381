"""The seven demands on one contestant, on a fleet of its own. What hangs is cut off by the demand's own limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError

from tutorial_project.lab.demands import ALL, raising
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.fleet import Fleet
from tutorial_project.lab.outcome import Outcome

from .contest import module_of, over_a_server

# A value and a lock hold for two seconds: those who poll for a lock, and look one after the other, find a fresh value,
# and a lock that nobody renews outlasts a computation also where the machine is busy.
SETTINGS: dict[str, Any] = {"processes": 4, "clients": 8, "timeout": 2.0, "lease": 2.0, "limit": 8.0}
LOST = "a lost invalidation was not reported"
SCRIPTS = ("cmdstat_eval", "cmdstat_evalsha", "cmdstat_fcall")


def tried(name: str, wanted: Sequence[str] = ()) -> dict[str, Any]:
    """What came of each of the demands (of those wanted), and whether the server was sent Lua scripts meanwhile."""
    outcomes: dict[str, Any] = {}
    lua: bool | None = None
    try:
        with Fleet(f"{module_of(name)}:Contestant", **SETTINGS) as fleet:
            for demand in ALL:
                if not wanted or demand.__name__ in wanted:
                    outcomes[demand.__name__] = outcome_of(demand, fleet, over_a_server(name))
                if demand is raising:
                    lua = scripted(fleet)
    except LabError as problem:
        outcomes["fleet"] = {"meets": False, "says": str(problem), "measured": {}}
    return {"demands": outcomes, "lua": lua}


def outcome_of(demand: Callable[[Fleet], Outcome], fleet: Fleet, over_a_server: bool = True) -> dict[str, Any]:
    """A demand's verdict and figures. Where it could not be carried through, that is the verdict.

    Who keeps values without a server has lost no invalidation when the server is away: that is not held against it.
    """
    began = time.monotonic()
    try:
        outcome = demand(fleet)
    except (LabError, AssertionError, LookupError, ValueError, OSError) as problem:
        outcome = Outcome(demand.__name__)
        outcome.note("not carried through", f"{type(problem).__name__}: {problem}"[:200], False)
    if not over_a_server and LOST in outcome.faults:
        outcome.faults.remove(LOST)
        outcome.measured["invalidation"] = "not sent to a server"
    took = round(time.monotonic() - began, 1)
    return {"meets": outcome.meets, "says": outcome.says, "measured": outcome.measured, "seconds": took}


def scripted(fleet: Fleet) -> bool | None:
    """Whether the fleet's server has run scripts; None where it does not count them."""
    with suppress(RedisError), fleet.server.client() as client:
        counts: Any = client.info("commandstats")
        return any(counts.get(name) for name in SCRIPTS)
    return None
