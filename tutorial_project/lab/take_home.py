"""`manage.py take PATTERN PATH`: a pattern, its tests and its licence, copied into a project of the reader's.

All or nothing: whatever can be known beforehand is asked before the first file is written, and a copy that fails all
the same (a full disk) takes away what it has written. A file that is there is never written to.
"""

import keyword
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .errors import LabError
from .patterns import ROOT, files, modules, patterns

USAGE = """\
usage: python tutorial_project/manage.py take PATTERN PATH

Copies a pattern of caching/ into the folder PATH, which becomes a Python package in a project of yours: its modules,
its tests and its licence. Nothing that is there is overwritten."""


@dataclass(frozen=True)
class Place:
    """The package that a pattern goes to, and the folder from which its imports start."""

    folder: Path
    root: Path
    in_project: bool  # whether `root` is where a manage.py stands

    @property
    def package(self) -> str:
        """Its dotted name, as an import in the reader's project has it."""
        return ".".join(self.folder.relative_to(self.root).parts)


def command(arguments: list[str]) -> str:
    """What `manage.py take` prints for the words that follow it; LabError in one line where it cannot do them."""
    match arguments:
        case [] | ["-h" | "--help", *_]:
            return f"{USAGE}\n\n{listing()}"
        case [pattern]:
            raise LabError(f"Say where to: manage.py take {known(pattern)} PATH, such as ../shop/caching.")
        case [pattern, path]:
            return take(known(pattern), path)
    raise LabError(f"take copies one pattern to one folder, and was given {len(arguments)} words: PATTERN PATH it is.")


def listing() -> str:
    """A line for each pattern: its name and what it is."""
    found = patterns()
    width = max(map(len, found))
    return "\n".join(f"  {name:<{width}}  {said}" for name, said in found.items())


def known(pattern: str) -> str:
    """The pattern's name, or LabError with those that there are."""
    found = patterns()
    if pattern in found:
        return pattern
    bringing = [name for name in found if pattern in modules(name)]
    hint = f" {pattern} comes along with {' and '.join(bringing)}." if bringing else ""
    raise LabError(f"There is no pattern {pattern!r}. There are: {', '.join(found)}.{hint}")


def take(pattern: str, path: str) -> str:
    """Copy the pattern into the folder at `path`; returns what was copied and how to run its tests.

    Raises LabError, with nothing written, where the folder or a file in it is in the way."""
    with looking_at(path):
        place = place_at(path)
    texts = files(pattern, place.package)
    with looking_at(path):
        new = new_files(place.folder, texts)
    write({place.folder / name: texts[name] for name in new})
    return told(place, list(texts), new)


