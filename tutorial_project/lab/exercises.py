"""Exercises and their judges: an answer is run against the bench, and told what was seen.

A judge stands in `lab/lessons/`, a file for each notebook:

    @exercise("1.1", "the slow menu", seconds=5, starter="def menu(): return selectors.navigation()")
    def judge(answer, lab):
        expect_type(answer, Callable, "your answer")
        if attempt(answer) != ...:
            raise Wrong("what was seen, what was expected, where to look")
        return "the menu costs 0 queries"
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from .errors import LabError

Judge = Callable[[Any, Any], str | None]


class Wrong(Exception):
    """Raised by a judge: the answer is not right yet, and this is what the learner reads."""


class NotAttempted(Exception):
    """The exercise still holds what it started with."""


@dataclass(frozen=True)
class Exercise:
    """One exercise: who judges it, and for how long."""

    id: str
    title: str
    judge: Judge
    seconds: float
    starter: str
    commits: bool


EXERCISES: dict[str, Exercise] = {}


def exercise(
    id: str, title: str = "", seconds: float = 5, starter: str = "", commits: bool = False
) -> Callable[[Judge], Judge]:
    """Register the judge of the exercise `id`.

    The judge gets the learner's answer and the lab; it raises Wrong, or returns a line to put after "Right:" (or None).
    `seconds` is the time limit for all of it. `starter` is the source of a function that the exercise starts with, for
    those that start with code that works: an answer that is still the same code counts as not attempted. Without
    `commits` all is in one transaction, which is rolled back; with it the judge works outside a transaction (for
    on_commit, and for threads), and the database is put back from its file afterwards.
    """

    def register(judge: Judge) -> Judge:
        known = EXERCISES.get(id)
        if known and known.judge.__module__ != judge.__module__:
            raise ValueError(f"Exercise {id} is judged in {known.judge.__module__} and in {judge.__module__}")
        EXERCISES[id] = Exercise(id, title, judge, seconds, starter, commits)
        return judge

    return register


def load_lessons() -> None:
    """Import every file of `lab/lessons/`, so that its exercises and quizzes are known."""
    try:
        lessons = importlib.import_module(f"{__package__}.lessons")
    except ModuleNotFoundError as error:
        if error.name == f"{__package__}.lessons":
            return
        raise
    for module in pkgutil.iter_modules(lessons.__path__):
        importlib.import_module(f"{lessons.__name__}.{module.name}")


def find(id: str) -> Exercise:
    """The exercise `id`. Raises LabError when there is none."""
    if id not in EXERCISES:
        load_lessons()
    if id not in EXERCISES:
        raise LabError(f"There is no exercise {id!r}. There are: {', '.join(sorted(EXERCISES)) or 'none'}.")
    return EXERCISES[id]


# What judges use


def attempt(answer: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What the learner's function returns. Raises NotAttempted when that is `...`, as in a starter."""
    result = answer(*args, **kwargs)
    if result is ...:
        raise NotAttempted
    return result


def expect_type(value: Any, wanted: type | Any, what: str = "your answer") -> None:
    """Raise Wrong unless `value` is of the type `wanted`, which may be Callable. True and False are no numbers."""
    if wanted is Callable:
        good = callable(value)
    elif wanted in (int, float):
        good = isinstance(value, Integral if wanted is int else Real) and not isinstance(value, bool)
    else:
        good = isinstance(value, wanted)
    if not good:
        name = _TYPE_NAMES.get(wanted) or f"a {getattr(wanted, '__name__', wanted)}"
        raise Wrong(f"{what} should be {name}, and is {_described(value)}.")


_TYPE_NAMES: dict[Any, str] = {
    Callable: "a function",
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "True or False",
    list: "a list",
    tuple: "a tuple",
    dict: "a dict",
    set: "a set",
}


def _described(value: Any) -> str:
    if value is None:
        return "None (is a return missing?)"
    if callable(value):
        return f"the function {getattr(value, '__name__', '')}".strip() + " (should it be called?)"
    try:
        text = repr(value)
    except Exception:
        text = ""
    kind = type(value).__name__
    return f"{text} ({kind})" if text and len(text) <= 60 else f"of the type {kind}"
