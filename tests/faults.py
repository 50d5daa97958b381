"""Proof that green means something: a line of the code under test is broken in a copy, and a claim turns red.

`faults/<notebook>.toml` lists, for each claim that the notebook proves, one line of the code under test that, changed,
turns the claim's cell red. `old` stands exactly once in `file`. The change is made in a copy of the course, and what
the notebook's claims rest on is run, up to the claim's last cell.
"""

import contextlib
import io
import os
import sys
import tomllib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from slicing import claims_of, sliced


@dataclass(frozen=True)
class Fault:
    """A line of `file` that, changed from `old` to `new`, must turn a cell tagged `claim:<claim>` of `notebook` red.

    `name` says what is wrong with the course then."""

    claim: str
    notebook: str
    file: str
    old: str
    new: str
    name: str


def read_faults(folder: Path) -> list[Fault]:
    """The faults that the tables in `folder` list, notebook by notebook."""
    tables = [tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.toml"))]
    return [Fault(**entry) for table in tables for entry in table.get("fault", [])]


def claims_in(notebook: Path) -> set[str]:
    """The claims whose cells stand in a built notebook."""
    return {claim for cell in nbformat.read(notebook, as_version=4).cells for claim in claims_of(cell)}


def break_line(course: Path, fault: Fault) -> None:
    """Makes the change in the copy `course`. Raises ValueError where the line is not there exactly once."""
    path = course / fault.file
    text = path.read_text(encoding="utf-8")
    if text.count(fault.old) != 1:
        raise ValueError(f"{fault.file} holds {fault.old!r} {text.count(fault.old)} times; it must be once.")
    if "\n" in fault.old.strip("\n") or fault.old == fault.new:
        raise ValueError(f"The fault of {fault.claim} is not one changed line.")
    path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")


class Tried:
    """A pytest plugin that notes which claims a run made: those with a cell that failed, and the rest.

    Once `claim` is red, nothing more is run."""

    def __init__(self, claim: str | None) -> None:
        self.claim = claim
        self.red: set[str] = set()
        self.green: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        cell = getattr(item, "cell", None)
        if cell is None:
            return report
        if report.failed:
            self.red |= claims_of(cell)
        elif report.when == "call":
            self.green |= claims_of(cell)
        self.green -= self.red
        if self.claim in self.red:
            item.session.shouldstop = "the claim is red"
        return report


def tried(course: Path, notebook: str, claim: str | None = None, whole: bool = False) -> Tried:
    """Runs the notebook of the copy under nbval until a cell of the claim fails, or to its last one.

    Without a claim it runs to the last cell of any. Only what the claims rest on is run, as `slicing.py` says, unless
    the notebook is to be `whole`. Raises RuntimeError where nbval itself could not run."""
    path = course / "notebooks" / f"{notebook}.ipynb"
    nb = nbformat.read(path, as_version=4)
    if not whole:
        nb.cells = sliced(nb.cells)
    last = max(n for n, cell in enumerate(nb.cells) if claims_of(cell) & ({claim} if claim else claims_of(cell)))
    nb.cells = nb.cells[: last + 1]
    nbformat.write(nb, path)

    (course / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")  # not the settings of this run of pytest
    command = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout", "60", "-q", "-s"]
    command += ["-p", "nbval.plugin", "-p", "no:cacheprovider", "--rootdir", str(course), str(path)]
    noted, said = Tried(claim), io.StringIO()
    # Within this process: a new one takes two seconds to import what this one has imported.
    with process_state_kept(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        os.environ.update(PYTHONPATH=str(course), PYTHONDONTWRITEBYTECODE="1", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
        status = pytest.main(command, plugins=[noted])
    if status not in (0, 1, 2) or not noted.red | noted.green:  # 2: stopped
        raise RuntimeError(f"nbval did not run {notebook}:\n{said.getvalue()[-4000:]}")
    return noted


@contextlib.contextmanager
def process_state_kept() -> Iterator[None]:
    """Puts back what a run of pytest inside another one changes: the environment, the path, its conftest."""
    environment, path, conftest = dict(os.environ), list(sys.path), sys.modules.get("conftest")
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        sys.path[:] = path
        sys.modules.pop("conftest", None)
        if conftest:
            sys.modules["conftest"] = conftest
