"""diskcache: `memoize_stampede`, files in a folder that the processes of one machine share.

https://grantjenks.com/docs/diskcache/case-study-landing-page-caching.html: the story of a landing page ends with this
decorator: recomputed early, by chance, in a background thread. Chosen for this table because it needs no server.
"""

from pathlib import Path
from typing import Any

from diskcache import Cache, memoize_stampede
from django.conf import settings

ABOUT = {
    "name": "diskcache memoize_stampede",
    "library": "diskcache",
    "documentation": "https://grantjenks.com/docs/diskcache/case-study-landing-page-caching.html",
    "settings": "memoize_stampede(cache, expire=timeout)",
    "async": False,
    "without a server": True,
    "over a server": False,
    "memcached": False,
}


class Contestant:
    """`@memoize_stampede(cache, expire)` around the computation."""

    def __init__(self, setup: Any) -> None:
        self.cache = Cache(str(Path(settings.DATABASES["default"]["NAME"]).parent / "diskcache"))
        self.cache.clear()  # what the demand before has left

        @memoize_stampede(self.cache, expire=setup.timeout, name="bench")
        def read(key: str) -> Any:
            return setup.compute(key)

        self.read = read

    def get(self, key: str) -> Any:
        return self.read(key)

    def invalidate(self, key: str) -> None:
        self.cache.delete(self.read.__cache_key__(key))

    def plain(self, key: str) -> Any:
        """A plain get from the same folder: an entry is the value, and how long it took."""
        return self.cache.get(self.read.__cache_key__(key))[0]
