"""A guess before a measurement, and the two side by side afterwards."""

from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

from .choices import display_choice
from .progress_file import Entry, current_notebook, recall, record

Option = str | int | float

_asked: dict[tuple[str, str], list[Option]] = {}  # the options of each question that this kernel has put
_measured: dict[tuple[str, str], str] = {}  # what this kernel has revealed


def predict(id: str, question: str, options: Sequence[Option], guess: Option | None = None) -> None:
    """Ask `question`, with a button for each of `options`; or take `guess`, one of them, where there are no buttons.

    A guess counts once it has been measured: until `reveal(id, …)` shows the result it can be changed, then it stays.
    Raises ValueError for fewer than two options, or two alike.
    """
    options = list(options)
    shown = [as_shown(option) for option in options]
    if len(set(shown)) < max(2, len(options)):
        raise ValueError(f"predict({id!r}): give two different options or more, got {options!r}")
    _asked[current_notebook(), id] = options
    entry = recall("predictions", id) or {}
    chosen = _index(options, entry.get("guess"))
    locked = chosen is not None and "measured" in entry
    said = ""
    if guess is not None and guess is not ... and not locked:
        picked = _index(options, guess)
        if picked is None:
            said = f"{as_shown(guess)} is none of the options: copy one of them after guess=."
        else:
            said, chosen = _remember(id, question, options, picked)
    elif chosen is not None:
        said = _said(shown[chosen], entry.get("measured"), entry.get("right", False))
    labels = [as_shown(option, quotes=False) for option in options]
    listed = "\n".join(f"  - {label}" for label in labels)
    how = said or "(Buttons are shown here in a live notebook. Without them, write your guess into the call: guess=…)"
    display_choice(
        f"{question}\n{listed}\n{how}",
        question,
        labels,
        lambda index: _remember(id, question, options, index),
        said=said,
        chosen=chosen,
        locked=locked,
    )


def reveal(id: str, measured: object) -> None:
    """Show what was `measured` beside the guess that `predict(id, …)` took, and keep both for `my_surprises()`.

    Among numbers the option nearest to the measured one counts as right (of two equally near, both).
    """
    shown = as_shown(measured)
    _measured[current_notebook(), id] = shown
    entry = recall("predictions", id)
    if not entry or "guess" not in entry:
        print(f"Measured: {shown}.")
        return
    options = _asked.get((current_notebook(), id)) or entry.get("options", [])
    right = is_right(entry["guess"], measured, options)
    notice = record("predictions", id, lambda old: {**old, "measured": shown, "right": right})
    print(_said(as_shown(entry["guess"]), shown, right))
    if notice:
        print(notice)


def is_right(guess: object, measured: object, options: Sequence[object]) -> bool:
    """Whether `guess` is what was `measured`; among numbers, whether no other of `options` is nearer to it."""
    numbers = [_number(option) for option in options]
    here, there = _number(guess), _number(measured)
    if here is None or there is None or None in numbers:
        return as_shown(guess, quotes=False) == as_shown(measured, quotes=False)
    return all(abs(here - there) <= abs(other - there) for other in numbers if other is not None)


def as_shown(value: object, quotes: bool = True) -> str:
    """A value as a learner reads it: texts in quotes, 60,000 with its comma, four digits of a fraction."""
    if isinstance(value, str):
        return f'"{value}"' if quotes else value
    number = _number(value)
    if number is None:
        return str(value)
    if abs(number) >= 1e4 or number == round(number):  # (nan is neither)
        return f"{number:,.0f}"
    return f"{number:,.4g}"


def _number(value: object) -> float | None:
    """The value as a float, None if it is no number (True and False are none here)."""
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return None
    return float(value)


def _index(options: Sequence[Option], guess: Any) -> int | None:
    """Which of `options` the guess is: case and spaces around a text do not matter; None if it is none of them."""
    if guess is None and None not in options:  # no guess, and not the word "none"
        return None
    wanted = as_shown(guess, quotes=False).strip().casefold()
    for index, option in enumerate(options):
        if as_shown(option, quotes=False).strip().casefold() == wanted:
            return index
    return None


def _remember(id: str, question: str, options: list[Option], index: int) -> tuple[str, int]:
    """Record the guess. Returns the sentence that says so, and the index of the guess that stands."""
    guess = options[index]

    def change(old: Entry) -> Entry:
        if "measured" in old and _index(options, old.get("guess")) is not None:
            return old
        return {"question": question, "options": options, "guess": guess}

    notice = record("predictions", id, change)
    kept = recall("predictions", id) or {"guess": guess}
    measured = kept.get("measured") or _measured.get((current_notebook(), id))
    said = _said(as_shown(kept["guess"]), measured, kept.get("right", False))
    stands = _index(options, kept["guess"])
    return f"{said}\n{notice}".strip(), index if stands is None else stands


def _said(guess: str, measured: str | None, right: bool = False) -> str:
    result = f"Measured: {measured}.{' Right.' if right else ''}" if measured else "Now run on and see."
    return f"You said {guess}. {result}"


def forget_kernel() -> None:
    """Forget what this kernel asked and measured. For tests."""
    _asked.clear()
    _measured.clear()
