"""Demands 1 to 4 on a defence against stampedes: who computes, when a key is cold or expires, or its holder fails.

See `demands.py` for the others and for how all of them are judged.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from .fleet import Fleet
from .fleet_log import Answer, Computation
from .fleet_processes import Round
from .outcome import HELD, LONGEST, POLL, SLACK, Outcome, ask, counted


def cold(fleet: Fleet) -> Outcome:
    """Demand 1: a key that nobody has, and all clients at once. Exactly one computation, and everybody served."""
    outcome = Outcome("cold")
    fleet.afresh()
    outcome.served(*ask(fleet, "key"))
    counted(outcome, "computations", fleet.log.of("key"), 1)
    return outcome


def expiry(fleet: Fleet, expiries: int = 3) -> Outcome:
    """Demand 2: the value expires under traffic. One computation each time, and no client runs or waits for it.

    Counted, not timed: the computation is held (for less than a lease) until every client has had an answer to a
    question that it asked meanwhile. Who has had none, and then gets the value that was computed, waited for it.
    """
    outcome = Outcome("expiry")
    fleet.afresh()
    fleet.tell(database=True)
    ask(fleet, "key", language="de")
    first = [each.computation for each in fleet.log.of("key")]
    traffic = fleet.begin("key", seconds=60, language="de")
    counts, waiting = [], 0
    for _ in range(expiries):
        known = [each.computation for each in fleet.log.of("key")]
        fleet.tell(hanging=["key"])
        came = fleet.until(partial(new, fleet, known), fleet.timeout + 5)
        if came:
            fleet.until(partial(all_served_since, fleet, came[0].began, traffic), HELD * fleet.lease)
            unserved, let_go = unserved_since(fleet, came[0].began, traffic), time.monotonic()
        fleet.tell(hanging=[])
        if not came:
            outcome.note("refreshed", False, False, "nobody computed after the expiry")
            break
        fleet.until(partial(latest_are_new, fleet, traffic, known), 5)
        counts.append(len(new(fleet, known)))
        following = next_answers(fleet.answers_of(traffic), let_go)
        waiting += sum(following.get(who) not in known for who in unserved)
    answers = fleet.finish(traffic, LONGEST)
    outcome.served(answers, len(fleet.silent(traffic)))
    outcome.note("computations", counts, set(counts) <= {1}, f"{counts} computations at the expiries")
    ran = sum(answer.ran for answer in answers)
    outcome.note("ran", ran, not ran, f"{ran} computations ran in a request")
    outcome.note("waiting", waiting, not waiting, f"{waiting} clients waited for a computation")
    foreign = sum(each.language != "de" for each in new(fleet, first))
    outcome.note("in another language", foreign, not foreign, f"{foreign} computed in another language")
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


def next_answers(answers: Sequence[Answer], moment: float) -> dict[tuple[int, int], str | None]:
    """The computation of each client's first answer after this moment; None for an error."""
    following: dict[tuple[int, int], str | None] = {}
    for answer in answers:
        if answer.answered > moment:
            following.setdefault((answer.pid, answer.client), answer.computation)
    return following


def latest_are_new(fleet: Fleet, round_: Round, known: Sequence[str]) -> bool:
    """Whether the latest answer of every client that lives is a value of none of the known computations."""
    latest = {(row.pid, row.client): row.computation for row in fleet.answers_of(round_)}
    alive = fleet.pids
    return all(latest.get(who) not in (None, *known) for who in round_.asked if who[0] in alive)


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
    outcome.served(answers, len(fleet.silent(round_)))
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
    outcome.served(answers, len(fleet.silent(traffic)), "refresh: ")
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
    outcome.served(answers, len(fleet.silent(round_)))
    counted(outcome, "computations", fleet.log.of("key"), 1)
    fleet.tell(cost=fleet.cost)
    limit = fleet.about.get("limit") or fleet.limit
    first = fleet.holder("hung")
    left = hung.at + 1.5 * limit + fleet.lease + SLACK - time.monotonic()  # turns of renewal are counted, not timed
    given_up = bool(first and fleet.until(lambda: len(fleet.log.of("hung")) > 1, left))
    outcome.note("hung: given up", given_up, given_up, f"a hung computation holds the key after {limit:g} s")
    fleet.tell(hanging=[])
    fleet.finish(hung, LONGEST)
    silent = len(fleet.silent(hung))
    outcome.note("hung: no answer", silent, not silent, f"{silent} clients without an answer")
    return outcome
