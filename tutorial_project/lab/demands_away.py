"""Demands 6 and 7 on a defence against stampedes: the origin raises, the cache server is frozen, or refuses.

See `demands.py` for the others and for how all of them are judged.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from math import floor

from .demands_computing import latest_are_new, new
from .fleet import Fleet
from .fleet_log import Computation, most_at_once
from .outcome import LONGEST, SLACK, Outcome, ask, settle

WATCHED = 2.0  # seconds for which the tries of a failing refresh are counted
KEYS = [f"key-{number}" for number in range(20)]
TRIES = 3  # of a measurement that a busy machine may spoil; the best counts


def raising(fleet: Fleet) -> Outcome:
    """Demand 6: computations raise. The previous value is served, whoever has none sees the error, tries are spaced.

    And afterwards all is as before: nothing is poisoned, no lease is left, and a new value comes by itself.
    """
    outcome = Outcome("raising")
    fleet.afresh()
    ask(fleet, "key")
    cost = min(fleet.cost, 0.1)  # of computations that fail: for as long, one after the other, may clients be at it
    fleet.tell(failing=["key", "cold"], cost=cost)
    known = [each.computation for each in fleet.log.of("key")]
    traffic = fleet.begin("key", seconds=60)
    fleet.until(lambda: any(each.how == "raised" for each in fleet.log.of("key")), fleet.timeout + 5)
    first = time.monotonic()
    fleet.until(lambda: time.monotonic() > first + WATCHED, WATCHED + 1)
    answers = fleet.answers_of(traffic)
    failed = [answer.error for answer in answers if answer.error]
    outcome.note(
        "served meanwhile", len(answers) - len(failed), not failed, f"{len(failed)} errors, with a value there"
    )
    tries, most = len(new(fleet, known)), 2 + floor(WATCHED / fleet.backoff)
    outcome.note("tries", tries, 1 <= tries <= most, f"{tries} tries in {WATCHED:g} s, of at most {most}")

    released = LONGEST
    for _ in range(TRIES):
        answers, silent = ask(fleet, "cold")
        seen = [answer.error or "" for answer in answers]
        outcome.note("errors seen", sum("OriginFailed" in error for error in seen))
        hidden = silent + sum("OriginFailed" not in error for error in seen)
        outcome.note("hidden", hidden, not hidden, f"{hidden} of {len(seen)} without a value did not see the error")
        fleet.tell(failing=["key"])
        answers, silent = ask(fleet, "cold")
        released = min(released, max((answer.took for answer in answers), default=LONGEST) - cost)
        outcome.served(answers, silent, "cold, afterwards: ")
        if hidden or released < fleet.lease / 2:
            break
        fleet.invalidate("cold")
        fleet.tell(failing=["key", "cold"])
    held = f"the lease was held for {released:.1f} s after the error"
    outcome.note("released (s)", round(max(0.0, released), 1), released < fleet.lease / 2, held)

    fleet.tell(failing=[])
    known, at = [each.computation for each in fleet.log.of("key")], time.monotonic()
    came = fleet.until(lambda: latest_are_new(fleet, traffic, known), LONGEST / 2)
    again, bound = time.monotonic() - at, max(fleet.backoff, fleet.timeout) + fleet.cost + SLACK
    late = f"no new value {again:.1f} s after the origin was well again"
    outcome.note("recovery (s)", round(again, 1), came and again <= bound, late)
    fleet.finish(traffic, 5)
    silent = len(fleet.silent(traffic))
    outcome.note("no answer", silent, not silent, f"{silent} clients without an answer")
    return outcome


def frozen(fleet: Fleet) -> Outcome:
    """Demand 7: the cache server is stopped: it takes connections, and answers nothing."""
    return _away(fleet, "frozen", fleet.server.freeze, fleet.server.thaw)


def refused(fleet: Fleet) -> Outcome:
    """Demand 7: the cache server is killed: connections are refused, and it comes back empty."""
    return _away(fleet, "refused", fleet.server.refuse, fleet.server.back)


def _away(fleet: Fleet, name: str, go: Callable[[], float], come: Callable[[], float]) -> Outcome:
    """Answers in time, one computation at a time per key and process, K per process, and recovery by itself."""
    outcome = Outcome(name)
    fleet.afresh()
    ask(fleet, "key")
    fleet.invalidate("key")
    ask(fleet, "key")  # now every process has connections, and the server its scripts
    filled, slots = set(fleet.log.computations), fleet.about.get("slots") or fleet.slots
    go()
    # One key for all: no process computes more than one, so nobody waits for a slot.
    _in_time(outcome, fleet, ["key"], fleet.operation + 2 * fleet.cost, "one key: ")
    # Twenty keys: a process is asked for as many as it has clients, and computes `slots` of them at a time.
    turns = -(-fleet.clients // slots)
    _in_time(outcome, fleet, KEYS, fleet.operation + (turns + 1) * fleet.cost, "20 keys: ")
    said = fleet.invalidate("key")
    told = said.returned is not None and bool(said.error)
    outcome.note("invalidation", (said.error or "nothing").split(":")[0], told, "a lost invalidation was not reported")
    settle(fleet, fleet.pids)
    by_process, by_key = defaultdict(list), defaultdict(list)
    for each in fleet.log.computations.values():
        if each.computation not in filled:
            by_process[each.pid].append(each)
            by_key[each.pid, each.key].append(each)
    for what, groups, most in (("per key and process", by_key, 1), ("per process", by_process, slots)):
        n = _most(list(groups.values()))
        outcome.note(f"at once {what}", n, n <= most, f"{n} computations at once {what}")
    come()
    at = time.monotonic()
    shared = fleet.until(lambda: _shared(fleet), LONGEST / 2)
    late = f"no value for all {LONGEST / 2:g} s after the server's return"
    outcome.note("recovery (s)", round(time.monotonic() - at, 1), bool(shared), late)
    return outcome


def _in_time(outcome: Outcome, fleet: Fleet, keys: list[str], bound: float, prefix: str) -> None:
    """Let all ask, and note who was answered, and how long the slowest took."""
    answers, silent = ask(fleet, *keys, limit=LONGEST / 2)
    outcome.served(answers, silent, prefix)
    slowest = max((answer.took for answer in answers), default=LONGEST)
    late = f"{prefix}answered after {slowest:.1f} s, of at most {bound:.1f} and {SLACK:g} for a busy machine"
    outcome.note(f"{prefix}slowest (s)", round(slowest, 2), slowest <= bound + SLACK, late)


def _most(groups: Sequence[Sequence[Computation]]) -> int:
    return max(map(most_at_once, groups), default=0)


def _shared(fleet: Fleet) -> bool:
    """Whether all clients are given one value, that nobody has to compute."""
    before = set(fleet.log.computations)
    answers, _ = ask(fleet, "key", limit=LONGEST / 2)
    values = {answer.computation for answer in answers}
    return len(values) == 1 and values <= before
