"""The pair in the wrong order: what stores the page comes before what says that it varies."""

from .settings import *  # noqa: F403
from .settings import MIDDLEWARE as PLAIN

ROOT_URLCONF = "planted.sitewide_urls"
MIDDLEWARE = [
    "django.middleware.cache.FetchFromCacheMiddleware",
    *PLAIN,
    "django.middleware.cache.UpdateCacheMiddleware",
]
