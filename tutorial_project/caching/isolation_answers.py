"""Part of `isolation`: answers compared. What stays the same each time one identity reads a page is its truth.

A page is cut into words. Two visits of one identity differ in clocks, tokens and random numbers: there the truth has a
gap, which anything may fill. A page that does not fit is compared with what another identity was given.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from .isolation_alignment import aligned

WORD = re.compile(r"[^\W_]+|\s+|[\W_]")
GAP = "\ue000"  # stands in a truth for what changes with each visit; no answer holds it
HEAD = "\ue001"  # stands before each header: one that is missing from a stored answer was to be added on its way
HEADER = re.compile(rf"{HEAD}[^\n]*\n")
MARKUP = re.compile(r"^[^<>]*>|<[^<>]*>?")
PIECE = re.compile(rf"{GAP}|<[^<>{GAP}]*>?|[^<{GAP}\n]+|\n")
LONG = 100_000  # characters in which two answers differ; beyond, they are compared by tags and lines
VERY_LONG = 500_000  # characters of an answer beyond which its words are not gathered
EXCERPT = 40  # characters
Changes = tuple[list[tuple[list[str], list[str]]], Counter[str]]


@dataclass(frozen=True)
class Answer:
    """What one visit was answered. `text` holds status, headers and content; `failed` says why there was no answer."""

    status: int
    text: str
    cookies: dict[str, str] = field(default_factory=dict)
    stored: bool = False  # whether the visit put anything into a cache, sessions apart
    streams: bool = False
    target: str = ""  # of a redirect
    raised: str = ""  # the name of the exception behind a 500
    failed: str = ""


class Truth:
    """What one identity is answered when nobody else has been there: from empty caches, and on coming again."""

    def __init__(self) -> None:
        self.cold: Pattern | None = None
        self.again: Pattern | None = None
        self.restless: set[tuple[str, str]] = set()  # pieces of text that gave way to one another between visits
        self.least: Counter[str] | None = None  # how often each word stands in every answer, and
        self.most: Counter[str] = Counter()  # how often it stood in any
        self.statuses: set[int] = set()
        self.cookies: dict[str, list[str]] = {}

    def learn(self, cold: Answer, again: Answer) -> None:
        """Widen it by one more visit to empty caches and one after it."""
        for found in (_counts(cold.text), _counts(again.text)):
            self.least = found if self.least is None else self.least & found
            self.most |= found
        self.cold, self.again = self._learning(self.cold, cold.text), self._learning(self.again, again.text)
        self.statuses |= {cold.status, again.status}
        for name, value in (*cold.cookies.items(), *again.cookies.items()):
            self.cookies.setdefault(name, []).append(value)

    def _learning(self, pattern: Pattern | None, text: str) -> Pattern:
        if pattern is None:
            return Pattern(text)
        if pattern.fits(text):
            return pattern
        for lost, gained in pattern.changes(text)[0]:
            self.restless |= {("".join(lost), "".join(gained)), ("".join(gained), "".join(lost))}
        return pattern.learning(text)

    def holds(self, answer: Answer) -> bool:
        """Whether the answer is one that this identity is given anyway."""
        return answer.status in self.statuses and any(pattern.fits(answer.text) for pattern in self._patterns())

    def foreign(self, answer: Answer, other: Truth) -> list[str]:
        """Words of `answer` that are in each of the other's answers, and never were in this identity's own.

        For pages so restless that everything fits: in a list in random order, one more name is no change.
        """
        if not any(GAP in pattern.text for pattern in self._patterns()):
            return []
        return sorted(words(answer.text) & set(other.least or ()) - set(self.most))

    def borrowed(self, answer: Answer, other: Answer, restless: set[tuple[str, str]]) -> list[str]:
        """What in `answer` is not this identity's own and is in `other`, which somebody else was given.

        Empty where nothing is: then the answer differs for a reason of its own. A text that is missing from both, and
        stands in the truth, is named with "no" in front. What gives way as in `restless` does so for everybody.
        """
        found = []
        for pattern in self._patterns():
            come, gone = pattern.moved(answer.text)
            if GAP in pattern.text and len(answer.text) <= VERY_LONG:  # what a gap took in does not count as new
                counts = _counts(answer.text)
                come, gone = counts - self.most, (self.least or Counter()) - counts
            found.append(pattern.borrowed(answer.text, other.text, restless, come, gone))
        return min(found, key=len)

    def _patterns(self) -> list[Pattern]:
        return [pattern for pattern in (self.cold, self.again) if pattern]


class Pattern:
    """A text with gaps."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._pieces = text.split(GAP)

    @cached_property
    def stable(self) -> set[str]:
        """Its words."""
        return set(WORD.findall(self.text))

    def learning(self, text: str) -> Pattern:
        """This pattern, with gaps where `text` differs."""
        start, mine, theirs, end = _apart(self.text, text)
        kept: list[str] = []
        last = (-1, -1)
        for i, j in [*aligned(mine, theirs), (len(mine), len(theirs))]:
            if (i, j) != (last[0] + 1, last[1] + 1) and kept[-1:] != [GAP]:
                kept.append(GAP)
            kept.extend(mine[i : i + 1])
            last = (i, j)
        return Pattern(start + "".join(kept) + end)

    def fits(self, text: str) -> bool:
        """Whether the pieces stand in `text` in their order, with anything in the gaps. Takes linear time."""
        first, *middle = self._pieces
        if not middle:
            return text == first
        last = middle.pop()
        at, end = len(first), len(text) - len(last)
        if at > end or not text.startswith(first) or not text.endswith(last):
            return False
        for piece in middle:
            at = text.find(piece, at, end)
            if at < 0:
                return False
            at += len(piece)
        return True

    def changes(self, text: str) -> Changes:
        """(words lost, words that stand in their place) wherever `text` differs outside the gaps; and what it has more
        of each word, less where negative: words that only stand elsewhere count 0."""
        return _changes(self.text, text)

    def moved(self, text: str) -> tuple[Counter[str], Counter[str]]:
        """(words come, words gone): of a page at rest a word that stands elsewhere is both."""
        changed, more = self.changes(text)
        if GAP in self.text:
            return +more, -more
        return Counter(w for _, gained in changed for w in gained), Counter(w for lost, _ in changed for w in lost)

    def borrowed(
        self, text: str, other: str, restless: set[tuple[str, str]], come: Counter[str], gone: Counter[str]
    ) -> list[str]:
        """See `Truth.borrowed`: the pieces of text, each as it stands, if a word in them has come, or gone."""
        theirs, _ = self.changes(other)
        gained_there = set(_telling(word for _, gained in theirs for word in gained))
        lost_there = set(_telling(word for lost, _ in theirs for word in lost))
        found = []
        for lost, gained in self.changes(text)[0]:
            if ("".join(lost), "".join(gained)) in restless:
                continue
            if any(word in gained_there and come[word] for word in _telling(gained)):
                found.append("".join(gained))
                continue
            withheld = any(word in lost_there and gone[word] for word in _telling(lost))
            if withheld and not _telling(gained) and HEAD not in lost:
                found.append(NO + "".join(lost))
        return found


