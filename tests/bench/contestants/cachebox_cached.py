"""cachebox: `cached` with a TTLCache.

https://github.com/awolverp/cachebox#getting-started: the decorator avoids the stampede: calls with the same key wait
for the first. It is the memory of one process: others have their own.
"""

from typing import Any

from cachebox import TTLCache, cached

ABOUT = {
    "name": "cachebox",
    "library": "cachebox",
    "documentation": "https://github.com/awolverp/cachebox",
    "settings": "TTLCache(1024, timeout), cached with a key of its own",
    "async": True,
    "without a server": True,
    "over a server": False,
    "memcached": False,
}


def named(key: str) -> str:
    """The name of a key in the cache."""
    return key


class Contestant:
    """`@cached(TTLCache(…))` around the computation."""

    def __init__(self, setup: Any) -> None:
        self.cache: Any = TTLCache(1024, setup.timeout)

        @cached(self.cache, key_maker=named)
        def read(key: str) -> Any:
            return setup.compute(key)

        self.read = read

    def get(self, key: str) -> Any:
        return self.read(key)

    def invalidate(self, key: str) -> None:
        self.cache.pop(key, None)

    def plain(self, key: str) -> Any:
        """A plain look into the same memory."""
        return self.cache.get(key)
