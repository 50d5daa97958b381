"""The rules that every built notebook keeps; each takes a notebook and yields a line for every fault it sees."""

import json
import re
from collections.abc import Callable, Iterator
from itertools import zip_longest
from statistics import median

from nbformat import NotebookNode

Rule = Callable[[NotebookNode], Iterator[str]]
MAX_LINES, MEDIAN_LINES, COMPARED_SHARE = 20, 5, 0.9
IGNORED = {"nbval-ignore-output"}
# Cells that show nothing measured: they count neither for nor against the share that is compared.
NOT_MEASURING = re.compile(r"\b(boot|predict|quiz|check|doctor|progress|my_surprises|reset)\(")
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/<-])/(?:root|home|tmp|Users|work|var|private|opt|usr)/\w|\b[A-Z]:\\\\?\w")
VERSION = re.compile(r"(?i)\b(?:python|django|redis|valkey|jupyterlab|pandas|matplotlib|sqlite)[ /=v]*\d+\.\d+")
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}|<Figure size ")
EMPTY_ALT = re.compile(r"(?i)^(an? |the )?(figure|chart|line chart|bar chart|plot|graph|image|picture|diagram)?[\s.]*$")


def tags(cell: NotebookNode) -> set[str]:
    """The tags of a cell."""
    return set(cell.metadata.get("tags", []))


def code_cells(nb: NotebookNode) -> list[tuple[int, NotebookNode]]:
    """The code cells with their numbers as nbval counts them."""
    return list(enumerate(cell for cell in nb.cells if cell.cell_type == "code"))


def is_ignored(cell: NotebookNode) -> bool:
    """Whether nbval ignores the cell's output."""
    return bool(tags(cell) & IGNORED)


def executed_in_order(nb: NotebookNode) -> Iterator[str]:
    """A cell without a count is run by nbval and never compared."""
    for number, cell in code_cells(nb):
        if cell.execution_count != number + 1:
            yield f"code cell {number} has execution count {cell.execution_count}, not {number + 1}"


def nothing_is_skipped(nb: NotebookNode) -> Iterator[str]:
    """Every ignored output says why, and is ignored by its tag, where it can be seen."""
    for number, cell in code_cells(nb):
        if tags(cell) & {"nbval-skip", "skip-execution"} or re.search(r"^\s*#\s*NBVAL_", cell.source, re.MULTILINE):
            yield f"code cell {number} is skipped, or marked by a comment: use the tag nbval-ignore-output"
        if is_ignored(cell) and len(cell.metadata.get("why", "")) < 3:
            yield f"code cell {number} ignores its output and does not say why"


def no_errors(nb: NotebookNode) -> Iterator[str]:
    """No stderr at all, and no error but in a cell that says it raises one."""
    for number, cell in code_cells(nb):
        for output in cell.outputs:
            if output.get("name") == "stderr":
                yield f"code cell {number} writes to stderr: {output.text[:60]!r}"
            if output.output_type == "error" and "raises-exception" not in tags(cell):
                yield f"code cell {number} fails: {output.ename}"
        if "raises-exception" in tags(cell) and not any(o.output_type == "error" for o in cell.outputs):
            yield f"code cell {number} is tagged raises-exception and raises none"


def nothing_of_this_machine(nb: NotebookNode) -> Iterator[str]:
    """No absolute path, version number or address in an output that is compared."""
    for number, cell in code_cells(nb):
        if is_ignored(cell):
            continue
        for text in _texts(cell):
            for what, pattern in (("path", ABSOLUTE_PATH), ("version", VERSION), ("address", ADDRESS)):
                found = pattern.search(text)
                if found:
                    yield f"code cell {number} shows a {what} of this machine: {found[0]!r}"


def figures_say_what_they_show(nb: NotebookNode) -> Iterator[str]:
    """A picture carries an alt text of its own, and its numbers as text for nbval."""
    for number, cell in code_cells(nb):
        for data in (output.get("data", {}) for output in cell.outputs):
            if "image/png" in data:
                alt = re.search(r'<img\b[^>]*\balt="([^"]*)"', data.get("text/html", ""))
                if alt is None or EMPTY_ALT.match(alt[1]) or len(alt[1]) < 20:
                    yield f"code cell {number} has a figure without an alt text that says what it shows"
            if "image/svg+xml" in data:
                yield f"code cell {number} has an SVG, which never compares equal"
            if {"image/png", "text/html"} & set(data) and not data.get("text/plain", "").strip():
                yield f"code cell {number} shows something that has no text/plain to compare"
            if "text/html" in data and re.match(r"<[\w.]+ object", data.get("text/plain", "")):
                yield f"code cell {number} shows a page whose text/plain says nothing: {data['text/plain'][:40]!r}"


