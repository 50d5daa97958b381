"""What a notebook's claims rest on stays in its slice, and what only measures for a figure does not."""

import nbformat
import pytest

from slicing import sliced

BENCH = "from bench import lab, cache, draw"


def left(*cells: str, claimed: str = "print(shown)") -> list[str]:
    """The sources of the cells that are left of these, after the imports and before the claim's own."""
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (BENCH, *cells, claimed)])
    nb.cells[-1].metadata["tags"] = ["claim:W1"]
    found = sliced([nbformat.v4.new_markdown_cell("# Toy"), *nb.cells])
    assert found[0].source == BENCH and found[-1].source == claimed
    return [cell.source for cell in found[1:-1]]


@pytest.mark.parametrize(
    "cells",
    [
        ["run = lab.replay(60)", "lab.scoreboard(before=run)"],
        ["run = lab.replay(60)", "hits = run['hits'].sum()", "print(hits)"],
        ["with lab.layered():\n    run = lab.replay(60)\nrun"],
        ["for n in (1, 2):\n    lab.replay(n)"],
        ["shown = lab.replay(60)", "shown"],
    ],
)
def test_what_only_measures_is_left_out(cells: list[str]) -> None:
    assert left(*cells, claimed="print('nothing of it')") == []


@pytest.mark.parametrize(
    "cells",
    [
        ["shown = lab.replay(60)"],
        ["run = lab.replay(60)", "shown = len(run)"],
        ["run = lab.replay(60)", "def hits():\n    return run['hits']", "shown = hits()"],
        ["def hits():\n    return run['hits']", "run = lab.replay(60)", "shown = hits()"],  # bound after the function
        ["run = lab.replay(60)", "shown = 1", "shown += len(run)"],
        ["run = lab.replay(60)", "for each in run:\n    shown = each"],
        ["run = lab.replay(60)", "with lab.layered():\n    shown = len(run)"],
        ["lab.mount('', view)", "cache.set('a', 1)", "shown = 1", "print('what changes the bench, or may')"],
    ],
)
def test_what_a_claim_reads_stays_however_indirectly(cells: list[str]) -> None:
    assert left(*cells) == cells


def test_a_name_given_again_is_another() -> None:
    assert left("shown = lab.replay(60)", "shown = 2") == ["shown = 2"]
    assert left("name = lab.replay(60)", "shown = [name for name in 'ab']") == ["shown = [name for name in 'ab']"]
    assert left("name = lab.replay(60)", claimed="for name in 'ab':\n    print(name)") == []


def test_a_cell_that_lost_a_statement_is_not_compared_and_a_claims_cell_loses_none() -> None:
    cells = [nbformat.v4.new_code_cell(source) for source in ("lab.restore()\nlab.replay(60)", "lab.replay(60)")]
    cells[1].metadata["tags"] = ["claim:W1"]
    cut, claimed = sliced(cells)
    assert cut.source == "lab.restore()" and cut.metadata["tags"] == ["nbval-ignore-output"]
    assert claimed == cells[1] and cells[0].source == "lab.restore()\nlab.replay(60)"


def test_a_function_of_the_notebook_that_measures_is_one_more_way_to() -> None:
    defined = "def on_home(view):\n    lab.mount('', view)\n    return lab.replay(60)"
    assert left(defined, "run = on_home(1)", "run", claimed="print(1)") == [defined]
    assert left(defined, "shown = on_home(1)") == [defined, "shown = on_home(1)"]
