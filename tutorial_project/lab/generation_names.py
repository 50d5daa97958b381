"""Random generations made readable: called <first> and <second>, as in every run of a diagram."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from .errors import LabError

if TYPE_CHECKING:
    from .exploring import Found

NAMES = ("<first>", "<second>", "<third>", "<fourth>", "<fifth>")
_GENERATION = re.compile(r"generation=([\w-]{11})")


def readable(found: Found) -> Found:
    """What `explore` found, with <first> and <second> for the generations in its shortest bad order, as it shows them.

    Raises LabError for more than five.
    """
    seen: dict[str, str] = {}
    names = iter(NAMES)
    for step in found.shortest:
        for generation in _generations(step.what, step.saw):
            if generation not in seen:
                if (name := next(names, None)) is None:
                    raise LabError(f"There are more than {len(NAMES)} generations in this order: look at .table().")
                seen[generation] = name
    named = re.compile("|".join(map(re.escape, seen)) or r"(?!)")

    def told(text: str) -> str:
        return named.sub(lambda match: seen[match[0]], text)

    return replace(found, shortest=[replace(step, what=told(step.what), saw=told(step.saw)) for step in found.shortest])


def _generations(what: str, saw: str) -> Iterator[str]:
    yield from _GENERATION.findall(what)
    if what.endswith(":generation=") and re.fullmatch(r"[\w-]{11}", saw):  # the step that reads or stores one shows it
        yield saw