def cells_are_short(nb: NotebookNode) -> Iterator[str]:
    """At most twenty lines a cell, five or fewer in the median, none empty."""
    lengths = [len([line for line in cell.source.splitlines() if line.strip()]) for _, cell in code_cells(nb)]
    for number, length in enumerate(lengths):
        if not 0 < length <= MAX_LINES:
            yield f"code cell {number} has {length} lines"
    if lengths and median(lengths) > MEDIAN_LINES:
        yield f"the median code cell has {median(lengths)} lines"


def headings_step_down(nb: NotebookNode) -> Iterator[str]:
    """One H1, at the top; no level skipped."""
    text = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    levels = [len(marks) for marks in re.findall(r"^(#{1,6}) \S", text, re.MULTILINE)]
    if levels[:1] != [1] or levels.count(1) != 1:
        yield f"the headings are of levels {levels[:5]}…: one H1, first, is wanted"
    for above, below in zip(levels, levels[1:], strict=False):
        if below > above + 1:
            yield f"a heading of level {below} follows one of level {above}"


def most_is_compared(nb: NotebookNode) -> Iterator[str]:
    """Nine in ten of the cells that measure are compared, and after each that is not comes one that is."""
    cells = [cell for _, cell in code_cells(nb)]
    measuring = [cell for cell in cells if cell.outputs and not NOT_MEASURING.search(cell.source)]
    share = sum(not is_ignored(cell) for cell in measuring) / len(measuring) if measuring else 1.0
    if share < COMPARED_SHARE:
        yield f"only {share:.0%} of the {len(measuring)} cells that measure are compared"
    for cell, following in zip_longest(measuring, measuring[1:]):
        timed = is_ignored(cell) and "millisecond" in cell.metadata.get("why", "")
        if timed and (following is None or is_ignored(following)):
            yield f"a timing without a sentence after it: {cell.source[:60]!r}"


def what_is_said_holds(nb: NotebookNode) -> Iterator[str]:
    """What a cell prints with its verdict is true, in a solved notebook: a busy machine may build a False."""
    for number, cell in code_cells(nb):
        for text in _texts(cell):
            if found := re.search(r"^.*: False$", text, re.MULTILINE):
                yield f"code cell {number} refutes what it says: {found[0]!r}"


def same_code(instructor: NotebookNode, solutions: NotebookNode) -> Iterator[str]:
    """The instructor's edition has the code of the solved one, cell for cell, with its tags, outputs and counts.

    So a run of the solved one is a run of both."""
    theirs, solved = ([cell for _, cell in code_cells(nb)] for nb in (instructor, solutions))
    for number, (a, b) in enumerate(zip_longest(theirs, solved)):
        if a is None or b is None:
            yield f"code cell {number} is in one of the two alone"
            continue
        kept = {key: value for key, value in a.metadata.items() if key != "slideshow"}
        differing = [key for key in ("id", "source", "execution_count", "outputs") if a.get(key) != b.get(key)]
        if differing := differing + ["metadata"] * (kept != dict(b.metadata)):
            yield f"code cell {number} has another {', '.join(differing)}"
    if instructor.metadata != solutions.metadata:
        yield "the notebooks' metadata differ"


def no_mark_is_left(nb: NotebookNode) -> Iterator[str]:
    """Nothing of the source's marks is left, and no widget that lives in the author's kernel alone."""
    text = json.dumps(nb)
    for mark in ("solution-begin", "solution-end", "# starter:", "{{header}}", "{{map}}", "widget-view+json"):
        if mark in text:
            yield f"{mark!r} is left in it"


def _texts(cell: NotebookNode) -> Iterator[str]:
    for output in cell.outputs:
        if output.output_type == "stream":
            yield output.text
        elif output.output_type == "error":
            yield output.evalue
        for kind in ("text/plain", "text/html", "text/markdown"):
            yield output.get("data", {}).get(kind, "")


RULES: tuple[Rule, ...] = (
    executed_in_order,
    nothing_is_skipped,
    no_errors,
    nothing_of_this_machine,
    figures_say_what_they_show,
    cells_are_short,
    headings_step_down,
    most_is_compared,
    no_mark_is_left,
)
