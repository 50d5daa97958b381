"""From one source to three books, before anything runs: the learner's, the solutions and the instructor's edition.

A source is a jupytext percent file with four marks of its own:

- `# minutes: CORE, FULL` in a comment before the first cell;
- lines from `# solution-begin` to `# solution-end` stand in the solutions alone (a mark may close a line of code, which
  then belongs to the solution), and a line `# starter: CODE` becomes CODE in the learner's edition;
- a markdown cell tagged `instructor` stands in the instructor's edition alone;
- `{{header}}` and `{{map}}` are filled with what the other sources say.
"""

import hashlib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).resolve().parent.parent
FOLDERS = {"learner": ".", "solutions": "solutions", "instructor": "instructor"}
METADATA: dict[str, Any] = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    # Without the version of Python: the same notebook is built by any.
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}


class SourceError(Exception):
    """A source that cannot be built; the message names the file and what to mend."""


@dataclass(frozen=True)
class Source:
    """One notebook as its author wrote it; `minutes` are (core, full), or None where the source does not say."""

    name: str
    title: str
    minutes: tuple[int, int] | None
    cells: tuple[NotebookNode, ...]

    @property
    def editions(self) -> tuple[str, ...]:
        """The editions made from this source: the index is a learner's page alone."""
        return ("learner",) if self.name == "index" else tuple(FOLDERS)


def read_source(path: Path) -> Source:
    """The source at `path`, taken apart into cells. Raises SourceError where it cannot be a notebook of the course."""
    text = path.read_text(encoding="utf-8")
    start = re.search(r"^# %%", text, re.MULTILINE)
    if start is None:
        raise SourceError(f"{path.name} has no cell: a cell starts with a line `# %%`.")
    minutes = re.search(r"^# minutes: *(\d+), *(\d+) *$", text[: start.start()], re.MULTILINE)
    cells = jupytext.reads(text[start.start() :], fmt="py:percent").cells
    titles = [
        title
        for cell in cells
        if cell.cell_type == "markdown"
        for title in re.findall(r"^# (.+)$", _outside_fences(cell.source), re.MULTILINE)
    ]
    if len(titles) != 1:
        raise SourceError(f"{path.name} has {len(titles)} titles: write one line `# Title` in its first markdown cell.")
    for cell in cells:
        if "instructor" in _tags(cell) and cell.cell_type != "markdown":
            raise SourceError(f"{path.name}: an instructor cell is markdown, for the solutions' outputs are reused.")
    return Source(path.stem, titles[0].strip(), (int(minutes[1]), int(minutes[2])) if minutes else None, tuple(cells))


def read_sources(folder: Path) -> list[Source]:
    """Every source in `folder` in reading order: the numbered notebooks, then the index."""
    paths = sorted(folder.glob("[0-9][0-9]_*.py")) + sorted(folder.glob("index.py"))
    return [read_source(path) for path in paths]


def notebook_path(notebooks: Path, source: Source, edition: str) -> Path:
    """Where this edition of the source is kept."""
    return notebooks / FOLDERS[edition] / f"{source.name}.ipynb"


def edition_of(source: Source, edition: str, sources: list[Source]) -> NotebookNode:
    """The notebook of this edition, not yet executed, with ids that stay the same for as long as a cell's text does."""
    nb = nbformat.v4.new_notebook(metadata=METADATA)
    seen: dict[str, int] = {}
    for cell in source.cells:
        if "instructor" in _tags(cell) and edition != "instructor":
            continue
        if cell.cell_type == "markdown":
            new = nbformat.v4.new_markdown_cell(_filled(cell.source, source, edition, sources))
        elif cell.cell_type == "code":
            new = nbformat.v4.new_code_cell(solved(cell.source) if edition != "learner" else starter(cell.source))
        else:
            new = nbformat.v4.new_raw_cell(cell.source)
        new.metadata = NotebookNode({key: value for key, value in cell.metadata.items() if key != "lines_to_next_cell"})
        if edition == "instructor":
            new.metadata["slideshow"] = {"slide_type": _slide_type(new)}
        digest = hashlib.sha256(f"{new.cell_type}\n{new.source}".encode()).hexdigest()[:10]
        seen[digest] = seen.get(digest, 0) + 1
        new.id = f"{source.name[:2]}-{digest}" + (f"-{seen[digest]}" if seen[digest] > 1 else "")
        nb.cells.append(new)
    return nb


