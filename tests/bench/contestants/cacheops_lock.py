"""django-cacheops: `cached_as` with `lock=True`.

https://github.com/Suor/django-cacheops#dog-pile-effect-prevention: several threads or processes are kept from the same
heavy task, with `cached_as` and with querysets. What changes a row invalidates what was cached as its queryset; here
`invalidate_obj` does so for a row that is not saved. The server is named by
a URL, one of the two ways of its set-up; the other's example sets a socket timeout of 3 s.
"""

from typing import Any

ABOUT = {
    "name": "django-cacheops lock=True",
    "library": "django-cacheops",
    "documentation": "https://github.com/Suor/django-cacheops#dog-pile-effect-prevention",
    "settings": "CACHEOPS_REDIS with a URL (socket_timeout is redis-py's 5 s); lock=True (its 60 s are fixed)",
    "async": False,
    "without a server": False,
    "memcached": False,
}


def django_settings(url: str) -> dict[str, Any]:
    """Django's settings with cacheops installed."""
    apps = ["django.contrib.contenttypes", "django.contrib.auth", "cacheops"]
    return {"INSTALLED_APPS": apps, "CACHEOPS_REDIS": url, "CACHEOPS": {"auth.group": {"timeout": 60}}}


class Contestant:
    """`@cached_as(queryset, lock=True)` around the computation."""

    def __init__(self, setup: Any) -> None:
        self.setup = setup
        self.reads: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        if key not in self.reads:
            self.reads[key] = self.decorated(key)
        return self.reads[key]()

    def decorated(self, key: str) -> Any:
        """The computation of one key, decorated once."""
        from cacheops import cached_as
        from django.contrib.auth.models import Group

        @cached_as(Group.objects.filter(name=key), timeout=int(self.setup.timeout), extra=key, lock=True)
        def read() -> Any:
            return self.setup.compute(key)

        return read

    def invalidate(self, key: str) -> None:
        from cacheops import invalidate_obj
        from django.contrib.auth.models import Group

        invalidate_obj(Group(name=key))

    def plain(self, key: str) -> Any:
        """A plain get through the same client."""
        import cacheops

        try:
            return cacheops.cache.get(key)
        except cacheops.CacheMiss:
            cacheops.cache.set(key, self.setup.compute(key), 600)
            return cacheops.cache.get(key)
