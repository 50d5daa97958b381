"""Telling an exercise that nobody has touched from one that somebody has tried."""

import ast
import dis
import inspect
import textwrap
from types import CodeType
from typing import Any


def untouched(answer: Any, starter: str = "") -> bool:
    """Whether `answer` is still `...`, holds one, is a function without a body, or has the source of `starter`."""
    if answer is ...:
        return True
    if isinstance(answer, list | tuple | set):
        return any(part is ... for part in answer)
    if isinstance(answer, dict):
        return any(part is ... for part in answer.values())
    try:
        function = inspect.unwrap(answer)
    except ValueError:  # a ring of wrappers
        return False
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return False
    return _is_empty(code) or bool(starter) and _tree(_source(function)) == _tree(starter)


_FRAME = {"RESUME", "NOP", "CACHE", "MAKE_CELL", "COPY_FREE_VARS", "RETURN_VALUE"}
_CONSTANT = {"LOAD_CONST", "RETURN_CONST"}


def _is_empty(code: CodeType) -> bool:
    """Whether a function is nothing but `...`, `pass`, `return ...` or a docstring."""
    return all(
        step.opname in _FRAME or step.opname in _CONSTANT and step.argval in (None, ...)
        for step in dis.get_instructions(code)
    )


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
