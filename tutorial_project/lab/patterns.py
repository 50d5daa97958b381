"""The patterns that a reader can take home: which there are, and which files each consists of.

No list is kept by hand. A pattern is a module of `caching/` that has portable tests in `tests/patterns/`. It brings the
modules that it imports, the portable tests of each, and the management commands that need nothing else of the course.
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
    found = {name: path for name in names if (path := root.joinpath(*ROOM, f"{name}.py")).is_file()}
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
    """The modules of `caching/` that this one needs, itself among them, in the order of the alphabet."""
    needed, todo = {pattern}, [pattern]
    while todo:
        path = root.joinpath(*ROOM, f"{todo.pop()}.py")
        new = _modules_named(imports(_read(path), ROOM), root) - needed
        needed |= new
        todo += new
    return sorted(needed)


def commands(taken: list[str], root: Path = ROOT) -> list[Path]:
    """The management commands that need of the course one or more of these modules, and nothing else."""
    found = []
    for path in sorted(root.joinpath(*COMMANDS).glob("[!_]*.py")):
        names = {name for name in imports(_read(path), COMMANDS) if name.startswith(f"{ROOM[0]}.")}
        needed = _modules_named(names, root)
        if needed and needed <= set(taken) and all(name.startswith(".".join(ROOM)) for name in names):
            found.append(path)
    return found


def files(pattern: str, root: Path = ROOT) -> dict[str, str]:
    """What lands in a reader's package: the path of each file inside it, with slashes, and its text."""
    taken = modules(pattern, root)
    landing = {f"{name}.py": root.joinpath(*ROOM, f"{name}.py") for name in taken}
    landing |= {f"management/commands/{path.name}": path for path in commands(taken, root)}
    tested = patterns(root)
    landing |= {f"tests/test_{name}.py": root / f"tests/patterns/test_{name}.py" for name in taken if name in tested}
    folders = {parent.as_posix() for name in landing for parent in Path(name).parents}
    packages = {f"{folder}/__init__.py".removeprefix("./"): "" for folder in sorted(folders)}
    texts = {name: ORIGIN + at_home(_read(path), name) for name, path in landing.items()}
    return texts | packages | {LICENCE: licence(root)}


def at_home(source: str, name: str) -> str:
    """The text of a file that lands as `name`, with its imports of `tutorial_project.caching` made relative.

    Relative ones work wherever the package stands, and go on working when it is moved or renamed."""
    room, up = re.escape(".".join(ROOM)), "." * (name.count("/") + 1)
    return re.sub(rf"(?m)^([ \t]*from ){room}(?:\.|(?= ))", rf"\g<1>{up}", source)


def licence(root: Path = ROOT) -> str:
    """The MIT licence, as the course's LICENSE has it for the code."""
    text = _read(root / "LICENSE")
    name, copyright_line = text.splitlines()[:2]
    granted = text[text.index("Permission is hereby granted") : text.index("\n2. ")].strip()
    return f"MIT License\n\n{name}\n{copyright_line}\n\n{granted}\n"


def _modules_named(names: set[str], root: Path) -> set[str]:
    """The modules of `caching/` among these full names of what a file imports."""
    parts = [tuple(name.split(".")) for name in names]
    inside = {part[len(ROOM)] for part in parts if part[: len(ROOM)] == ROOM and len(part) > len(ROOM)}
    return {name for name in inside if root.joinpath(*ROOM, f"{name}.py").is_file()}


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
