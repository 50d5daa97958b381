"""In a notebook a question is text and, in its place, buttons that work; nothing in it is taken as HTML."""

from pathlib import Path
from typing import Any

import IPython.display
import pytest

from tutorial_project.lab import choices, predictions, progress_file
from tutorial_project.lab.choices import WIDGET_VIEW, rich
from tutorial_project.lab.predictions import predict, reveal
from tutorial_project.lab.progress_file import recall, set_notebook
from tutorial_project.lab.quizzes import QUIZZES, Quiz, quiz

ipywidgets = pytest.importorskip("ipywidgets")
QUESTION = "What does <b>Bob</b> `read`?"


@pytest.fixture(autouse=True)
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a kernel was asked to display."""
    bundles: list[dict[str, Any]] = []
    monkeypatch.setattr(choices, "in_kernel", lambda: True)
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: bundles.append(bundle))
    monkeypatch.setenv("TUTORIAL_PROGRESS", str(tmp_path / "progress.json"))
    progress_file.forget_kernel()
    predictions.forget_kernel()
    set_notebook("03_per_view")
    return bundles


def parts(bundle: dict[str, Any]) -> tuple[str, list[Any], Any]:
    """The heading's HTML, the buttons and the sentence's widget of a displayed question."""
    box = ipywidgets.widgets.widget._instances[bundle[WIDGET_VIEW]["model_id"]]
    heading, line, answer = box.children
    return heading.value, list(line.children), answer


def test_one_bundle_holds_the_text_and_the_buttons(shown: list[dict[str, Any]]) -> None:
    predict("leak", QUESTION, ["Hello, bob", "Hello, `alice`"])
    (bundle,) = shown
    assert set(bundle) == {"text/plain", WIDGET_VIEW}
    heading, buttons, _ = parts(bundle)
    assert "&lt;b&gt;Bob&lt;/b&gt; <code>read</code>" in heading and QUESTION in bundle["text/plain"]
    assert [button.description for button in buttons] == ["Hello, bob", "Hello, alice"]


def test_a_click_is_a_guess(shown: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    predict("leak", QUESTION, ["Hello, bob", "Hello, alice"])
    _, buttons, answer = parts(shown[0])
    buttons[0].click()
    buttons[1].click()
    assert "You said &quot;Hello, alice&quot;. Now run on" in answer.value
    assert [button.description for button in buttons] == ["Hello, bob", "✓ Hello, alice"]
    reveal("leak", "Hello, alice")
    assert capsys.readouterr().out == 'You said "Hello, alice". Measured: "Hello, alice". Right.\n'


def test_a_measured_guess_stays_and_its_buttons_are_locked(shown: list[dict[str, Any]]) -> None:
    predict("leak", QUESTION, ["Hello, bob", "Hello, alice"])
    _, before, answer = parts(shown[0])
    before[0].click()
    reveal("leak", "Hello, alice")
    before[1].click()  # of the first display: it is still on the page
    assert (recall("predictions", "leak") or {})["guess"] == "Hello, bob"
    assert "You said &quot;Hello, bob&quot;. Measured: &quot;Hello, alice&quot;." in answer.value
    assert [button.description for button in before] == ["✓ Hello, bob", "Hello, alice"]
    predict("leak", QUESTION, ["Hello, bob", "Hello, alice"])
    _, again, _ = parts(shown[1])
    assert [button.disabled for button in again] == [True, True]
    assert again[0].description == "✓ Hello, bob"


def test_a_guess_after_the_measurement_shows_it_at_once(shown: list[dict[str, Any]]) -> None:
    predict("n", "How many?", [1, 10])
    reveal("n", 10)
    _, buttons, answer = parts(shown[0])
    buttons[0].click()
    assert "You said 1. Measured: 10." in answer.value


def test_a_quiz_explains_by_click(shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(QUIZZES, "x.1", Quiz("2 + 2?", [("3", "One too few."), ("4", "Count `them`.")], right=1))
    quiz("x.1")
    assert "few" not in shown[0]["text/plain"]
    _, buttons, answer = parts(shown[0])
    buttons[1].click()
    assert "b) is right. Count <code>them</code>." in answer.value
    assert (recall("quizzes", "x.1") or {})["right"] is True


def test_without_working_widgets_the_text_stands_alone(
    shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no widgets here")

    monkeypatch.setattr(choices, "_box", broken)
    predict("leak", QUESTION, ["Hello, bob", "Hello, alice"])
    assert list(shown[0]) == ["text/plain"]


def test_rich_text_is_escaped() -> None:
    assert rich("a < `b & c`\nd") == "a &lt; <code>b &amp; c</code><br>d"
