"""The same project under the site-wide pair of middleware, in the right order: no page of `safe_pages` leaks."""

from .settings import *  # noqa: F403
from .settings import MIDDLEWARE as PLAIN

ROOT_URLCONF = "planted.sitewide_urls"
MIDDLEWARE = [
    "django.middleware.cache.UpdateCacheMiddleware",
    *PLAIN,
    "django.middleware.cache.FetchFromCacheMiddleware",
]
