"""A cache call that is interrupted, after whichever of its own calls, leaves nothing going on."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.caching import instrumentation
from tutorial_project.caching.metering import counting
from tutorial_project.caching.weighing import going_on
from tutorial_project.lab.bench import Lab

# What a metered call calls, where Python may notice that somebody has interrupted it or that its time is over.
CALLED = ("perf_counter", "Frame", "sizes", "_keys", "_tell")


class Interrupted(BaseException):
    """What a time limit, or somebody who presses Stop, raises."""


class Interrupting:
    """Counts calls, and interrupts after the one that is the `last`: they have done what they do by then."""

    def __init__(self, last: int) -> None:
        self.left, self.came_to_it = last, False

    def after(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            answer = function(*args, **kwargs)
            self.left -= 1
            if self.left == 0:
                self.came_to_it = True
                raise Interrupted
            return answer

        return called


class GoingOn:
    """The variable that says which cache call is going on, interrupted after it was looked at or set."""

    def __init__(self, interrupting: Interrupting) -> None:
        self.get, self.set = interrupting.after(going_on.get), interrupting.after(going_on.set)
        self.reset = interrupting.after(going_on.reset)


def interrupted_after(calls: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Look into the cache, and be interrupted after so many calls of the metering; whether it came to that."""
    interrupting = Interrupting(calls)
    with monkeypatch.context() as patch:
        for name in CALLED:
            patch.setattr(instrumentation, name, interrupting.after(getattr(instrumentation, name)))
        patch.setattr(instrumentation, "going_on", GoingOn(interrupting))
        try:
            with counting():
                cache.get_or_set("a", lambda: cache.get("b"))
        except Interrupted:
            pass
    return interrupting.came_to_it


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    yield
    going_on.set(None)


def test_it_leaves_nothing_going_on(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    came_to_it = [interrupted_after(calls, monkeypatch) and going_on.get() is None for calls in range(1, 21)]
    assert came_to_it == [True] * 20


def test_the_next_call_counts_as_it_should(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for calls in range(1, 21):
        cache.delete("a")
        interrupted_after(calls, monkeypatch)
        with counting() as counted:
            cache.get("c")
        assert counted.uses["c"].misses == 1, calls
