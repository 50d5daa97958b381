"""A slider: one function for every value; without a front end its output at the start stands alone."""

from typing import Any

import IPython.display
import pytest

from tutorial_project.lab import draw, sliders
from tutorial_project.lab.choices import WIDGET_VIEW
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.sliders import slide

ipywidgets = pytest.importorskip("ipywidgets")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a kernel was asked to display."""
    bundles: list[dict[str, Any]] = []
    monkeypatch.setattr(sliders, "in_kernel", lambda: True)
    monkeypatch.setattr(sliders, "_captured", captured)
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: bundles.append(bundle))
    return bundles


def captured(call: Any) -> tuple[str, dict[str, Any]]:
    """What draw.show displays while `call` runs; IPython captures displays in a kernel alone."""
    displayed: list[dict[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw, "display", lambda bundle, raw: displayed.append(bundle))
        call()
    return displayed[-1]["text/plain"], {kind: displayed[-1][kind] for kind in sliders.PICTURE}


def dots(ttl: int) -> None:
    draw.bars({"seconds": ttl}, f"entries live for {ttl} seconds, as the slider says", ylabel="seconds")


def parts(bundle: dict[str, Any]) -> tuple[Any, Any]:
    box = ipywidgets.widgets.widget._instances[bundle[WIDGET_VIEW]["model_id"]]
    slider, picture = box.children
    return slider, picture


def test_without_a_kernel_the_output_at_the_start_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    slide(lambda ttl: f"a hit ratio at {ttl}", ttl=[1, 10, 60], start=10)
    assert capsys.readouterr().out == "a hit ratio at 10\n"


def test_in_a_notebook_the_picture_has_a_labelled_slider(shown: list[dict[str, Any]]) -> None:
    slide(dots, ttl=[1, 10, 60], start=10, unit="s")
    assert set(shown[0]) == {"text/plain", "image/png", "text/html", WIDGET_VIEW}
    assert shown[0]["text/plain"].startswith("Figure: entries live for 10 seconds")
    slider, picture = parts(shown[0])
    assert (slider.description, slider.value, slider.label) == ("ttl:", 10, "10 s")
    assert 'alt="entries live for 10 seconds' in picture.value


def test_moving_it_calls_the_function_again(shown: list[dict[str, Any]]) -> None:
    slide(dots, ttl=[1, 10, 60], unit="s")
    slider, picture = parts(shown[0])
    slider.value = 60
    assert 'alt="entries live for 60 seconds' in picture.value and not slider.continuous_update


def test_an_error_while_sliding_is_one_line_and_the_slider_goes_on(shown: list[dict[str, Any]]) -> None:
    def picky(ttl: int) -> None:
        if ttl == 10:
            raise ValueError("ten is <b>too many</b>\nand more")
        dots(ttl)

    slide(picky, ttl=[1, 10, 60])
    slider, picture = parts(shown[0])
    slider.value = 10
    assert picture.value == '<div role="alert">ValueError: ten is &lt;b&gt;too many&lt;/b&gt;</div>'
    slider.value = 60
    assert "for 60 seconds" in picture.value


def test_an_error_at_the_start_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        slide(lambda ttl: 1 / ttl, ttl=[0, 1])


def test_without_working_widgets_the_output_still_stands(
    shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no widgets here")

    monkeypatch.setattr(sliders, "_box", broken)
    slide(dots, ttl=[1, 10])
    assert set(shown[0]) == {"text/plain", "image/png", "text/html"}


@pytest.mark.parametrize(
    ("values", "start"), [({}, None), ({"a": [1, 2], "b": [1, 2]}, None), ({"a": [1]}, None), ({"a": [1, 2]}, 3)]
)
def test_values_that_make_no_slider_are_refused(values: dict[str, Any], start: int | None) -> None:
    with pytest.raises(LabError, match="slide wants"):
        slide(lambda **_: None, start=start, **values)
