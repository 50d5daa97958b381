"""The words of the shop, read from words.toml. A pair is (English, German)."""

import tomllib
from pathlib import Path
from typing import NamedTuple

Pair = tuple[str, str]


class Child(NamedTuple):
    """A lower shelf: its name, its lowest and highest price (euros), the kinds of things on it."""

    name: Pair
    prices: tuple[int, int]
    kinds: list[Pair]


class Shelf(NamedTuple):
    """A top shelf: its name, what its things are made of, what is good about them, the shelves below it."""

    name: Pair
    materials: list[Pair]
    virtues: list[Pair]
    children: list[Child]


def pairs(rows: list[list[str]]) -> list[Pair]:
    """Lists of two, as TOML has them, as pairs."""
    return [(english, german) for english, german in rows]


WORDS = tomllib.loads((Path(__file__).resolve().parent / "words.toml").read_text(encoding="utf-8"))
TENANTS: list[str] = WORDS["tenants"]
SERIES: list[str] = WORDS["series"]
TAGS = pairs(WORDS["tags"])
FIRST_NAMES: list[str] = WORDS["first_names"]
LAST_NAMES: list[str] = WORDS["last_names"]
OPINIONS: dict[int, list[str]] = dict(enumerate(WORDS["opinions"], 1))
SHELVES = [
    Shelf(
        tuple(shelf["name"]),
        pairs(shelf["materials"]),
        pairs(shelf["virtues"]),
        [Child(tuple(child["name"]), tuple(child["prices"]), pairs(child["kinds"])) for child in shelf["children"]],
    )
    for shelf in WORDS["shelves"]
]
