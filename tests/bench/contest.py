"""Who takes part: the modules of `contestants/`, what each says of itself, its version, and how much it is to write."""

from __future__ import annotations

import ast
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STABLE = "Development Status :: 5 - Production/Stable"  # what a package says of itself
CONTESTANTS = [
    "protection",
    "django_get_or_set",
    "django_redis_lock",
    "django_redis_ignoring",
    "python_redis_lock_renewed",
    "cacheops_lock",
    "dogpile_region",
    "cashews_lock",
    "cashews_early",
    "aiocache_stampede",
    "diskcache_stampede",
    "cachetools_condition",
    "cachebox_cached",
    "theine_memoize",
]


def module_of(name: str) -> str:
    """The module of a contestant."""
    return f"bench.contestants.{name}"


def over_a_server(name: str) -> bool:
    """Whether a contestant keeps its values on the fleet's cache server."""
    return bool(import_module(module_of(name)).ABOUT.get("over a server", True))


def facts(name: str) -> dict[str, Any]:
    """What a contestant says of itself (ABOUT), its library's version, and what can be counted in its source."""
    about = dict(import_module(module_of(name)).ABOUT)
    about["version"] = metadata.version(about["library"]) if about["library"] else ""
    says_of_itself = metadata.metadata(about["library"]).get_all("Classifier") if about["library"] else None
    about["stable"] = STABLE in (says_of_itself or [])
    about["statements"] = sum(statements(name).values())
    about["statements to own"] = 0 if about["library"] else sum(map(in_file, files_of_ours()))
    return {"id": name} | about


def statements(name: str) -> dict[str, int]:
    """How many statements a contestant's settings, read and invalidation are: a count for each function.

    What it takes over from another contestant counts too; `plain`, which only the measurement of a hit calls, does not.
    """
    tree = ast.parse((HERE / "contestants" / f"{name}.py").read_text())
    found: dict[str, int] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            for other in [node.module] if node.module else [alias.name for alias in node.names]:
                found |= statements(other)
        elif isinstance(node, ast.ClassDef):
            found |= {
                each.name: in_tree(each)
                for each in node.body
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            }
        elif isinstance(node, ast.FunctionDef):
            found[node.name] = in_tree(node)
    found.pop("plain", None)
    return found


def in_tree(tree: ast.AST) -> int:
    """How many statements there are, docstrings not counted."""
    return sum(isinstance(node, ast.stmt) and not is_text(node) for node in ast.walk(tree))


def is_text(node: ast.AST) -> bool:
    """Whether this is a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def in_file(file: Path) -> int:
    """How many statements a file has."""
    return in_tree(ast.parse(file.read_text()))


def files_of_ours() -> list[Path]:
    """The files that a project takes with `caching/stampede.py`: itself, and what it imports of its folder."""
    folder = "tutorial_project.caching"
    import_module(f"{folder}.stampede")
    wanted, seen = [f"{folder}.stampede"], set()
    while wanted:
        name = wanted.pop()
        if name not in seen:
            seen.add(name)
            tree = ast.parse(Path(str(sys.modules[name].__file__)).read_text())
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.level == 1:
                    named = [node.module] if node.module else [alias.name for alias in node.names]
                    wanted += [f"{folder}.{each}" for each in named if f"{folder}.{each}" in sys.modules]
    return sorted(Path(str(sys.modules[name].__file__)) for name in seen)
