"""Django's five cache backends side by side: the same calls, and what several processes see of each other's."""

import json
import os
from pathlib import Path

import pytest
from django.core.cache import cache, caches
from django.core.cache.backends.base import BaseCache
from django.http import HttpRequest, HttpResponse

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.lab import backends
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.servers import CacheServer

NAMES = ["locmem", "redis", "database", "file", "dummy"]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_calls_on_each_and_all_are_metered(lab: Lab, name: str) -> None:
    it = backends.backend(name)
    assert it is backends.backend(name) and isinstance(it, BaseCache)
    it.delete("key")
    with lab.meter() as reading:
        it.set("key", "value")
        kept = it.get("key")
    assert kept == (None if name == "dummy" else "value")
    assert (reading.hits, reading.misses) == ((0, 1) if name == "dummy" else (1, 0))
    assert (reading.operations["set"], reading.operations["get"]) == (1, 1) and reading.trips == {name: 2}
    assert (reading.queries > 0) == (name == "database")
    it.delete("key")


def test_they_are_djangos_own_and_hold_nothing_in_common(lab: Lab) -> None:
    classes = [type(backends.backend(name)).__name__ for name in NAMES]
    assert classes == ["LocMemCache", "RedisCache", "DatabaseCache", "FileBasedCache", "DummyCache"]
    assert {type(backends.backend(name)).__module__.rpartition(".")[0] for name in NAMES} == {
        "django.core.cache.backends"
    }
    for name in NAMES:
        backends.backend(name).set("whose", name)
    assert [backends.backend(name).get("whose") for name in NAMES] == [*NAMES[:-1], None]
    assert cache.get("whose") == "redis"  # the shop's own server
    assert set(caches.settings) == {"default", "local"}  # the project's settings stay what they are
    for name in NAMES:
        backends.backend(name).clear()


def test_the_file_cache_lies_in_the_labs_folder(lab: Lab) -> None:
    backends.backend("file").set("key", 1)
    assert list((lab.environment.folder / "file-cache").glob("*.djcache"))
    backends.backend("file").clear()


@pytest.mark.parametrize("name", ["memcached", "", "Redis", "default"])
def test_another_one_is_one_line_that_names_them(lab: Lab, name: str) -> None:
    with pytest.raises(LabError, match="Try locmem, redis, database, file, dummy"):
        backends.backend(name)


def test_on_somebody_elses_server_every_key_has_the_prefix(tmp_path: Path) -> None:
    theirs = backends.entries(CacheServer("redis://127.0.0.1:1/0", "url", "", owned=False, prefix="lab-1"), tmp_path)
    ours = backends.entries(CacheServer("redis://127.0.0.1:1/0", "redis", ""), tmp_path)
    assert theirs["redis"]["KEY_PREFIX"] == "lab-1" and "KEY_PREFIX" not in ours["redis"]
    assert theirs["redis"]["BACKEND"] == "tutorial_project.lab.shared_server.RedisCache"
    assert {name: entry for name, entry in theirs.items() if name != "redis"} == {
        name: entry for name, entry in ours.items() if name != "redis"
    }
    assert json.loads(json.dumps(theirs)) == theirs  # it travels in an environment variable


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="worker processes are forked")
@pytest.mark.parametrize("name", NAMES)
def test_what_one_worker_stores_the_others_and_the_notebook_see_where_the_backend_is_shared(
    lab: Lab, name: str
) -> None:
    def put(request: HttpRequest) -> HttpResponse:
        cache.set("greeting", "hello")
        return HttpResponse(str(cache.get("greeting")))

    def look(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(cache.get("greeting")))

    backends.backend(name).delete("greeting")
    lab.mount("put/", put)
    lab.mount("look/", look)
    with lab.workers(2, cache=name) as pool:
        own = pool.get("/put/", 0).text
        seen = [pool.get("/look/", worker).text for worker in (0, 1)], backends.backend(name).get("greeting")
    shared, alone, none = (["hello"] * 2, "hello"), (["hello", "None"], None), (["None"] * 2, None)
    assert seen == {"locmem": alone, "dummy": none}.get(name, shared)
    assert own == ("None" if name == "dummy" else "hello")
    backends.backend(name).delete("greeting")
