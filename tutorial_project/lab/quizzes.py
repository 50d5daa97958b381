"""Questions with one right answer, where every other option is explained too."""

from collections.abc import Sequence
from dataclasses import dataclass

from .choices import display_choice
from .errors import LabError
from .exercises import load_lessons
from .progress_file import Entry, record

LETTERS = "abcdefgh"


@dataclass(frozen=True)
class Quiz:
    """A question, its options as pairs of text and explanation, and the index of the right one."""

    question: str
    options: Sequence[tuple[str, str]]
    right: int

    def __post_init__(self) -> None:
        if not (2 <= len(self.options) <= len(LETTERS) and 0 <= self.right < len(self.options)):
            raise ValueError(f"A quiz has 2 to {len(LETTERS)} options, one of them right: {self.question}")
        if any(not text or not explanation for text, explanation in self.options):
            raise ValueError(f"Every option of a quiz has a text and an explanation: {self.question}")


QUIZZES: dict[str, Quiz] = {}


def quiz(id: str, choice: str | int | None = None) -> None:
    """Put the quiz question `id`, with buttons; or answer it by `choice`: a letter, or a number from 1.

    Shows the explanation of the option chosen. Raises LabError when there is no such question.
    """
    if id not in QUIZZES:
        load_lessons()
    if id not in QUIZZES:
        raise LabError(f"There is no quiz question {id!r}. There are: {', '.join(sorted(QUIZZES)) or 'none'}.")
    question = QUIZZES[id]
    labels = [f"{letter}) {text}" for letter, (text, _) in zip(LETTERS, question.options, strict=False)]
    said, chosen = "", None
    if choice is not None and choice is not ...:
        chosen = _index(choice, len(labels))
        letters = f"a letter from a to {LETTERS[len(labels) - 1]}"
        said = f"{choice!r} is none of the options: answer with {letters}." if chosen is None else _answer(id, chosen)
    listed = "\n".join(f"  {label}" for label in labels)
    how = said or f'(Buttons are shown here in a live notebook. Without them, add your letter: quiz("{id}", "…"))'
    display_choice(
        f"{question.question}\n{listed}\n{how}",
        question.question,
        labels,
        lambda index: (_answer(id, index), index),
        said=said,
        chosen=chosen,
        stacked=True,
    )


def _index(choice: str | int, options: int) -> int | None:
    wanted = str(choice).strip().rstrip(")").lower()
    for index in range(options):
        if wanted in (LETTERS[index], str(index + 1)):
            return index
    return None


def _answer(id: str, index: int) -> str:
    """Record the answer; its explanation."""
    question = QUIZZES[id]
    right = index == question.right

    def change(old: Entry) -> Entry:
        return {"right": right or old.get("right", False), "tries": old.get("tries", 0) + 1, "last": LETTERS[index]}

    notice = record("quizzes", id, change)
    verdict = "is right." if right else "is not it."
    return f"{LETTERS[index]}) {verdict} {question.options[index][1]}\n{notice}".strip()
