"""The origin that a fleet of processes computes from: slow, counted outside the cache, and told how to behave.

Each computation is written down where it begins and where it ends, in a file to which all processes append: whoever is
killed in the middle has been counted. Times are CLOCK_MONOTONIC's, which is one clock for all processes of a machine.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Generator, Hashable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.db import connection
from django.utils import translation

LOOK = 0.02  # seconds between two looks of a computation that hangs


class OriginFailed(Exception):
    """What a computation raises while the origin is told to fail."""


@dataclass(frozen=True)
class State:
    """What the origin is told: seconds that it takes, the version of its row, and which keys misbehave.

    Among the hanging, "key@1" stands for the computations of the key that have read version 1.
    """

    cost: float
    version: int = 1
    failing: Sequence[str] = ()  # their computations raise
    hanging: Sequence[str] = ()  # their computations do not end before they are taken from this list
    database: bool = False  # computations open a connection to the database

    def save(self, folder: Path) -> None:
        """Tell the origin in all processes, at once. Raises OSError."""
        new = folder / "state.new"
        new.write_text(json.dumps(asdict(self)))
        new.replace(folder / "state")


class Journal:
    """A file of JSON lines to which many processes append."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def add(self, **row: Any) -> None:
        """Append one line, in one write. Raises OSError, as on a full disk."""
        os.write(self._file, json.dumps(row).encode() + b"\n")


class Origin:
    """The slow source of one process. `compute(key)`, or `await acompute(key)` in an event loop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._journal = Journal(folder / "computations")
        self._numbers = itertools.count(1)
        self._ran: Counter[Hashable] = Counter()

    def compute(self, key: str) -> dict[str, Any]:
        """Which computation this was and which version it read, after `cost` seconds. Raises OriginFailed when told."""
        steps = self._steps(key, database=True)
        while True:
            try:
                seconds = next(steps)
            except StopIteration as end:
                return dict(end.value)
            time.sleep(seconds)

    async def acompute(self, key: str) -> dict[str, Any]:
        """The same for an event loop, which goes on with others meanwhile."""
        steps = self._steps(key, database=False)
        while True:
            try:
                seconds = next(steps)
            except StopIteration as end:
                return dict(end.value)
            await asyncio.sleep(seconds)

    def ran_by_me(self) -> int:
        """How many computations this thread (in an event loop: this task) has begun itself."""
        return self._ran[_me()]

    def state(self) -> State:
        """What the origin has been told last."""
        return State(**json.loads((self.folder / "state").read_text()))

    def _steps(self, key: str, database: bool) -> Generator[float, None, dict[str, Any]]:
        state, name = self.state(), f"{os.getpid()}-{next(self._numbers)}"
        self._ran[_me()] += 1
        who = {"key": key, "computation": name, "pid": os.getpid(), "thread": threading.get_ident()}
        about = {"version": state.version, "language": translation.get_language()}
        self._journal.add(event="began", at=time.monotonic(), **who, **about)
        if database and state.database:
            connection.ensure_connection()
        yield state.cost
        while {key, f"{key}@{state.version}"} & set(self.state().hanging):
            yield LOOK
        failing = key in state.failing
        self._journal.add(event="raised" if failing else "ended", at=time.monotonic(), computation=name)
        if failing:
            raise OriginFailed(f"The origin was told to fail (computation {name}).")
        return {"computation": name, "version": state.version}


def _me() -> Hashable:
    try:
        return asyncio.current_task() or threading.get_ident()
    except RuntimeError:  # no event loop in this thread
        return threading.get_ident()