def starter(code: str) -> str:
    """What the learner finds in an exercise: the solution taken out, the starters put in."""
    kept, inside = [], False
    for line in code.splitlines():
        if "# solution-begin" in line:
            inside = True
        begin = re.match(r"(\s*)# starter: ?(.*)$", line)
        if begin:
            kept.append(begin[1] + begin[2])
        elif not inside:
            kept.append(line)
        if "# solution-end" in line:
            if not inside:
                raise SourceError(f"`# solution-end` without `# solution-begin` before it, in the cell:\n{code}")
            inside = False
    if inside:
        raise SourceError(f"`# solution-begin` without `# solution-end` after it, in the cell:\n{code}")
    return "\n".join(kept).strip("\n")


def solved(code: str) -> str:
    """The same cell solved: the marks and the starters taken out."""
    kept = []
    for line in code.splitlines():
        if re.match(r"\s*# (starter: ?.*|solution-begin|solution-end)$", line):
            continue
        kept.append(re.sub(r"\s*# solution-(begin|end)$", "", line))
    return "\n".join(kept).strip("\n")


def _tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def _outside_fences(markdown: str) -> str:
    return re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL)


def _slide_type(cell: NotebookNode) -> str:
    """A heading opens a slide, a text a slide below it, and code stands under the text that announces it."""
    if "instructor" in _tags(cell):
        return "notes"
    if cell.cell_type != "markdown":
        return "-"
    return "slide" if re.match(r"##? ", cell.source) else "subslide"


def _filled(markdown: str, source: Source, edition: str, sources: list[Source]) -> str:
    if "{{header}}" in markdown:
        markdown = markdown.replace("{{header}}", _header(source, edition, sources))
    return markdown.replace("{{map}}", _map(sources)) if "{{map}}" in markdown else markdown


def _header(source: Source, edition: str, sources: list[Source]) -> str:
    """How long, where to run it without installing, and the neighbours."""
    parts = []
    if source.minutes:
        parts.append(f"**Core {source.minutes[0]} minutes, everything {source.minutes[1]} minutes**")
    badge = _binder_badge(source)
    if badge:
        parts.append(badge)
    numbered = [other for other in sources if other.name != "index"]
    place = [other.name for other in numbered].index(source.name) if source in numbered else None
    if place:
        parts.append(f"[← {numbered[place - 1].title}]({numbered[place - 1].name}.ipynb)")
    if source.name != "index" and any(other.name == "index" for other in sources):
        parts.append(f"[All notebooks]({'' if edition == 'learner' else '../'}index.ipynb)")
    if place is not None and place + 1 < len(numbered):
        parts.append(f"[{numbered[place + 1].title} →]({numbered[place + 1].name}.ipynb)")
    return " · ".join(parts)


def _binder_badge(source: Source) -> str:
    """A badge that opens this notebook on Binder, once pyproject.toml names the repository (owner/name)."""
    settings = tomllib.loads((NOTEBOOKS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    repository = settings.get("tool", {}).get("course", {}).get("repository")
    if not repository:
        return ""
    address = f"https://mybinder.org/v2/gh/{repository}/HEAD?urlpath=lab/tree/work/{source.name}.ipynb"
    return f"[![Run this notebook on Binder](https://mybinder.org/badge_logo.svg)]({address})"


def _map(sources: list[Source]) -> str:
    rows = ["| | notebook | core, minutes | everything, minutes |", "|---|---|---|---|"]
    for other in sources:
        if other.name != "index":
            core, full = other.minutes or ("", "")
            rows.append(f"| {other.name[:2]} | [{other.title}]({other.name}.ipynb) | {core} | {full} |")
    return "\n".join(rows)
