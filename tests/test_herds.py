"""The herds of an expiry: found in simulations and on a real server, and drawn."""

from typing import Any

import pytest
from django.core.cache import cache

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.lab import draw
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.herds import as_replay, herd_sizes, herds, noted, noted_times, under_way, warmed
from tutorial_project.lab.origin import Origin
from tutorial_project.lab.simulating import Run, simulate

ARRIVALS = [
    0.0,
    1.0,
    10.5,
    10.52,
    10.54,
    12.0,
    21.0,
]  # three see an expiry, then one does


def run_of(arrivals: Any = ARRIVALS, seconds: float = 30.0) -> Run:
    origin = Origin(seconds=0.1, at_once=2)

    def ranking(_: Any) -> Any:
        return cache.get_or_set("ranking", lambda: origin.read("ranking"), 10)

    return simulate({ranking: arrivals}, seconds=seconds, origin=origin)


def test_a_herd_is_what_comes_within_half_a_ttl_of_its_first() -> None:
    assert herd_sizes([10.1, 0.0, 10.0, 14.9, 15.0, 30.0], apart=5) == [1, 3, 1, 1]
    assert herd_sizes([], apart=5) == []
    with pytest.raises(LabError, match="above 0"):
        herd_sizes([1.0], apart=0)


def test_the_herds_of_a_simulation_with_who_waited_and_who_was_too_late(lab: Lab) -> None:
    found = herds(run_of(), apart=5)
    assert found["recomputations"].tolist() == [1, 3, 1]
    assert found["at_once"].tolist() == [1, 3, 1]
    assert found["waited"].tolist() == [1, 3, 1]
    assert found["late"].tolist() == [0, 0, 0]
    assert found["began"].astype(int).tolist() == [0, 10, 21]
    assert found["lasted"].iloc[0] == pytest.approx(0.1) and 0.13 < found["lasted"].iloc[1] < 0.2
    assert herds(run_of(), apart=5, deadline=0.12)["late"].tolist() == [0, 3, 0]  # the three slowed each other down


def test_a_request_that_fails_is_late(lab: Lab) -> None:
    def broken(_: Any) -> Any:
        origin.read("ranking")
        raise ZeroDivisionError

    origin = Origin(seconds=0.1)
    assert herds(simulate({broken: [0.0, 1.0]}, seconds=5, origin=origin), apart=0.5)["late"].tolist() == [1, 1]


def test_one_visitor_comes_before_the_crowd() -> None:
    arrivals = warmed(100.0, at=5.0)
    first = [next(arrivals) for _ in range(501)]
    assert first[0] == 0.0 and 5.0 < first[1] < 5.2 and first == sorted(first)
    assert 500 / (first[-1] - 5.0) == pytest.approx(100, rel=0.1)


def test_the_scoreboard_takes_a_simulation(lab: Lab) -> None:
    board = as_replay(run_of(), "popular_products")
    assert board["queries"].sum() == 5 and len(board) == len(ARRIVALS)
    assert sum(uses["popular_products"][0] for uses in board["uses"]) == 2
    lab.scoreboard(simulated=board)


def test_computations_on_the_cache_server_leave_their_times(lab: Lab) -> None:
    assert noted_times("slow") == []
    assert [noted("slow", lambda: "the ranking") for _ in range(3)] == ["the ranking"] * 3
    assert len(noted_times("slow")) == 3 and herd_sizes(noted_times("slow"), apart=5) == [3]


def test_the_figure_tells_its_peaks(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(draw, "display", lambda bundle, **_: shown.append(bundle))
    under_way({"whole": run_of(), "quiet": run_of([0.0])}, (0.5, 20), 2, "a wall of three")
    assert shown[0]["text/plain"].splitlines() == [
        "Figure: a wall of three",
        "whole: at most 3 requests under way, 3 queries; more than 2 queries for 0.1 s",
        "quiet: at most 0 requests under way, 0 queries; more than 2 queries for 0.0 s",
    ]
