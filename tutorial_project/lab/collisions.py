"""Do two questions share a key? Every question is asked through the cache, its answer held against the right one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from django.core.cache import cache

from .errors import LabError

if TYPE_CHECKING:
    import pandas as pd

LETTERS = "ab::%"  # what random texts are made of: what a key puts between its parts is drawn as often as a letter


def ask_all(
    name: Callable[..., str], answer: Callable[..., Any], questions: Iterable[Sequence[Any]], seconds: int = 600
) -> pd.DataFrame:
    """Ask every question through the cache, one after the other: `name(*question)` is its key.

    Returns a row a question, in order: `question`, `key`, `hit` (it was found), `got` (what was served), and `right`
    (whether that is `answer(*question)`). The cache is not emptied before. Raises LabError where there is no question.
    """
    import pandas as pd

    rows = []
    for question in map(tuple, questions):
        computed: list[Any] = []
        key = name(*question)
        got = cache.get_or_set(key, lambda q=question, c=computed: _noted(c, answer(*q)), seconds)
        rows.append((question, key, not computed, got, got == answer(*question)))
    if not rows:
        raise LabError("There is no question to ask: give a list of the arguments that your key is made of.")
    return pd.DataFrame(rows, columns=["question", "key", "hit", "got", "right"])


def _noted(computed: list[Any], value: Any) -> Any:
    computed.append(value)
    return value


def random_parts(lists: int, seed: int = 1) -> list[tuple[str, ...]]:
    """So many different pairs of texts, drawn at random. They are short, so that they often come close."""
    draw = Random(seed)
    found: dict[tuple[str, ...], None] = {}
    while len(found) < lists:
        found[tuple("".join(draw.choices(LETTERS, k=draw.randint(1, 3))) for _ in range(2))] = None
    return list(found)
