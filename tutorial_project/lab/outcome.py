"""What came of a demand on a defence against stampedes, and what the demands share: asking, counting, waiting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .fleet import Fleet
from .fleet_log import Answer, Computation

SLACK = 1.0  # seconds that a busy machine may add to any bound
POLL = 0.25  # seconds between two looks of whoever waits, at most
HELD = 0.6  # of a lease: for so long a computation is held, to see who waits for it
LONGEST = 20.0  # seconds after which a client counts as not answered


@dataclass
class Outcome:
    """What came of a demand: whether it is met, what was `measured`, and in `says` what was missing."""

    demand: str
    measured: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def meets(self) -> bool:
        """Whether nothing was missing."""
        return not self.faults

    @property
    def says(self) -> str:
        """What was missing; "met" if nothing was."""
        return "; ".join(self.faults) or "met"

    def note(self, what: str, value: Any, holds: bool = True, fault: str = "") -> None:
        """Note what was measured, and what was missing if it does not hold."""
        self.measured[what] = value
        if not holds:
            self.faults.append(fault or f"{what}: {value}")

    def served(self, answers: Sequence[Answer], silent: int, prefix: str = "") -> None:
        """Note who was served: no errors, and nobody without an answer."""
        failed = [answer.error for answer in answers if answer.error]
        self.note(f"{prefix}answers", len(answers) - len(failed))
        self.note(f"{prefix}errors", len(failed), not failed, f"{len(failed)} errors ({failed[0] if failed else ''})")
        self.note(f"{prefix}no answer", silent, not silent, f"{silent} clients without an answer")


def ask(fleet: Fleet, *keys: str, limit: float = LONGEST, **how: Any) -> tuple[list[Answer], int]:
    """All clients ask once: their answers, and the number of those that got none."""
    round_ = fleet.begin(*keys, **how)
    return fleet.finish(round_, limit), len(fleet.silent(round_))


def counted(outcome: Outcome, what: str, computations: Sequence[Computation], most: int) -> None:
    """Note how many computations there were; more than `most`, or none, is a fault."""
    n = len(computations)
    outcome.note(what, n, 1 <= n <= most, f"{n} computations")


def settle(fleet: Fleet, pids: Sequence[int]) -> None:
    """Wait until these processes compute nothing any more, and what they computed is stored."""
    fleet.until(lambda: all(each.how for each in fleet.log.computations.values() if each.pid in pids), 5)
    fleet.until(lambda: False, 0.1)  # in the background, a value is stored after the origin has counted its end
