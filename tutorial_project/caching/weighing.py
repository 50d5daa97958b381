"""How many bytes a cached value has: weighed on its way to the cache server, or else pickled once more.

`instrumentation.py` opens a `Frame` for each cache call that somebody listens to, and asks for its `sizes` at the end.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .instrumentation import CacheCall


@dataclass(slots=True)
class Frame:
    """A cache call that is going on: the calls that it makes, and the bytes of the values on their way."""

    operation: str
    inner: list[CacheCall] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)


going_on: ContextVar[Frame | None] = ContextVar("the cache call that is going on", default=None)


def sizes(values: Mapping[str, Any], frame: Frame) -> Mapping[str, int]:
    """The bytes of each value: as weighed on the way, as its inner calls told, or else pickled once more."""
    if len(frame.weights) == len(values):
        return dict(zip(values, frame.weights, strict=True))
    told = {key: size for call in frame.inner for key, size in call.sizes.items()}
    return told if told.keys() == values.keys() else {key: _pickled_size(value) for key, value in values.items()}


def _pickled_size(value: Any) -> int:
    try:
        return len(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
    except Exception:  # the backend has said, or will say, that it cannot be stored
        return 0


class Weighing:
    """The serializer of a Redis client, weighing what it makes and reads: pickling it once more would take as long."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def dumps(self, value: Any) -> Any:
        return _weighed(self.inner.dumps(value))

    def loads(self, data: Any) -> Any:
        return self.inner.loads(_weighed(data))


def _weighed(data: Any) -> Any:
    if frame := going_on.get():
        frame.weights.append(len(data) if isinstance(data, bytes) else len(str(data)))
    return data
