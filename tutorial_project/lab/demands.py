"""The demands on a defence against stampedes, each tried on a fleet of real processes and judged by what was counted.

    with Fleet("tutorial_project.lab.defences:lease") as fleet:
        cold(fleet)                # Outcome(demand="cold", meets=True, measured={"computations": 1, …}, says="…")

A demand begins afresh: new processes, an empty server. What is counted is counted by the origin and by the clients,
outside the cache. Where a time has a bound, `SLACK` is added to it, for a machine that is busy with other things.
The cache server's absence is in `demands_away.py`; `trial` runs them all.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .fleet import Fleet
from .fleet_log import Answer, Computation
from .fleet_processes import Round

SLACK = 1.0  # seconds that a busy machine may add to any bound
POLL = 0.25  # seconds between two looks of whoever waits, at most
LONGEST = 20.0  # seconds after which a client counts as not answered


@dataclass
class Outcome:
    """What came of a demand: whether it is met, what was `measured`, and in `says` what was missing."""

    demand: str
    measured: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def meets(self) -> bool:
        """Whether nothing was missing."""
        return not self.faults

    @property
    def says(self) -> str:
        """What was missing; "met" if nothing was."""
        return "; ".join(self.faults) or "met"

    def note(self, what: str, value: Any, holds: bool = True, fault: str = "") -> None:
        """Note what was measured, and what was missing if it does not hold."""
        self.measured[what] = value
        if not holds:
            self.faults.append(fault or f"{what}: {value}")

    def served(self, fleet: Fleet, answers: Sequence[Answer], silent: int, prefix: str = "") -> None:
        """Note who was served: no errors, and nobody without an answer."""
        failed = [answer.error for answer in answers if answer.error]
        self.note(f"{prefix}answers", len(answers) - len(failed))
        self.note(f"{prefix}errors", len(failed), not failed, f"{len(failed)} errors ({failed[0] if failed else ''})")
        self.note(f"{prefix}no answer", silent, not silent, f"{silent} clients without an answer")


def ask(fleet: Fleet, *keys: str, limit: float = LONGEST, **how: Any) -> tuple[list[Answer], int]:
    """All clients ask once: their answers, and the number of those that got none."""
    round_ = fleet.begin(*keys, **how)
    return fleet.finish(round_, limit), len(fleet.silent(round_))


def cold(fleet: Fleet) -> Outcome:
    """Demand 1: a key that nobody has, and all clients at once. Exactly one computation, and everybody served."""
    outcome = Outcome("cold")
    fleet.afresh()
    outcome.served(fleet, *ask(fleet, "key"))
    counted(outcome, "computations", fleet.log.of("key"), 1)
    return outcome


def expiry(fleet: Fleet, expiries: int = 3) -> Outcome:
    """Demand 2: the value expires under traffic. One computation each time, and no client runs or waits for it.

    Counted, not timed: the computation is held until every client has had an answer to a question that it asked
    meanwhile; who has none after three seconds waits for it.
    """
    outcome = Outcome("expiry")
    fleet.afresh()
    fleet.tell(database=True)
    ask(fleet, "key", language="de")
    fleet.tell(hanging=["key"])
    traffic = fleet.begin("key", seconds=60, language="de")
    counts, waiting, before = [], 0, len(fleet.log.of("key"))
    for _ in range(expiries):
        known = [each.computation for each in fleet.log.of("key")]
        if not fleet.until(partial(new, fleet, known), fleet.timeout + 5):
            outcome.note("refreshed", False, False, "nobody computed after the expiry")
            break
        began = new(fleet, known)[0].began
        fleet.until(partial(all_served_since, fleet, began, traffic), 3)
        waiting += len(unserved_since(fleet, began, traffic))
        fleet.tell(hanging=[])
        fleet.until(partial(latest_are_new, fleet, traffic, known), 5)
        counts.append(len(new(fleet, known)))
        fleet.tell(hanging=["key"])
        if waiting:
            break  # it will not get better, and each time takes three seconds
    fleet.tell(hanging=[])
    answers = fleet.finish(traffic, LONGEST)
    outcome.served(fleet, answers, len(fleet.silent(traffic)))
    outcome.note("computations", counts, set(counts) <= {1}, f"{counts} computations at the expiries")
    ran = sum(answer.ran for answer in answers)
    outcome.note("ran", ran, not ran, f"{ran} computations ran in a request")
    outcome.note("waiting", waiting, not waiting, f"{waiting} clients waited for a computation")
    foreign = [each for each in fleet.log.of("key")[before:] if each.language != "de"]
    outcome.note("in another language", len(foreign), not foreign, f"{len(foreign)} computed in another language")
    fleet.until(lambda: not fleet.left_open(), 2)
    left = fleet.left_open()
    outcome.note("connections left open", left, not left, f"{left} database connections left open")
    return outcome


def new(fleet: Fleet, known: Sequence[str]) -> list[Computation]:
    """The computations of the key that are not known yet, in order."""
    return [each for each in fleet.log.of("key") if each.computation not in known]


def unserved_since(fleet: Fleet, began: float, round_: Round) -> set[tuple[int, int]]:
    """The clients that have no answer to a question which they asked since then."""
    return round_.asked - {(row.pid, row.client) for row in fleet.answers_of(round_) if row.asked > began}


def all_served_since(fleet: Fleet, began: float, round_: Round) -> bool:
    """Whether there are none of these."""
    return not unserved_since(fleet, began, round_)


def latest_are_new(fleet: Fleet, round_: Round, known: Sequence[str]) -> bool:
    """Whether the latest answer of every client that lives is a value of none of the known computations."""
    latest = {(row.pid, row.client): row.computation for row in fleet.answers_of(round_)}
    alive = fleet.pids
    return all(latest.get(who) not in (None, *known) for who in round_.asked if who[0] in alive)


def counted(outcome: Outcome, what: str, computations: Sequence[Computation], most: int) -> None:
    """Note how many computations there were; more than `most`, or none, is a fault."""
    n = len(computations)
    outcome.note(what, n, 1 <= n <= most, f"{n} computations")


def holder_killed(fleet: Fleet) -> Outcome:
    """Demand 3: SIGKILL whoever computes; first with nobody having a value, then with an expired one there.

    At most two computations, an answer within lease + one look + computation, no error in a process that lives, and no
    key without a TTL.
    """
    outcome = Outcome("holder killed")
    bound = fleet.lease + POLL + fleet.cost + SLACK
    fleet.afresh()
    round_ = fleet.begin("key")
    killed, endless = kill_holder(fleet), fleet.server.endless()
    answers = [answer for answer in fleet.finish(round_, LONGEST) if answer.pid in fleet.pids]
    outcome.served(fleet, answers, len(fleet.silent(round_)))
    counted(outcome, "computations", fleet.log.of("key"), 2)
    slowest = max((answer.answered for answer in answers), default=killed + LONGEST) - killed
    outcome.note("recovery (s)", round(slowest, 2), slowest <= bound, f"answered {slowest:.1f} s after the kill")

    known = [each.computation for each in fleet.log.of("key")]
    fleet.tell(hanging=["key"])
    traffic = fleet.begin("key", seconds=60)
    fleet.until(lambda: new(fleet, known), fleet.timeout + 5)
    lost, killed = len(new(fleet, known)), kill_holder(fleet)
    fleet.tell(hanging=[])
    dead = [each.computation for each in new(fleet, known) if each.pid not in fleet.pids]
    came = fleet.until(lambda: latest_are_new(fleet, traffic, [*known, *dead]), LONGEST)
    again = time.monotonic() - killed
    refreshed = new(fleet, known)
    answers = [answer for answer in fleet.finish(traffic, LONGEST) if answer.pid in fleet.pids]
    outcome.served(fleet, answers, len(fleet.silent(traffic)), "refresh: ")
    outcome.note("refresh: computations", len(refreshed), lost > 0 and len(refreshed) <= 2)
    outcome.note("refresh: recovery (s)", round(again, 2), came and again <= bound)
    endless += fleet.server.endless()
    outcome.note("keys without a TTL", len(endless), not endless, f"keys without a TTL: {endless}")
    return outcome


def kill_holder(fleet: Fleet) -> float:
    """SIGKILL the process that computes the key; when the signal was sent."""
    pid = fleet.holder("key")
    return fleet.kill(pid) if pid else time.monotonic()


def outlived(fleet: Fleet) -> Outcome:
    """Demand 4: a computation of three leases is still the only one; one that never ends is given up at a limit."""
    outcome = Outcome("outlived")
    fleet.afresh()
    fleet.tell(cost=3 * fleet.lease, hanging=["hung"])
    round_, hung = fleet.begin("key"), fleet.begin("hung")
    answers = fleet.finish(round_, LONGEST)
    outcome.served(fleet, answers, len(fleet.silent(round_)))
    counted(outcome, "computations", fleet.log.of("key"), 1)
    limit = fleet.about.get("limit") or fleet.limit
    first = fleet.holder("hung")
    left = hung.at + limit + fleet.lease + SLACK - time.monotonic()
    given_up = bool(first and fleet.until(lambda: len(fleet.log.of("hung")) > 1, left))
    outcome.note("hung: given up", given_up, given_up, f"a hung computation holds the key after {limit:g} s")
    fleet.tell(hanging=[])
    fleet.finish(hung, LONGEST)
    silent = len(fleet.silent(hung))
    outcome.note("hung: no answer", silent, not silent, f"{silent} clients without an answer")
    return outcome


def paused(fleet: Fleet) -> Outcome:
    """Demand 5: the holder is stopped past its lease, another stores a newer version; going on, it stores nothing."""
    outcome = Outcome("paused")
    fleet.afresh()
    round_ = fleet.begin("key")
    pid, at = fleet.holder("key"), time.monotonic()
    assert pid
    fleet.pause(pid)
    version = fleet.write()
    others = fleet.begin("key", seconds=60, pids=[each for each in fleet.pids if each != pid])
    past = at + 1.2 * fleet.lease
    newer = fleet.until(lambda: time.monotonic() > past and read(fleet.answers_of(others), version), LONGEST / 2)
    fleet.finish(others, 2)
    outcome.note("computed again", bool(newer), bool(newer), "nobody computed while the holder was stopped")
    fleet.go_on(pid)
    fleet.until(lambda: all(each.how for each in fleet.log.of("key") if each.pid == pid), 5)
    fleet.finish(round_, 5)
    time.sleep(0.1)  # a refresh in the background stores after the origin has counted its end
    answers, silent = ask(fleet, "key")
    outcome.served(fleet, answers, silent)
    stale = [answer for answer in answers if answer.version == 1]
    outcome.note("stale", len(stale), not stale, f"{len(stale)} read what the stopped holder stored late")
    return outcome


def read(answers: Sequence[Answer], version: int) -> bool:
    """Whether somebody has read this version."""
    return any(answer.version == version for answer in answers)


def begun(fleet: Fleet, version: int, keys: set[str]) -> bool:
    """Whether each of these keys has a computation that read this version."""
    return keys == {each.key for each in fleet.log.computations.values() if each.version == version}


def overtaken(fleet: Fleet) -> Outcome:
    """Demand 5: the row changes and is invalidated while it is computed, in the same process and in another.

    Who asks after `invalidate` has returned is not given what began to be computed before: of a key that nobody had,
    and of one that was being refreshed.
    """
    outcome = Outcome("overtaken")
    for place in ("the same process", "another process"):
        fleet.afresh()
        ask(fleet, "warm")
        time.sleep(fleet.timeout + 0.05)
        fleet.tell(hanging=["warm", "cold"])
        rounds = [fleet.begin("warm"), fleet.begin("cold")]
        holders = {key: fleet.holder(key) for key in ("warm", "cold")}
        version = fleet.write()
        for key, pid in holders.items():
            where = pid if place == "the same process" else next(each for each in fleet.pids if each != pid)
            said = fleet.invalidate(key, where)
            outcome.note("invalidated", said.returned is not None and not said.error, not said.error, f"{said.error}")
        rounds += [fleet.begin("warm"), fleet.begin("cold")]
        fleet.until(partial(begun, fleet, version, {"warm", "cold"}), 2)
        fleet.tell(hanging=[])
        after = [answer for round_ in rounds for answer in fleet.finish(round_, 5) if round_ in rounds[2:]]
        for key in ("warm", "cold"):
            answers, silent = ask(fleet, key)
            after += answers
            outcome.served(fleet, answers, silent, f"{key}, {place}: ")
            stale = [each for each in after if each.key == key and each.version != version and not each.error]
            outcome.note(f"{key}, {place}: stale", len(stale), not stale, f"{len(stale)} stale ({key} key, {place})")
    return outcome
