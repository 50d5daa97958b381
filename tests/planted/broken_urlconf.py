"""Settings that name a URLconf which is not there."""

from .settings import *  # noqa: F403

ROOT_URLCONF = "planted.nowhere"
