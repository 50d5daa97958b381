"""Demand 5 on a defence against stampedes: what was computed from old rows is not given once it is late.

See `demands.py` for the others and for how all of them are judged.
"""

from __future__ import annotations

import time
from functools import partial

from .fleet import Fleet
from .fleet_log import Answer
from .fleet_processes import Round
from .outcome import LONGEST, Outcome, ask, settle


def paused(fleet: Fleet) -> Outcome:
    """Demand 5: the holder is stopped past its lease, another stores a newer version; going on, it stores nothing."""
    outcome = Outcome("paused")
    fleet.afresh()
    pid, *others = fleet.pids
    late = fleet.begin("key", pids=[pid])
    fleet.holder("key")
    fleet.pause(pid)
    version, past = fleet.write(), time.monotonic() + 1.2 * fleet.lease
    newer = fleet.begin("key", seconds=60, pids=others)
    again = fleet.until(partial(_newly, fleet, version, past), LONGEST / 2)
    outcome.note("computed again", bool(again), bool(again), "nobody computed while the holder was stopped")
    fleet.finish(newer, 5)
    settle(fleet, others)
    fleet.go_on(pid)
    fleet.finish(late, 5)
    settle(fleet, [pid])
    answers, silent = ask(fleet, "key")
    outcome.served(answers, silent)
    stale = sum(answer.version == 1 for answer in answers)
    outcome.note("stale", stale, not stale, f"{stale} read what the stopped holder stored late")
    return outcome


def _newly(fleet: Fleet, version: int, past: float) -> bool:
    """Whether this version was computed not long ago, so that its value is there, and the time is past this moment.

    After two more lifetimes of the value, it will do if it was computed at all.
    """
    now, least = time.monotonic(), time.monotonic() - fleet.timeout / 2
    if now > past + 2 * fleet.timeout + fleet.cost:
        least = 0.0
    return now > past and any(each.version == version and each.ended > least for each in fleet.log.of("key"))


def overtaken(fleet: Fleet) -> Outcome:
    """Demand 5: the row changes and is invalidated while it is computed, in the same process and in another.

    Who asks after `invalidate` has returned is not given what began to be computed before: of a key that nobody had
    ("cold"), and of one that was being refreshed ("warm"); whether the overtaken computation ends before or after the
    one that began later.
    """
    outcome = Outcome("overtaken")
    later: list[Answer] = []
    silent = 0
    for place, earlier, hanging in (
        ("same process", "warm", ["warm@2", "cold@1"]),
        ("another process", "cold", ["warm@1", "cold@2"]),
    ):
        old = _overtake(fleet, outcome, place)
        rounds = [fleet.begin(key) for key in ("warm", "cold")]
        fleet.until(partial(_begun, fleet, {("warm", 2), ("cold", 2)}), 2)
        fleet.tell(hanging=hanging)  # of one key, the overtaken computation ends first; of the other, the later one
        fleet.until(lambda: False, 0.2)
        rounds.append(fleet.begin(earlier))
        fleet.until(lambda: False, 0.2)
        fleet.tell(hanging=[])
        for round_ in old:
            fleet.finish(round_, 5)
        settle(fleet, fleet.pids)
        rounds += [fleet.begin(key) for key in ("warm", "cold")]
        after = [answer for round_ in rounds for answer in fleet.finish(round_, LONGEST)]
        silent += sum(len(fleet.silent(round_)) for round_ in rounds)
        for key in ("warm", "cold"):
            stale = sum(each.key == key and each.version == 1 for each in after)
            outcome.note(f"stale ({key}, {place})", stale, not stale, f"{stale} stale ({key} key, {place})")
        later += after
    outcome.served(later, silent)
    return outcome


def _overtake(fleet: Fleet, outcome: Outcome, place: str) -> list[Round]:
    """A value that has expired, one that never was: both are being computed when the row changes, and invalidated."""
    fleet.afresh()
    ask(fleet, "warm")
    time.sleep(fleet.timeout + 0.05)
    fleet.tell(hanging=["warm", "cold"])
    rounds = [fleet.begin("warm"), fleet.begin("cold")]
    holders = {key: fleet.holder(key) for key in ("warm", "cold")}
    fleet.write()
    for key, pid in holders.items():
        where = pid if place == "same process" else next(each for each in fleet.pids if each != pid)
        said = fleet.invalidate(key, where)
        if said.error or said.returned is None:
            outcome.note("invalidated", False, False, f"an invalidation failed ({said.error or 'no answer'})")
    return rounds


def _begun(fleet: Fleet, wanted: set[tuple[str, int]]) -> bool:
    """Whether each of these keys has a computation that read this version."""
    return wanted <= {(each.key, each.version) for each in fleet.log.computations.values()}
