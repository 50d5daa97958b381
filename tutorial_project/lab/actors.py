"""An actor of an order: a function on a stack of its own, which can be left at any point and entered again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from greenlet import greenlet

from ..caching.time_limit import in_another_stack

if TYPE_CHECKING:
    from .actor_connections import ActorConnections


@dataclass(slots=True)
class Step:
    """What one actor did in one go: `what` it was, `where` ("cache", "database" or "clock"), and what it `saw`."""

    actor: str
    what: str
    where: str = ""
    saw: str = ""


class Actor:
    """One request: its function, how far it is, and what it waits for."""

    def __init__(self, name: str, function: Callable[[], Any], connections: ActorConnections, hub: greenlet) -> None:
        self.name, self.function, self.connections = name, function, connections
        self.next: Step | None = None  # the step it stops before
        self.last: Step | None = None  # the step it is in
        self.writes = self.begins = self.just_begun = False
        self.wakes: float | None = None
        self.until: Callable[[], bool] | None = None
        self.answer = self.ended = False
        self.returned: Any = None
        self.raised: Exception | None = None
        self.greenlet = greenlet(self._run, parent=hub)
        self.greenlet.gr_context = copy_context()

    def _run(self) -> None:
        self.connections.use()
        try:
            self.returned = in_another_stack(self.function)
        except Exception as error:
            self.raised = error
        self.ended = True


def unwinding() -> bool:
    """Whether the actor is being ended: by an interrupt, a time limit or `stop`. Its `finally` blocks must not stop."""
    error = sys.exc_info()[1]
    return error is not None and not isinstance(error, (Exception, GeneratorExit))


def entering() -> str:
    """What to call a block that is one step: the function that enters it, with its `key`."""
    frame: FrameType | None = sys._getframe(2)
    while frame and frame.f_code.co_name in ("exclusively", "alone", "__enter__"):
        frame = frame.f_back
    if frame is None:
        return "exclusively"
    key = frame.f_locals.get("key")
    return f"{frame.f_code.co_name} {key}" if isinstance(key, str) else frame.f_code.co_name
