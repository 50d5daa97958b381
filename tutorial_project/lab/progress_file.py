"""What a learner guessed, passed and answered: one JSON file, kept from one session to the next.

The file is `work/progress.json`, or the one that TUTORIAL_PROGRESS names; with `TUTORIAL_PROGRESS=:memory:` nothing is
read or written. Any number of kernels may write to it at once: each change is applied to what the file then holds,
under a lock. Where it cannot be written, changes wait in memory and go with the next one that succeeds.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

Entry = dict[str, Any]
Book = dict[str, dict[str, dict[str, Entry]]]  # notebook -> "predictions", "exercises" or "quizzes" -> id -> entry
Change = Callable[[Book], None]

LOCK_PATIENCE = 3.0  # seconds to wait for another kernel's write
KINDS = ("predictions", "exercises", "quizzes")

_notebook: str | None = None
_waiting: list[Change] = []  # changes that no file holds yet
_said: set[str] = set()


def set_notebook(name: str | None) -> None:
    """Let what follows count for the notebook `name`, such as "01_why_cache"; None leaves it as it is."""
    global _notebook
    if name:
        _notebook = name


def current_notebook() -> str:
    """The notebook this kernel works on: as `boot()` was told, or as Jupyter or VS Code says; "" if nobody does."""
    if _notebook:
        return _notebook
    session = os.environ.get("JPY_SESSION_NAME", "")
    if not session and (shell := sys.modules.get("__main__")):
        session = str(getattr(shell, "__vsc_ipynb_file__", ""))
    return Path(session).stem if session.endswith(".ipynb") else ""


def location() -> Path | None:
    """Where progress is kept; None if it is kept in memory alone."""
    named = os.environ.get("TUTORIAL_PROGRESS")
    if named:
        return None if named in (":memory:", os.devnull) else Path(named).expanduser().resolve()
    from .workspace import WORK

    return Path(WORK).resolve() / "progress.json"


def record(kind: str, id: str, change: Callable[[Entry], Entry]) -> str:
    """Replace this notebook's entry `id` of `kind` by `change(old entry)`, where no entry yet is {}.

    Returns "", or one line for the learner when it could not be saved (each such line comes once).
    """
    notebook = current_notebook() or "(no notebook)"

    def apply(book: Book) -> None:
        entries = book.setdefault(notebook, {}).setdefault(kind, {})
        entries[id] = change(entries.get(id, {}))

    _waiting.append(apply)
    path = location()
    if path is None:
        return ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            book, notice = _read(path)
            _apply_waiting(book)
            _write(path, book)
        _waiting.clear()
        return _once(notice)
    except OSError as error:
        why = error.strerror or str(error)
        return _once(
            f"Progress cannot be saved in {path.name} ({why}). It is kept until this kernel ends; "
            'progress(export="progress.html") in a folder that can be written keeps it for longer.'
        )


def recall(kind: str, id: str) -> Entry | None:
    """This notebook's entry `id` of `kind`, or None."""
    book, _ = everything()
    return book.get(current_notebook() or "(no notebook)", {}).get(kind, {}).get(id)


def everything() -> tuple[Book, str]:
    """All progress, by notebook, and a line for the learner about the file, or ""."""
    path, notice = location(), ""
    book: Book = {}
    if path is not None:
        try:
            with _locked(path):
                book, notice = _read(path)
        except OSError as error:
            with suppress(OSError):
                book, notice = _read(path)  # without the lock: a write replaces the whole file at once
            if not book and path.exists():
                notice = f"Progress in {path.name} cannot be read ({error.strerror or error})."
    _apply_waiting(book)
    return book, _once(notice)


def forget_kernel() -> None:
    """Forget what this kernel alone knows: its notebook, what waits to be saved, what was said. For tests."""
    global _notebook
    _notebook = None
    _waiting.clear()
    _said.clear()


def _apply_waiting(book: Book) -> None:
    for change in _waiting:
        change(book)


def _once(notice: str) -> str:
    if notice in _said:
        return ""
    _said.add(notice)
    return notice


def _read(path: Path) -> tuple[Book, str]:
    """The file's content, {} if there is none. A damaged file is put aside, never deleted, and the line says where."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}, ""
    try:
        book = json.loads(text)["notebooks"]
        for kinds in book.values():
            for entries in (kinds.get(kind, {}) for kind in KINDS):
                if not all(isinstance(entry, dict) for entry in entries.values()):
                    raise ValueError("an entry is no object")
        return book, ""
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        aside = path.with_name(f"{path.stem}-damaged-{datetime.now():%Y%m%d-%H%M%S-%f}{path.suffix}")
        os.replace(path, aside)
        return {}, f"{path.name} was damaged: it is now {aside.name}, and progress starts again in a new file."


def _write(path: Path, book: Book) -> None:
    """Replace the file at once, so that a reader or a crash never meets half of it."""
    if path.exists() and not path.is_file():
        raise IsADirectoryError(None, "it is not a plain file")
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            json.dump({"version": 1, "notebooks": book}, file, ensure_ascii=False, indent=1, default=float)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock beside `path`. OSError when it cannot be had; the system frees it when its holder ends."""
    with open(path.with_name(f".{path.name}.lock"), "a+b") as file:
        give_up = time.monotonic() + LOCK_PATIENCE
        while not _try_lock(file.fileno()):
            if time.monotonic() > give_up:
                raise TimeoutError(None, "another kernel holds it")
            time.sleep(0.01)
        yield  # closing the file frees the lock


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
