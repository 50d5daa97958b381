"""The patterns that a reader can take home: which there are, and which files each consists of.

No list is kept by hand. A pattern is a module of `caching/` that has portable tests in `tests/patterns/`. It brings the
modules that it imports, the portable tests of each, and its management commands with the modules that these import.
"""

import ast
import re
from pathlib import Path

from .errors import LabError

ROOT = Path(__file__).resolve().parent.parent.parent
ROOM = ("tutorial_project", "caching")
COMMANDS = ("tutorial_project", "shop", "management", "commands")
LICENCE = "LICENSE.django-caching-measured"
ORIGIN = f'# From "Django Caching, Measured". MIT licence: see {LICENCE}.\n'


def patterns(root: Path = ROOT) -> dict[str, str]:
    """The name of each pattern and the first line of its docstring, in the order of the alphabet.

    Raises LabError where the tests are missing, as in a copy of `tutorial_project` alone."""
    names = sorted(path.stem.removeprefix("test_") for path in (root / "tests/patterns").glob("test_*.py"))
    found = {name: path for name in names if (path := _module(name, root)).is_file()}
    if not found:
        raise LabError(f"{root} has no tests/patterns: a pattern is taken from a whole checkout of the course.")
    return {name: first_line(path) for name, path in found.items()}


def first_line(path: Path) -> str:
    """The first line of the module's docstring, or an empty one."""
    return (ast.get_docstring(ast.parse(_read(path))) or "").partition("\n")[0]


def imports(source: str, package: tuple[str, ...]) -> set[str]:
    """The full names that a file of this package imports: `from . import a` is `tutorial_project.caching.a` there."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
            found |= {(base + (node.module or "")).strip(".") + "." + alias.name for alias in node.names}
    return found


def modules(pattern: str, root: Path = ROOT) -> list[str]:
    """The modules of `caching/` that the pattern and its commands need, itself among them, in the alphabet's order."""
    return sorted(_needed({pattern, *(name for path in commands(pattern, root) for name in _direct(path, root))}, root))


def commands(pattern: str, root: Path = ROOT) -> list[Path]:
    """The management commands of a pattern: they need a module of it, no other pattern, and nothing else of the course.

    What else they need of `caching/` comes along."""
    own, others = _needed({pattern}, root), set(patterns(root))
    found = []
    for path in sorted(root.joinpath(*COMMANDS).glob("[!_]*.py")):
        needed = _needed(_direct(path, root), root)
        if needed & own and not (needed - own) & others and _portable(path):
            found.append(path)
    return found


def files(pattern: str, package: str = "caching", root: Path = ROOT) -> dict[str, str]:
    """What lands in a reader's package of this dotted name: the path of each file in it, with slashes, and its text."""
    taken, tested = modules(pattern, root), patterns(root)
    landing = {f"{name}.py": _module(name, root) for name in taken}
    landing |= {f"management/commands/{path.name}": path for path in commands(pattern, root)}
    landing |= {f"tests/test_{name}.py": root / f"tests/patterns/test_{name}.py" for name in taken if name in tested}
    folders = {parent.as_posix() for name in landing for parent in Path(name).parents}
    packages = {f"{folder}/__init__.py".removeprefix("./"): "" for folder in sorted(folders)}
    texts = {name: ORIGIN + at_home(_read(path), name, package) for name, path in landing.items()}
    return texts | packages | {LICENCE: licence(root)}


def at_home(source: str, name: str, package: str) -> str:
    """The text of a file that lands as `name`, with its imports of `tutorial_project.caching` made relative.

    Relative ones go on working when the package is moved or renamed. Where the text names the room otherwise (in a
    docstring, in a string of settings), it names the package."""
    room, up, lines = ".".join(ROOM), "." * (name.count("/") + 1), source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and not node.level:
            pattern = rf"(from +){re.escape(room)}(?:\.|(?= ))"
            lines[node.lineno - 1] = re.sub(pattern, rf"\g<1>{up}", lines[node.lineno - 1])
    return "".join(lines).replace(room, package)


def licence(root: Path = ROOT) -> str:
    """The MIT licence, as the course's LICENSE has it for the code."""
    text = _read(root / "LICENSE")
    name, copyright_line = text.splitlines()[:2]
    granted = text[text.index("Permission is hereby granted") : text.index("\n2. ")].strip()
    return f"MIT License\n\n{name}\n{copyright_line}\n\n{granted}\n"


def _needed(names: set[str], root: Path) -> set[str]:
    """These modules of `caching/` and those that they import, and so on."""
    needed, todo = set(names), set(names)
    while todo:
        todo = {name for known in todo for name in _direct(_module(known, root), root)} - needed
        needed |= todo
    return needed


def _direct(path: Path, root: Path) -> set[str]:
    """The modules of `caching/` that a file of the course imports itself."""
    parts = [name.split(".") for name in _of_the_course(path)]
    inside = {part[len(ROOM)] for part in parts if part[: len(ROOM)] == [*ROOM] and len(part) > len(ROOM)}
    return {name for name in inside if _module(name, root).is_file()}


def _portable(path: Path) -> bool:
    """Whether a management command needs nothing of the course but `caching/`."""
    return all(name.startswith(".".join(ROOM) + ".") for name in _of_the_course(path))


def _of_the_course(path: Path) -> set[str]:
    """What a file in `caching/` or among the management commands imports of the course, by its full name."""
    package = ROOM if path.parent.name == ROOM[-1] else COMMANDS
    return {name for name in imports(_read(path), package) if name.split(".")[0] == ROOM[0]}


def _module(name: str, root: Path) -> Path:
    return root.joinpath(*ROOM, f"{name}.py")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
