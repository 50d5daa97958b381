"""The demands on a defence against stampedes, each tried on a fleet of real processes and judged by what was counted.

    with Fleet("tutorial_project.lab.defences:lease") as fleet:
        cold(fleet)                # Outcome(demand="cold", measured={"answers": 32, …, "computations": 1}, faults=[])
        trial(fleet)               # all of them, one after the other

1 `cold`, 2 `expiry`, 3 `holder_killed`, 4 `outlived`, 5 `paused` and `overtaken`, 6 `raising`, 7 `frozen` and
`refused`. A demand begins afresh: new processes, an empty server. What is counted is counted by the origin and by the
clients, outside the cache. Where a time has a bound, `SLACK` (outcome.py) is added to it, for a machine that is busy
with other things.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .demands_away import frozen, raising, refused
from .demands_computing import cold, expiry, holder_killed, outlived
from .demands_late import overtaken, paused
from .fleet import Fleet
from .outcome import Outcome

ALL = (cold, expiry, holder_killed, outlived, paused, overtaken, raising, frozen, refused)


def trial(fleet: Fleet, demands: Sequence[Callable[[Fleet], Outcome]] = ALL) -> list[Outcome]:
    """One outcome for each of these demands, which are tried one after the other."""
    return [demand(fleet) for demand in demands]
