"""Builds the three editions of every notebook from its source, executed; with --check, says where they have drifted.

usage: python notebooks/src/build.py [NAME...] [--check [--unrun]] [-j 2]

A rebuild of an unchanged source changes nothing on disk: cell ids come from the cells' text, the kernel runs with a
fixed hash seed, and a cell whose output nbval ignores keeps the output it has for as long as its own text is the same.
"""

import argparse
import base64
import copy
import io
import os
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from PIL import Image

from editions import NOTEBOOKS, Source, SourceError, edition_of, notebook_path, read_sources

CELL_SECONDS = 120
WIDGET = "application/vnd.jupyter.widget-view+json"
# Set by whoever runs the build for something else; none of it may reach a kernel.
FOREIGN = (
    *("TUTORIAL_DATABASE", "DATABASE_URL", "REDIS_URL", "RATES_URL", "DJANGO_SETTINGS_MODULE", "DJANGO_DEBUG"),
    "IPYKERNEL_CELL_NAME",  # one name for all cells would hide the source of an answer
)


def execute(nb: NotebookNode, folder: Path) -> NotebookNode:
    """The notebook run from top to bottom in a kernel of this interpreter, in `folder`, with no progress of anybody's.

    Raises CellExecutionError, CellTimeoutError or DeadKernelError."""
    here = os.path.join(sys.prefix, "share", "jupyter", "kernels")
    kernels = KernelSpecManager(kernel_dirs=[here], ensure_native_kernel=True)
    with tempfile.TemporaryDirectory(prefix="course-build-") as own:
        env = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        env |= {
            "PYTHONHASHSEED": "0",
            "IPYTHONDIR": own,
            "TUTORIAL_PROGRESS": os.path.join(own, "progress.json"),
        }
        client = NotebookClient(
            nb,
            km=AsyncKernelManager(kernel_name="python3", kernel_spec_manager=kernels),
            timeout=CELL_SECONDS,
            record_timing=False,
            coalesce_streams=True,
            store_widget_state=False,
            extra_arguments=["--InteractiveShell.xmode=Minimal", "--log-level=40"],
            resources={"metadata": {"path": str(folder)}},
        )
        metadata = dict(nb.metadata)
        client.execute(env=env, cleanup_kc=True)
        nb.metadata = NotebookNode(metadata)  # the kernel's own words name the version of Python
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)
    return nb


def build(
    source: Source, sources: list[Source], notebooks: Path = NOTEBOOKS, run: bool = True
) -> dict[Path, NotebookNode]:
    """Every edition of one source, executed: {path: notebook}. Nothing is written.

    Not to be `run`, it is given the outputs that stand on disk, and the counts of a run from top to bottom."""
    built = {edition: edition_of(source, edition, sources) for edition in source.editions}
    if not run:
        unrun = {notebook_path(notebooks, source, edition): nb for edition, nb in built.items()}
        for path, nb in unrun.items():
            take_outputs(nb, path)
        return unrun
    for edition in ("learner", "solutions"):
        if edition in built:
            folder = notebook_path(notebooks, source, edition).parent
            folder.mkdir(exist_ok=True)
            execute(built[edition], folder)
    if "instructor" in built:
        # The same code as in the solutions, so the same outputs: no third run.
        outputs = {cell.id: cell for cell in built["solutions"].cells if cell.cell_type == "code"}
        for cell in built["instructor"].cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = outputs[cell.id].outputs, outputs[cell.id].execution_count
    return {notebook_path(notebooks, source, edition): nb for edition, nb in built.items()}


def take_outputs(nb: NotebookNode, path: Path) -> None:
    """Gives each code cell the outputs that it has in the notebook at `path`, if it is there, and its own count."""
    before = {cell.get("id"): cell for cell in nbformat.read(path, as_version=4).cells} if path.exists() else {}
    for count, cell in enumerate((cell for cell in nb.cells if cell.cell_type == "code"), 1):
        cell.execution_count = count
        cell.outputs = copy.deepcopy(before.get(cell.id, {}).get("outputs", []))
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count


def keep(new: NotebookNode, old: NotebookNode) -> None:
    """Puts the outputs on disk back into the new notebook, wherever a comparison would not tell them apart."""
    before = {cell.get("id"): cell for cell in old.cells}
    for cell in new.cells:
        if cell.cell_type == "code" and cell.id in before:
            kept = before[cell.id]
            if "outputs" in kept and (ignored(cell) or same_outputs(cell.outputs, kept.outputs)):
                cell.outputs = kept.outputs


def ignored(cell: NotebookNode) -> bool:
    """Whether nbval ignores what this cell puts out."""
    return "nbval-ignore-output" in cell.metadata.get("tags", []) or bool(
        re.search(r"^\s*#\s*NBVAL_IGNORE_OUTPUT\s*$", cell.source, re.MULTILINE)
    )


def same_outputs(new: list[Any], old: list[Any]) -> bool:
    """Whether two lists of outputs are equal, pictures by what they show and not by their bytes."""
    return len(new) == len(old) and all(_same_output(a, b) for a, b in zip(new, old, strict=True))


def _same_output(new: dict[str, Any], old: dict[str, Any]) -> bool:
    new_data, old_data = dict(new.get("data", {})), dict(old.get("data", {}))
    new_png, old_png = new_data.pop("image/png", None), old_data.pop("image/png", None)
    if (new_png is None) != (old_png is None):
        return False
    if new_png is not None and old_png is not None and not same_picture(new_png, old_png):
        return False
    return {**new, "data": new_data} == {**old, "data": old_data}


