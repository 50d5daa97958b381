"""Django's cache on somebody's Redis: `clear()` deletes this notebook's keys, and never the whole database."""

from __future__ import annotations

from django.core.cache.backends import redis

from .reaper import forget_keys


class RedisCache(redis.RedisCache):
    """Django's own backend, but for `clear()`: the stock one empties the database, whatever the prefix."""

    def clear(self) -> None:
        forget_keys(self._servers[0], self.key_prefix)  # type: ignore[attr-defined]