@lru_cache(maxsize=1000)
def _changes(pattern: str, text: str) -> Changes:
    _, mine, theirs, _ = _apart(pattern, text)
    changed = []
    last = (-1, -1)
    for i, j in [*aligned(mine, theirs), (len(mine), len(theirs))]:
        lost, gained = mine[last[0] + 1 : i], theirs[last[1] + 1 : j]
        gap, lost = GAP in lost, [word for word in lost if word != GAP]
        if lost or (gained and not gap):
            changed.append((lost, gained))
        last = (i, j)
    more = Counter(theirs)
    more.subtract(mine)
    return changed, more


def _apart(a: str, b: str) -> tuple[str, list[str], list[str], str]:
    """What both begin with, the words of each between, what both end with. Of long texts: tags and lines, not words."""
    start = _common(a, b)
    while start and a[start - 1].isalnum():
        start -= 1
    end = _common(a[start:][::-1], b[start:][::-1])
    while end and a[len(a) - end].isalnum():
        end -= 1
    middle_a, middle_b = a[start : len(a) - end], b[start : len(b) - end]
    cut = WORD if len(middle_a) + len(middle_b) <= LONG else PIECE
    return a[:start], cut.findall(middle_a), cut.findall(middle_b), a[len(a) - end :]


def _common(a: str, b: str) -> int:
    """The length of what both begin with."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle - 1)
    return low


NO = "no "


def words(text: str) -> set[str]:
    """The words of a text, of two letters or more; of a very long one, none."""
    return set() if len(text) > VERY_LONG else {word for word in WORD.findall(text) if len(word) > 1 and word.isalnum()}


@lru_cache(maxsize=64)
def _counts(text: str) -> Counter[str]:
    """How often each word and sign stands in a text; nothing of a very long one."""
    return Counter() if len(text) > VERY_LONG else Counter(WORD.findall(text))


def _telling(given: Iterable[str]) -> list[str]:
    """The words that say something; where there are none, all signs but white space."""
    signs = [word for word in given if not word.isspace()]
    return [word for word in signs if word.isalnum()] or signs


def excerpts(pieces: list[str], stable: set[str], name: str) -> tuple[str, ...]:
    """At most three short excerpts, without markup and without words that change with each visit.

    Those that hold the user's `name` come first, and are cut around it.
    """
    found: dict[str, None] = {}
    for piece in pieces:
        no, body = (NO, piece.removeprefix(NO)) if piece.startswith(NO) else ("", piece)
        # The headers that come with another status say nothing, but for those that say a name.
        body = HEADER.sub(lambda match: match[0] if name and name in match[0] else "", body) or body
        body = "".join(word for word in WORD.findall(body.replace(HEAD, "")) if no or word in stable)
        body = " ".join(html.unescape(MARKUP.sub(" ", body)).split()) or body.strip()
        if body:
            found[no + _short(body, name)] = None
    named = [text for text in found if name and name in text]
    return tuple([*named, *(text for text in found if text not in named)][:3]) or ("part of the page",)


def _short(text: str, name: str) -> str:
    at = text.find(name) if name else -1
    if len(text) <= EXCERPT:
        return text
    if at < 0:
        return text[:EXCERPT].rstrip() + "…"
    start = max(0, at - (EXCERPT - len(name)) // 2)
    return ("…" if start else "") + text[start : start + EXCERPT].strip() + "…"
