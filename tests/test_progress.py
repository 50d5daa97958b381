"""Progress survives two kernels at once, a damaged file, a folder that cannot be written, and a full disk."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tutorial_project.lab import progress_file
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.progress_file import everything, recall, record
from tutorial_project.lab.progress_page import current_notebook, my_surprises, progress, set_notebook

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which this test's progress is kept."""
    path = tmp_path / "progress.json"
    monkeypatch.setenv("TUTORIAL_PROGRESS", str(path))
    progress_file.forget_kernel()
    set_notebook("01_why_cache")
    return path


def passed(id: str) -> str:
    return record("exercises", id, lambda old: {"passed": True, "tries": old.get("tries", 0) + 1})


def test_counts_by_notebook_what_was_tried(capsys: pytest.CaptureFixture[str]) -> None:
    passed("1.1")
    record("exercises", "1.2", lambda old: {"passed": False})
    set_notebook("02_backends")
    record("quizzes", "2.1", lambda old: {"right": True})
    record("predictions", "guessed only", lambda old: {"guess": 1})
    progress()
    assert [line.split("  ") for line in squeezed(capsys.readouterr().out)] == [
        ["notebook", "predictions right", "exercises passed", "quizzes right"],
        ["01_why_cache", "–", "1 of 2", "–"],
        ["02_backends", "–", "–", "1 of 1"],
    ]


def squeezed(text: str) -> list[str]:
    """The lines of a table with two spaces between its columns."""
    return ["  ".join(part.strip() for part in line.split("  ") if part.strip()) for line in text.splitlines()]


def test_nothing_done_yet_says_so(capsys: pytest.CaptureFixture[str], kept: Path) -> None:
    progress()
    my_surprises()
    assert capsys.readouterr().out.startswith("Nothing yet")
    assert not kept.exists()


def test_a_later_kernel_finds_it(kept: Path) -> None:
    passed("1.1")
    progress_file.forget_kernel()
    set_notebook("01_why_cache")
    assert recall("exercises", "1.1") == {"passed": True, "tries": 1}


WRITER = """
import sys
from tutorial_project.lab.progress_file import record, set_notebook
set_notebook("01_why_cache")
for number in range(25):
    record("exercises", f"{sys.argv[1]}.{number}", lambda old: {"passed": True})
    record("exercises", "shared", lambda old: {"tries": old.get("tries", 0) + 1})
"""


def test_kernels_that_write_at_once_lose_nothing(kept: Path) -> None:
    command = [sys.executable, "-c", WRITER]
    writers = [subprocess.Popen([*command, str(number)], cwd=ROOT) for number in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    entries = json.loads(kept.read_text())["notebooks"]["01_why_cache"]["exercises"]
    assert len(entries) == 76 and entries["shared"]["tries"] == 75
    assert sorted(path.name for path in kept.parent.iterdir()) == [".progress.json.lock", "progress.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"notebooks": []}',
        b'{"notebooks": {"a": 1}}',
        b'{"notebooks": {"a": {"exercises": {"1.1": 5}}}}',
        b'{"notebooks": {"a": {"exercises": null}}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_is_put_aside_and_said_once(
    content: bytes, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept.write_bytes(content)
    notice = passed("1.1")
    assert "was damaged" in notice and notice.count("\n") == 0
    (aside,) = kept.parent.glob("progress-damaged-*.json")
    assert aside.read_bytes() == content and aside.name in notice
    assert passed("1.2") == ""
    progress()
    assert "2 of 2" in capsys.readouterr().out


def test_progress_itself_says_that_the_file_was_damaged(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept.write_text("half a fi")
    progress()
    assert "was damaged" in capsys.readouterr().out


def unwritable(tmp_path: Path) -> Path:
    """A path that nobody, not even root, can write to: below a file."""
    (tmp_path / "a file").write_text("")
    return tmp_path / "a file" / "progress.json"


def test_where_it_cannot_be_written_it_is_kept_in_memory_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUTORIAL_PROGRESS", str(unwritable(tmp_path)))
    assert "cannot be saved" in passed("1.1")
    assert passed("1.1") == ""
    assert recall("exercises", "1.1") == {"passed": True, "tries": 2}
    progress()
    assert "1 of 1" in capsys.readouterr().out


def test_what_waited_is_saved_when_the_disk_has_room_again(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed("1.1")
    before = kept.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert "No space left on device" in passed("1.2")
    assert kept.read_bytes() == before
    assert sorted(path.name for path in kept.parent.iterdir()) == [".progress.json.lock", "progress.json"]
    assert passed("1.3") == ""
    assert list(json.loads(kept.read_text())["notebooks"]["01_why_cache"]["exercises"]) == ["1.1", "1.2", "1.3"]


def test_a_file_that_cannot_be_read_is_not_written_over(kept: Path) -> None:
    kept.mkdir()
    assert "cannot be saved" in passed("1.1")
    assert kept.is_dir() and recall("exercises", "1.1") == {"passed": True, "tries": 1}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(kept: Path) -> None:
    kept.parent.chmod(0o555)
    try:
        assert "cannot be saved" in passed("1.1")
    finally:
        kept.parent.chmod(0o755)


def test_a_kernel_that_hangs_with_the_lock_holds_nobody_up(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_file, "LOCK_PATIENCE", 0.1)
    with progress_file._locked(kept):
        assert "another kernel" in passed("1.1")
        assert recall("exercises", "1.1") == {"passed": True, "tries": 1}
    assert passed("1.2") == ""
    assert set(json.loads(kept.read_text())["notebooks"]["01_why_cache"]["exercises"]) == {"1.1", "1.2"}


@pytest.mark.parametrize("nowhere", [":memory:", os.devnull])
def test_in_memory_alone(nowhere: str, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTORIAL_PROGRESS", nowhere)
    assert passed("1.1") == "" and recall("exercises", "1.1") is not None
    assert not kept.exists()


def test_the_notebook_is_known_from_jupyter_where_boot_was_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    progress_file.forget_kernel()
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/work/07_events.ipynb")
    assert current_notebook() == "07_events"
    set_notebook("03_per_view")
    set_notebook(None)
    assert current_notebook() == "03_per_view"


def surprise() -> None:
    entry = {"question": "Is 1 < 2 & 3?", "guess": "no", "measured": '"yes"', "right": False}
    record("predictions", "order", lambda old: dict(entry))


def test_exports_a_page_and_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    passed("1.1")
    surprise()
    progress(export=str(tmp_path / "mine.html"))
    progress(export=str(tmp_path / "mine.json"))
    page = (tmp_path / "mine.html").read_text(encoding="utf-8")
    assert "Is 1 &lt; 2 &amp; 3?" in page and "1 of 1" in page and "01_why_cache" in page
    assert json.loads((tmp_path / "mine.json").read_text(encoding="utf-8"))["notebooks"] == everything()[0]
    assert "mine.html" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "says"), [("mine.pdf", "ends in .html or .json"), ("no/where/mine.html", "written")])
def test_an_export_that_fails_says_why(name: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=says):
        progress(export=str(tmp_path / name))
