"""Every built notebook keeps the rules, and every rule can be broken."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

import hygiene
from conftest import ROOT

BOOKS = sorted(
    path for path in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.relative_to(ROOT).parts
)


@pytest.mark.parametrize("rule", hygiene.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", BOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_notebook_keeps_the_rule(path: Path, rule: hygiene.Rule) -> None:
    assert list(rule(nbformat.read(path, as_version=4))) == []


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_in_the_learners_edition_nothing_has_been_attempted(path: Path) -> None:
    checks = [
        cell for _, cell in hygiene.code_cells(nbformat.read(path, as_version=4)) if cell.source.startswith("check(")
    ]
    said = ["".join(output.get("text", "") for output in cell.outputs) for cell in checks]
    assert [line for line in said if not line.endswith(" not attempted yet.\n")] == []


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks/solutions").glob("*.ipynb")), ids=lambda path: path.stem)
def test_in_the_solved_edition_what_is_said_holds(path: Path) -> None:
    assert list(hygiene.what_is_said_holds(nbformat.read(path, as_version=4))) == []


def test_a_sentence_that_does_not_hold_is_seen() -> None:
    nb = toy()
    assert list(hygiene.what_is_said_holds(nb)) == []
    _set_text(nb, "2 workers\nA hit is faster: False\n")
    assert list(hygiene.what_is_said_holds(nb))


def names_in(edition: str) -> list[str]:
    return sorted(path.stem for path in (ROOT / "notebooks" / edition).glob("*.ipynb"))


def test_every_solved_notebook_has_one_for_the_instructor() -> None:
    assert names_in("instructor") == names_in("solutions")


@pytest.mark.parametrize("name", names_in("instructor"))
def test_the_instructors_edition_runs_what_the_solved_one_runs(name: str) -> None:
    instructor, solutions = (
        nbformat.read(ROOT / f"notebooks/{edition}/{name}.ipynb", as_version=4)
        for edition in ("instructor", "solutions")
    )
    assert hygiene.code_cells(solutions)
    assert list(hygiene.same_code(instructor, solutions)) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda nb: nb.cells[1].update(source="2 + 2"), "code cell 0 has another source"),
        (lambda nb: nb.cells[1].update(id="else"), "code cell 0 has another id"),
        (lambda nb: nb.cells[2].update(execution_count=7), "code cell 1 has another execution_count"),
        (lambda nb: _set_text(nb, "3"), "code cell 0 has another outputs"),
        (lambda nb: nb.cells[2].outputs.clear(), "code cell 1 has another outputs"),
        (lambda nb: nb.cells[1].metadata.update(tags=["nbval-ignore-output"]), "code cell 0 has another metadata"),
        (lambda nb: nb.cells.pop(), "code cell 1 is in one of the two alone"),
        (lambda nb: nb.metadata.update(kernelspec={"name": "another"}), "the notebooks' metadata differ"),
    ],
)
def test_an_instructors_edition_that_runs_something_else_is_seen(
    change: Callable[[NotebookNode], object], says: str
) -> None:
    instructor, solutions = toy(), toy()
    for a, b in zip(instructor.cells, solutions.cells, strict=True):
        a.id = b.id
    instructor.cells[1].metadata["slideshow"] = {"slide_type": "-"}
    instructor.cells.insert(1, nbformat.v4.new_markdown_cell("Ask the room first."))
    assert list(hygiene.same_code(instructor, solutions)) == []
    del instructor.cells[1]
    change(instructor)
    assert list(hygiene.same_code(instructor, solutions)) == [says]


def toy() -> NotebookNode:
    """A notebook that keeps every rule."""
    nb = nbformat.v4.new_notebook()
    figure = {
        "image/png": "aGk=",
        "text/html": '<img alt="queries fall from 24 to 0" src="">',
        "text/plain": "Figure: queries fall from 24 to 0 | 24, 0",
    }
    nb.cells = [
        nbformat.v4.new_markdown_cell("# Title\n\n```\n# not a heading\n```\n\n## Part\n\n### Piece"),
        nbformat.v4.new_code_cell(
            "1 + 1", execution_count=1, outputs=[nbformat.v4.new_output("stream", text="2, see GET /home/ in Django")]
        ),
        nbformat.v4.new_code_cell(
            "draw()", execution_count=2, outputs=[nbformat.v4.new_output("display_data", data=figure)]
        ),
    ]
    return nb


def test_the_toy_keeps_every_rule() -> None:
    assert [fault for rule in hygiene.RULES for fault in rule(toy())] == []


def _set_source(nb: NotebookNode, text: str) -> None:
    nb.cells[1].source = text


def _set_text(nb: NotebookNode, text: str) -> None:
    nb.cells[1].outputs[0].text = text


def _error(nb: NotebookNode) -> None:
    nb.cells[1].outputs.append(nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[]))


WAYS_TO_BREAK_IT = [
    (hygiene.executed_in_order, lambda nb: nb.cells[1].update(execution_count=None)),
    (hygiene.executed_in_order, lambda nb: nb.cells.pop(1)),
    (hygiene.nothing_is_skipped, lambda nb: nb.cells[1].metadata.update(tags=["nbval-skip"])),
    (hygiene.nothing_is_skipped, lambda nb: nb.cells[1].metadata.update(tags=["nbval-ignore-output"])),
    (hygiene.nothing_is_skipped, lambda nb: _set_source(nb, "# NBVAL_IGNORE_OUTPUT\n1")),
    (hygiene.no_errors, lambda nb: nb.cells[1].outputs[0].update(name="stderr")),
    (hygiene.no_errors, _error),
    (hygiene.no_errors, lambda nb: nb.cells[1].metadata.update(tags=["raises-exception"])),
    (hygiene.nothing_of_this_machine, lambda nb: _set_text(nb, "wrote /home/ann/shop.sqlite3")),
    (hygiene.nothing_of_this_machine, lambda nb: _set_text(nb, r"wrote C:\Users\ann")),
    (hygiene.nothing_of_this_machine, lambda nb: _set_text(nb, "on Django 5.2.19")),
    (hygiene.nothing_of_this_machine, lambda nb: _set_text(nb, "<Lab at 0x7f00aabbccdd>")),
    (hygiene.figures_say_what_they_show, lambda nb: nb.cells[2].outputs[0].data.pop("text/html")),
    (hygiene.figures_say_what_they_show, lambda nb: nb.cells[2].outputs[0].data.pop("text/plain")),
    (
        hygiene.figures_say_what_they_show,
        lambda nb: nb.cells[2].outputs[0].data.update({"text/html": '<img alt="a line chart">'}),
    ),
    (hygiene.cells_are_short, lambda nb: _set_source(nb, "x = 1\n" * 21)),
    (hygiene.cells_are_short, lambda nb: _set_source(nb, "\n")),
    (hygiene.headings_step_down, lambda nb: nb.cells[0].update(source="# Title\n\n### Piece")),
    (hygiene.headings_step_down, lambda nb: nb.cells[0].update(source="# Title\n\n# Another")),
    (hygiene.most_is_compared, lambda nb: nb.cells[1].metadata.update(tags=["nbval-ignore-output"], why="time")),
    (hygiene.no_mark_is_left, lambda nb: _set_source(nb, "x = 1  # solution-end")),
]


@pytest.mark.parametrize(("rule", "break_it"), WAYS_TO_BREAK_IT)
def test_every_rule_sees_what_it_forbids(rule: hygiene.Rule, break_it) -> None:
    nb = toy()
    break_it(nb)
    assert list(rule(nb))
    assert rule in hygiene.RULES


def test_nbval_collects_every_notebook() -> None:
    if not BOOKS:
        pytest.skip("no notebook is built yet")
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "--collect-only", "-q", "notebooks"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    collected = {line.partition("::")[0] for line in listed.splitlines() if "::" in line}
    with_code = {
        path.relative_to(ROOT).as_posix() for path in BOOKS if hygiene.code_cells(nbformat.read(path, as_version=4))
    }
    assert collected == with_code


def test_every_exemption_names_a_cell_and_says_why() -> None:
    table = tomllib.loads((ROOT / "tests/fakeredis_exempt.toml").read_text(encoding="utf-8"))
    for entry in table.get("exempt", []):
        nb = nbformat.read(ROOT / "notebooks" / f"{entry['notebook']}.ipynb", as_version=4)
        assert entry["cell"] in [cell.id for cell in nb.cells], f"{entry['cell']} is not in {entry['notebook']}"
        assert len(entry["reason"]) > 10, f"{entry['cell']}: say why a fake server cannot do it"
