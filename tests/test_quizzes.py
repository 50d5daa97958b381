"""A quiz shows its question to those who have not answered, and explains whatever was chosen."""

import json
from pathlib import Path

import pytest

from tutorial_project.lab import progress_file, quizzes
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.progress_page import set_notebook
from tutorial_project.lab.quizzes import Quiz, quiz


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One question, and the file in which this test's progress is kept."""
    monkeypatch.setenv("TUTORIAL_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.setitem(quizzes.QUIZZES, "x.1", Quiz("2 + 2?", [("3", "One too few."), ("4", "Count them.")], right=1))
    progress_file.forget_kernel()
    set_notebook("01_why_cache")
    return tmp_path / "progress.json"


def test_unanswered_it_explains_nothing_and_keeps_nothing(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quiz("x.1")
    shown = capsys.readouterr().out
    assert shown.startswith("2 + 2?\n  a) 3\n  b) 4\n")
    assert "few" not in shown and "Count" not in shown and not kept.exists()


@pytest.mark.parametrize(
    ("choice", "says"),
    [("a", "a) is not it. One too few."), (1, "a) is not it. One too few."), (" B) ", "b) is right. Count them.")],
)
def test_every_answer_is_explained(choice: str | int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    quiz("x.1", choice)
    assert capsys.readouterr().out.endswith(says + "\n")


@pytest.mark.parametrize("choice", ["c", 0, 3, "", "4 ", -1])
def test_what_is_no_option_is_not_counted(choice: str | int, kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quiz("x.1", choice)
    assert "answer with a letter from a to b" in capsys.readouterr().out
    assert not kept.exists()


def test_the_right_answer_stays_right(kept: Path) -> None:
    for choice in "aba":
        quiz("x.1", choice)
    entry = json.loads(kept.read_text())["notebooks"]["01_why_cache"]["quizzes"]["x.1"]
    assert entry == {"right": True, "tries": 3, "last": "a"}


def test_an_unknown_question_names_those_there_are() -> None:
    with pytest.raises(LabError, match=r"no quiz question 'y.9'.*x\.1"):
        quiz("y.9")


@pytest.mark.parametrize(
    ("options", "right"), [([("a", "b")], 0), ([("a", "b"), ("c", "d")], 2), ([("a", ""), ("c", "d")], 0)]
)
def test_a_quiz_without_a_choice_or_an_explanation_is_refused(options: list[tuple[str, str]], right: int) -> None:
    with pytest.raises(ValueError):
        Quiz("?", options, right)
