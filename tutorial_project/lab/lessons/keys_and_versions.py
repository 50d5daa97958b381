"""Notebook 08: its exercises."""

import warnings
from collections.abc import Callable
from itertools import product
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
SEPARATORS = ("", *":|/-_,.=&;#~+§ \0\x1f", "::", "||", "--")
ENDS = ("Qx7W", "Kv4Z")  # what stands between these two in a key is the key's own
ORDINARY: tuple[Question, ...] = (
    *(("oak", tag, language) for tag in ("lamp", "desk") for language in ("en", "de")),
    *(("C++", "book", "en"), ("C", "book", "en"), ("lamp", "oak", "en"), ("", "lamp", "en"), ("lamp", "", "en")),
    *(("Oak", "lamp", "en"), ("oak ", "lamp", "en"), ("oak", "Lamp", "en"), ("oak", "lamp ", "en")),
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
        told = f"{len(set(questions))} questions, {len(entries())} entries, and nobody gets what another one asked for."
        judge_own(answer, search)
    return told


def judge_answers(answer: Callable[..., Any], search: Search, questions: list[Question]) -> None:
    """Raise Wrong where one of the questions gets the answer to another."""
    first: dict[str, Question] = {}
    for question in questions:
        try:
            found = attempt(answer, *question, search)
        except UnboundLocalError as error:
            if "'key'" not in str(error):
                raise
            raise Wrong("your variable `key` hides the function key: give it another name.") from None
        expect_type(found, list, f"results{question}")
        first.setdefault(str(found), question)
        if found != Search()(*question) and first[str(found)] == question and search.asked[-1:] != [question]:
            last = f"search{search.asked[-1]}" if search.asked else "nothing"
            raise Wrong(f"asked for {question}, it calls {last}. Change the key, and hand search() what came in.")
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
    if all(one.strip().lower() == two.strip().lower() for one, two in zip(asked, other, strict=True)):
        return told + "your key takes capitals, or spaces, for the same. Nothing says that the search does."
    if words + tag == words_2 + tag_2:
        return told + "joined, both are spelled alike. Where does one part end?"
    if plain(words) == plain(words_2) and plain(tag) == plain(tag_2):
        return told + "your key leaves out, or changes, characters that the search tells apart. Escape them instead."
    if (words, tag) == (tag_2, words_2):
        return told + "the same two texts, the other way round. A key must tell which is the words and which the tag."
    return told + "a part that holds what stands between the parts moves the border. Escape each part, as key() does."


def plain(text: str) -> str:
    """The letters and digits of a text."""
    return "".join(filter(str.isalnum, text))


def judge_own(answer: Callable[..., Any], search: Search) -> None:
    """Raise Wrong where questions meet that hold what this answer itself puts between its parts, or into them."""
    between = read_between(answer, search, *ENDS)
    for text in sorted({between or ":", ":"}):
        (words, tag, language), (words_2, tag_2, _) = pair = meeting(text)
        judge_answers(answer, search, [*pair, (tag, words, language), (tag_2, words_2, language)])
        if (made := read_between(answer, search, text.join(ENDS), "lamp")) is not None:
            judge_escaped(answer, search, text, made)


def judge_escaped(answer: Callable[..., Any], search: Search, text: str, made: str) -> None:
    """Raise Wrong where questions meet that hold `text`, or what this answer makes of it."""
    found, other = (attempt(answer, f"oak{spelled}desk", "lamp", "en", search) for spelled in (made, text))
    if found == other and made != text:
        raise Wrong(
            f"'oak{text}desk' and 'oak{made}desk' get one answer: your key spells {text!r} as {made!r}, which a text "
            "may hold itself. Escape that too, as key() does."
        )
    texts = ["".join(some) for length in range(3) for some in product(("a", text, made), repeat=length)]
    judge_answers(answer, search, [(f"oak{end}", f"{start}desk", "en") for end in texts for start in texts])
    if made.endswith(text):  # does the last character of a part escape what comes after it?
        begin = made.removesuffix(text)
        pair = (f"oak{text}desk{begin}", "lamp", "en"), (f"oak{begin}", f"desk{text}lamp", "en")
        judge_answers(answer, search, list(pair))


def read_between(answer: Callable[..., Any], search: Search, words: str, tag: str) -> str | None:
    """What stands between ENDS in the key of a question; None where the key shows neither."""
    there = set(entries())
    attempt(answer, words, tag, "en", search)
    for key in set(entries()) - there:
        if all(end in key for end in ENDS):
            first, last = sorted(ENDS, key=key.index)
            return key[key.index(first) + len(first) : key.index(last)]
    return None


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
    again, there = len(search.asked), set(entries())
    for question in ORDINARY:
        attempt(answer, *question, search)
    if not (kept := entries()):
        raise Wrong("right every time, and nothing is kept: where is the cache?")
    if len(search.asked) > again:
        why = (
            "The entries are there: search() is called before the cache is asked. Give get_or_set a lambda."
            if set(kept) == there
            else "Is there something in the key that differs each time?"
        )
        raise Wrong(
            f"{len(ORDINARY)} questions asked again were searched again {len(search.asked) - again} times, with "
            f"{len(kept)} entries there. {why}"
        )
    judge_elsewhere(answer, search)
    for key, left in kept.items():
        if not 580 <= left <= 600:
            raise Wrong(f"{key!r} lives {lifetime(left)}, and should for 600.")
    if len(kept) < len(set(questions)):
        raise Wrong(f"{len(set(questions))} questions are kept in {len(kept)} entries: give each one of its own.")
