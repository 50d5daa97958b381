"""Figures: a picture, its words for those who cannot see it, and the numbers that were drawn."""

import base64
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from tutorial_project.lab import draw
from tutorial_project.lab.errors import LabError

Shown = Callable[[], dict[str, str]]


@pytest.fixture(name="shown")
def display_noted(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """The bundle that was displayed last, after a look at what every figure's bundle must have."""
    bundles: list[dict[str, str]] = []
    monkeypatch.setattr(draw, "display", lambda bundle, raw: bundles.append(bundle))

    def last() -> dict[str, str]:
        bundle = bundles.pop()
        assert set(bundle) == {"image/png", "text/html", "text/plain"} and not bundles
        assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
        assert bundle["image/png"] in bundle["text/html"] and '<img alt="' in bundle["text/html"]
        assert bundle["text/plain"].startswith("Figure: ")
        return bundle

    return last


def replayed(*statements: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"sql": statements})


def test_bars_carry_their_numbers(shown: Shown) -> None:
    draw.bars({"cold": 21, "warm": 0}, 'cold > warm, "again"', ylabel="queries", unit=" q")
    bundle = shown()
    assert bundle["text/plain"] == 'Figure: cold > warm, "again"\ncold 21 q, warm 0 q'
    assert 'alt="cold &gt; warm, &quot;again&quot;"' in bundle["text/html"]


def test_another_number_is_another_picture_and_the_same_one_the_same(shown: Shown) -> None:
    pictures = []
    for value in (21, 21, 3):
        draw.bars({"cold": value, "warm": 1}, "bars", ylabel="queries")
        pictures.append(shown()["image/png"])
    assert pictures[0] == pictures[1] != pictures[2]


def test_lines_carry_every_point(shown: Shown) -> None:
    draw.lines({"one": ([1, 2], [0.5, 3]), "two": ([1], [4])}, "two lines", xlabel="x", ylabel="y")
    assert shown()["text/plain"] == "Figure: two lines\none: (1, 0.5) (2, 3)\ntwo: (1, 4)"


def test_the_scoreboard_of_one_run_and_of_two(shown: Shown) -> None:
    nothing = pd.DataFrame({"queries": [18_500.0]}, index=["no cache"])
    draw.scoreboard(nothing)
    assert shown()["text/plain"] == (
        "Figure: 18,500 database queries per 1,000 requests, no cache\n"
        "no cache: 18,500 queries; hit ratio none, no cache"
    )
    both = pd.DataFrame({"queries": [18_500.0, 900.4], "menu": [None, 0.987], "page": [None, 0.5]}, index=["a", "b"])
    draw.scoreboard(both)
    assert shown()["text/plain"] == (
        "Figure: queries per 1,000 requests go from 18,500 (a) to 900 (b)\n"
        "a: 18,500 queries; hit ratio none, no cache\n"
        "b: 900 queries; hit ratio menu 0.99, page 0.50"
    )


def test_the_picture_shows_the_same_numbers_as_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(draw, "show", lambda fig, alt, data: drawn.append(fig.axes))
    draw.bars({"cold": 21, "warm": 3}, "bars", ylabel="queries")
    assert [bar.get_height() for bar in drawn[0][0].patches] == [21, 3]
    draw.lines({"one": ([1, 2], [0.5, 3])}, "a line")
    assert drawn[1][0].lines[0].get_xydata().tolist() == [[1, 0.5], [2, 3]]
    draw.scoreboard(pd.DataFrame({"queries": [18_500.0, 900], "menu": [None, 0.5]}, index=["a", "b"]))
    assert [bar.get_width() for bar in drawn[2][0].patches] == [0, 0.5]
    assert [bar.get_width() for bar in drawn[2][1].patches] == [18_500, 900]


def test_repeated_marks_what_was_sent_before() -> None:
    assert draw.repeated(replayed(["a", "b", "a"], [], ["b", "c"])) == [False, False, True, True, False]


def test_the_bar_code_says_the_share_in_each_row(shown: Shown) -> None:
    draw.barcode(replayed(["a", "b"], ["a", "b"], ["c", "a", "a", "a"]), "a bar code")
    assert shown()["text/plain"] == (
        "Figure: a bar code\n8 statements, 5 repeated; share repeated in each row: 0.00 1.00 0.50 1.00"
    )


def test_a_bar_code_of_nothing_is_one_line() -> None:
    with pytest.raises(LabError, match="no SQL statement"):
        draw.barcode(replayed([], []), "nothing")
