"""Code that does not end by itself, stopped: `within(2.0, function)`.

Guarantee: in the main thread a loop is stopped soon after its time, whatever it catches; a limit inside a limit is
kept, and the outer one goes on counting, to strike when the inner one has ended.
Limit: code that stays inside one long call of a C library is stopped when that call returns. In any other thread a loop
around a bare `except:` may hold on.
"""

import contextlib
import ctypes
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
AGAIN = 0.1  # seconds to the next alarm, should the code have caught the last


class TimeUp(BaseException):
    """The time is up. A BaseException, so that an `except Exception` of the code does not swallow it."""


def within(seconds: float, function: Callable[[], T]) -> T:
    """What `function()` returns, or TimeUp after `seconds`.

    A loop around a bare `except:` cannot hold on: the alarm comes again. Code that stays inside one long call of a C
    library is stopped when that call returns.
    """
    if threading.current_thread() is not threading.main_thread():
        limit = _thread_limit(seconds)
    elif hasattr(signal, "setitimer"):
        limit = _alarm_limit(seconds)
    else:
        limit = _interrupt_limit(seconds)
    with limit:
        return _limited(function)


def _limited(function: Callable[[], T]) -> T:
    # The alarm looks for this function among the running ones: it must not strike in the code that cleans up.
    return function()


def _is_limited(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is _limited.__code__:
            return True
        frame = frame.f_back
    return False


def _strike(frame: FrameType | None, again: bool) -> None:
    """Raise TimeUp in the limited code; if it was caught before, `again`, then also at its next line."""
    if not _is_limited(frame):
        return
    if again:
        # Caught by an `except:`, this one is followed by another that rises within that `except:`, out of its reach.
        sys.settrace(_raise_at_line)
        while frame is not None and frame.f_code is not _limited.__code__:
            frame.f_trace = _raise_at_line
            frame = frame.f_back
    raise TimeUp


def _raise_at_line(frame: FrameType, event: str, argument: object) -> Any:
    if event == "line":
        raise TimeUp
    return _raise_at_line


@contextmanager
def _alarm_limit(seconds: float) -> Iterator[None]:
    """By the system's timer (Unix, main thread)."""
    strikes = 0

    def strike(number: int, frame: FrameType | None) -> None:
        nonlocal strikes
        strikes += 1
        _strike(frame, strikes > 1)

    tracer, started = sys.gettrace(), monotonic()
    before = signal.signal(signal.SIGALRM, strike)
    left, again = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.settrace(tracer)
        signal.signal(signal.SIGALRM, before)
        if left:  # an earlier timer, of a limit around this one: it would have been running all the while
            left = max(left - (monotonic() - started), 1e-6)  # over by now: at once, or many short ones starve it
        signal.setitimer(signal.ITIMER_REAL, left, again)


@contextmanager
def _interrupt_limit(seconds: float) -> Iterator[None]:
    """By interrupts from a second thread (Windows, main thread), told from the user's own by `late`.

    Waiting for a lock without a timeout is not interrupted there.
    """
    import _thread

    ended = threading.Event()
    late = 0

    def wait() -> None:
        nonlocal late
        pause = seconds
        while not ended.wait(pause):
            late += 1
            _thread.interrupt_main(signal.SIGINT)
            pause = AGAIN

    def strike(number: int, frame: FrameType | None) -> None:
        if not late:
            raise KeyboardInterrupt
        _strike(frame, late > 1)

    tracer = sys.gettrace()
    before = signal.signal(signal.SIGINT, strike)
    watch = threading.Thread(target=wait, daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()
        signal.signal(signal.SIGINT, before)
        sys.settrace(tracer)


@contextmanager
def _thread_limit(seconds: float) -> Iterator[None]:
    """By an exception put into this thread from a second one, outside the main thread, where no signal comes.

    The weakest of the three: a loop around a bare `except:` may hold on. Kernels run their cells in the main thread.
    """
    ended = threading.Event()
    identity = threading.get_ident()

    def wait() -> None:
        pause = seconds
        while not ended.wait(pause):
            if _is_limited(sys._current_frames().get(identity)):
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(identity), ctypes.py_object(TimeUp))
            pause = AGAIN

    watch: threading.Thread | None = threading.Thread(target=wait, daemon=True)
    assert watch
    watch.start()
    try:
        yield
    finally:
        # An exception put in at the last moment rises here. It is not taken back, by another one that is NULL: CPython
        # 3.11 would then never again come to rest (its eval breaker stays set), and hang where a tracer is set.
        while watch is not None:
            with contextlib.suppress(TimeUp):
                ended.set()
                watch.join()
                watch = None


def in_another_stack(function: Callable[[], T]) -> T:
    """What `function()` returns, on a stack of its own (a greenlet's): this thread's limits strike there too."""
    return _limited(function)
