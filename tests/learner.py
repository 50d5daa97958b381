"""A learner's answers, as they come out of a notebook's cell, and a bench that notes what is asked of it."""

import linecache
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tutorial_project.lab import exercises, progress_file
from tutorial_project.lab.exercises import Wrong, attempt, exercise, expect_type
from tutorial_project.lab.judging import check
from tutorial_project.lab.progress_file import set_notebook

CELL = "/a/learners/notebook/cell.py"


class Bench:
    """A lab that notes what is asked of it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._clients: dict[Any, Any] = {"alice": "before"}

    def empty_cache(self) -> None:
        self.calls.append("empty_cache")

    @contextmanager
    def arrangement_kept(self) -> Iterator[None]:
        yield
        self.calls.append("rearranged")

    def restore_database(self) -> None:
        self.calls.append("restore_database")


@pytest.fixture(name="bench")
def fresh_bench(shop_database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench, no exercises but the test's own, and a file for progress."""
    lab = Bench()
    monkeypatch.setitem(sys.modules, "tutorial_project.lab.bench", SimpleNamespace(current=lambda: lab))
    monkeypatch.setenv("TUTORIAL_PROGRESS", str(tmp_path / "progress.json"))
    known = dict(exercises.EXERCISES)
    progress_file.forget_kernel()
    set_notebook("01_why_cache")

    @exercise("x.1", "double it", seconds=0.3)
    def judge(answer: Callable[[int], int], lab: Any) -> str:
        expect_type(answer, Callable, "your answer")
        got = attempt(answer, 21)
        expect_type(got, int, "what it returns")
        if got != 42:
            raise Wrong(f"of 21 it makes {got}, not 42.")
        return "42."

    yield lab
    exercises.EXERCISES.clear()
    exercises.EXERCISES.update(known)


def cell(source: str, name: str = "answer") -> Any:
    """What `name` is after a notebook's cell with this source has run."""
    source = textwrap.dedent(source)
    linecache.cache[CELL] = (len(source), None, source.splitlines(keepends=True), CELL)
    namespace: dict[str, Any] = {}
    exec(compile(source, CELL, "exec"), namespace)
    return namespace[name]


def said(capsys: pytest.CaptureFixture[str], answer: Any, id: str = "x.1") -> str:
    """What `check(id, answer)` prints, on one line."""
    check(id, answer)
    captured = capsys.readouterr()
    assert captured.err == ""
    return " ".join(captured.out.split())


def kept(id: str = "x.1") -> dict[str, Any] | None:
    return progress_file.recall("exercises", id)
