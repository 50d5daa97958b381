"""The seven demands on a defence, made of Protection: four processes of eight clients, a real server, real signals.

`lab/demands.py` counts and judges; here the figures that a demand rests on are named once more, so that a demand which
was made easier by mistake is seen. And remedies that are known to fail, fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

import small_shop  # noqa: F401  # sets Django up
from tutorial_project.lab import demands, demands_away
from tutorial_project.lab.fleet import Fleet

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="A fleet is forked."),
]

MEASURED: dict[str, dict[str, Any]] = {
    "cold": {"answers": 32, "errors": 0, "computations": 1},
    "expiry": {
        **{"computations": [1, 1, 1], "ran": 0, "waiting": 0, "errors": 0},
        **{"in another language": 0, "connections left open": 0},
    },
    "holder killed": {
        **{"answers": 24, "errors": 0, "no answer": 0, "computations": 2},
        **{"refresh: errors": 0, "refresh: computations": 2, "keys without a TTL": 0},
    },
    "outlived": {"answers": 32, "errors": 0, "computations": 1, "hung: given up": True, "hung: no answer": 0},
    "paused": {"computed again": True, "errors": 0, "stale": 0},
    "overtaken": {
        f"{key}, {place}: stale": 0 for key in ("cold", "warm") for place in ("the same process", "another process")
    },
    "raising": {"errors seen": 32, "hidden": 0, "cold, afterwards: errors": 0, "no answer": 0},
    "frozen": {"one key: errors": 0, "20 keys: errors": 0, "invalidation": "InvalidationLost"},
    "refused": {"one key: errors": 0, "20 keys: errors": 0, "invalidation": "InvalidationLost"},
}


@pytest.fixture(scope="module")
def protected() -> Iterator[Fleet]:
    with Fleet("tutorial_project.lab.defences:lease") as fleet:
        assert (fleet.processes, fleet.clients) == (4, 8)
        yield fleet


@pytest.mark.parametrize("demand", demands_away.ALL, ids=lambda demand: demand.__name__)
def test_protection_meets(demand: Any, protected: Fleet) -> None:
    outcome = demand(protected)
    assert outcome.meets, f"{outcome.says}: {outcome.measured}"
    expected = MEASURED[outcome.demand]
    assert {name: outcome.measured[name] for name in expected} == expected
    if outcome.demand in ("frozen", "refused"):
        assert outcome.measured["at once per key and process"] == 1
        assert outcome.measured["at once per process"] <= protected.slots
    if outcome.demand == "raising":  # spaced by the back-off, which is a second
        assert 1 <= outcome.measured["tries"] <= 2 + demands_away.WATCHED / protected.backoff


def test_all_are_tried() -> None:
    assert len(demands_away.ALL) == len(MEASURED) == 9  # the fifth and the seventh are two each


@pytest.mark.parametrize(
    ("remedy", "tried", "says"),
    [
        ("stale", [demands.cold, demands.expiry], ["computations", "computations at the expiries"]),
        ("plain", [demands.holder_killed, demands_away.frozen], ["computations", "errors"]),
    ],
)
def test_others_do_not(remedy: str, tried: list[Any], says: list[str]) -> None:
    with Fleet(f"tutorial_project.lab.defences:{remedy}") as fleet:
        outcomes = [demand(fleet) for demand in tried]
    assert not any(outcome.meets for outcome in outcomes)
    assert all(said in outcome.says for outcome, said in zip(outcomes, says, strict=True))
