"""The same with a page that is not cached."""

from .bare import *  # noqa: F403

ROOT_URLCONF = "planted.bare_urls_uncached"
