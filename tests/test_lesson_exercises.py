"""Every exercise of the course: its starter, its solution, other right answers, and the wrong ones people write.

The answers stand in `answers/<exercise>.toml`. Each is put into the exercise's cell in place of the solution; a wrong
one `says` a pattern of the message with which it must be sent back.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache as once
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import editions
from conftest import ROOT
from learner import cell, said
from real_shop import fresh_lab, keys, running_lab  # noqa: F401
from tutorial_project.lab import exercises, progress_file, quizzes
from tutorial_project.lab.bench import Lab

# Loaded here, once: a test with exercises of its own takes them out again, and all that was loaded meanwhile with them.
exercises.load_lessons()
NUMBER = r"\d+\.\d+"
JUDGED = sorted(id for id in exercises.EXERCISES if re.fullmatch(NUMBER, id))
QUIZZES = {id: quiz for id, quiz in quizzes.QUIZZES.items() if re.fullmatch(NUMBER, id)}
ANSWERS = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "tests/answers").glob("*")}


class Posed(NamedTuple):
    """An exercise as its notebook poses it: the imports up to its cell, what the answer is called, the cell's code."""

    imports: str
    name: str
    starter: str
    solution: str


@once
def posed() -> dict[str, Posed]:
    """The exercises of the notebooks' sources, by id."""
    sources = editions.read_sources(ROOT / "notebooks/src")
    found: dict[str, Posed] = {}
    for source in sources[:-1]:  # all but the index
        learner, solved = (
            [cell for cell in editions.edition_of(source, edition, sources).cells if cell.cell_type == "code"]
            for edition in ("learner", "solutions")
        )
        for n, code in enumerate(learner):
            for id, name in re.findall(r'^check\("([^"]+)", (\w+)\)$', code.source, re.MULTILINE):
                at = max(i for i in range(n) if "exercise" in learner[i].metadata.get("tags", []))
                assert id not in found, f"{source.name} checks {id} again"
                found[id] = Posed(_imports(learner[: at + 1]), name, learner[at].source, solved[at].source)
    return found


def _imports(cells: list[Any]) -> str:
    lines = [line for cell in cells for line in ast.parse(cell.source).body]
    return "\n".join(ast.unparse(line) for line in lines if isinstance(line, ast.Import | ast.ImportFrom))


def answer(id: str, source: str) -> Any:
    """What the exercise's cell defines with `source` in it."""
    return cell(f"{posed()[id].imports}\n{source}", posed()[id].name)


def answers(kind: str, *parts: str) -> list[Any]:
    """The answers of a kind as parameters: the exercise's id and these parts of each."""
    return [
        pytest.param(id, *(each[part] for part in parts), id=f"{id} {each['what']}")
        for id, table in sorted(ANSWERS.items())
        for each in table.get(kind, ())
    ]


@pytest.fixture(autouse=True)
def progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file for this test's progress."""
    monkeypatch.setenv("TUTORIAL_PROGRESS", str(tmp_path / "progress.json"))
    progress_file.forget_kernel()
    yield
    progress_file.forget_kernel()


# What notebooks, lessons and answers know of each other


def test_every_exercise_has_a_judge_and_answers_and_the_other_way_round() -> None:
    assert sorted(posed()) == JUDGED == sorted(ANSWERS)


@pytest.mark.parametrize("id", JUDGED)
def test_every_exercise_is_tried_with_answers_enough(id: str) -> None:
    assert len(ANSWERS[id]["right"]) >= 1 and len(ANSWERS[id]["wrong"]) >= 3


def test_every_question_that_a_notebook_asks_is_known_and_the_other_way_round() -> None:
    cells = [cell for source in editions.read_sources(ROOT / "notebooks/src") for cell in source.cells]
    asked = [id for cell in cells for id in re.findall(r'^quiz\("([^"]+)"', cell.source, re.MULTILINE)]
    assert sorted(asked) == sorted(QUIZZES)


@pytest.mark.parametrize("id", QUIZZES)
def test_every_option_of_a_question_is_explained_in_its_own_words(id: str) -> None:
    texts, explanations = zip(*QUIZZES[id].options, strict=True)
    assert len(set(texts)) == len(set(explanations)) == len(texts) >= 3
    assert all(len(explanation.split()) >= 8 for explanation in explanations)


# Answers


@pytest.mark.parametrize("id", JUDGED)
def test_the_starter_is_not_attempted(id: str, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = said(capsys, answer(id, posed()[id].starter), id)
    assert verdict == f"{id} not attempted yet.", verdict


@pytest.mark.parametrize("id", JUDGED)
def test_the_solution_is_right(id: str, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = said(capsys, answer(id, posed()[id].solution), id)
    assert verdict.startswith(f"{id} Right: ") and "printed" not in verdict, verdict


@pytest.mark.parametrize(("id", "code"), answers("right", "code"))
def test_another_right_answer_is_right(id: str, code: str, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = said(capsys, answer(id, code), id)
    assert verdict.startswith(f"{id} Right: "), verdict


@pytest.mark.parametrize(("id", "code", "says"), answers("wrong", "code", "says"))
def test_a_wrong_answer_is_told_its_mistake(
    id: str, code: str, says: str, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = said(capsys, answer(id, code), id)
    assert verdict.startswith(f"{id} Not yet: ") and re.search(says, verdict), verdict
    assert keys() == []


@pytest.mark.parametrize(("id", "code", "says"), answers("hostile", "code", "says"))
def test_the_bench_outlives_a_hostile_answer(
    id: str, code: str, says: str, lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = lab.visit("/")
    with monkeypatch.context() as hurry:
        hurry.setitem(exercises.EXERCISES, id, replace(exercises.EXERCISES[id], seconds=1.0))
        verdict = said(capsys, answer(id, code), id)
    assert re.search(says, verdict) and "Traceback" not in verdict and "boot()" not in verdict, verdict
    after = lab.visit("/")
    assert (after.queries, after.text, keys()) == (before.queries, before.text, [])
    assert said(capsys, answer(id, posed()[id].solution), id).startswith(f"{id} Right: ")
