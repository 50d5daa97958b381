"""The picture of one order: its lanes, the step that stands out, and what is told to those who cannot see it."""

from __future__ import annotations

from typing import Any

import pytest

from tutorial_project.lab import draw, sequence
from tutorial_project.lab.actors import Step
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.exploring import Found

STEPS = [
    Step("reader", "get price", "cache", "nothing"),
    Step("reader", "SELECT shop_product", "database"),
    Step("writer", "BEGIN, UPDATE shop_product", "database"),
    Step("writer", "delete price", "cache"),
    Step("writer", "COMMIT", "database"),
    Step("reader", "set price", "cache", "10.00"),
]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the last figure showed: `fig`, `alt`, `data`."""
    seen: dict[str, Any] = {}
    monkeypatch.setattr(draw, "show", lambda fig, alt, data: seen.update(fig=fig, alt=alt, data=data))
    return seen


def found() -> Found:
    rows: Any = [(tuple(step.actor for step in STEPS), 2, True), (("reader",) * 3 + ("writer",) * 3, 1, False)]
    return Found("stale", ["reader", "writer"], rows, bad=1, shortest=STEPS)


def test_it_tells_the_order_in_words(shown: dict[str, Any]) -> None:
    found().figure()
    assert shown["alt"].startswith(
        "Stale in 1 of 2 orders; from step 3 on, this one can only end stale: "
        "1 reader: get price: nothing; 2 reader: SELECT shop_product; 3 writer: BEGIN, UPDATE shop_product; "
    )
    assert shown["data"].splitlines()[-1] == "6 reader: set price: 10.00" and len(shown["data"].splitlines()) == 6


def test_the_cache_and_the_database_stand_between_the_actors(shown: dict[str, Any]) -> None:
    found().figure()
    texts = [text.get_text() for text in shown["fig"].axes[0].texts]
    assert texts[:4] == ["reader", "cache", "database", "writer"]
    assert "get price: nothing" in texts and "3" in texts


def test_the_step_that_went_wrong_stands_out_in_more_than_colour(shown: dict[str, Any]) -> None:
    found().figure()
    marks = [(line.get_ydata()[0], line.get_color()) for line in shown["fig"].axes[0].lines if line.get_marker() == "X"]
    assert marks == [(3, draw.RED)]


def test_a_clock_has_a_lane_and_an_actor_on_its_own_is_drawn_too(shown: dict[str, Any]) -> None:
    steps = [Step("clock", "+60 s", "clock"), Step("late", "get a very long key that does not fit:detail", "cache")]
    sequence.sequence(steps, ["clock"], "bad in 1 of 1 order", "bad", 0)
    texts = [text.get_text() for text in shown["fig"].axes[0].texts]
    assert texts[:3] == ["clock", "cache", "late"] and "+60 s" in texts
    assert max(map(len, texts)) <= sequence.ROOM and "this one ended bad" in shown["alt"]


def test_nothing_to_draw() -> None:
    with pytest.raises(LabError, match="Stale in 0 of 35 orders: there is no such order to draw"):
        Found("stale", ["a", "b"], [((), 0, False)] * 35).figure()


def test_a_table_of_the_same() -> None:
    table = found().table()
    assert list(table.columns) == ["step", "actor", "what", "saw"] and table.what[2] == "BEGIN, UPDATE shop_product"


def test_where_no_order_is_good_it_was_wrong_from_the_start() -> None:
    assert Found("bad", ["a"], [(("a",), 0, True)], bad=1, shortest=[Step("a", "x")]).wrong == 0
