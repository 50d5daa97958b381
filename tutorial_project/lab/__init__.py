"""The bench: what a notebook imports. Names are loaded when first asked for, so that its small servers start fast."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import draw as draw
    from .arrivals import bursts as bursts
    from .backends import backend as backend
    from .booting import boot as boot
    from .checkup import doctor as doctor
    from .exploring import clock as clock
    from .exploring import explore as explore
    from .judging import check as check
    from .origin import Origin as Origin
    from .predictions import predict as predict
    from .predictions import reveal as reveal
    from .progress_page import my_surprises as my_surprises
    from .progress_page import progress as progress
    from .quizzes import quiz as quiz
    from .simulating import simulate as simulate
    from .starting_over import reset as reset

_WHERE = {
    "Origin": "origin",
    "backend": "backends",
    "boot": "booting",
    "bursts": "arrivals",
    "check": "judging",
    "clock": "exploring",
    "doctor": "checkup",
    "explore": "exploring",
    "my_surprises": "progress_page",
    "predict": "predictions",
    "progress": "progress_page",
    "quiz": "quizzes",
    "reset": "starting_over",
    "reveal": "predictions",
    "simulate": "simulating",
}


def __getattr__(name: str) -> Any:
    if name == "draw":
        return import_module(".draw", __name__)
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = value
    return value
