"""The real bench inside a test: a cache server, the loaded shop and a lab, as boot() makes them for a kernel.

A test module imports `fresh_lab` (a test asks for it as `lab`) and `running_lab`. The servers are started once a
process; the bench is put back after each test.
boot() itself refuses a process in which Django is set up already, as it is here: `test_boot.py` tries it in kernels.
"""
# ruff: noqa: E402

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from typing import Any

import pytest

from small_shop import shop_database  # noqa: F401  # sets Django up

# isort: split
from django.conf import settings
from django.core.cache import cache
from django.db import connections, router
from django.test import override_settings
from django.utils import translation

from tutorial_project.lab import bench, environment
from tutorial_project.lab.bench import Lab


@functools.cache
def started() -> environment.Environment:
    """The environment of this process. Its reaper ends it with the process; the variables stay what they were."""
    before = dict(os.environ)
    try:
        return environment.start()
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def running_lab() -> Iterator[Lab]:
    """A lab on a database and a cache server of its own; the settings are the test run's again afterwards."""
    running = started()
    location: dict[str, Any] = {**settings.CACHES["default"], "LOCATION": running.cache_server.url}
    database = connections.settings["default"]
    connections.close_all()
    before = database["NAME"], bench._current
    os.environ["LAB_BACKENDS"] = running.variables["LAB_BACKENDS"]
    database["NAME"] = str(running.folder / "shop.sqlite3")
    caches, secret = {**settings.CACHES, "default": location}, running.variables["SECRET_KEY"]
    with override_settings(CACHES=caches, RATES_URL=running.rates_url, SECRET_KEY=secret):
        yield Lab(running, "test")
    connections.close_all()
    database["NAME"], bench._current = before
    for alias in set(connections.settings) - {"default"}:
        del connections.settings[alias]
    router.routers = []


@pytest.fixture(name="lab")
def fresh_lab(running_lab: Lab) -> Iterator[Lab]:
    """The lab, with nothing in its cache, the shop as it was loaded, and nothing swapped or mounted."""
    running_lab.restore_database()
    running_lab.empty_cache()
    with translation.override("en"):
        yield running_lab
    running_lab.restore()


def keys() -> list[str]:
    """What the cache server holds, without Django's version in front."""
    found = cache._cache.get_client().keys("*")  # type: ignore[attr-defined]  # the Redis backend's own
    return sorted(key.decode().split(":", 2)[2] for key in found)
