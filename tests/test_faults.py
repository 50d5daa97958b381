"""Each claim's cell goes red when the line it depends on is broken, and only then.

COURSE_FAULTS=whole (`make faults`) runs all of a notebook's cells, not only what its claims rest on."""

import os
from pathlib import Path

import pytest

import build
import faults
from conftest import ROOT, copy_course

TABLE = faults.read_faults(ROOT / "tests/faults")


def red_on(notebook: str) -> type:
    """The tests of one notebook's faults: a class, which pytest-xdist hands to one process, beside the others'."""
    table = [fault for fault in TABLE if fault.notebook == notebook]
    whole = os.environ.get("COURSE_FAULTS") == "whole"

    @pytest.mark.slow
    class Faults:
        def test_with_nothing_broken_every_claim_is_green(self, tmp_path: Path) -> None:
            course = copy_course(tmp_path)
            claims = faults.claims_in(course / f"notebooks/{notebook}.ipynb")
            done = faults.tried(course, notebook, whole=whole)
            assert (done.red, done.green) == (set(), claims)

        @pytest.mark.parametrize("fault", table, ids=lambda fault: f"{fault.claim} {fault.name}")
        def test_the_claim_turns_red(self, fault: faults.Fault, tmp_path: Path) -> None:
            course = copy_course(tmp_path)
            faults.break_line(course, fault)
            red = faults.tried(course, fault.notebook, fault.claim, whole).red
            says = f"{fault.file}: {fault.new!r} leaves {fault.claim} green; red are {red or 'none'}"
            assert fault.claim in red, says

    return Faults


globals().update({f"Test{notebook}": red_on(notebook) for notebook in sorted({fault.notebook for fault in TABLE})})


@pytest.mark.parametrize("fault", TABLE, ids=lambda fault: f"{fault.claim} {fault.name}")
def test_the_line_to_break_is_there_once(fault: faults.Fault) -> None:
    assert (ROOT / fault.file).read_text(encoding="utf-8").count(fault.old) == 1


def test_every_claim_that_a_notebook_makes_has_a_fault() -> None:
    made = {
        (path.stem, claim) for path in (ROOT / "notebooks").glob("[0-9]*.ipynb") for claim in faults.claims_in(path)
    }
    assert made - {(fault.notebook, fault.claim) for fault in TABLE} == set()


SOURCE = """\
# %% [markdown]
# # Toy

# %%
import sys
from pathlib import Path
from toy_bench import hits

# %% tags=["claim:W1", "answer"]
hits(10)

# %% tags=["claim:W2"]
"a constant: nothing can turn it red"

# %%
"after it"
"""


@pytest.fixture
def course(tmp_path: Path) -> Path:
    (tmp_path / "notebooks/src").mkdir(parents=True)
    (tmp_path / "notebooks/src/00_toy.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "toy_bench.py").write_text("def hits(n: int) -> int:\n    return n - 1\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        assert build.main(["--notebooks", str(tmp_path / "notebooks")]) == 0
    return tmp_path


BROKEN = faults.Fault("W1", "00_toy", "toy_bench.py", "return n - 1", "return n - 2", "one hit too few")


@pytest.mark.slow
def test_a_broken_line_turns_its_claim_red_and_no_other(course: Path) -> None:
    assert faults.claims_in(course / "notebooks/00_toy.ipynb") == {"W1", "W2"}
    whole = faults.tried(course, "00_toy", "W2")
    assert (whole.red, whole.green) == (set(), {"W1", "W2"})
    faults.break_line(course, BROKEN)
    broken = faults.tried(course, "00_toy", "W2")
    assert (broken.red, broken.green) == ({"W1"}, {"W2"})
    assert faults.tried(course, "00_toy", "W1").green == set()


@pytest.mark.parametrize("old", ["no such line", "n"])
def test_a_fault_names_one_line_that_is_there(tmp_path: Path, old: str) -> None:
    (tmp_path / "toy_bench.py").write_text("return n - 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="must be once"):
        faults.break_line(tmp_path, faults.Fault("W1", "00_toy", "toy_bench.py", old, "x", "no line"))
