"""An entry that cannot be unpickled any more: a release has renamed the class of the value."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

import small_shop  # noqa: F401  # sets Django up

# isort: split
from django.core.cache.backends.locmem import LocMemCache

from tutorial_project.caching.stampede import Protection


@pytest.fixture
def cache(request: pytest.FixtureRequest) -> Any:
    """A cache with an entry of a class that is gone."""
    cache = LocMemCache(request.node.name, {})
    module = sys.modules["last_release"] = ModuleType("last_release")
    module.Menu = type("Menu", (), {"__module__": "last_release"})  # type: ignore[attr-defined]
    Protection(cache=cache).get_or_set("menu", module.Menu, 60)
    del sys.modules["last_release"]
    return cache


def test_it_raises_as_a_plain_get_does_and_invalidating_it_ends_that(cache: Any) -> None:
    protection = Protection(cache=cache)
    with pytest.raises(ModuleNotFoundError):
        cache.get("menu")
    with pytest.raises(ModuleNotFoundError):
        protection.get_or_set("menu", lambda: "new", 60)
    assert not protection._flights._flights and protection.breaker.closed  # it is no failure of the server
    protection.invalidate("menu")
    assert protection.get_or_set("menu", lambda: "new", 60) == "new"
