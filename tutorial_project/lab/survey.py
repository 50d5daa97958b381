"""A survey of the shop's selectors under traffic: what each costs, how often it is asked, how often it changes."""

from __future__ import annotations

import inspect
import pickle
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..shop import selectors
from .meter import metered

if TYPE_CHECKING:
    from .bench import Lab


@dataclass
class _Asked:
    """What became of one selector: calls, their queries and database time, and the last answer for each question."""

    calls: int = 0
    queries: int = 0
    ms: float = 0.0
    changes: int = 0
    answers: dict[str, bytes] = field(default_factory=dict)


def _selectors() -> dict[str, Callable[..., Any]]:
    own = inspect.getmembers(selectors, inspect.isfunction)
    return {name: f for name, f in own if f.__module__ == selectors.__name__ and not name.startswith("_")}


# As the shop has them: by the time of a survey, some may have been swapped.
SELECTORS = _selectors()


def survey(lab: Lab, trace: pd.DataFrame) -> pd.DataFrame:
    """Replay `trace` and watch every selector. Returns a row a selector, best candidate for a cache first:

    `calls`; `repeats` (calls that asked what had been asked before); `changes` (times an answer differed from the last
    one to the same question); `queries` and `ms` (database work) per call; `score` = ms × repeats ÷ (1 + changes).
    """
    asked: dict[str, _Asked] = defaultdict(_Asked)
    originals = {name: getattr(selectors, name) for name in SELECTORS}
    try:
        for name, selector in originals.items():
            setattr(selectors, name, _watched(selector, asked[name]))
        lab.replay(trace)
    finally:
        for name, selector in originals.items():
            setattr(selectors, name, selector)
    rows = [_row(name, entry) for name, entry in asked.items() if entry.calls]
    table = pd.DataFrame(rows, columns=["selector", "calls", "repeats", "changes", "queries", "ms", "score"])
    return table.set_index("selector").sort_values("score", ascending=False)


def _watched(selector: Callable[..., Any], entry: _Asked) -> Callable[..., Any]:
    def watched(*args: Any, **kwargs: Any) -> Any:
        with metered() as reading:
            answer = selector(*args, **kwargs)
        entry.calls += 1
        entry.queries += reading.queries
        entry.ms += sum(reading.sql_ms)
        question = ":".join(str(getattr(value, "pk", value)) for value in (*args, *kwargs.values()))
        seen = sha256(pickle.dumps(_plain(answer))).digest()
        entry.changes += entry.answers.get(question, seen) != seen
        entry.answers[question] = seen
        return answer

    return watched


def _plain(answer: Any) -> Any:
    """An answer as plain data that is equal when it shows the same: model rows by their columns, sets in order."""
    if hasattr(answer, "_meta"):
        return {key: _plain(value) for key, value in vars(answer).items() if key != "_state"}
    if isinstance(answer, dict):
        return [(key, _plain(value)) for key, value in answer.items()]
    if isinstance(answer, (set, frozenset)):
        return sorted(map(repr, answer))
    if isinstance(answer, (list, tuple)):
        return [_plain(value) for value in answer]
    return _plain(vars(answer)) if hasattr(answer, "__dict__") else repr(answer)


def _row(name: str, entry: _Asked) -> dict[str, Any]:
    repeats = entry.calls - len(entry.answers)
    return {
        "selector": name,
        "calls": entry.calls,
        "repeats": repeats,
        "changes": entry.changes,
        "queries": round(entry.queries / entry.calls, 1),
        "ms": entry.ms / entry.calls,
        "score": entry.ms / entry.calls * repeats / (1 + entry.changes),
    }
