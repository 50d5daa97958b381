"""Notebook 09: its exercise 9.1, and how it and 9.2 look at an answer."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import cycle
from typing import TYPE_CHECKING, Any
from unittest import mock

from django.core.cache import cache

from ...caching import runtime
from ...caching.time_limit import TimeUp
from .. import simulating
from ..discrete_events import DiscreteEvents
from ..errors import LabError
from ..exercises import NotAttempted, Wrong, exercise, expect_type
from ..exploring import Found, explore
from ..origin import Origin, Reading
from ..simulating import Run, simulate
from .processes import Process

if TYPE_CHECKING:
    from ..bench import Lab

COST = 0.05  # seconds that the ranking takes
LOOPS = 10.0  # seconds of real time after which an answer loops
PROCESSES = 20  # to which visitors come in turn
ONE_PROCESS = " A threading.Lock is known to one process, and visitors come to several: cache.add is for all."

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
    """What becomes of visitors who ask `answer` for the ranking at these times. Raises Wrong where one gets none."""
    run = watched(answer, arrivals, failing, seconds)
    judge_answered(run, failing)
    return run


def watched(answer: Callable[..., Any], arrivals: Any, failing: Iterable[int] = (), seconds: float = 200.0) -> Run:
    """The same, and what they get is not judged but for an error of `compute` that its visitor is not told."""
    source = Source(failing)
    turn = cycle(processes(answer, PROCESSES))
    begun: list[bool] = []
    swallowed: list[Any] = []

    def visit(_: Any) -> Any:
        raised: list[Broken] = []

        def compute() -> Reading:
            try:
                return source()
            except Broken as error:
                raised.append(error)
                raise

        found = next(turn).answer(compute)
        if found is ...:
            begun.append(False)
        elif raised and not isinstance(found, Reading):
            swallowed.append(found)
        return found

    try:
        with mock.patch.object(DiscreteEvents, "spawn", _spawn), mock.patch.object(simulating, "LIMIT", LOOPS):
            run = simulate({visit: arrivals}, seconds=seconds, origin=source.origin)
    except LabError as error:
        if isinstance(error.__context__, TimeUp) and (one_process := of_one_process(answer)):
            raise Wrong(
                f"it hangs: a visitor waits for a lock that nobody gives back meanwhile.{one_process}"
            ) from None
        raise
    if begun:
        raise NotAttempted
    if swallowed:
        raise Wrong(
            f"compute() raises, and its visitor is given {swallowed[0]!r:.40}: let the error through, once the lock is "
            "given back."
        )
    return run


def processes(answer: Callable[..., Any], count: int) -> list[Process]:
    """So many processes, each with the answer in variables of its own."""
    return [Process(answer) for _ in range(count)]


def of_one_process(answer: Callable[..., Any]) -> str:
    """What to add where an answer computes too often, if it refers to a lock that one process knows."""
    return ONE_PROCESS if processes(answer, 1)[0].locks else ""


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
    judge_left(answer)
    judge_kept(answer)
    judge_failure(answer)
    judge_hit(answer)
    found = two_readers(answer)
    if found.bad:
        raise Wrong(f"twenty visitors cost one computation, but two readers: {found}. The shortest: {told(found)}.")
    return f"twenty visitors, one computation; two readers: {found}; and after an error the next one goes on at once."


def judge_crowd(answer: Callable[..., Any]) -> None:
    """Raise Wrong unless twenty visitors at once cost one computation."""
    reads = visits(answer, [0.0] * 20).recomputations
    reads = reads[reads["began"] < 50.0]  # who waits for longer finds it expired
    if len(reads) > 1 and (reads["at_once"] > 1).any():
        raise Wrong(
            f"twenty visitors at once, {reads['at_once'].max()} computations at the same time: who has a lock?"
            f"{of_one_process(answer)}"
        )
    if len(reads) > 1:
        raise Wrong(
            f"twenty visitors at once, {len(reads)} computations, one after the other: whoever gets the lock computes, "
            "though the value is there by then."
        )


def judge_left(answer: Callable[..., Any]) -> None:
    """Raise Wrong where all have been answered, and the lock is still there."""

    def reader() -> None:
        answer(Source())

    def a_lock_is_left(end: Any) -> bool:
        return cache.get("ranking:lock") is not None

    for readers, whoever in [(1, "computes"), (2, "gets the lock and finds the value")]:
        found = explore(*[reader] * readers, never=a_lock_is_left, preemptions=2 if readers > 1 else None)
        if found.bad:
            keeper = [step.actor for step in found.shortest if "ranking:lock" in step.what][-1]
            raise Wrong(
                f"{found}, after '{keeper}' has been answered: whoever {whoever} returns without "
                f"giving it back. The shortest: {told(found)}."
            )


def judge_kept(answer: Callable[..., Any]) -> None:
    """Raise Wrong unless all get what was computed at once, and it is kept for a minute."""
    run = visits(answer, [*[0.0] * 20, 50.0, 62.0])
    reads, slowest = run.recomputations, run.requests["latency"].max()
    if slowest > 2.0:
        raise Wrong(f"the computation takes {COST:g} s, and a visitor waits for {slowest:.1f}. For what?")
    if ((reads["began"] >= 50.0) & (reads["began"] < 62.0)).any():
        raise Wrong("computed at 0 s, asked again at 50 s, and computed again. It should be kept for 60 seconds.")
    if not (reads["began"] >= 62.0).any():
        raise Wrong("computed at 0 s, asked again at 62 s, and not computed again. It should be kept for 60 seconds.")


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

    def reader_of(process: Process) -> Callable[[], None]:
        def reader() -> None:
            if later:
                runtime.sleep(later)
            process.answer(source)

        return reader

    def computed_twice(end: Any) -> bool:
        return source.count > 1

    readers = map(reader_of, processes(answer, 2))
    return explore(*readers, given=given, never=computed_twice, schedules=2000, preemptions=3)


def told(found: Found) -> str:
    """The shortest bad order in words."""
    return "; ".join(f"{step.actor}: {step.what}" for step in found.shortest)
