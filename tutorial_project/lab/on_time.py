"""Calls at given moments of real time: for the short run on the real server beside one on a virtual clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from .errors import LabError

T = TypeVar("T")
TRIES = 8


def on_time(
    moments: Sequence[float], call: Callable[[], T], before: Callable[[], object], late: float = 0.2
) -> list[T]:
    """What `call()` gives at each of `moments`, in seconds from now.

    A busy machine may wake a sleeper late. A run with a call that began or ended more than `late` seconds after its
    moment says nothing of the cache, so it is done again from the start: `before()`, then all moments. Raises LabError
    where the machine is late every time.
    """
    for _ in range(TRIES):
        before()
        answers: list[T] = []
        started = time.monotonic()
        for moment in moments:
            time.sleep(max(0.0, started + moment - time.monotonic()))
            answers.append(call())
            if time.monotonic() > started + moment + late:
                break
        else:
            return answers
    raise LabError(f"This machine was more than {late} s late in {TRIES} runs: close something and run the cell again.")
