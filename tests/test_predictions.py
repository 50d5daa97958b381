"""Guesses are recorded, shown beside what was measured, and leave no trace in a notebook that nobody answered."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from tutorial_project.lab import predictions, progress_file
from tutorial_project.lab.predictions import as_shown, is_right, predict, reveal
from tutorial_project.lab.progress_page import my_surprises, set_notebook

OPTIONS = ["Hello, bob", "Hello, alice"]


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which this test's progress is kept."""
    new_kernel()
    monkeypatch.setenv("TUTORIAL_PROGRESS", str(tmp_path / "progress.json"))
    return tmp_path / "progress.json"


def new_kernel() -> None:
    progress_file.forget_kernel()
    predictions.forget_kernel()
    set_notebook("03_per_view")


def test_without_a_guess_nothing_is_kept_and_the_measurement_stands_alone(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict("leak", "What does Bob read?", OPTIONS)
    reveal("leak", "Hello, alice")
    shown = capsys.readouterr().out.splitlines()
    assert shown[:3] == ["What does Bob read?", "  - Hello, bob", "  - Hello, alice"]
    assert shown[-1] == 'Measured: "Hello, alice".'
    assert not any("You said" in line for line in shown)
    assert not kept.exists()


def test_no_guess_is_not_the_option_none(capsys: pytest.CaptureFixture[str]) -> None:
    predict("late", "How many are late?", ["none", "a dozen"])
    assert "You said" not in capsys.readouterr().out
    predict("late", "How many are late?", ["none", "a dozen"], guess="none")
    assert 'You said "none"' in capsys.readouterr().out


def test_a_wrong_guess_stands_beside_the_measurement_and_is_a_surprise(capsys: pytest.CaptureFixture[str]) -> None:
    predict("leak", "What does Bob read?", OPTIONS, guess="Hello, bob")
    reveal("leak", "Hello, alice")
    assert capsys.readouterr().out.endswith('You said "Hello, bob". Measured: "Hello, alice".\n')
    my_surprises()
    said = capsys.readouterr().out
    assert "What does Bob read?" in said and '"Hello, bob"' in said and '"Hello, alice"' in said


def test_a_right_guess_is_called_right_and_is_no_surprise(capsys: pytest.CaptureFixture[str]) -> None:
    predict("leak", "What does Bob read?", OPTIONS, guess=" hello, ALICE")
    reveal("leak", "Hello, alice")
    assert capsys.readouterr().out.endswith('You said "Hello, alice". Measured: "Hello, alice". Right.\n')
    my_surprises()
    assert capsys.readouterr().out.startswith("No surprises yet")


def test_a_guess_from_an_earlier_session_is_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    predict("leak", "What does Bob read?", OPTIONS, guess="Hello, bob")
    new_kernel()
    predict("leak", "What does Bob read?", OPTIONS)
    reveal("leak", "Hello, alice")
    assert capsys.readouterr().out.endswith('You said "Hello, bob". Measured: "Hello, alice".\n')


def test_a_guess_can_change_until_it_is_measured_then_it_stays(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predict("n", "How many?", [1, 10, 100], guess=1)
    predict("n", "How many?", [1, 10, 100], guess=100)
    reveal("n", 12)
    predict("n", "How many?", [1, 10, 100], guess=10)
    assert "You said 100. Measured: 12." in capsys.readouterr().out.splitlines()
    reveal("n", 12)
    assert capsys.readouterr().out == "You said 100. Measured: 12.\n"
    entry = json.loads(kept.read_text())["notebooks"]["03_per_view"]["predictions"]["n"]
    assert (entry["guess"], entry["right"]) == (100, False)


def test_a_guess_that_is_none_of_the_options_is_not_kept(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predict("leak", "What does Bob read?", OPTIONS, guess="Hello, carol")
    assert '"Hello, carol" is none of the options' in capsys.readouterr().out
    assert not kept.exists()


def test_a_starter_guess_counts_as_none(kept: Path) -> None:
    predict("n", "How many?", [1, 10], guess=...)  # type: ignore[arg-type]
    assert not kept.exists()


def test_two_notebooks_may_use_the_same_id(capsys: pytest.CaptureFixture[str]) -> None:
    predict("n", "How many?", [1, 10], guess=1)
    set_notebook("04_fragments")
    reveal("n", 10)
    assert capsys.readouterr().out.endswith("Measured: 10.\n")


def test_options_that_changed_since_are_asked_anew(capsys: pytest.CaptureFixture[str]) -> None:
    predict("n", "How many?", [1, 10], guess=1)
    reveal("n", 10)
    predict("n", "How many?", [5, 50], guess=50)
    reveal("n", 10)
    assert capsys.readouterr().out.endswith("You said 50. Measured: 10.\n")


@pytest.mark.parametrize("options", [[], ["one"], [1, 1.0], ["a", "a"]])
def test_a_question_needs_two_different_options(options: list[str]) -> None:
    with pytest.raises(ValueError, match="two different options"):
        predict("n", "How many?", options)


@pytest.mark.parametrize(
    ("guess", "measured", "options", "right"),
    [
        (10, 12, [1, 10, 100], True),
        (100, 12, [1, 10, 100], False),
        (0, 5, [0, 10], True),
        (10, 5, [0, 10], True),
        (0.5, Decimal("0.52"), [0.1, 0.5, 0.9], True),
        (1, float("nan"), [1, 2], False),
        ("1", 1, ["1", "2"], True),
        ("True", True, ["True", "False"], True),
        ("yes", "no", ["yes", "no"], False),
    ],
)
def test_among_numbers_the_nearest_option_is_right(
    guess: object, measured: object, options: list[object], right: bool
) -> None:
    assert is_right(guess, measured, options) is right


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a", '"a"'),
        (60000, "60,000"),
        (2 / 3, "0.6667"),
        (1234.56, "1,235"),
        (12.0, "12"),
        (True, "True"),
        (None, "None"),
    ],
)
def test_values_are_shown_as_a_learner_reads_them(value: object, shown: str) -> None:
    assert as_shown(value) == shown
