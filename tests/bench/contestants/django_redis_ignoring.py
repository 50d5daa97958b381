"""django-redis with IGNORE_EXCEPTIONS: while the server is away, the cache is empty instead of an error.

https://github.com/jazzband/django-redis#memcached-exceptions-behavior: recommended where the cache is only a cache.
The lock is not spared the exceptions: it is redis-py's.
"""

from typing import Any

from .django_redis_lock import ABOUT as LOCK
from .django_redis_lock import Contestant as Contestant
from .django_redis_lock import django_settings as settings_of_lock

ABOUT = LOCK | {"name": "django-redis lock, ignoring", "settings": f"{LOCK['settings']}; IGNORE_EXCEPTIONS"}


def django_settings(url: str) -> dict[str, Any]:
    """The same settings, and one more."""
    return settings_of_lock(url, IGNORE_EXCEPTIONS=True)
