"""Code that does not end is stopped, on each of the three ways there are, and the process is as before."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from conftest import ROOT
from tutorial_project.caching import time_limit
from tutorial_project.caching.time_limit import TimeUp, within

unix = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="SIGALRM is there on Unix alone")


def for_ever() -> None:
    while True:
        pass


def holds_on() -> None:
    while True:
        try:
            time.sleep(0.001)
        except:  # noqa: E722
            pass


def holds_on_asleep() -> None:
    while True:
        try:
            time.sleep(0.5)
        except BaseException:
            pass


def waits() -> None:
    threading.Event().wait()


ENDLESS = [for_ever, holds_on, holds_on_asleep, waits]


@pytest.mark.parametrize("code", ENDLESS)
def test_stops_what_does_not_end(code: Callable[[], None]) -> None:
    start = time.monotonic()
    with pytest.raises(TimeUp):
        within(0.2, code)
    assert 0.2 <= time.monotonic() - start < 5


@unix
@pytest.mark.parametrize("code", [for_ever, holds_on, holds_on_asleep])
def test_stops_by_interrupts_as_on_windows(code: Callable[[], None]) -> None:
    with pytest.raises(TimeUp), time_limit._interrupt_limit(0.2):
        time_limit._limited(code)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_users_own_interrupt_stays_one_on_windows() -> None:
    def interrupt() -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), time_limit._interrupt_limit(5):
        time_limit._limited(interrupt)


def test_stops_outside_the_main_thread() -> None:
    ended = []

    def run() -> None:
        try:
            within(0.2, for_ever)
        except TimeUp:
            ended.append(True)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(5)
    assert ended == [True]


def test_returns_and_raises_what_the_code_does() -> None:
    assert within(5, lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)


@unix
def test_gives_an_earlier_timer_back() -> None:
    struck = []
    before = signal.signal(signal.SIGALRM, lambda *_: struck.append(True))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        within(5, lambda: 1)
        assert struck == []
        time.sleep(0.5)
        assert struck == [True]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@unix
def test_no_alarm_strikes_in_the_code_that_cleans_up() -> None:
    cleaned, before = [], sys.gettrace()
    for _ in range(10):
        try:
            within(0.001, for_ever)
        except TimeUp:
            sum(range(2000))
            cleaned.append(True)
    time.sleep(0.2)
    assert len(cleaned) == 10 and sys.gettrace() is before


@pytest.mark.parametrize("again", [False, True])
def test_an_alarm_that_comes_late_raises_nothing(again: bool) -> None:
    time_limit._strike(sys._getframe(), again)
    with pytest.raises(TimeUp):
        time_limit._limited(lambda: time_limit._strike(sys._getframe(), False))


@unix
def test_many_short_limits_do_not_starve_the_one_around_them() -> None:
    def many() -> None:
        while True:
            within(5, lambda: None)

    start = time.monotonic()
    with pytest.raises(TimeUp):
        within(0.2, many)
    assert time.monotonic() - start < 2


THEN_TRACED = """
import sys, threading
from tutorial_project.caching.time_limit import TimeUp, within

def for_ever():
    while True:
        pass

def limited():
    try:
        within(0.2, for_ever)
    except TimeUp:
        print("stopped", flush=True)

thread = threading.Thread(target=limited)
thread.start()
thread.join()
sys.settrace(lambda frame, event, argument: None)
(lambda: print("traced", flush=True))()
"""


def test_after_a_limit_in_a_thread_a_traced_function_still_runs() -> None:
    """In CPython 3.11 it does not, while the eval breaker stays set."""
    command = [sys.executable, "-c", THEN_TRACED]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=ROOT)
    assert run.stdout.split() == ["stopped", "traced"], run.stderr


@unix
def test_a_timer_of_somebody_else_shortens_no_limit() -> None:
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        assert within(5, lambda: time.sleep(0.3)) is None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@unix
@pytest.mark.parametrize("limit", [0.2, 0.21])
def test_what_holds_on_leaves_no_tracer_no_timer_and_no_handler(limit: float) -> None:
    tracer, handler, timer = sys.gettrace(), signal.getsignal(signal.SIGALRM), signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        with pytest.raises(TimeUp):
            within(limit, holds_on)
        assert sys.gettrace() is tracer and signal.getsignal(signal.SIGALRM) is handler
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
