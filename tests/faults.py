"""Proof that green means something: a line of the code under test is broken in a copy, and a claim turns red.

`faults/<notebook>.toml` lists, for each claim that the notebook proves, one line of the code under test that, changed,
turns the claim's cell red. `old` stands exactly once in `file`. The change is made in a copy of the course, and the
notebook is run up to the claim's last cell.
"""

import os
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import nbformat


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
    cells = nbformat.read(notebook, as_version=4).cells
    return {tag.removeprefix("claim:") for cell in cells for tag in cell.metadata.get("tags", []) if "claim:" in tag}


def break_line(course: Path, fault: Fault) -> None:
    """Makes the change in the copy `course`. Raises ValueError where the line is not there exactly once."""
    path = course / fault.file
    text = path.read_text(encoding="utf-8")
    if text.count(fault.old) != 1:
        raise ValueError(f"{fault.file} holds {fault.old!r} {text.count(fault.old)} times; it must be once.")
    if "\n" in fault.old.strip("\n") or fault.old == fault.new:
        raise ValueError(f"The fault of {fault.claim} is not one changed line.")
    path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")


def red_claims(course: Path, notebook: str, claim: str) -> set[str]:
    """Runs the notebook of the copy under nbval until a cell of the claim fails, or to its last one.

    Returns the claims of the cells that failed. Raises RuntimeError where nbval itself could not run."""
    path = course / "notebooks" / f"{notebook}.ipynb"
    nb = nbformat.read(path, as_version=4)
    last = max(n for n, cell in enumerate(nb.cells) if f"claim:{claim}" in cell.metadata.get("tags", []))
    nb.cells = nb.cells[: last + 1]
    nbformat.write(nb, path)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]

    report = course / "report.xml"
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "--nbval-cell-timeout", "60", "-q"]
    command += ["-p", "no:cacheprovider", "-p", "stop_when_red", f"--junitxml={report}", str(path)]
    search = os.pathsep.join([str(course), str(Path(__file__).parent)])
    env = {**os.environ, "PYTHONPATH": search, "PYTHONDONTWRITEBYTECODE": "1", "STOP_WHEN_RED": f"claim:{claim}"}
    done = subprocess.run(command, cwd=course, env=env, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1, 2):  # 2: stopped
        raise RuntimeError(f"nbval did not run {notebook}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    red = set()
    for case in ET.parse(report).getroot().iter("testcase"):
        number = re.search(r"Cell (\d+)", case.get("name", ""))
        if number and (case.find("failure") is not None or case.find("error") is not None):
            red |= {
                tag.removeprefix("claim:") for tag in code[int(number[1])].metadata.get("tags", []) if "claim:" in tag
            }
    return red
