"""What cannot be simulated is refused, with a line that says what to change."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.db import transaction

from small_shop import shop, shop_database  # noqa: F401
from test_simulate import kept  # noqa: F401
from tutorial_project.caching import runtime
from tutorial_project.lab import Origin, bursts, simulate, simulating, virtual_time
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.origin import Reading

# Refused


def sleeps(pk: int) -> None:
    time.sleep(1)


def starts_a_thread(pk: int) -> None:
    try:
        threading.Thread(target=print).start()
    except Exception:
        pass


def begins(pk: int) -> None:
    with transaction.atomic():
        pass


def waits_for_ever(pk: int) -> None:
    while True:
        runtime.sleep(1)


def holds_on(pk: int) -> None:
    while True:
        try:
            runtime.sleep(1)
        except:  # noqa: E722
            pass


def loops(pk: int) -> None:
    while True:
        cache.get("a")


def nests(pk: int) -> None:
    try:
        simulate({sleeps: 1.0})
    except LabError as error:
        raise KeyError(str(error)) from None


REFUSED: Any = [
    ({sleeps: [1]}, "'sleeps' sleeps for real. Use tutorial_project.caching.runtime.sleep"),
    ({starts_a_thread: [1]}, "'starts_a_thread' starts a thread. Use caching.runtime.spawn"),
    ({begins: [1]}, "'begins' begins a transaction. simulate.. has its Origin; explore.. runs the ORM"),
    ({waits_for_ever: [1]}, "'waits_for_ever' is not done 3600 s after the last request arrived"),
    ({holds_on: [1]}, "'holds_on' is not done 3600 s after"),
    (
        {loops: [1]},
        "The simulation took more than 0.5 s and stood at [0-9,.]+ of 3,600 s: a request loops without waiting",
    ),
    ({}, "simulate.. takes {function: its arrivals"),
    ({1: 2.0}, "simulate.. takes {function"),
    (sleeps, "simulate.. takes {function"),
    ({sleeps: -1.0}, "'sleeps': -1.0 is no rate: so many requests a second, 0 or more"),
    ({sleeps: float("nan")}, "'sleeps': nan is no rate"),
    ({sleeps: None}, "'sleeps': None says no arrivals. Give a rate a second, bursts"),
    ({print: [2, 1]}, "'print': a request at 1 s comes after one at 2 s. Sort them by time"),
    ({sleeps: 1e6}, "About 3,600,000,000 requests, and 3,000,000 are the most: fewer seconds"),
]


@pytest.mark.parametrize("streams, says", REFUSED, ids=range(len(REFUSED)))
@pytest.mark.parametrize("latency", [0.0, 0.01])
def test_what_cannot_be_simulated(
    shop: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    streams: Any,
    says: str,
    latency: float,
) -> None:
    monkeypatch.setattr(simulating, "LIMIT", 0.5)
    before = (time.time, time.sleep, threading.Thread.start, caches["default"])
    with pytest.raises(LabError, match=says) as caught:
        simulate(streams, cache_latency=latency)
    assert "\n" not in str(caught.value)
    assert (time.time, time.sleep, threading.Thread.start, caches["default"]) == before
    assert not virtual_time._one_at_a_time.locked()


def print_nothing(pk: int) -> None:
    pass


def test_one_inside_another() -> None:
    assert simulate({nests: [1]}).requests.error.tolist() == ["KeyError"]


@pytest.mark.parametrize("arguments", [{"seconds": 0}, {"seconds": float("inf")}, {"keys": 0}, {"keys": 1.5}])
def test_what_is_no_length_and_no_number_of_keys(arguments: Any) -> None:
    with pytest.raises(LabError, match="seconds are above 0, keys a whole number from 1 up"):
        simulate({print_nothing: 1.0}, **arguments)


@pytest.mark.parametrize("arguments", [{"seconds": -1}, {"at_once": 0}, {"write_seconds": -1}])
def test_what_is_no_database(arguments: Any) -> None:
    with pytest.raises(LabError, match="seconds are 0 or more, at_once is above 0"):
        Origin(**arguments)


@pytest.mark.parametrize("arguments", [(0, 10, 1), (1, 10, 11), (1, 10, 0)])
def test_what_is_no_burst(arguments: Any) -> None:
    with pytest.raises(LabError, match="a length at most every"):
        bursts(*arguments)


def test_an_origin_outside_a_run_takes_no_time() -> None:
    origin = Origin(seconds=100)
    assert origin.read(3).version == 0 and type(origin.read(3)) is Reading
    origin.write(3)
    assert (origin.read(3).version, origin.version(3), origin.version(4)) == (1, 1, 0)
