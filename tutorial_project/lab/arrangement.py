"""What a notebook arranged, carried into another process: views it mounted, selectors it swapped, events it turned on.

Functions that a notebook defines exist in no file, so they travel by value, with the globals they use: a list that a
view appends to is another list in each process. Objects that stand in a module of Django's or the course's (`cache`,
`connection`, `settings`) travel by name, and so do `caches["local"]` and its like: each process has its own.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import cloudpickle
from django.conf import settings
from django.core.cache import caches
from django.db import connections
from django.urls import clear_url_caches, path
from django.utils.connection import ConnectionProxy

from .errors import LabError

OURS = ("django", "tutorial_project", "asgiref")
HANDLERS: dict[str, Any] = {"django.core.cache:caches": caches, "django.db:connections": connections}
THE_KERNELS = "tutorial_project.lab"  # what stands in its modules, the lab itself before all, no other process has


def save(file: Path, mounted: Sequence[tuple[str, Any]], swapped: Mapping[str, Callable[..., Any]]) -> None:
    """Write the arrangement to `file`: (route, view) pairs, and selectors by name. Raises LabError, and OSError."""
    file.write_bytes(packed(mounted, swapped))


def packed(mounted: Sequence[tuple[str, Any]], swapped: Mapping[str, Callable[..., Any]]) -> bytes:
    """The arrangement as bytes: the same for the same. Raises LabError that names what cannot go."""
    from ..shop.invalidation import TOUCHES

    everything = (list(mounted), dict(swapped), TOUCHES.is_connected)
    try:
        return dumped(everything)
    except Exception as problem:
        found: tuple[str, Exception] = "what you mounted and swapped", problem
    for what, one in [*((f"the view at {route!r}", view) for route, view in mounted), *swapped.items()]:
        try:
            dumped(one)
        except Exception as problem:
            found = what, problem
            break
    raise LabError(
        f"{found[0]} cannot go to another process: {type(found[1]).__name__}: {found[1]}. Does it use the lab, a "
        "lock or an open file? A worker has its own process, and none of yours."
    )


def dumped(what: Any) -> bytes:
    """Anything of the notebook's as bytes. Raises what pickling raises."""
    buffer = io.BytesIO()
    _Pickler(buffer).dump(what)
    return buffer.getvalue()


def loaded(file: Path) -> Any:
    """What was `dumped` into a file, in another process."""
    with file.open("rb") as opened:
        return _Unpickler(opened).load()


def load(file: Path) -> None:
    """Arrange this process as `file` says. Django must be set up; nothing of it may have answered yet."""
    from .. import urls
    from ..shop import selectors
    from ..shop.invalidation import TOUCHES

    mounted, swapped, events = loaded(file)
    if events:
        TOUCHES.connect()
    urls.urlpatterns[:0] = [path(route, view) for route, view in mounted]
    clear_url_caches()
    for name, function in swapped.items():
        setattr(selectors, name, function)


class _Pickler(cloudpickle.Pickler):
    """Functions by value, the modules' own objects by name."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        theirs = [module for module in list(sys.modules.values()) if isinstance(module, ModuleType)]
        # The shortest name last, so that it stays: `django.core.cache:cache`, and not one of those who import it.
        self._named = {
            id(value): f"{module.__name__}:{name}"
            for module in sorted(theirs, key=lambda module: -len(module.__name__))
            if module.__name__.split(".")[0] in OURS and not f"{module.__name__}.".startswith(f"{THE_KERNELS}.")
            for name, value in list(vars(module).items())
            if type(value).__module__.split(".")[0] in OURS
            and not issubclass(type(value), type | FunctionType | ModuleType)
        }
        # `local = caches["local"]` in a notebook: each process, and each of its threads, has its own of that name.
        for name, handler in HANDLERS.items() if settings.configured else ():
            self._named |= {id(handler[alias]): f"{name}[{alias}]" for alias in handler}

    def persistent_id(self, obj: Any) -> str | None:
        return self._named.get(id(obj))


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, name: str) -> Any:
        handler, _, alias = name.partition("[")
        if alias:
            return ConnectionProxy(HANDLERS[handler], alias.removesuffix("]"))
        module, _, attribute = name.partition(":")
        __import__(module)
        return getattr(sys.modules[module], attribute)
