"""cashews: the strategy `early`, which recomputes in the background before the value expires.

https://github.com/Krukov/cashews#early: meant against the stampede; a call after `early_ttl` refreshes in the
background, and the value is served until `ttl`.
"""

from typing import Any

from . import cashews_lock

ABOUT = cashews_lock.ABOUT | {
    "name": "cashews early",
    "documentation": "https://github.com/Krukov/cashews#early",
    "settings": "socket_timeout, socket_connect_timeout as the demands ask for; early_ttl=timeout, ttl=timeout + grace",
}


class Contestant(cashews_lock.Contestant):
    """`@cache.early(ttl, early_ttl, key)` around the computation."""

    def decorated(self, setup: Any) -> Any:
        """The computation, decorated."""

        @self.cache.early(ttl=setup.timeout + setup.grace, early_ttl=setup.timeout, key="bench:{key}")
        async def read(key: str) -> Any:
            return await setup.acompute(key)

        return read

    async def invalidate(self, key: str) -> None:
        await self.cache.delete(f"early:v2:bench:{key}")

    async def plain(self, key: str) -> Any:
        """A plain get through the same client: an entry is when it is due, and the value."""
        return (await self.cache.get(f"early:v2:bench:{key}"))[1]
