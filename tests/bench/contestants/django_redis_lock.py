"""django-redis: its `cache.lock`, and a second look after it is won.

https://github.com/jazzband/django-redis#locks: `cache.lock` takes what redis-py's lock takes, a timeout among them.
The second look is the pattern that redis-py's and python-redis-lock's readers are shown. Socket timeouts are set as in
https://github.com/jazzband/django-redis#socket-timeout.
"""

from typing import Any

from django.core.cache import cache as default_cache

cache: Any = default_cache

ABOUT = {
    "name": "django-redis lock",
    "library": "django-redis",
    "documentation": "https://github.com/jazzband/django-redis",
    "settings": "SOCKET_TIMEOUT, SOCKET_CONNECT_TIMEOUT as the demands ask for; cache.lock(timeout=lease)",
    "async": False,
    "without a server": False,
    "memcached": False,
}
OPTIONS: dict[str, Any] = {"SOCKET_TIMEOUT": 0.25, "SOCKET_CONNECT_TIMEOUT": 0.25}


def django_settings(url: str, **options: Any) -> dict[str, Any]:
    """Django's settings with django-redis as the cache."""
    chosen = OPTIONS | options
    return {"CACHES": {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url, "OPTIONS": chosen}}}


class Contestant:
    """Whoever misses takes the lock, looks again, and computes if there still is nothing."""

    def __init__(self, setup: Any) -> None:
        self.setup = setup

    def get(self, key: str) -> Any:
        value = cache.get(key)
        if value is None:
            with cache.lock(f"lock:{key}", timeout=self.setup.lease):
                value = cache.get(key)
                if value is None:
                    value = self.setup.compute(key)
                    cache.set(key, value, self.setup.timeout)
        return value

    def invalidate(self, key: str) -> None:
        cache.delete(key)
