"""The seven demands on a defence, made of Protection: four processes of eight clients, a real server, real signals.

`lab/demands.py` counts and judges; here the figures that a demand rests on are named once more, so that a demand which
was made easier by mistake is seen. That others fail is in `test_demands.py`, and in `measure_broken_demands.py` that
Protection does, once it is broken.
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

TRIES = 3  # where nothing but seconds is missing: a machine that is busy with other things takes more of them
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
        **{f"stale ({key}, {place})": 0 for key in ("cold", "warm") for place in ("same process", "another process")},
        **{"errors": 0, "no answer": 0},
    },
    "raising": {"errors seen": 32, "hidden": 0, "cold, afterwards: errors": 0, "no answer": 0},
    "frozen": {"one key: errors": 0, "20 keys: errors": 0, "invalidation": "InvalidationLost"},
    "refused": {"one key: errors": 0, "20 keys: errors": 0, "invalidation": "InvalidationLost"},
}


@pytest.fixture(scope="module")
def protected() -> Iterator[Fleet]:
    with Fleet("tutorial_project.lab.defences:lease", limit=4.5) as fleet:
        assert (fleet.processes, fleet.clients) == (4, 8)
        yield fleet


@pytest.mark.parametrize("demand", demands.ALL, ids=lambda demand: demand.__name__)
def test_protection_meets(demand: Any, protected: Fleet) -> None:
    for _ in range(TRIES):
        outcome = demand(protected)
        expected = MEASURED[outcome.demand]
        assert {name: outcome.measured.get(name) for name in expected} == expected, outcome.says
        if outcome.demand in ("frozen", "refused"):
            assert outcome.measured["at once per key and process"] == 1
            assert outcome.measured["at once per process"] <= protected.slots
        if outcome.demand == "raising":  # spaced by the back-off, which is a second
            assert 1 <= outcome.measured["tries"] <= 2 + demands_away.WATCHED / protected.backoff
        if outcome.meets:
            return
    pytest.fail(f"{TRIES} times, the last: {outcome.says}: {outcome.measured}")


def threads(fleet: Fleet) -> list[int]:
    """How many threads each process has."""
    return [fleet._request(pid, 5.0, do="look")["threads"] for pid in fleet.pids]


def test_no_thread_of_a_refresh_or_a_renewal_is_left(protected: Fleet) -> None:
    protected.afresh()
    before = threads(protected)
    protected.traffic("key", seconds=0.3)
    clients = [few + protected.clients for few in before]  # the clients' own threads stay
    protected.traffic("key", seconds=2.5)
    assert len(protected.computations) >= 2
    assert protected.until(lambda: all(now <= most for now, most in zip(threads(protected), clients, strict=True)), 5)


def test_all_are_tried() -> None:
    assert len(demands.ALL) == len(MEASURED) == 9  # the fifth and the seventh are two each
