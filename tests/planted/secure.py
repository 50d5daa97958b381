"""The same project behind HTTPS: a plain request is sent elsewhere."""

from .settings import *  # noqa: F403

SECURE_SSL_REDIRECT = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
