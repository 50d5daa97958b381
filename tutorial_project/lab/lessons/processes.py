"""An answer in several processes, as its visitors would meet it: nothing is shared between them but the cache."""

import copy
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import CellType, CodeType, FunctionType
from typing import Any

LOCK, RLOCK = type(threading.Lock()), type(threading.RLock())


class Process:
    """A process with an `answer` of its own: the same code, over its own variables, containers and locks.

    `locks` says how many of the latter it refers to, when it is made. Objects of other kinds, and what is no plain
    function, are those of all processes: the cache is one of them.
    """

    def __init__(self, answer: Callable[..., Any]) -> None:
        self.locks = 0
        self._theirs: dict[str, Any] = getattr(answer, "__globals__", {})
        self._globals = dict(self._theirs)
        self._known: dict[int, Any] = {}
        self.answer: Callable[..., Any] = self._own(answer)

    def _own(self, thing: Any) -> Any:
        """What this process has in the place of a thing."""
        if id(thing) not in self._known:
            if isinstance(thing, LOCK | RLOCK):
                self.locks += 1
                self._known[id(thing)] = threading.Lock() if isinstance(thing, LOCK) else threading.RLock()
            elif type(thing) in (list, dict, set, defaultdict):
                self._known[id(thing)] = own = copy.copy(thing)
                if isinstance(own, dict):
                    own.update({name: self._own(value) for name, value in thing.items()})
            elif isinstance(thing, FunctionType) and thing.__globals__ is self._theirs:
                self._function(thing)
            else:
                return thing
        return self._known[id(thing)]

    def _function(self, function: FunctionType) -> None:
        cells = [CellType() for _ in function.__closure__ or ()]
        own = FunctionType(function.__code__, self._globals, function.__name__, None, tuple(cells))
        self._known[id(function)] = own  # before what it refers to: that may be itself
        own.__defaults__ = tuple(map(self._own, function.__defaults__)) if function.__defaults__ else None
        own.__kwdefaults__ = {name: self._own(value) for name, value in (function.__kwdefaults__ or {}).items()}
        own.__dict__.update({name: self._own(value) for name, value in vars(function).items()})
        for mine, cell in zip(cells, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # an empty one
                mine.cell_contents = self._own(cell.cell_contents)
        for name in _names(function.__code__):
            if name in self._theirs:
                self._globals[name] = self._own(self._theirs[name])


def _names(code: CodeType) -> Iterator[str]:
    """The global names (and attributes) in the code of a function, and of those in it."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)
