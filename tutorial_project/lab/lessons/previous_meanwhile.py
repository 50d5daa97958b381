"""Notebook 09: its exercise 9.2, the previous value while one computes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.core.cache import cache

from ...caching.families import store_of
from ..exercises import Wrong, exercise, expect_type
from ..herds import WAIT, herds, warmed
from ..simulating import simulate
from .stampedes import COST, Source, judge_answered, of_one_process, told, two_readers, visits, watched

if TYPE_CHECKING:
    from ..bench import Lab

FRESH, GRACE = 10.0, 60.0


@exercise("9.2", "the previous value meanwhile", seconds=30, commits=True)
def previous_meanwhile(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "ranking")
    judge_cold(answer)
    sizes = judge_traffic(answer)
    judge_quiet(answer)
    judge_refresh_fails(answer)
    judge_cold_fails(answer)
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
        raise Wrong(
            f"a cold key and twenty visitors: {len(run.recomputations)} computations. Who has the lock?"
            f"{of_one_process(answer)}"
        )
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
            f"{of_one_process(answer)}"
        )
    if len(sizes) > 4:
        raise Wrong(f"{len(sizes)} recomputations in 35 seconds: the value is fresh for 10.")
    later = run.requests[run.requests["arrived"] > 0.5]
    waited = later[later["latency"] > WAIT]
    if len(waited) and not kept_at(answer, FRESH + 1):
        raise Wrong(
            f"filled at 0 s, and at {FRESH + 1:.0f} s nothing is left in the cache: the visitor who comes then waits, "
            "for there is no previous value to give. Keep it for 70 seconds, and beside it until when it is fresh."
        )
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


def kept_at(answer: Callable[..., Any], seconds: float) -> list[str]:
    """What the cache holds so many seconds after one visitor has filled it."""
    source, names = Source(), list[str]()

    def visit(_: Any) -> Any:
        return answer(source)

    def look(_: Any) -> None:
        store: Any = store_of(cache)
        names.extend(name for name in store._cache if not store._has_expired(name))

    simulate({visit: [0.0], look: [seconds]}, origin=source.origin)
    return names


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


def judge_cold_fails(answer: Callable[..., Any]) -> None:
    """Raise Wrong where an error at a cold key locks the next visitor out."""
    run = watched(answer, [0.0, 1.0], failing=[1])
    last = run.requests.iloc[-1]
    if last["latency"] > 1.0 or len(run.recomputations) < 2:
        got = " and is given nothing" if run.requests["version"].isna().iloc[-1] else ""
        got = f" and gets an error: {last['error']}" if last["error"] else got
        raise Wrong(
            f"nothing is there, compute() raises once, and the visitor a second later waits for "
            f"{last['latency']:.1f} s{got}. The lock is still there: give it back in a finally."
        )
    judge_answered(run, [1])
