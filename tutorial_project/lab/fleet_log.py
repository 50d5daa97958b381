"""What a fleet has written down: the computations of its origin, and the answers of its clients, in rows and frames."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

COMPUTATIONS = ["computation", "key", "pid", "thread", "version", "language", "began", "ended", "how"]
ANSWERS = [
    *("round", "key", "process", "pid", "client", "asked", "answered"),
    *("computation", "version", "error", "ran", "waited"),
]


@dataclass
class Computation:
    """One computation of the origin. Times in seconds; while it runs, or if it was killed, `ended` is nan."""

    computation: str
    key: str
    pid: int
    thread: int
    version: int
    language: str | None
    began: float
    ended: float = nan
    how: str = ""  # "ended" or "raised"; "" while it runs, or if it was killed


@dataclass(frozen=True)
class Answer:
    """What one client got: a value (of which computation, read at which version), or an error."""

    round: int
    key: str
    process: int
    pid: int
    client: int
    asked: float
    answered: float
    computation: str | None
    version: int | None
    error: str | None
    ran: int  # computations that the client's own thread or task ran meanwhile

    @property
    def took(self) -> float:
        """Seconds from question to answer."""
        return self.answered - self.asked


class Log:
    """The rows of both files, read on as they grow."""

    def __init__(self, folder: Path) -> None:
        self._files = {name: folder / name for name in ("computations", "answers")}
        self.empty()

    def empty(self) -> None:
        """Begin anew. Nobody may be writing: the files are emptied."""
        self.computations: dict[str, Computation] = {}
        self.answers: list[Answer] = []
        self._offsets = dict.fromkeys(self._files, 0)
        for file in self._files.values():
            if file.exists():
                os.truncate(file, 0)

    def read(self) -> None:
        """Take in what was written since the last time. Lines that a full disk cut short are left out."""
        for row in self._new("computations"):
            at, event = row.pop("at"), row.pop("event")
            if event == "began":
                self.computations[row["computation"]] = Computation(began=at, **row)
            elif found := self.computations.get(row["computation"]):
                found.ended, found.how = at, event
        self.answers += [Answer(**row) for row in self._new("answers")]

    def _new(self, name: str) -> Iterator[dict[str, Any]]:
        try:
            with self._files[name].open("rb") as file:
                file.seek(self._offsets[name])
                text = file.read()
        except FileNotFoundError:
            return
        whole = text[: text.rfind(b"\n") + 1]
        self._offsets[name] += len(whole)
        for line in whole.splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue

    def of(self, key: str) -> list[Computation]:
        """The computations of a key, in the order in which they began."""
        return sorted((each for each in self.computations.values() if each.key == key), key=lambda each: each.began)

    def waited(self, answer: Answer) -> bool:
        """Whether the computation of the client's value ended after the client had asked."""
        found = self.computations.get(answer.computation or "")
        return bool(found and found.ended > answer.asked)

    def computations_frame(self) -> pd.DataFrame:
        """A row a computation; columns as in `Computation`."""
        return frame(self.computations.values(), COMPUTATIONS)

    def answers_frame(self, answers: Iterable[Answer] | None = None) -> pd.DataFrame:
        """A row an answer; columns as in `Answer`, and `waited`: its value was not computed yet when asked for."""
        rows = self.answers if answers is None else list(answers)
        return frame(rows, ANSWERS[:-1]).assign(waited=[self.waited(row) for row in rows])


def frame(rows: Iterable[Any], columns: list[str]) -> pd.DataFrame:
    """A DataFrame of these attributes of the rows."""
    import pandas as pd

    return pd.DataFrame([[getattr(row, name) for name in columns] for row in rows], columns=columns)


def most_at_once(computations: Iterable[Computation]) -> int:
    """How many of these computations ran at the same time, at most. One that was killed counts as never ended."""
    steps: list[tuple[float, int]] = []
    for each in computations:
        steps.append((each.began, 1))
        if each.ended == each.ended:
            steps.append((each.ended, -1))
    running = most = 0
    for _, step in sorted(steps):
        running += step
        most = max(most, running)
    return most
