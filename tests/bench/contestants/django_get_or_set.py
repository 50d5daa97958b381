"""Django's own cache, over its Redis backend: `get_or_set`.

https://docs.djangoproject.com/en/5.2/topics/cache/#basic-usage: the value is fetched; where there is none, the default
is called and its result stored. Nothing is said of others that ask meanwhile.
"""

from typing import Any

from django.core.cache import cache

ABOUT = {
    "name": "Django get_or_set",
    "library": "Django",
    "documentation": "https://docs.djangoproject.com/en/5.2/topics/cache/#basic-usage",
    "settings": "RedisCache, socket_timeout as the demands ask for",
    "async": True,  # aget_or_set
    "without a server": True,  # locmem
    "memcached": True,
}


class Contestant:
    """A key that is missing is computed by whoever misses it."""

    def __init__(self, setup: Any) -> None:
        self.setup = setup

    def get(self, key: str) -> Any:
        return cache.get_or_set(key, lambda: self.setup.compute(key), self.setup.timeout)

    def invalidate(self, key: str) -> None:
        cache.delete(key)
