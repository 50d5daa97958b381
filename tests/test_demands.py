"""Each demand finds the fault that it is there to find, and names it; `test_stampede_demands.py` has who meets them."""

import os
import re
from collections.abc import Callable

import pytest

from tutorial_project.lab import demands
from tutorial_project.lab.fleet import Fleet
from tutorial_project.lab.outcome import Outcome

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="a fleet is forked"),
    pytest.mark.slow,
]
FAULTS: dict[str, tuple[Callable[[Fleet], Outcome], str]] = {
    "Plain-cold": (demands.cold, r"^\d+ computations$"),
    "Plain-expiry": (demands.expiry, r"computations ran in a request; \d+ clients waited"),
    "Unspeaking-expiry": (demands.expiry, r"[1-9]\d* computed in another language; [1-9]\d* database connections left"),
    "Plain-holder_killed": (demands.holder_killed, r"computations"),
    "Locked-outlived": (demands.outlived, r"[234] computations"),
    "LockedForEver-outlived": (demands.outlived, r"^a hung computation holds the key"),
    "Locked-paused": (demands.paused, r"^\d+ read what the stopped holder stored late$"),
    "Locked-overtaken": (demands.overtaken, r"\d+ stale \(warm key, same process\).*\(cold key, another process\)"),
    "Plain-raising": (demands.raising, r"errors, with a value there; \d+ tries in"),
    "Swallowing-raising": (demands.raising, r"without a value did not see the error"),
    "LockKept-raising": (demands.raising, r"the lease was held for"),
    "Plain-frozen": (demands.frozen, r"errors \(TimeoutError"),
    "Plain-refused": (demands.refused, r"errors \(ConnectionError"),
    "Unlimited-refused": (demands.refused, r"^8 computations at once per key and process; 8 computations at once per"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_found_and_named(case: str) -> None:
    demand, says = FAULTS[case]
    with Fleet(f"fleet_contestants:{case.split('-')[0]}") as fleet:
        outcome = demand(fleet)
    assert not outcome.meets
    assert re.search(says, outcome.says), outcome.says
