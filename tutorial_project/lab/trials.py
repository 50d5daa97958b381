"""Every defence under every demand, on fleets of real processes that run at the same time; and who computed when.

    outcomes = tried(defences.plain, defences.lease)        # a row a defence, a column a demand, an Outcome in each
    verdicts(outcomes)                                      # the same, as far as it comes out so each time
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import TYPE_CHECKING, Any

from . import defences, demands, demands_away, draw
from .demands import Outcome
from .errors import LabError
from .fleet import Fleet

if TYPE_CHECKING:
    import pandas as pd

    from .simulating import Run

Defence = Callable[[Any], Any]
TIMES: dict[str, float] = {"cost": 0.3, "timeout": 1.0, "lease": 1.0, "grace": 30.0, "limit": 3.0}  # seconds
SHIFTS: tuple[tuple[Callable[[Fleet], Outcome], ...], ...] = (  # each on a fleet of its own, all at the same time
    (demands.cold, demands.expiry, demands.holder_killed),
    (demands.outlived, demands.paused),
    (demands.overtaken, demands_away.frozen, demands_away.refused),
)
ASKED = {
    "cold": "1: cold key, once",
    "expiry": "2: expiry, nobody waits",
    "holder_killed": "3: holder killed",
    "outlived": "4: longer than the lock",
    "paused": "5: holder paused",
    "overtaken": "5: overtaken by a change",
    "frozen": "7: server frozen",
    "refused": "7: server refused",
    "raising": "6: it raises",
}
