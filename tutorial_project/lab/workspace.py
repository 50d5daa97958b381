"""The folder a learner works in: copies of the learner's edition, outputs cleared so that no answer is given away."""

import json
import os
from pathlib import Path
from typing import Any

from .errors import LabError

ROOT = Path(__file__).resolve().parent.parent.parent
NOTEBOOKS = ROOT / "notebooks"
WORK = Path(os.environ.get("TUTORIAL_WORK") or ROOT / "work").absolute()
START = "index"


def names() -> list[str]:
    """The notebooks of the learner's edition, in reading order, the index last."""
    numbered = sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    return numbered + [path.stem for path in NOTEBOOKS.glob(f"{START}.ipynb")]


def fresh_copy(name: str) -> bytes:
    """The notebook as a learner first meets it: the learner's edition, nothing run yet.

    Raises LabError where the course has no such notebook."""
    path = NOTEBOOKS / f"{name}.ipynb"
    if not path.is_file():
        raise LabError(f"The course has no notebook {name!r}. It has: {', '.join(names()) or 'none yet'}.")
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return (json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


def fill(work: Path = WORK) -> list[str]:
    """Copies into `work` each notebook that is not there yet, and returns their names; what is there is the learner's.

    Raises LabError where the folder cannot be written to."""
    added = []
    try:
        work.mkdir(parents=True, exist_ok=True)
        for name in names():
            try:
                with open(work / f"{name}.ipynb", "xb") as file:
                    file.write(fresh_copy(name))
                added.append(name)
            except FileExistsError:
                pass
    except OSError as error:
        raise LabError(
            f"Your copies of the notebooks cannot be written to {work} ({error.strerror or error}). "
            "Copy the course to a folder of yours, or set TUTORIAL_WORK to one."
        ) from error
    return added


def start_page(work: Path = WORK) -> str:
    """The file in `work` to open first: the index, or the first notebook where there is no index yet."""
    here = [name for name in [START, *names()] if (work / f"{name}.ipynb").exists()]
    return f"{here[0]}.ipynb" if here else ""


def jupyterlab_arguments(work: Path = WORK) -> list[str]:
    """The arguments for `jupyter lab`: on this machine alone, the start page open, no news pop-up.

    The folder served is the whole course, so that a notebook's links to the shop's own files open beside it."""
    inside = work.is_relative_to(ROOT)
    page = "/".join([*(work.relative_to(ROOT).parts if inside else ()), start_page(work)])
    arguments = [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={ROOT if inside else work}",
        f"--LabApp.default_url=/lab/tree/{page}",
        f"--LabApp.app_settings_dir={Path(__file__).parent / 'jupyterlab'}",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")  # the usual case in a container; nobody else can reach 127.0.0.1 there
    return arguments
