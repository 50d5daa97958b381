"""Notebook 08: its exercises."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from unittest import mock

from django.core.cache.backends.base import CacheKeyWarning

from ..entries import entries
from ..exercises import Wrong, attempt, exercise, expect_type
from .backends import lifetime

if TYPE_CHECKING:
    from ..bench import Lab

# 8.1: what the learner is given to repair
MEETING = """
def results(words, tag, language, search):
    key = f"search:{words}:{tag}"
    return cache.get_or_set(key, lambda: search(words, tag, language), 600)
"""

Question = tuple[str, str, str]  # words, tag, language
SEPARATORS = ("", ":", "::", "|", "/", "-", "_", ",", ".", "=", "&", ";", "#", "~", "+", "\x1f")
ORDINARY: tuple[Question, ...] = (
    *(("oak", tag, language) for tag in ("lamp", "desk") for language in ("en", "de")),
    *(("C++", "book", "en"), ("C", "book", "en"), ("lamp", "oak", "en"), ("", "lamp", "en"), ("lamp", "", "en")),
)


class Search:
    """The shop's search, which answers with what it was asked for, and counts."""

    def __init__(self) -> None:
        self.asked: list[Question] = []

    def __call__(self, words: str, tag: str, language: str) -> list[str]:
        self.asked.append((words, tag, language))
        return [f"found for {words!r} with the tag {tag!r}, in {language!r}"]


@exercise("8.1", "two searches, one key", seconds=15, starter=MEETING)
def two_searches(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "results")
    search = Search()
    questions = [*ORDINARY, *(question for pair in map(meeting, SEPARATORS) for question in pair)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CacheKeyWarning)  # of control characters: no matter of this exercise
        judge_answers(answer, search, questions)
        judge_kept(answer, search, questions)
    return f"{len(set(questions))} questions, {len(entries())} entries, and nobody gets what another one asked for."


def judge_answers(answer: Callable[..., Any], search: Search, questions: list[Question]) -> None:
    """Raise Wrong where one of the questions gets the answer to another."""
    first: dict[str, Question] = {}
    for question in questions:
        found = attempt(answer, *question, search)
        expect_type(found, list, f"results{question}")
        first.setdefault(str(found), question)
        if found != Search()(*question):
            raise Wrong(met(question, first[str(found)]))


def meeting(separator: str) -> tuple[Question, Question]:
    """Two questions that are spelled alike once their parts stand beside each other with `separator` between."""
    return (f"oak{separator}desk", "lamp", "en"), ("oak", f"desk{separator}lamp", "en")


def met(asked: Question, other: Question) -> str:
    """What to say to somebody whose answer to `asked` is the one to `other`."""
    (words, tag, language), (words_2, tag_2, language_2) = asked, other
    told = f"{asked} gets the answer to {other}: "
    if (words, tag) == (words_2, tag_2):
        return (
            told
            + f"what is right in {language_2!r} is wrong in {language!r}. What varies the answer goes into the key."
        )
    if words + tag == words_2 + tag_2:
        return told + "joined without anything between them, both are spelled alike. Where does one part end?"
    if (words, tag) == (tag_2, words_2):
        return told + "the same two texts, the other way round. A key must tell which is the words and which the tag."
    if {words, words_2} == {"C", "C++"}:
        return told + "your key leaves out characters that the search does not. Escape them instead."
    return told + "a part that holds what stands between the parts moves the border. Escape each part, as key() does."


def judge_elsewhere(answer: Callable[..., Any], search: Search) -> None:
    """Raise Wrong where another process would look under other names: hash() of a text differs from one to the next."""
    again, own = len(search.asked), hash
    with mock.patch("builtins.hash", lambda value: own(value) ^ 0x5BD1):
        for question in ORDINARY:
            attempt(answer, *question, search)
    if len(search.asked) > again:
        raise Wrong(
            "hash() of a text is another number in each process, so no worker finds what another one stored. Spell the "
            "key out, or take hashlib's."
        )


def judge_kept(answer: Callable[..., Any], search: Search, questions: list[Question]) -> None:
    """Raise Wrong unless each question was searched once, and its results are kept for ten minutes."""
    again = len(search.asked)
    for question in ORDINARY:
        attempt(answer, *question, search)
    if not (kept := entries()):
        raise Wrong("right every time, and nothing is kept: where is the cache?")
    if len(search.asked) > again:
        raise Wrong(
            f"{len(ORDINARY)} questions asked again were searched again {len(search.asked) - again} times, with "
            f"{len(kept)} entries there. Is there something in the key, or before the look-up, that differs each time?"
        )
    judge_elsewhere(answer, search)
    for key, left in kept.items():
        if not 580 <= left <= 600:
            raise Wrong(f"{key!r} lives {lifetime(left)}, and should for 600.")
    if len(kept) < len(set(questions)):
        raise Wrong(f"{len(set(questions))} questions are kept in {len(kept)} entries: give each one of its own.")
