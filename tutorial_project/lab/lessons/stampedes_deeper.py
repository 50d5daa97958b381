"""Notebook 09: its exercise 9.3, a defence under the failures of whoever computes."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from unittest import mock

from django.core.cache import cache

from ...caching import runtime
from ...caching.families import store_of
from .. import simulating
from ..errors import LabError
from ..exercises import NotAttempted, Wrong, exercise, expect_type
from ..exploring import Found, clock, explore
from ..origin import Origin, Reading
from ..simulating import Run, simulate

if TYPE_CHECKING:
    from ..bench import Lab

KEY, LEASE, FRESH = "report", 10, 60
FOR_EVER = 1000.0  # seconds of a computation that "never" ends: the simulation waits for it
PATIENCE = 120  # seconds until a computation that hangs must have been given up
SUCCEEDED = 15  # seconds after which somebody else must have begun, where whoever computes is killed
WAITED = 1.0  # seconds: as long as "at once" may take, with some looks every 0.1 s

Held = tuple[dict[str, bytes], dict[str, float | None]]  # a cache's entries, and when each ends


class Broken(Exception):
    """What a computation raises in a check."""


class Report:
    """The slow report. Each computation takes its `seconds`, the last of them again and again; None: it raises.

    `held` is what the cache server held at the end of the last one, before anything was stored.
    """

    def __init__(self, *seconds: float | None) -> None:
        self.origin, self.seconds, self.count = Origin(seconds=0), seconds, 0
        self.held: Held = {}, {}

    def __call__(self) -> Reading:
        seconds = self.seconds[min(self.count, len(self.seconds) - 1)]
        self.count += 1
        report = self.origin.read(KEY)
        runtime.sleep(0.5 if seconds is None else seconds)
        if seconds is None:
            raise Broken("the database has gone away")
        store: Any = store_of(cache)
        self.held = dict(store._cache), dict(store._expire_info)
        return report


def visits(answer: Callable[..., Any], report: Report, *arrivals: float, **more: Any) -> Run:
    """What becomes of visitors who ask for the report at these times (s); `more` as `simulate` takes it."""
    begun: list[bool] = []

    def visit(_: Any) -> Any:
        found = answer(report)
        if found is ...:
            begun.append(False)
        return found

    with mock.patch.object(simulating, "LIMIT", 10.0):  # seconds for an answer that loops
        run = simulate({visit: sorted(arrivals)}, seconds=400.0, origin=report.origin, **more)
    if begun:
        raise NotAttempted
    strange = run.requests[~run.requests["error"].isin(["", "Broken"])]
    if len(strange):
        first = strange.iloc[0]
        raise Wrong(f"the visitor who comes at {first['arrived']:g} s gets an error: {first['error']}.")
    return run


@exercise("9.3", "a report that survives", seconds=15, commits=True)
def report_that_survives(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "report")
    judge_kept(answer)
    judge_slow(answer)
    judge_raises(answer)
    judge_hangs(answer)
    if (once := two_visitors(answer)).bad:
        raise Wrong(
            f"fifty visitors at once cost one computation, but two in any order: {once}. Whoever gets the lease knows "
            f"what was there before it. The shortest: {steps(once)}."
        )
    found = judge_overtaken(answer)
    judge_killed(answer)
    return f"fifty visitors, 25 seconds, one computation; and with a change in between, {found}."


def judge_kept(answer: Callable[..., Any]) -> None:
    """Raise Wrong unless the report is returned to everybody, and kept for a minute."""
    run = visits(answer, Report(0.5), 0.0, 0.2, 50.0, 63.0)
    requests, reads = run.requests, run.recomputations
    without = requests[requests["version"].isna()]
    if len(without):
        first = without.iloc[0]
        raise Wrong(
            f"the visitor who comes at {first['arrived']:g} s is given something else than what compute() returns, "
            "while another computes it. Whoever does not compute sleeps, and looks again."
        )
    if (waited := requests["latency"].max()) > 0.5 + WAITED:
        late = requests["arrived"][requests["latency"].idxmax()]
        raise Wrong(
            f"half a second of work, and the visitor who comes at {late:g} s waits for {waited:.0f}: what was computed "
            "is not where the others look, which is under 'report'."
        )
    if (reads["began"] < 5).sum() > 1:
        raise Wrong("two visitors within a second, half a second of work, and both compute. Who has the lease?")
    if ((reads["began"] > 5) & (reads["began"] <= 51)).any():
        raise Wrong("computed at 0 s, asked again at 50 s, and computed again. It is to be kept for 60 seconds.")
    if not (reads["began"] > 51).any():
        raise Wrong("computed at 0 s, and still given at 63 s. It is to be kept for 60 seconds.")


def judge_slow(answer: Callable[..., Any]) -> None:
    """Raise Wrong unless a computation of 25 seconds is the only one, for all who come meanwhile."""
    run = visits(answer, Report(25.0), *(number / 2 for number in range(50)))
    reads, slowest = run.recomputations, run.requests["latency"].max()
    if len(reads) > 1:
        times = ", ".join(f"{began:.0f} s" for began in reads["began"].head(4))
        raise Wrong(
            f"a computation of 25 seconds, and {len(reads)} of them, begun at {times}: the lock ran out while the "
            "first was at it. Who renews it, and for how long?"
        )
    if run.requests["version"].isna().any():
        raise Wrong("a computation of 25 seconds, and somebody who came meanwhile is given nothing. They all wait.")
    if slowest > 25 + WAITED:
        raise Wrong(f"a computation of 25 seconds, and a visitor waits for {slowest:.0f}.")


def judge_raises(answer: Callable[..., Any]) -> None:
    """Raise Wrong where an error is hidden, or keeps the next one waiting."""
    requests = visits(answer, Report(None, 0.5), 0.0, 1.0).requests
    if requests["error"][0] != "Broken":
        raise Wrong(
            "compute() raises, and its visitor does not see that. There is nothing else to give: let it through."
        )
    waited = requests["latency"][1] - 0.5
    if requests["error"][1] or waited > WAITED:
        raise Wrong(
            f"compute() raises at 0.5 s, and the visitor who comes at 1 s waits for {waited:.0f} s: the lease is still "
            "there. `with owning(…)` gives it back however its block is left."
        )


def judge_hangs(answer: Callable[..., Any]) -> None:
    """Raise Wrong where a computation that never ends is never given up."""
    requests = visits(answer, Report(FOR_EVER, 0.5), 0.0, 5.0).requests
    if requests["latency"][1] > PATIENCE:
        raise Wrong(
            f"the first computation never ends, and the visitor who came at 5 s still waits after {PATIENCE} s. "
            "Something has to give it up: a lease that is renewed up to a limit, of a minute here."
        )


def judge_killed(answer: Callable[..., Any]) -> None:
    """Raise Wrong where nobody succeeds a process that was killed while it computed.

    What such a process leaves behind is what the cache server holds at that moment, which nobody renews or gives back.
    So the next visitors find that, as it was in the middle of another's computation.
    """
    killed = Report(0.5)
    visits(answer, killed, 0.0)

    def left_behind() -> None:
        store: Any = store_of(cache)
        store._cache.update(killed.held[0])
        store._expire_info.update(killed.held[1])

    said = "nobody ever begins again"
    with suppress(LabError):  # where they wait for ever
        run = visits(answer, Report(0.5), 1.0, 2.0, given=left_behind, seed=2)  # other tokens than in the run before
        for later in run.recomputations["began"].head(1) - 0.5:
            if later <= SUCCEEDED:
                return
            said = f"the next one begins {later:.0f} s later"
    raise Wrong(
        f"a process is killed while it computes, and {said}. Somebody should within {SUCCEEDED} s. Nobody gives a dead "
        "owner's lease back, so it has to be short, and renewed for as long as the work takes."
    )


def two_visitors(answer: Callable[..., Any]) -> Found:
    """Two visitors of an empty cache, in all orders of few changes: how often both compute."""
    report = Report(0)

    def one() -> Any:
        return answer(report)

    def other() -> Any:
        return answer(report)

    def computed_twice(end: Any) -> bool:
        return report.count > 1

    def given() -> None:
        report.count = 0
        report.origin.restart()

    return explore(one, other, given=given, never=computed_twice, preemptions=2)


def judge_overtaken(answer: Callable[..., Any]) -> Found:
    """The orders of a visitor and a change, in which time may jump. Raise Wrong where the old report stays."""
    if not (found := overtaken(answer, Report(0))).bad:  # first without time: it is in no story that does not need it
        found = overtaken(answer, Report(0.5), clock(LEASE + 1))
    if not found.bad:
        return found
    leases = {step.what.split()[1] for step in found.shortest if step.what.startswith("commit ")}
    if leases and f"{KEY}:lease" not in leases:
        raise Wrong(
            f"{found}: forget() does not take your lease away: it deletes '{KEY}:lease', and yours is "
            f"'{leases.pop()}'. The shortest: {steps(found)}."
        )
    raise Wrong(
        f"{found}: what was read before forget() is stored after it. Asking whose the lease is, and storing, must "
        f"be one step: `commit`. The shortest: {steps(found)}."
    )


def overtaken(answer: Callable[..., Any], report: Report, *others: Callable[[], Any]) -> Found:
    """A visitor, a change of the row, and others: how often the old report stays."""
    origin = report.origin

    def visitor() -> Any:
        return answer(report)

    def change() -> None:
        origin.write(KEY)
        cache.delete_many([f"{KEY}:lease", KEY])

    def stale(end: Any) -> bool:
        seen = newest(answer)
        return seen is not None and seen < origin.version(KEY)

    return explore(visitor, change, *others, given=origin.restart, never=stale, preemptions=2)


def newest(answer: Callable[..., Any]) -> int | None:
    """The version of what is kept; None where the next visitor has to compute it."""
    kept: list[Any] = []

    def compute() -> Any:
        kept.append(None)
        raise Broken

    try:
        found = answer(compute)
    except Broken:
        return None
    return None if kept or not isinstance(found, Reading) else found.version


def steps(found: Found) -> str:
    """The shortest bad order, in a line."""
    return "; ".join(f"{step.actor}: {step.what}" for step in found.shortest)
