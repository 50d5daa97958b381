"""What a learner has done so far, as a table, as a page of surprises, and as a file to take along."""

import html
import json
from collections.abc import Sequence
from pathlib import Path

from .choices import in_kernel
from .errors import LabError
from .progress_file import KINDS, Book, Entry, current_notebook, everything, set_notebook

__all__ = ["current_notebook", "my_surprises", "progress", "set_notebook"]

HEADINGS = ("notebook", "predictions right", "exercises passed", "quizzes right")
SUCCESS = {"predictions": "right", "exercises": "passed", "quizzes": "right"}
NOTHING_YET = "Nothing yet: what you guess, answer and pass is counted here."
NO_SURPRISES = "No surprises yet: wrong guesses are kept here, beside what was measured."


def progress(export: str | None = None) -> None:
    """Show, for each notebook, how many predictions were right, exercises passed and quiz questions answered rightly.

    "2 of 3" means: of the three that were tried. With `export`, a path that ends in .html (a page to read) or .json
    (all there is), it is written to that file instead. Raises LabError when that file cannot be written.
    """
    book, notice = everything()
    if notice:
        print(notice)
    if export is not None:
        _export(Path(export), book)
        print(f"Written: {export}")
        return
    rows = table(book)
    _show(_as_text(rows) if rows else NOTHING_YET, _as_html(rows) if rows else "")


def my_surprises() -> None:
    """Show your wrong predictions beside what was measured, notebook by notebook."""
    book, notice = everything()
    if notice:
        print(notice)
    found = surprises(book)
    _show(_surprises_as_text(found) if found else NO_SURPRISES, _surprises_as_html(found) if found else "")


def table(book: Book) -> list[tuple[str, ...]]:
    """A row for each notebook in which something was tried: its name, then "right of tried" for each kind."""
    rows = []
    for notebook, kinds in sorted(book.items()):
        counts = [_count(kind, kinds.get(kind, {})) for kind in KINDS]
        if any(tried for _, tried in counts):
            rows.append((notebook, *(f"{good} of {tried}" if tried else "–" for good, tried in counts)))
    return rows


def surprises(book: Book) -> list[tuple[str, Entry]]:
    """The wrong predictions, as pairs of notebook and entry, in the notebooks' order."""
    return [
        (notebook, entry)
        for notebook, kinds in sorted(book.items())
        for entry in kinds.get("predictions", {}).values()
        if "measured" in entry and not entry.get("right")
    ]


def _count(kind: str, entries: dict[str, Entry]) -> tuple[int, int]:
    # A guess that was not measured yet is neither right nor wrong.
    tried = [entry for entry in entries.values() if kind != "predictions" or "measured" in entry]
    return sum(bool(entry.get(SUCCESS[kind])) for entry in tried), len(tried)


def _show(text: str, page: str) -> None:
    if not in_kernel():
        print(text)
        return
    from IPython.display import display

    display({"text/plain": text} | ({"text/html": page} if page else {}), raw=True)


def _as_text(rows: Sequence[Sequence[str]]) -> str:
    lines = [HEADINGS, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _as_html(rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col" style="text-align: left">{heading}</th>' for heading in HEADINGS)
    body = "".join(
        f'<tr><th scope="row" style="text-align: left">{html.escape(name)}</th>'
        + "".join(f'<td style="text-align: left">{count}</td>' for count in counts)
        + "</tr>"
        for name, *counts in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _guessed(entry: Entry) -> str:
    from .predictions import as_shown

    return as_shown(entry.get("guess"))


def _surprises_as_text(found: Sequence[tuple[str, Entry]]) -> str:
    return "\n\n".join(
        f"{notebook}: {entry.get('question', '')}\n    you said  {_guessed(entry)}\n    measured  {entry['measured']}"
        for notebook, entry in found
    )


def _surprises_as_html(found: Sequence[tuple[str, Entry]]) -> str:
    cells = ((notebook, entry.get("question", ""), _guessed(entry), entry["measured"]) for notebook, entry in found)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align: left">{html.escape(str(cell))}</td>' for cell in row) + "</tr>"
        for row in cells
    )
    headings = ("notebook", "question", "you said", "measured")
    head = "".join(f'<th scope="col" style="text-align: left">{heading}</th>' for heading in headings)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _export(path: Path, book: Book) -> None:
    if path.suffix == ".json":
        content = json.dumps({"version": 1, "notebooks": book}, ensure_ascii=False, indent=1, default=float) + "\n"
    elif path.suffix == ".html":
        content = _page(book)
    else:
        raise LabError(f'progress() exports to a name that ends in .html or .json, and "{path.name}" does not.')
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise LabError(f"{path} could not be written ({error.strerror or error}): choose another folder.") from None


def _page(book: Book) -> str:
    rows, found = table(book), surprises(book)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>My progress</title>\n'
        "<style>:root { color-scheme: light dark } body { font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto;"
        " padding: 0 1em } table { border-collapse: collapse } td, th { border-bottom: 1px solid #8888; "
        "padding: .4em 1em .4em 0; vertical-align: top }</style></head><body>\n"
        f"<h1>My progress</h1>\n{_as_html(rows) if rows else f'<p>{NOTHING_YET}</p>'}\n"
        f"<h2>My surprises</h2>\n{_surprises_as_html(found) if found else f'<p>{NO_SURPRISES}</p>'}\n"
        "</body></html>\n"
    )