@contextmanager
def looking_at(path: str) -> Iterator[None]:
    """LabError where what is at `path` cannot be seen."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # a RuntimeError: symbolic links that lead in a circle
        reason = getattr(error, "strerror", None) or error
        raise LabError(f"{path} cannot be read ({reason}). Choose a folder of yours.") from error


def place_at(path: str) -> Place:
    """The package at `path`; LabError where Python could not import it, or where it would be in the way."""
    if not path.strip():
        raise LabError("PATH is empty: name a folder in a project of yours.")
    folder = Path(os.path.expanduser(path)).resolve()
    if folder.is_relative_to(ROOT):
        raise LabError(f"{folder} is inside the course: name a folder in a project of your own.")
    if folder.exists() and not folder.is_dir():
        raise LabError(f"{folder} is a file: name a folder, which becomes a Python package.")
    if not folder.parent.is_dir():
        raise LabError(f"There is no folder {folder.parent}: make it first, or correct the path.")
    if folder == folder.parent or (folder / "manage.py").exists():
        raise LabError(f"{folder} is no package of a project: name a folder inside it, such as {folder / 'caching'}.")
    project = next((parent for parent in folder.parents if (parent / "manage.py").is_file()), None)
    root = project or next(parent for parent in folder.parents if not (parent / "__init__.py").exists())
    for name in folder.relative_to(root).parts:
        check_name(name)
    check_not_hiding(folder, root)
    return Place(folder, root, project is not None)


def check_name(name: str) -> None:
    """LabError where a folder of this name cannot be imported."""
    if keyword.iskeyword(name):
        raise LabError(f"Python cannot import a package called {name!r}, a word of its own: call it {name}_ or so.")
    if not name.isidentifier():
        better = re.sub(r"\W", "_", name)
        better = better if better.isidentifier() else f"_{better}"
        raise LabError(f"Python cannot import a package called {name!r}: call it {better} or so.")


def check_not_hiding(folder: Path, root: Path) -> None:
    """LabError where the package would stand before a module of the same name."""
    if folder.exists():
        return
    if folder.parent == root and folder.name in {*sys.stdlib_module_names, "django"}:
        raise LabError(f"A package called {folder.name!r} would hide the one that Python has: call it another name.")
    if folder.with_name(f"{folder.name}.py").exists():
        raise LabError(f"{folder} would hide the module {folder.name}.py beside it: call it another name.")


def new_files(folder: Path, texts: dict[str, str]) -> list[str]:
    """Which of these files are to be written; those that are there already have the same text, or it is a LabError."""
    different, new = [], []
    for name, text in texts.items():
        check_nothing_hidden(folder, PurePosixPath(name))
        target = folder / name
        if not target.exists():
            new.append(name)
        elif target.name != "__init__.py" and _text(target) != text:
            different.append(name)
    if different:
        raise LabError(
            f"Nothing was copied: {folder} has {', '.join(different)} already, with another content. "
            "Take the pattern to a new folder and compare, or move yours out of the way."
        )
    return new


def check_nothing_hidden(folder: Path, name: PurePosixPath) -> None:
    """LabError where a module and a package of one name would stand side by side: the module would not be found."""
    package = folder / name.with_suffix("")
    if name.suffix == ".py" and (package / "__init__.py").exists():
        raise LabError(f"{package} would hide {name.name}: take the pattern to another folder.")
    for parent in name.parents[:-1]:
        module = folder / parent.with_suffix(".py")
        if module.exists():
            raise LabError(
                f"A folder {parent}/ would hide your {module}: take the pattern to a folder of its own, "
                f"such as {folder / 'caching'}."
            )


def write(texts: dict[Path, str]) -> None:
    """Write all of these files, which are not there, and the folders that they need; or none, and LabError."""
    made: list[Path] = []
    try:
        for path, text in texts.items():
            for parent in [parent for parent in reversed(path.parents) if not parent.exists()]:
                parent.mkdir()
                made.append(parent)
            with open(path, "x", encoding="utf-8", newline="\n") as file:
                made.append(path)
                file.write(text)
    except BaseException as error:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        if isinstance(error, OSError):
            raise LabError(
                f"Nothing was copied: {error.filename or path} cannot be written ({error.strerror or error}). "
                "Choose a folder that you can write to, on a disk that has room."
            ) from error
        raise


def told(place: Place, names: list[str], new: list[str]) -> str:
    """What was copied where, and what to do next."""
    lines = [f"{place.folder}:", *(f"  {name}{'' if name in new else ' (there already)'}" for name in names)]
    commands = [PurePosixPath(name).stem for name in names if name.startswith("management/commands/")]
    if commands := [name for name in commands if name != "__init__"]:
        lines += ["", f"For manage.py {' and '.join(commands)}, add {place.package!r} to INSTALLED_APPS."]
    tests = [name for name in names if name.startswith("tests/test_")]
    labels = " ".join(f"{place.package}.tests.{PurePosixPath(name).stem}" for name in tests)
    where = f"in {place.root}" if place.in_project else "once the folder is in a Django project, beside its manage.py"
    return "\n".join([*lines, "", f"To run the tests, {where}:", f"  python manage.py test {labels}"])


def _text(path: Path) -> str | None:
    """The text of a file, however its lines end; None where it is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, IsADirectoryError):
        return None
