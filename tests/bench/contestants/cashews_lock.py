"""cashews: the simple strategy with `lock=True`.

https://github.com/Krukov/cashews#locked: the decorator `locked`, or `lock=True` with `cache()`, lets the calls that
follow wait until the first is done, to solve the stampede. The lock lives as long as the value (its `ttl`): how long a
killed holder is waited for, and whether a long computation outlives the lock, is the bench's timeout and no more.
"""

from typing import Any

from cashews import Cache

ABOUT = {
    "name": "cashews lock=True",
    "library": "cashews",
    "documentation": "https://github.com/Krukov/cashews#locked",
    "settings": "socket_timeout, socket_connect_timeout as the demands ask for; "
    "lock=True (its lock lives as long as the value: timeout)",
    "async": True,
    "without a server": True,  # mem://
    "memcached": False,
}


class Contestant:
    """`@cache(ttl, key, lock=True)` around the computation."""

    def __init__(self, setup: Any) -> None:
        self.cache = Cache()
        self.cache.setup(setup.url, socket_timeout=setup.operation, socket_connect_timeout=setup.operation)
        self.read = self.decorated(setup)

    def decorated(self, setup: Any) -> Any:
        """The computation, decorated."""

        @self.cache(ttl=setup.timeout, key="bench:{key}", lock=True)
        async def read(key: str) -> Any:
            return await setup.acompute(key)

        return read

    async def get(self, key: str) -> Any:
        return await self.read(key)

    async def invalidate(self, key: str) -> None:
        await self.cache.delete(f"bench:{key}")

    async def plain(self, key: str) -> Any:
        """A plain get through the same client."""
        return await self.cache.get(f"bench:{key}")
