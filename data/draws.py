"""Seeded draws that give the same result on every machine and every version of Python.

Only `Random.random()` is promised to stay as it is, so everything here is made of it. Weights are whole numbers: sums
of floats could differ in the last digit between two C libraries.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from random import Random
from typing import TypeVar

SEED = 2026
T = TypeVar("T")


def stream(name: str) -> Random:
    """A source of draws of its own for each name, so that a change to one file leaves the others as they are."""
    return Random(f"{SEED}:{name}")


def below(rng: Random, n: int) -> int:
    """A whole number from 0 to n - 1, each equally likely."""
    return int(rng.random() * n)


def between(rng: Random, low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return low + below(rng, high - low + 1)


def one_of(rng: Random, items: Sequence[T]) -> T:
    """One of the items, each equally likely."""
    return items[below(rng, len(items))]


def shuffled(rng: Random, items: Iterable[T]) -> list[T]:
    """The items in a drawn order."""
    return [item for _, _, item in sorted((rng.random(), i, item) for i, item in enumerate(items))]


def weighted(weights: Iterable[int]) -> list[int]:
    """The running sums of the weights: what `pick` draws from."""
    return list(accumulate(weights))


def zipf(n: int, exponent: float) -> list[int]:
    """Running sums for n ranks, of which rank k (from 1) is drawn k**-exponent times as often as the first."""
    return weighted(round(10**9 * k**-exponent) for k in range(1, n + 1))


def pick(rng: Random, sums: Sequence[int]) -> int:
    """An index, drawn by the weights behind the running sums."""
    return bisect_right(sums, below(rng, sums[-1]))
