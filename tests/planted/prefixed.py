"""The same project with the language in the address, and with addresses that are regular expressions."""

from .settings import *  # noqa: F403

ROOT_URLCONF = "planted.prefixed_urls"
