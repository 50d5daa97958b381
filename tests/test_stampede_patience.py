"""How long a request without a value waits, in virtual time: as long as its patience, whatever it has to wait for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stampede_world import KEY, TIMEOUT, Boom, World
from tutorial_project.caching import runtime
from tutorial_project.caching.resilience import StillComputing
from tutorial_project.caching.stampede import POLL
from tutorial_project.lab import explore

PATIENCE = 5.0


def computes_for(seconds: float, fails: bool = False) -> Callable[[], int]:
    def compute() -> int:
        runtime.sleep(seconds)
        if fails:
            raise Boom("the database said no")
        return 1

    return compute


def waits(*others: tuple[float, int, Callable[[], int]], after: float) -> list[float]:
    """Seconds after which requests of process 0 are told `StillComputing`: one at `after`, and three around it.

    `others` ask before them: at this second, in this process, with this computation.
    """
    world, took = World(patience=PATIENCE, lease=60.0, limit=600.0), []

    def asks(at: float, process: int, compute: Callable[[], int]) -> Callable[[], Any]:
        def other() -> Any:
            runtime.sleep(at)
            return world.processes[process].get_or_set(KEY, compute, TIMEOUT)

        return other

    def late(seconds: float) -> Callable[[], Any]:
        def request() -> None:
            runtime.sleep(seconds)
            began = runtime.now()
            try:
                world.processes[0].get_or_set(KEY, computes_for(100.0), TIMEOUT)
            except StillComputing:
                took.append(runtime.now() - began)

        return request

    actors = [asks(*other) for other in others] + [late(after + shift) for shift in (0.0, 0.3, 0.6, 0.9)]
    explore(*actors, given=world.given, preemptions=0, schedules=1, may_raise=(Boom, StillComputing))
    return took


@pytest.mark.parametrize(
    ("others", "after"),
    [
        ([(0.0, 1, computes_for(100.0))], 0.1),
        ([(0.0, 0, computes_for(100.0))], 0.1),
        ([(0.0, 1, computes_for(100.0)), (0.2, 0, computes_for(1.0))], 4.0),
    ],
    ids=["another process", "another thread", "one that gives up waiting for another process"],
)
def test_nobody_waits_for_longer_than_its_patience(others: list[Any], after: float) -> None:
    took = waits(*others, after=after)
    assert len(took) == 4 and all(PATIENCE <= seconds <= PATIENCE + POLL for seconds in took), took
