"""Telling an exercise that nobody has touched from one that somebody has tried."""

import ast
import dis
import inspect
import textwrap
from types import CodeType
from typing import Any


def untouched(answer: Any, starter: str = "") -> bool:
    """Whether `answer` is still `...`, holds one, is a function without a body, or has the source of `starter`.

    A starter with something more wrapped around it than its own decorators is an answer.
    """
    if answer is ...:
        return True
    if isinstance(answer, list | tuple | set):
        return any(part is ... for part in answer)
    if isinstance(answer, dict):
        return any(part is ... for part in answer.values())
    layers: list[Any] = []
    try:
        function = inspect.unwrap(answer, stop=lambda layer: layers.append(layer))
    except ValueError:  # a ring of wrappers
        return False
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return False
    if _is_empty(code):
        return True
    wrappers = sum(hasattr(layer, "__wrapped__") for layer in layers)
    return bool(starter) and wrappers <= _decorators(starter) and _tree(_source(function)) == _tree(starter)


_FRAME = {"RESUME", "NOP", "CACHE", "MAKE_CELL", "COPY_FREE_VARS", "RETURN_VALUE"}
_CONSTANT = {"LOAD_CONST", "RETURN_CONST"}


def _is_empty(code: CodeType) -> bool:
    """Whether a function is nothing but `...`, `pass`, `return ...` or a docstring."""
    return all(
        step.opname in _FRAME or step.opname in _CONSTANT and step.argval in (None, ...)
        for step in dis.get_instructions(code)
    )


def _decorators(starter: str) -> int:
    """How many decorators stand above the starter's function: each wraps it once."""
    return sum(len(getattr(line, "decorator_list", ())) for line in ast.parse(textwrap.dedent(starter)).body)


def _source(function: Any) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError, IndentationError):
        return ""


def _tree(source: str) -> str | None:
    """The program without its comments and layout; None for what cannot be read, which equals no starter."""
    try:
        return ast.dump(ast.parse(textwrap.dedent(source)))
    except SyntaxError:
        return None