def same_picture(new: str, old: str) -> bool:
    """Whether two PNGs (base64) look alike: of one size, and at most one pixel in 500 visibly different.

    The same versions draw the same bytes on one kind of machine; another one may round an edge differently."""
    if new.strip() == old.strip():
        return True
    a, b = (np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA"), dtype=int) for png in (new, old))
    if a.shape != b.shape:
        return False
    visibly = np.abs(a - b).max(axis=2) > 24
    return float(visibly.mean()) <= 0.002


def differences(path: Path, new: NotebookNode) -> list[str]:
    """What stands in the notebook on disk and is not what its source says; a line for each, none when all is well."""
    shown = f"{path.parent.name}/{path.name}"
    if not path.exists():
        return [f"{shown} is missing: run `make build`."]
    old = nbformat.read(path, as_version=4)
    lines = [] if dict(old.metadata) == dict(new.metadata) else [f"{shown}: the notebook's metadata differs."]
    if [cell.get("id") for cell in old.cells] != [cell.id for cell in new.cells]:
        known = {cell.get("id") for cell in old.cells}
        first = next((cell for cell in new.cells if cell.id not in known), None)
        where = f", first at {_first_line(first)!r}" if first else ": cells were taken out or moved"
        return lines + [f"{shown} is not made from its source as it is now{where}. Run `make build`."]
    for number, (a, b) in enumerate(zip(new.cells, old.cells, strict=True)):
        what = [key for key in ("cell_type", "source", "metadata", "execution_count") if a.get(key) != b.get(key)]
        if a.cell_type == "code" and not ignored(a) and not same_outputs(a.outputs, b.outputs):
            what.append("outputs")
        if what:
            lines.append(f"{shown}, cell {number} ({a.id}, {_first_line(a)!r}): {', '.join(what)} differ.")
    return lines


def _first_line(cell: NotebookNode) -> str:
    return cell.source.partition("\n")[0][:70]


def orphans(sources: list[Source], notebooks: Path = NOTEBOOKS) -> list[str]:
    """A line for each notebook on disk that no source makes."""
    made = {notebook_path(notebooks, source, edition).resolve() for source in sources for edition in source.editions}
    there = [path for path in notebooks.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts]
    return [f"{path.relative_to(notebooks)} has no source: delete it." for path in there if path.resolve() not in made]


def write(path: Path, nb: NotebookNode) -> bool:
    """Writes the notebook whole or not at all; whether anything changed on disk."""
    nbformat.validate(nb)
    text = nbformat.writes(nb, version=4).rstrip("\n") + "\n"
    if path.exists() and path.read_bytes() == text.encode():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(text.encode())
    os.replace(temporary, path)
    return True


def chosen(names: list[str], sources: list[Source]) -> list[Source]:
    """The sources named, by their name, their number or their file; all of them when none is named."""
    if not names:
        return sources
    found = []
    for name in names:
        stem = Path(name).stem
        match = [source for source in sources if source.name == stem or source.name[:2] == stem]
        if not match:
            raise SourceError(f"There is no notebook {name!r}. There are: {', '.join(s.name for s in sources)}.")
        found += match
    return found


def _one(source: Source, sources: list[Source], notebooks: Path, check: bool, run: bool) -> list[str]:
    """Builds or checks one source; the lines to report, each a fault."""
    try:
        built = build(source, sources, notebooks, run)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        return [f"{source.name} does not run:\n{error}"]
    except SourceError as error:
        return [f"{source.name}: {error}"]
    if check:
        return [line for path, nb in built.items() for line in differences(path, nb)]
    for path, nb in built.items():
        if path.exists():
            keep(nb, nbformat.read(path, as_version=4))
        print(f"{path.relative_to(notebooks)}: {'written' if write(path, nb) else 'as it was'}", flush=True)
    return []


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit status, 1 when a notebook does not run or, with --check, has drifted."""
    parser = argparse.ArgumentParser(description="Build the three editions of the notebooks from their sources.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="a notebook, such as 01_why_cache or 01 (default: all)"
    )
    parser.add_argument("--check", action="store_true", help="build, compare with what is on disk, write nothing")
    parser.add_argument(
        "--unrun", action="store_true", help="with --check: run nothing, and believe what cells put out"
    )
    parser.add_argument("-j", type=int, default=1, metavar="N", help="notebooks at a time")
    parser.add_argument("--notebooks", type=Path, default=NOTEBOOKS, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.unrun and not options.check:
        parser.error("--unrun goes with --check")
    try:
        sources = read_sources(options.notebooks / "src")
        todo = chosen(options.names, sources)
    except SourceError as error:
        print(error, file=sys.stderr)
        return 1
    with ThreadPoolExecutor(max(1, options.j)) as pool:
        reports = pool.map(
            lambda source: _one(source, sources, options.notebooks, options.check, not options.unrun), todo
        )
        faults = [line for report in reports for line in report]
    if options.check:
        faults += orphans(sources, options.notebooks)
    print(
        "\n".join(faults)
        if faults
        else f"{len(todo)} notebooks {'are as their sources say' if options.check else 'built'}."
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
