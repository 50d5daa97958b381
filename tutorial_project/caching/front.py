"""A short front: each process remembers for a moment what it has read from the cache that all processes share.

    front = Front(seconds=1.0)
    menu = front.get_or_set("navigation", build_navigation, 600)

A hot key is then read from the shared cache once a second by each process, and not once a request. It needs an alias
`local` with Django's LocMemCache beside the shared `default` (or other caches, given by hand).

Guarantee: what was deleted, replaced or expired in the shared cache is served by a process for `seconds` more at most,
counted from when that process stored it in its front, and never for longer than its `timeout`. A process that deletes
through its front is fresh at once, unless another of its threads is reading the same key at that moment: it may store
the old value for its `seconds`.
Limit: a delete reaches no other process's front. For those `seconds` two processes may serve different values, so put
nothing behind a front that must not disagree: a price that is charged, a permission, a seat that is left. And the front
mends no race of the shared cache: whoever is computing the old value while another deletes stores it there after the
delete, for `timeout`.
A front holds 300 entries unless its alias says otherwise (`MAX_ENTRIES`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache

_MISSING = object()


class Front:
    """The cache `shared`, behind `seconds` of this process's own memory in the cache `local`."""

    def __init__(self, seconds: float = 1.0, shared: BaseCache | None = None, local: BaseCache | None = None) -> None:
        self.seconds = seconds
        self._shared, self._local = shared, local

    # Asked for anew each time: Django keeps a cache object for each thread.

    @property
    def shared(self) -> BaseCache:
        return caches["default"] if self._shared is None else self._shared

    @property
    def local(self) -> BaseCache:
        return caches["local"] if self._local is None else self._local

    def get_or_set(self, key: str, compute: Callable[[], Any], timeout: float | None) -> Any:
        """The value under `key`, computed and shared for `timeout` seconds where nobody has it. None is a value too."""
        value = self.local.get(key, _MISSING)
        if value is _MISSING:
            value = self.shared.get_or_set(key, compute, timeout)
            self.local.set(key, value, self.seconds if timeout is None else min(self.seconds, timeout))
        return value

    def delete(self, key: str) -> None:
        """Delete it from the shared cache and from this process's front; the others' keep it for their `seconds`."""
        self.shared.delete(key)
        self.local.delete(key)
