"""Requests in threads, and a row whose computations can be held up: for tests of Protection on a real server."""
# ruff: noqa: E402

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import small_shop  # noqa: F401  # sets Django up

# isort: split
from django.core.cache.backends.redis import RedisCache
from django.db import connection

KEY = "tenant:7:dashboard_stats"
SLACK = 1.0  # seconds that a busy machine may add


def until(condition: Callable[[], Any], limit: float = 10.0) -> Any:
    """Wait until it holds, and return what it says."""
    end = time.monotonic() + limit
    while not (said := condition()) and time.monotonic() < end:
        time.sleep(0.005)
    return said


@pytest.fixture
def all_threads_end() -> Iterator[None]:
    """No thread of a refresh or of a renewal is left after the test."""
    before = set(threading.enumerate())
    yield
    assert until(lambda: set(threading.enumerate()) <= before), threading.enumerate()


class Row:
    """A row whose value is its version, and computations that can be held up."""

    def __init__(self) -> None:
        self.version, self.computations, self.seconds = 1, 0, 0.0
        self.go_on, self.reading = threading.Event(), threading.Event()
        self.go_on.set()

    def __call__(self) -> int:
        self.computations += 1
        version = self.version
        self.reading.set()
        assert self.go_on.wait(20)
        time.sleep(self.seconds)
        return version

    def hold(self) -> None:
        """Let the next computations stop after they have read."""
        self.go_on.clear()
        self.reading.clear()


class Asking(threading.Thread):
    """A request in a thread of its own: its `value`, or what it `raised`."""

    def __init__(self, ask: Callable[..., Any], *arguments: Any) -> None:
        super().__init__(daemon=True)
        self.ask, self.arguments = ask, arguments
        self.value: Any = None
        self.raised: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.value = self.ask(*self.arguments)
        except Exception as error:
            self.raised = error
        finally:
            connection.close()


def cut_off() -> RedisCache:
    """The cache of a process that does not reach the server: nothing listens there."""
    return RedisCache("redis://127.0.0.1:1", {"OPTIONS": {"socket_connect_timeout": 0.2, "socket_timeout": 0.2}})
