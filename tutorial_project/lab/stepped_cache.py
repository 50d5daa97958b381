"""Django's LocMemCache with a point before each call, at which the scheduler may let somebody else go first.

Every call is one step, as the caller sees it and as a cache server does it: `get_many` is one, `incr` is one. Only what
Django itself makes of several calls is several steps: `get_or_set` is a get, an add and a get, with the computation
between them, and `incr_version` a get, a set and a delete.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.locmem import LocMemCache

from .virtual_time import undisturbed

if TYPE_CHECKING:
    from .scheduler import Scheduler

_MISSING = object()
ROOM = 100_000  # entries; Django's own default of 300 would evict what an experiment is about


class SteppedCache(LocMemCache):
    """One cache for all actors of a scheduler. Values are pickled as always: nobody shares an object through it."""

    def __init__(self, scheduler: Scheduler, alias: str = "default") -> None:
        params = {name: value for name, value in settings.CACHES[alias].items() if name in _KEPT}
        super().__init__(f"scheduler {alias}", {**params, "OPTIONS": {"MAX_ENTRIES": ROOM}})
        self._cache: OrderedDict[str, bytes] = OrderedDict()  # its own: a name's storage outlives the object
        self._expire_info: dict[str, float | None] = {}
        self._lock = Lock()  # whoever was ended in the middle of a call may hold the other for ever
        self._scheduler = scheduler
        self._call = scheduler.cache_call
        self._answer = scheduler.cache_answer

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        self._call("get", key)
        value = super().get(key, _MISSING, version)
        if value is _MISSING:
            self._answer("nothing")
            return default
        self._answer(value)
        return value

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._call("set", key)
        super().set(key, value, timeout, version)
        self._answer(value)

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        self._call("add", key)
        added = super().add(key, value, timeout, version)
        self._answer("added" if added else "there already")
        return added

    def delete(self, key: Any, version: int | None = None) -> bool:
        self._call("delete", key)
        return super().delete(key, version)

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        self._call("touch", key)
        return super().touch(key, timeout, version)

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        self._call("incr", key)
        return super().incr(key, delta, version)

    def has_key(self, key: Any, version: int | None = None) -> bool:
        self._call("has_key", key)
        return super().has_key(key, version)

    def clear(self) -> None:
        self._call("clear")
        super().clear()

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        keys = list(keys)
        with self.exclusively("get_many", *keys):
            found = super().get_many(keys, version)
        self._answer(f"{len(found)} of {len(keys)}")
        return found

    def set_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        with self.exclusively("set_many", *data):
            return super().set_many(dict(data), timeout, version)

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        keys = list(keys)
        with self.exclusively("delete_many", *keys):
            super().delete_many(keys, version)

    @contextmanager
    def exclusively(self, what: str = "", *keys: Any) -> Iterator[None]:
        """A block that is one step: one point on entering it and none inside, as a script on a cache server runs.

        `what` names it in the diagram; without, the function that enters it does. It may neither ask the database nor
        sleep.
        """
        if self._scheduler.exclusive:  # one within another is part of it
            yield
            return
        self._call(what, *keys)
        self._scheduler.exclusive = True
        try:
            yield
        finally:
            self._scheduler.exclusive = False


_KEPT = ("TIMEOUT", "KEY_PREFIX", "VERSION", "KEY_FUNCTION")


@contextmanager
def in_place(scheduler: Scheduler) -> Iterator[list[SteppedCache]]:
    """Put a stepped cache, empty, in the place of each of the project's caches, for this context and its greenlets."""
    aliases = list(settings.CACHES)
    before = {alias: getattr(caches._connections, alias, None) for alias in aliases}  # type: ignore[attr-defined]
    stepped = [SteppedCache(scheduler, alias) for alias in aliases]
    for alias, cache in zip(aliases, stepped, strict=True):
        caches[alias] = cache
    try:
        yield stepped
    finally:
        with undisturbed():
            for alias, known in before.items():
                if known is None:
                    del caches[alias]
                else:
                    caches[alias] = known
