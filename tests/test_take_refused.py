"""What `manage.py take` refuses: in one line that says why and what to do, with nothing written."""

import builtins
import errno
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from tutorial_project.lab import take_home
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.patterns import files

MANAGE = ROOT / "tutorial_project/manage.py"


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with what is in it, and every folder."""
    found = sorted(folder.rglob("*"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in found}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of somebody's, in which the reader stands."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "manage.py").write_text("# the reader's own")
    (tmp_path / "course").mkdir()
    monkeypatch.setattr(take_home, "ROOT", tmp_path / "course")  # a refusal that fails does not write into the course
    monkeypatch.chdir(folder)
    return folder


def theirs(name: str, text: str = "x = 1") -> Callable[[Path], None]:
    """A file of the reader's that is there before."""

    def write(site: Path) -> None:
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)

    return write


def nothing(site: Path) -> None:
    """An empty project."""


REFUSED: list[tuple[str, Callable[[Path], object], str]] = [
    ("nothing", nothing, "no pattern 'nothing'. There are: .*front, .*metering"),
    ("nothing patterns", nothing, "no pattern 'nothing'. There are: .*front, .*metering"),
    ("weighing patterns", nothing, "weighing comes along with metering and server_timing"),
    ("front", nothing, "Say where to: manage.py take front PATH"),
    ("front ''", nothing, "PATH is empty"),
    ("front patterns more", nothing, "was given 3 words"),
    ("front .", nothing, "name a folder inside it, such as .*caching"),
    ("front /", nothing, "name a folder inside it"),
    ("front my-cache", nothing, "called 'my-cache': call it my_cache"),
    ("front 2nd", nothing, "called '2nd': call it _2nd"),
    ("front --help", nothing, "called '--help'"),
    ("front class", nothing, "a word of its own: call it class_"),
    ("front my-apps/caching", lambda site: (site / "my-apps").mkdir(), "called 'my-apps': call it my_apps"),
    ("front queue", nothing, "hide the one that Python has"),
    ("front django", nothing, "hide the one that Python has"),
    ("front stock", theirs("stock.py"), "hide the module stock.py"),
    ("front manage.py", nothing, "is a file: name a folder"),
    ("front manage.py/patterns", nothing, "There is no folder .*manage.py: make it"),
    ("front nowhere/patterns", nothing, "There is no folder .*nowhere: make it"),
    ("front ../course", nothing, "is inside the course"),
    ("front ../course/patterns", nothing, "is inside the course"),
    ("front link/patterns", lambda site: (site / "link").symlink_to("../course"), "is inside the course"),
    ("front app", theirs("app/tests.py"), "would hide your .*tests.py: take the pattern to .*caching"),
    ("front app", theirs("app/front/__init__.py"), "would hide front.py: take the pattern to another folder"),
    ("front app", theirs("app/front.py"), "Nothing was copied: .*app has front.py already, with another content"),
    ("front app", theirs(f"app/{'tests'}", "a file"), "Nothing was copied: .*tests"),
    ("metering app", theirs("app/tests/test_metering.py", "\xff"), "has tests/test_metering.py already"),
    ("front app", lambda site: (site / "app/front.py").mkdir(parents=True), "has front.py already"),
    ("front app", lambda site: (site / "app").symlink_to("gone/away"), "There is no folder .*gone"),
    ("front circle", lambda site: (site / "circle").symlink_to("circle"), "circle"),
    (f"front {'x' * 300}", nothing, "(cannot be read|cannot be written).*name too long"),
]


@pytest.mark.parametrize(
    ("words", "before", "says"), REFUSED, ids=[f"{words[:30]}: {says[:30]}" for words, _, says in REFUSED]
)
def test_it_is_refused_in_one_line(site: Path, words: str, before: Callable[[Path], object], says: str) -> None:
    before(site)
    there = snapshot(site)
    with pytest.raises(LabError, match=f"(?i){says}") as refused:
        take_home.command(shlex.split(words))
    assert "\n" not in str(refused.value)
    assert snapshot(site) == there


def test_the_course_that_nothing_is_taken_into_is_this_one() -> None:
    assert take_home.ROOT == ROOT


def test_the_command_says_it_on_stderr_without_a_traceback(site: Path) -> None:
    done = subprocess.run([sys.executable, MANAGE, "take", "front", "my-cache"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Python cannot import a package called 'my-cache': call it my_cache or so.\n"


@pytest.mark.parametrize("words", [["take"], ["take", "--help"], ["help", "take"]])
def test_asked_without_a_pattern_it_lists_them_a_line_each(words: list[str], site: Path) -> None:
    done = subprocess.run([sys.executable, MANAGE, *words], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: ") and "\n  front          A short front: each process" in done.stdout


def test_the_list_of_commands_names_it(site: Path) -> None:
    done = subprocess.run([sys.executable, MANAGE, "help"], capture_output=True, text=True, check=True)
    assert "runserver" in done.stdout and "`take` copies a pattern" in done.stdout


# Copying fails half-way


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException, after: int) -> Iterator[None]:
    """The file opened after so many others can be made, and then not written."""
    opened: list[str] = []

    def half_open(path: Path, *args: Any, **kwargs: Any) -> Any:
        file = builtins.open(path, *args, **kwargs)  # noqa: SIM115  # the caller's to close
        opened.append(str(path))
        if len(opened) > after:

            def write(text: str) -> int:
                raise error

            monkeypatch.setattr(file, "write", write, raising=False)
        return file

    with monkeypatch.context() as patch:
        patch.setattr(take_home, "open", half_open, raising=False)
        yield


@pytest.mark.parametrize("after", range(len(files("server_timing"))))
def test_a_full_disk_leaves_what_was_there(site: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    theirs("patterns/mine.py")(site)
    there = snapshot(site)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with failing(monkeypatch, full, after), pytest.raises(LabError, match="Nothing was copied: .*No space left"):
        take_home.take("server_timing", "patterns")
    assert snapshot(site) == there


def test_an_interrupt_leaves_what_was_there(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = snapshot(site)
    with failing(monkeypatch, KeyboardInterrupt(), 3), pytest.raises(KeyboardInterrupt):
        take_home.take("server_timing", "patterns")
    assert snapshot(site) == there


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on a process there")
def test_files_that_really_cannot_be_written_whole_are_taken_away(site: Path) -> None:
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000)); "
        "from tutorial_project.lab import take_home; print(take_home.take('metering', 'patterns'))"
    )
    there = snapshot(site)
    env = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True, env=env)
    assert "LabError: Nothing was copied: " in done.stderr and "(File too large)" in done.stderr
    assert snapshot(site) == there


@pytest.mark.skipif(sys.platform == "win32", reason="no such modes there")
def test_a_folder_that_cannot_be_written_to_is_named() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        (folder / "locked").mkdir(mode=0o555)
        user = os.geteuid()
        if user == 0:  # root writes anywhere
            os.seteuid(65534)
        try:
            with pytest.raises(LabError, match=r"locked/patterns.* cannot be written \(Permission denied\)"):
                take_home.write({folder / "locked/patterns/front.py": "x = 1"})
        finally:
            os.seteuid(user)
        assert list((folder / "locked").iterdir()) == []


def test_a_file_that_appears_meanwhile_is_not_overwritten(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile(folder: Path, texts: dict[str, str]) -> list[str]:
        theirs("patterns/front.py", "somebody's")(site)
        return list(texts)

    monkeypatch.setattr(take_home, "new_files", meanwhile)
    with pytest.raises(LabError, match="front.py cannot be written .File exists"):
        take_home.take("front", "patterns")
    assert snapshot(site / "patterns") == {"front.py": b"somebody's"}
