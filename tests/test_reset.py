"""reset() gives a notebook back as it was at the start, and loses nothing that its learner had saved."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tutorial_project.lab import progress_file, workspace
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.progress_page import set_notebook
from tutorial_project.lab.starting_over import reset

NAME = "01_why_cache"


class Bench:
    """A lab that notes what is asked of it."""

    def __init__(self) -> None:
        self.calls: set[str] = set()

    def __getattr__(self, name: str) -> object:
        return lambda: self.calls.add(name)


@pytest.fixture(autouse=True)
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A booted lab, a course of one notebook, and a folder to work in with an edited copy of it."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "work").mkdir()
    output = {"output_type": "stream", "name": "stdout", "text": ["the answer\n"]}
    code = {
        "cell_type": "code",
        "execution_count": 1,
        "id": "a",
        "metadata": {},
        "outputs": [output],
        "source": ["boot()"],
    }
    notebook = {"cells": [code], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "notebooks" / f"{NAME}.ipynb").write_text(json.dumps(notebook))
    (tmp_path / "work" / f"{NAME}.ipynb").write_text("edited")
    monkeypatch.setattr(workspace, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(workspace, "WORK", tmp_path / "work")
    monkeypatch.setenv("TUTORIAL_PROGRESS", str(tmp_path / "progress.json"))
    progress_file.forget_kernel()
    set_notebook(NAME)
    lab = Bench()
    monkeypatch.setitem(sys.modules, "tutorial_project.lab.bench", SimpleNamespace(current=lambda: lab))
    return lab


def kept(tmp_path: Path) -> list[str]:
    return sorted(path.read_text() for path in (tmp_path / "work" / "kept").iterdir())


def test_the_copy_is_fresh_and_what_was_saved_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reset()
    fresh = json.loads((tmp_path / "work" / f"{NAME}.ipynb").read_text())
    assert fresh["cells"][0]["source"] == ["boot()"] and fresh["cells"][0]["outputs"] == []
    assert kept(tmp_path) == ["edited"]
    said = capsys.readouterr().out
    assert f"work/kept/{NAME}-" in said and "Reload Notebook from Disk" in said and str(tmp_path) not in said


def test_cache_and_database_are_as_at_the_start_and_progress_is_kept(bench: Bench) -> None:
    progress_file.record("exercises", "1.1", lambda old: {"passed": True})
    reset()
    assert bench.calls == {"restore", "restore_database", "empty_cache"}
    assert progress_file.recall("exercises", "1.1") == {"passed": True}


def test_twice_in_a_second_keeps_both(tmp_path: Path) -> None:
    for content in ("edited", "edited again"):
        (tmp_path / "work" / f"{NAME}.ipynb").write_text(content)
        reset()
    assert kept(tmp_path) == ["edited", "edited again"]


def test_nothing_edited_nothing_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "work" / f"{NAME}.ipynb").write_bytes(workspace.fresh_copy(NAME))
    reset()
    assert not (tmp_path / "work" / "kept").exists()
    assert "already" in capsys.readouterr().out


def test_without_a_copy_there_is_one_afterwards(tmp_path: Path) -> None:
    (tmp_path / "work" / f"{NAME}.ipynb").unlink()
    reset()
    assert (tmp_path / "work" / f"{NAME}.ipynb").read_bytes() == workspace.fresh_copy(NAME)


def test_before_boot_the_copy_alone_is_reset(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def current() -> None:
        raise LabError("not running")

    monkeypatch.setitem(sys.modules, "tutorial_project.lab.bench", SimpleNamespace(current=current))
    reset()
    assert kept(tmp_path) == ["edited"] and "boot()" in capsys.readouterr().out


def test_another_notebook_leaves_this_ones_bench_alone(bench: Bench, tmp_path: Path) -> None:
    set_notebook("02_backends")
    reset(NAME)
    assert bench.calls == set() and kept(tmp_path) == ["edited"]


def test_an_unknown_notebook_changes_nothing(bench: Bench, tmp_path: Path) -> None:
    set_notebook("99_nowhere")
    with pytest.raises(LabError, match="99_nowhere"):
        reset()
    assert bench.calls == set()
    progress_file.forget_kernel()
    with pytest.raises(LabError, match="name it"):
        reset()


def test_a_full_disk_leaves_the_copy_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(old: object, new: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(LabError, match="No space left"):
        reset()
    work = tmp_path / "work"
    assert (work / f"{NAME}.ipynb").read_text() == "edited"
    assert sorted(path.name for path in work.iterdir()) == [f"{NAME}.ipynb", "kept"]
