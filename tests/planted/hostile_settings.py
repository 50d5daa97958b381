"""The planted project with nothing but hostile pages, and a leak among them."""

from .settings import *  # noqa: F403

ROOT_URLCONF = "planted.hostile_urls"
