"""Every view of three modules, at an address that says where it stands: /leaks/name/, /safe/clock/."""

from __future__ import annotations

import ast
import inspect
from types import ModuleType

from django.urls import URLPattern, path
from django.views import View

from . import hostile, leaking_pages, leaking_pieces, safe_pages


def patterns(prefix: str, *modules: ModuleType) -> list[URLPattern]:
    """An address for each view that a module defines; views with arguments have theirs below."""
    found = []
    for module in modules:
        for name in names(module):
            view = getattr(module, name)
            if callable(view) and name not in ("MINUTE", "note"):
                callback = view.as_view() if inspect.isclass(view) and issubclass(view, View) else view
                found.append(path(f"{prefix}/{name}/", callback, name=f"{prefix}-{name}"))
    return found


def names(module: ModuleType) -> list[str]:
    """What a module defines itself, at its top."""
    found = []
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign):
            found += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return found


urlpatterns = [
    *patterns("leaks", leaking_pages, leaking_pieces),
    *patterns("safe", safe_pages),
    path("leaks/note/<int:pk>/", leaking_pages.note),
    path("safe/note/<int:pk>/", safe_pages.note),
]
hostile_patterns = patterns("hostile", hostile)
