"""The cache backends that Django ships, side by side: the same calls on each of them."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutorial_project.lab.errors import LabError

if TYPE_CHECKING:
    from django.core.cache import CacheHandler
    from django.core.cache.backends.base import BaseCache

    from tutorial_project.lab.servers import CacheServer

TABLE = "cache_entries"  # the database cache's, made with the shop's own tables
DJANGO = "django.core.cache.backends"


def entries(server: CacheServer, folder: Path) -> dict[str, dict[str, Any]]:
    """What `CACHES["default"]` would be with each of the backends, by the backend's short name."""
    redis: dict[str, Any] = {"BACKEND": f"{DJANGO}.redis.RedisCache", "LOCATION": server.url}
    if not server.owned:
        redis |= {"BACKEND": "tutorial_project.lab.shared_server.RedisCache", "KEY_PREFIX": server.prefix}
    return {
        "locmem": {"BACKEND": f"{DJANGO}.locmem.LocMemCache", "LOCATION": "bench"},
        "redis": redis,
        "database": {"BACKEND": f"{DJANGO}.db.DatabaseCache", "LOCATION": TABLE},
        "file": {"BACKEND": f"{DJANGO}.filebased.FileBasedCache", "LOCATION": str(folder / "file-cache")},
        "dummy": {"BACKEND": f"{DJANGO}.dummy.DummyCache", "LOCATION": ""},
    }


def backend(name: str) -> BaseCache:
    """Django's cache with the backend called `name`: locmem, redis, database, file or dummy. Raises LabError.

    It holds what worker processes started with `cache=name` keep in their default cache.
    """
    return _handler()[known(name)]


def known(name: str) -> str:
    """`name`, where it is a backend's. Raises LabError."""
    if name not in _handler().settings:
        raise LabError(f"There is no backend called {name!r} here. Try {', '.join(_handler().settings)}.")
    return name


@functools.cache
def _handler() -> CacheHandler:
    """A handler of its own: the project's CACHES stay those of its settings. Its caches are metered as all are."""
    from django.core.cache import CacheHandler

    return CacheHandler(json.loads(os.environ["LAB_BACKENDS"]))
