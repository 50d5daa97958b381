"""The staircase of queries, measured and drawn."""

from typing import Any

import pytest

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.lab import draw
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.staircase import STEPS, WITHOUT, climb, staircase

VISITORS = {"alice": "alice", "a stranger": None}


def test_every_step_is_measured_for_every_visitor(lab: Lab) -> None:
    climbed = climb(lab, STEPS, VISITORS)
    assert climbed["queries"].to_list() == [17, 12, 13, 10, 4, 1, 4, 0]
    assert climbed["trips"].to_list() == [0, 0, 3, 2, 5, 4, 5, 2]
    assert (climbed["ms"] > 0).all()
    assert lab.visit("/layered/").status == 404, "nothing stays mounted"


def test_each_layer_can_be_left_out() -> None:
    assert {name: set(STEPS["all three"]) - set(on) for name, on in WITHOUT.items()} == {
        "without values": {"values"},
        "without fragments": {"fragments"},
        "without page": {"page"},
    }


def test_the_figure_tells_its_numbers(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(draw, "display", lambda bundle, **_: shown.append(bundle))
    staircase(climb(lab, {step: STEPS[step] for step in ("no layer", "all three")}, VISITORS))
    assert shown[0]["text/plain"] == (
        "Figure: queries of the home page fall from no layer to all three: alice 17 to 4, a stranger 12 to 0\n"
        "alice: no layer 17, all three 4\na stranger: no layer 12, all three 0"
    )
    assert 'alt="queries of the home page fall' in shown[0]["text/html"]
