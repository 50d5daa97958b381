"""What the closed forms accept: numbers, none of them negative, one clear line for anything else."""

from __future__ import annotations

import math


def checked(*, above: float | None = None, upto: float = math.inf, **named: float) -> None:
    """Nothing, if each number is 0 or more (or more than `above`) and at most `upto`; else a ValueError naming it."""
    for name, number in named.items():
        try:
            fine = not isinstance(number, bool | str) and float(number) >= 0 and float(number) <= upto
        except (TypeError, ValueError):
            fine = False
        if not fine or (above is not None and number <= above):
            least = f"more than {above:g}" if above is not None else "0 or more"
            most = "" if math.isinf(upto) else f" and at most {upto:g}"
            hint = ": math.inf means never expires" if number is None and name.startswith("ttl") else ""
            raise ValueError(f"{name} is {number!r}; it must be a number, {least}{most}{hint}")


def times(a: float, b: float) -> float:
    """a × b, where nothing of anything is nothing: 0 × infinity is 0 (no requests in an endless life)."""
    return 0.0 if a == 0 or b == 0 else float(a) * float(b)
