"""Notebook 09: its exercises 9.1 and 9.2."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from unittest import mock

from django.core.cache import cache

from ...caching import runtime
from .. import simulating
from ..discrete_events import DiscreteEvents
from ..exercises import NotAttempted, Wrong, exercise, expect_type
from ..exploring import Found, explore
from ..herds import WAIT, herds, warmed
from ..origin import Origin, Reading
from ..simulating import Run, simulate

if TYPE_CHECKING:
    from ..bench import Lab

COST = 0.05  # seconds that the ranking takes
LOOPS = 10.0  # seconds of real time after which an answer loops

# 9.1: what the learner is given to repair
QUEUE = """
def ranking(compute):
    if (found := cache.get("ranking")) is not None:
        return found
    while not cache.add("ranking:lock", "taken", 10):
        runtime.sleep(0.05)
    found = compute()
    cache.set("ranking", found, 60)
    cache.delete("ranking:lock")
    return found
"""


class Broken(Exception):
    """What the database raises in a check."""


class Source:
    """The slow ranking: counts its computations, and fails in those whose numbers (from 1) are in `failing`."""

    def __init__(self, failing: Iterable[int] = ()) -> None:
        self.origin, self.failing, self.count = Origin(seconds=COST, at_once=1000), set(failing), 0

    def __call__(self) -> Reading:
        self.count += 1
        number, ranking = self.count, self.origin.read("ranking")
        if number in self.failing:
            raise Broken("the database has gone away")
        return ranking


def visits(answer: Callable[..., Any], arrivals: Any, failing: Iterable[int] = (), seconds: float = 200.0) -> Run:
    """What becomes of visitors who ask `answer` for the ranking at these times."""
    source = Source(failing)
    begun: list[bool] = []

    def visit(_: Any) -> Any:
        found = answer(source)
        if found is ...:
            begun.append(False)
        return found

    with mock.patch.object(DiscreteEvents, "spawn", _spawn), mock.patch.object(simulating, "LIMIT", LOOPS):
        run = simulate({visit: arrivals}, seconds=seconds, origin=source.origin)
    if begun:
        raise NotAttempted
    judge_answered(run, failing)
    return run


def _spawn(self: DiscreteEvents, function: Callable[[], object], spawn: Any = DiscreteEvents.spawn) -> None:
    """As `runtime.spawn` does outside of a simulation: what the database raises in the background reaches nobody."""

    def work() -> None:
        with suppress(Broken):
            function()

    spawn(self, work)


def judge_answered(run: Run, failing: Iterable[int]) -> None:
    """Raise Wrong where a visitor is given no ranking, or an error that `compute` did not raise."""
    requests = run.requests
    strange = requests[~requests["error"].isin(["", "Broken"] if failing else [""])]
    if len(strange):
        first = strange.iloc[0]
        raise Wrong(f"the visitor who comes at {first['arrived']:.2f} s gets an error: {first['error']}.")
    empty = requests[(requests["error"] == "") & requests["version"].isna()]
    if len(empty):
        raise Wrong(
            f"{len(empty)} of {len(requests)} visitors are given something else than what compute() returns, the first "
            f"of them at {empty.iloc[0]['arrived']:.2f} s. Whoever does not compute must wait, and look again."
        )


@exercise("9.1", "a queue at the lock", seconds=20, starter=QUEUE, commits=True)
def queue_at_the_lock(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "ranking")
    judge_crowd(answer)
    judge_failure(answer)
    judge_hit(answer)
    found = two_readers(answer)
    if found.bad:
        raise Wrong(f"twenty visitors cost one computation, but two readers: {found}. The shortest: {told(found)}.")
    return f"twenty visitors, one computation; two readers: {found}; and after an error the next one goes on at once."


def judge_crowd(answer: Callable[..., Any]) -> None:
    """Raise Wrong unless twenty visitors at once cost one computation, which is kept for a minute."""
    run = visits(answer, [*[0.0] * 20, 50.0, 62.0])
    reads = run.recomputations
    first = reads[reads["began"] < 50.0]
    if len(first) > 1 and (first["at_once"] > 1).any():
        raise Wrong(f"twenty visitors at once, {first['at_once'].max()} computations at the same time: who has a lock?")
    if len(first) > 1:
        raise Wrong(
            f"twenty visitors at once, {len(first)} computations, one after the other: whoever gets the lock computes, "
            "though the value is there by then."
        )
    if ((reads["began"] >= 50.0) & (reads["began"] < 62.0)).any():
        raise Wrong("computed at 0 s, asked again at 50 s, and computed again. It should be kept for 60 seconds.")
    if not (reads["began"] >= 62.0).any():
        raise Wrong("computed at 0 s, asked again at 62 s, and not computed again. It should be kept for 60 seconds.")
    slowest = run.requests["latency"].max()
    if slowest > 2.0:
        raise Wrong(f"the computation takes {COST:g} s, and a visitor waits for {slowest:.1f}. For what?")


def judge_hit(answer: Callable[..., Any]) -> None:
    """Raise Wrong where somebody who has found the value gives back a lock that is not theirs."""

    def filled_and_locked() -> None:
        cache.set("ranking", Reading("ranking", 0, 0.0), 60)
        cache.set("ranking:lock", "somebody's", 10)

    def reader() -> None:
        answer(Source())

    def lock_is_gone(end: Any) -> bool:
        return cache.get("ranking:lock") is None

    if explore(reader, given=filled_and_locked, never=lock_is_gone).bad:
        raise Wrong(
            "a visitor who finds the ranking gives the lock back, and never had it: it was somebody else's, who is "
            "computing. Only what comes after cache.add belongs into the try."
        )


def judge_failure(answer: Callable[..., Any]) -> None:
    """Raise Wrong where an error is hidden, or locks the others out."""
    requests = visits(answer, [0.0, 0.01, 1.0], failing=[1]).requests
    if not (requests["error"] == "Broken").any():
        raise Wrong("compute() raises, and nobody gets to see the error. Let it through, once the lock is given back.")
    if (requests["error"] == "Broken").sum() > 1:
        raise Wrong("one computation raises, and more than one visitor gets the error. The others can try again.")
    slowest = requests["latency"].max()
    if slowest > 1.0:
        raise Wrong(
            f"compute() raises once, and the next visitor waits for {slowest:.1f} s: the lock is still there. Which "
            "line is never reached? (try: … finally: …)"
        )


def two_readers(answer: Callable[..., Any], later: float = 0.0) -> Found:
    """Two readers in every order, from an empty cache; with `later`, so many seconds after it was filled."""
    source = Source()

    def given() -> None:
        if later:
            clock: Any = runtime.current()
            clock.time = 0.0  # it still shows the end of the order before
            answer(source)
        source.count = 0

    def reader() -> None:
        if later:
            runtime.sleep(later)
        answer(source)

    def computed_twice(end: Any) -> bool:
        return source.count > 1

    return explore(reader, reader, given=given, never=computed_twice, schedules=2000, preemptions=3)


def told(found: Found) -> str:
    """The shortest bad order in words."""
    return "; ".join(f"{step.actor}: {step.what}" for step in found.shortest)


# 9.2

FRESH, GRACE = 10.0, 60.0


@exercise("9.2", "the previous value meanwhile", seconds=30, commits=True)
def previous_meanwhile(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "ranking")
    judge_cold(answer)
    sizes = judge_traffic(answer)
    judge_quiet(answer)
    judge_refresh_fails(answer)
    found = two_readers(answer, later=FRESH + 1)
    if found.bad:
        raise Wrong(
            f"one recomputation per expiry under traffic, but two readers of an old value: {found}. The shortest: "
            f"{told(found)}."
        )
    return f"cold 1, then {', '.join(map(str, sizes))} per expiry, and nobody waited; two readers: {found}."


def judge_cold(answer: Callable[..., Any]) -> None:
    """Raise Wrong unless twenty visitors who find nothing cost one computation, and wait for it."""
    run = visits(answer, [0.0] * 20)
    if len(run.recomputations) > 1:
        raise Wrong(f"a cold key and twenty visitors: {len(run.recomputations)} computations. Who has the lock?")
    if (slowest := run.requests["latency"].max()) > 1.0:
        raise Wrong(f"a cold key: the computation takes {COST:g} s, and a visitor waits for {slowest:.1f}. For what?")


def judge_traffic(answer: Callable[..., Any]) -> list[int]:
    """Raise Wrong unless each expiry costs one recomputation, and nobody waits. Returns how many each cost."""
    run = visits(answer, warmed(100.0), seconds=35.0)
    expiries = herds(run, apart=FRESH / 2).iloc[1:]
    sizes = [int(size) for size in expiries["recomputations"]]
    if not sizes:
        raise Wrong("35 seconds of traffic, and after the first visitor nobody recomputes. It is fresh for 10 seconds.")
    if max(sizes) > 1:
        raise Wrong(
            f"{max(sizes)} recomputations at one expiry: everybody who finds it old refreshes it. Who has the lock?"
        )
    if len(sizes) > 4:
        raise Wrong(f"{len(sizes)} recomputations in 35 seconds: the value is fresh for 10.")
    later = run.requests[run.requests["arrived"] > 0.5]
    waited = later[later["latency"] > WAIT]
    if (~waited["hit"]).any():
        raise Wrong(
            f"one recomputation per expiry, and the visitor who makes it waits: {waited['latency'].max():g} s. Give "
            "that one the previous value too, and let runtime.spawn do the work."
        )
    if len(waited):
        raise Wrong(f"{len(waited)} visitors wait for a recomputation, though there is a previous value to give.")
    if (oldest := later["age"].max()) > FRESH + 1:
        raise Wrong(
            f"under traffic a visitor is given a ranking of {oldest:.0f} s. It is fresh for 10, then refreshed."
        )
    return sizes


def judge_quiet(answer: Callable[..., Any]) -> None:
    """Raise Wrong unless the previous value is kept for a minute after it was fresh, and no longer."""
    requests = visits(answer, [0.0, 40.0, 41.0, 130.0]).requests
    at_40, at_41, at_130 = (requests[requests["arrived"] == at].iloc[0] for at in (40.0, 41.0, 130.0))
    if at_40["latency"] > WAIT:
        raise Wrong(
            "filled at 0 s, asked again at 40 s: the visitor waits, for there is no previous value. Keep it for 60 "
            "seconds longer than it is fresh: `cache.set(…, 70)`."
        )
    if at_41["age"] > 2:
        raise Wrong(f"given the old value at 40 s; at 41 s it is {at_41['age']:.0f} s old. Who has refreshed it?")
    if at_130["age"] > FRESH + GRACE:
        raise Wrong(
            f"nobody asks from 41 s to 130 s, and then the value given is {at_130['age']:.0f} s old: 70 is the most."
        )


def judge_refresh_fails(answer: Callable[..., Any]) -> None:
    """Raise Wrong where a refresh that fails reaches a visitor, or is never tried again."""
    requests = visits(answer, [0.0, 11.0, 12.0, 30.0, 31.0], failing=[2]).requests
    if (requests["error"] != "").any():
        raise Wrong(
            "a refresh in the background fails, and a visitor who could have had the previous value gets the error."
        )
    last = requests.iloc[-1]
    if last["age"] > 25:
        raise Wrong(
            f"a refresh fails at 11 s, and at 31 s the value is {last['age']:.0f} s old: nobody has tried again. Give "
            "the lock back in a finally, and give it a lifetime."
        )
