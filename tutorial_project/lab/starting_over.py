"""Starting one notebook anew."""

import os
import tempfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from . import workspace
from .errors import LabError
from .progress_file import current_notebook


def reset(notebook: str | None = None) -> None:
    """Put this notebook's working copy, cache and database back as they were at the start; progress is kept.

    The copy as last saved goes to `work/kept/`. Prints what was done. `notebook` names another than this kernel's.
    Raises LabError when no notebook of that name exists, or its copy cannot be written.
    """
    name = notebook or current_notebook()
    if not name:
        raise LabError('Nobody told which notebook this is: name it, as in reset("01_why_cache").')
    fresh = workspace.fresh_copy(name)
    if name == current_notebook():
        print(_reset_bench())
    print(_reset_copy(name, fresh))


def _reset_bench() -> str:
    from .bench import current

    try:
        lab = current()
    except LabError:
        return "The shop is not running: its cache and database are new with the next boot()."
    lab.restore()
    lab.restore_database()
    lab.empty_cache()
    return "The cache is empty, the database as it was at the start."


def _reset_copy(name: str, fresh: bytes) -> str:
    copy = Path(workspace.WORK) / f"{name}.ipynb"
    shown = f"{copy.parent.name}/{copy.name}"
    try:
        old = copy.read_bytes() if copy.exists() else None
        if old == fresh:
            return f"{shown} is as it was at the start already."
        kept = _keep(copy, old) if old is not None else None
        _replace(copy, fresh)
    except OSError as error:
        raise LabError(
            f"{shown} could not be written ({error.strerror or error}), and is as it was. "
            "Free some space, or make the folder writable, then run reset() again."
        ) from None
    if kept is None:
        return f"A fresh copy is at {shown}."
    return (
        f"{shown} is fresh; what you had saved is kept as {shown.split('/')[0]}/kept/{kept}.\n"
        "To see it here: File > Reload Notebook from Disk. Progress is kept."
    )


def _keep(copy: Path, old: bytes) -> str:
    """Save the old copy under a name not taken yet, and return that name."""
    folder = copy.parent / "kept"
    folder.mkdir(exist_ok=True)
    stem = f"{copy.stem}-{datetime.now():%Y%m%d-%H%M%S}"
    for number in range(100):
        name = f"{stem}{f'-{number}' if number else ''}.ipynb"
        with suppress(FileExistsError), open(folder / name, "xb") as file:
            file.write(old)
            return name
    raise FileExistsError(None, "too many copies are kept from this second")


def _replace(copy: Path, content: bytes) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{copy.name}-", dir=copy.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)  # mkstemp makes it readable by its owner alone
        os.replace(temporary, copy)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
