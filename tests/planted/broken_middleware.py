"""Settings that name a middleware which is not there."""

from .settings import *  # noqa: F403
from .settings import MIDDLEWARE as PLAIN

MIDDLEWARE = [*PLAIN, "planted.nowhere.Middleware"]
