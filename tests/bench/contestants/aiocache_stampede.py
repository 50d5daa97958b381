"""aiocache: the decorator `cached_stampede` over Redis.

https://aiocache.aio-libs.org/en/latest/decorators.html: as `cached`, and avoids the stampede by locking the call for
`lease` seconds; https://aiocache.aio-libs.org/en/latest/locking.html adds that when the lease expires all go on.
"""

from typing import Any
from urllib.parse import urlsplit

from aiocache import Cache, cached_stampede
from aiocache.serializers import PickleSerializer

ABOUT = {
    "name": "aiocache cached_stampede",
    "library": "aiocache",
    "documentation": "https://aiocache.aio-libs.org/en/latest/decorators.html",
    "settings": "lease=lease, timeout as the demands ask for",
    "async": True,
    "without a server": True,  # SimpleMemoryCache
    "memcached": True,
}


class Contestant:
    """`@cached_stampede(lease, ttl, cache=Cache.REDIS)` around the computation."""

    def __init__(self, setup: Any) -> None:
        at = urlsplit(setup.url)

        @cached_stampede(
            lease=setup.lease,
            ttl=setup.timeout,
            key_builder=lambda function, key: key,
            cache=Cache.REDIS,
            serializer=PickleSerializer(),
            endpoint=at.hostname,
            port=at.port,
            password=at.password,
            timeout=setup.operation,
        )
        async def read(key: str) -> Any:
            return await setup.acompute(key)

        self.read, self.cache = read, read.cache

    async def get(self, key: str) -> Any:
        return await self.read(key)

    async def invalidate(self, key: str) -> None:
        await self.cache.delete(key)

    async def plain(self, key: str) -> Any:
        """A plain get through the same client."""
        return await self.cache.get(key)
