"""A cache call that is interrupted, after whichever of its own calls, leaves nothing going on."""

import sys
from types import FrameType
from typing import Any

import pytest
from django.core.cache import cache

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.caching.metering import counting
from tutorial_project.caching.weighing import going_on
from tutorial_project.lab.bench import Lab


class Interrupted(BaseException):
    """What a time limit, or somebody who presses Stop, raises."""


def interrupted_after(calls: int) -> bool:
    """Look into the cache and be interrupted after so many calls of the metering: whether it came to that."""
    left = calls

    def after_each(frame: FrameType, event: str, _: Any) -> None:
        nonlocal left
        if event in ("c_return", "return") and frame.f_code.co_filename.endswith("instrumentation.py"):
            left -= 1
            if left == 0:
                raise Interrupted

    try:
        with counting():
            sys.setprofile(after_each)
            cache.get_or_set("a", lambda: cache.get("b"))
    except Interrupted:
        return True
    finally:
        sys.setprofile(None)
    return False


def test_it_leaves_nothing_going_on(lab: Lab) -> None:
    calls = 1
    while interrupted_after(calls):
        assert going_on.get() is None, calls
        calls += 1
        cache.delete("a")
    assert calls > 20


def test_the_next_call_counts_as_it_should(lab: Lab) -> None:
    interrupted_after(3)
    with counting() as counted:
        cache.get("a")
    assert counted.uses["a"].misses == 1


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Any:
    yield
    going_on.set(None)
