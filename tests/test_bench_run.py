"""`make bench` itself, on the contestants that need no library; the course's environment has none of the others."""

import os
from importlib.util import find_spec
from typing import Any

import pytest

from bench import contest, trials
from bench.run import hits
from tutorial_project.lab.errors import LabError

NEEDS_FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="a fleet is forked")


def test_a_demand_that_cannot_be_carried_through_is_not_met_and_says_why() -> None:
    def demand(fleet: Any) -> Any:
        raise LabError("The fleet's processes did not answer.")

    outcome = trials.outcome_of(demand, fleet=None)  # type: ignore[arg-type]
    assert not outcome["meets"] and "LabError: The fleet's processes did not answer." in outcome["says"]


def test_what_a_contestant_takes_from_another_is_counted_and_the_plain_get_is_not() -> None:
    lock, ignoring = (contest.statements(name) for name in ("django_redis_lock", "django_redis_ignoring"))
    assert lock["get"] == ignoring["get"] and ignoring["django_settings"] < lock["django_settings"]
    assert "plain" not in contest.statements("dogpile_region")


def test_with_the_protection_come_its_parts_and_nothing_of_the_bench() -> None:
    files = {file.name for file in contest.files_of_ours()}
    assert {"stampede.py", "owned.py", "atomic.py", "single_flight.py", "resilience.py", "stale.py"} <= files
    assert {file.parent.name for file in contest.files_of_ours()} == {"caching"}
    own = contest.facts("protection")["statements to own"]
    assert own == sum(map(contest.in_file, contest.files_of_ours())) > 300
    assert contest.facts("django_get_or_set")["statements to own"] == 0


@NEEDS_FORK
def test_a_herd_is_found_and_a_protected_key_is_not_blamed() -> None:
    plain, ours = (trials.tried(name, ["cold"])["demands"] for name in ("django_get_or_set", "protection"))
    assert list(plain) == list(ours) == ["cold"]
    assert not plain["cold"]["meets"] and plain["cold"]["measured"]["computations"] > 1
    assert ours["cold"]["meets"] and ours["cold"]["measured"]["computations"] == 1


@NEEDS_FORK
@pytest.mark.skipif(find_spec("theine") is not None, reason="theine is installed here")
def test_a_contestant_that_does_not_start_has_a_row_that_says_so() -> None:
    outcome = trials.tried("theine_memoize", ["cold"])["demands"]
    assert not outcome["fleet"]["meets"] and "theine" in outcome["fleet"]["says"]


def test_a_hit_is_compared_in_turns_over_one_server_and_its_commands_are_counted() -> None:
    costs, server = hits(["protection", "django_get_or_set"], pairs=30)
    for cost in costs.values():
        assert cost["pairs"] == 30 and min(cost["hit (us)"], cost["plain (us)"], cost["django (us)"]) > 0
        assert cost["commands"] == (None if server.startswith("fakeredis") else 1)
