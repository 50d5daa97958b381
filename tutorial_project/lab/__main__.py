"""The course's command: `python -m tutorial_project.lab open` starts JupyterLab on it, `… doctor` says what it found.

usage: python -m tutorial_project.lab open [flags of jupyter lab]
       python -m tutorial_project.lab fill
       python -m tutorial_project.lab doctor
"""

import os
import subprocess
import sys

from .errors import LabError
from .workspace import WORK, fill, jupyterlab_arguments


def open_lab(flags: list[str]) -> int:
    """Fills the working folder and becomes JupyterLab on its start page; `flags` come last, so that they win."""
    fill()
    argv = [sys.executable, "-m", "jupyterlab", *jupyterlab_arguments(), *flags]
    if os.name == "nt":  # Windows has no exec that keeps the terminal
        return subprocess.call(argv)
    sys.stdout.flush()
    os.execv(argv[0], argv)


def main(argv: list[str]) -> int:
    """Runs the command in `argv` (without the program's name) and returns its exit status."""
    match argv:
        case ["open", *flags]:
            return open_lab(flags)
        case ["fill"]:
            added = fill()
            print(f"{WORK}: {', '.join(added) + ' added' if added else 'nothing to add, every notebook is there'}.")
            return 0
        case ["doctor"]:
            from .checkup import doctor

            doctor()
            return 0
        case ["-h" | "--help"]:
            print(__doc__)
            return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LabError as error:
        sys.exit(str(error))
