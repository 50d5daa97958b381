"""theine: the decorator `Memoize`.

https://github.com/Yiling-J/theine: since its second version, protection from the stampede is always on. It is the
memory of one process: others have their own. Chosen for this table because it promises protection without a setting.
Entries cannot be deleted through the decorator: there is no invalidation.
"""

from datetime import timedelta
from typing import Any

from theine import Memoize

ABOUT = {
    "name": "theine Memoize",
    "library": "theine",
    "documentation": "https://github.com/Yiling-J/theine",
    "settings": "Memoize(1024, timeout)",
    "async": True,
    "without a server": True,
    "over a server": False,
    "memcached": False,
}


class Contestant:
    """`@Memoize(size, ttl)` around the computation."""

    def __init__(self, setup: Any) -> None:
        @Memoize(1024, timedelta(seconds=setup.timeout))
        def read(key: str) -> Any:
            return setup.compute(key)

        read.key(lambda key: key)
        self.read = read

    def get(self, key: str) -> Any:
        return self.read(key)

    def invalidate(self, key: str) -> None:
        raise NotImplementedError("theine's decorator has no way to delete an entry")

    def plain(self, key: str) -> Any:
        """A plain look into the same memory."""
        return self.read._cache.get(key)[0]
