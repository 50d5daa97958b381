"""dogpile.cache over Redis: a region with a distributed lock that times out, and a background thread that refreshes.

https://dogpilecache.sqlalchemy.org/en/latest/api.html: several processes need `distributed_lock`, background runners
`thread_local_lock=False`; Redis should keep a value for longer than dogpile holds it to be fresh; with
`async_creation_runner`, a value that is there and no longer fresh is served while a thread makes the next.
"""

import threading
from collections.abc import Callable
from typing import Any

from dogpile.cache import make_region
from dogpile.cache.api import NO_VALUE

ABOUT = {
    "name": "dogpile.cache",
    "library": "dogpile.cache",
    "documentation": "https://dogpilecache.sqlalchemy.org/en/latest/api.html",
    "settings": "distributed_lock, lock_timeout=lease, thread_local_lock=False, redis_expiration_time, socket_timeout; "
    "async_creation_runner in a thread",
    "async": False,
    "without a server": True,  # dogpile.cache.memory
    "memcached": True,
}


def in_the_background(region: Any, key: str, creator: Callable[[], Any], mutex: Any) -> None:
    """Make the next value in a thread, which gives the lock back; as in the documentation's example."""

    def run() -> None:
        try:
            region.set(key, creator())
        finally:
            mutex.release()

    threading.Thread(target=run, daemon=True).start()


class Contestant:
    """`get_or_create` of a region."""

    def __init__(self, setup: Any) -> None:
        self.setup = setup
        arguments = {
            "url": setup.url,
            "redis_expiration_time": int(setup.timeout + setup.grace),
            "distributed_lock": True,
            "lock_timeout": int(setup.lease),
            "thread_local_lock": False,
            "socket_timeout": setup.operation,
            "socket_connect_timeout": setup.operation,
        }
        self.region = make_region(async_creation_runner=in_the_background)
        self.region.configure("dogpile.cache.redis", expiration_time=setup.timeout, arguments=arguments)

    def get(self, key: str) -> Any:
        return self.region.get_or_create(key, lambda: self.setup.compute(key))

    def invalidate(self, key: str) -> None:
        self.region.delete(key)

    def plain(self, key: str) -> Any:
        """A plain get through the same client."""
        value = self.region.get(key)
        return None if value is NO_VALUE else value
