"""cachetools: `cached` with a TTLCache and a condition.

https://cachetools.readthedocs.io/en/stable/#memoizing-decorators: with `lock` the cache is safe among threads, and the
function still runs outside it; with a `condition`, a call waits for one that is under way with the same arguments.
It is the memory of one process: others have their own.
"""

from threading import Condition
from typing import Any

from cachetools import TTLCache, cached

ABOUT = {
    "name": "cachetools condition=",
    "library": "cachetools",
    "documentation": "https://cachetools.readthedocs.io/en/stable/#memoizing-decorators",
    "settings": "TTLCache(1024, timeout), condition=Condition()",
    "async": False,
    "without a server": True,
    "over a server": False,
    "memcached": False,
}


class Contestant:
    """`@cached(TTLCache(…), condition=Condition())` around the computation."""

    def __init__(self, setup: Any) -> None:
        self.cache: Any = TTLCache(maxsize=1024, ttl=setup.timeout)
        self.condition = Condition()

        @cached(self.cache, condition=self.condition)
        def read(key: str) -> Any:
            return setup.compute(key)

        self.read = read

    def get(self, key: str) -> Any:
        return self.read(key)

    def invalidate(self, key: str) -> None:
        with self.condition:
            self.cache.pop(self.read.cache_key(key), None)

    def plain(self, key: str) -> Any:
        """A plain look into the same memory."""
        with self.condition:
            return self.cache.get(self.read.cache_key(key))
