"""python-redis-lock: its recipe against the dogpile for Django, with a lock that expires and is renewed.

https://python-redis-lock.readthedocs.io/en/latest/readme.html: get; if there is nothing, take `cache.lock`, get again,
and compute. Of locks that are left by a crash it says: let them expire, and renew them (`auto_renewal`).
"""

from typing import Any

from django.core.cache import cache as default_cache

cache: Any = default_cache

ABOUT = {
    "name": "python-redis-lock",
    "library": "python-redis-lock",
    "documentation": "https://python-redis-lock.readthedocs.io/en/latest/readme.html",
    "settings": "redis_lock.django_cache.RedisCache (socket_timeout is redis-py's 5 s); expire=lease, auto_renewal",
    "async": False,
    "without a server": False,
    "memcached": False,
}


def django_settings(url: str) -> dict[str, Any]:
    """Django's settings with this package's cache backend, as in its documentation."""
    options = {"CLIENT_CLASS": "django_redis.client.DefaultClient"}
    backend = "redis_lock.django_cache.RedisCache"
    return {"CACHES": {"default": {"BACKEND": backend, "LOCATION": url, "OPTIONS": options}}}


class Contestant:
    """Whoever misses takes the lock, looks again, and computes if there still is nothing."""

    def __init__(self, setup: Any) -> None:
        self.setup = setup

    def get(self, key: str) -> Any:
        value = cache.get(key)
        if not value:
            with cache.lock(key, expire=int(self.setup.lease), auto_renewal=True):
                value = cache.get(key)
                if not value:
                    value = self.setup.compute(key)
                    cache.set(key, value, self.setup.timeout)
        return value

    def invalidate(self, key: str) -> None:
        cache.delete(key)
