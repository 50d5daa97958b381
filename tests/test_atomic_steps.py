"""One conformance test of the atomic steps, and of what stands on them: every cache server here, and local memory."""
# ruff: noqa: E402

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from small_shop import shop_database  # noqa: F401  # sets Django up

# isort: split
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache

from test_servers import HERE
from tutorial_project.caching import atomic, instrumentation, leases
from tutorial_project.caching.atomic import Leased, acquire, commit, release, renew
from tutorial_project.caching.generations import Namespace, Stamped
from tutorial_project.caching.keys import key
from tutorial_project.caching.listing import Deleted, delete_below, keys_below
from tutorial_project.lab.reaper import Reaper
from tutorial_project.lab.servers import start_cache_server

KEY = "product:42:detail"


@pytest.fixture(scope="module", params=[*HERE, "memory", "memory, metered", f"{HERE[0]}, metered"])
def store(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A cache of Django's: over each kind of server that this machine has, in local memory, and both metered."""
    kind, _, metered = request.param.partition(", ")
    reaper = None
    if kind == "memory":
        cache: Any = LocMemCache(request.param, {"KEY_PREFIX": "te*st"})
    else:
        reaper = Reaper()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TUTORIAL_CACHE", kind)
            server = start_cache_server(reaper, reaper.make_folder())
        cache = RedisCache(server.url, {"KEY_PREFIX": "te*st"})
        cache.is_fake = kind == "fakeredis"
    yield instrumentation._watch_cache(cache, "default") if metered else cache
    if reaper:
        reaper.close()


@pytest.fixture(autouse=True)
def empty(store: Any) -> None:
    store.clear()


def test_the_first_has_it_and_the_value_takes_its_place(store: Any) -> None:
    assert acquire(KEY, "a", 10, cache=store) == Leased(token="a")
    assert acquire(KEY, "b", 10, cache=store) == Leased()
    assert acquire(KEY, "a", 10, cache=store) == Leased(token="a")
    assert not commit(KEY, "b", "theirs", 60, cache=store)
    assert commit(KEY, "a", "mine", 60, cache=store)
    assert acquire(KEY, "b", 10, cache=store) == Leased(hit=True, value="mine")
    assert store.get(KEY) == "mine"
    assert not commit(KEY, "a", "again", 60, cache=store)


@pytest.mark.parametrize("value", [None, False, True, 0, 42, -1, "", "42", 4.5, b"raw", ["a"], {"a": (1, 2)}])
def test_every_value_comes_back_as_it_was(store: Any, value: Any) -> None:
    acquire(KEY, "a", 10, cache=store)
    assert commit(KEY, "a", value, 60, cache=store)
    assert acquire(KEY, "b", 10, cache=store) == Leased(hit=True, value=value)
    assert store.get(KEY, "missing") == value and type(store.get(KEY)) is type(value)
    store.set(KEY, value)  # whoever stored it
    assert acquire(KEY, "b", 10, cache=store) == Leased(hit=True, value=value)


@pytest.mark.parametrize("change", ["delete", "delete_many", "set", "clear", "forget", "another's"])
def test_a_mark_that_is_gone_is_nobodys(store: Any, change: str) -> None:
    acquire(KEY, "a", 10, cache=store)
    match change:
        case "delete_many":
            store.delete_many([KEY])
        case "set":
            store.set(KEY, "written", 60)
        case "clear":
            store.clear()
        case "forget":
            leases.forget(KEY, cache=store)
        case _:
            store.delete(KEY)
    if change == "another's":
        assert acquire(KEY, "b", 10, cache=store).token == "b"
    before = store.get(KEY)
    assert not renew(KEY, "a", 10, cache=store)
    assert not commit(KEY, "a", "old", 60, cache=store)
    assert not release(KEY, "a", cache=store)
    assert store.get(KEY) == before


def test_marks_and_values_live_for_fractions_of_a_second(store: Any) -> None:
    acquire(KEY, "a", 0.3, cache=store)
    acquire("renewed", "a", 0.3, cache=store)
    assert renew("renewed", "a", 30, cache=store)
    acquire("value", "a", 10, cache=store)
    commit("value", "a", "soup", 0.3, cache=store)
    assert store.get("value") == "soup"
    time.sleep(0.4)
    assert not commit(KEY, "a", "late", 60, cache=store)
    assert acquire(KEY, "b", 10, cache=store).token == "b"
    assert store.get("value") is None
    assert release("renewed", "a", cache=store) and not release("renewed", "a", cache=store)


@pytest.mark.parametrize(("timeout", "there"), [(0, False), (-1, False), (None, True), (0.9, True)])
def test_a_timeout_that_is_none_or_nothing(store: Any, timeout: float | None, there: bool) -> None:
    for into in ("", "beside"):
        store.set("beside", "stale", 60)
        acquire(KEY, "a", 10, cache=store)
        assert commit(KEY, "a", "soup", timeout, into=into, cache=store)
        assert (store.get(into or KEY) == "soup") is there
        store.delete(KEY)


def test_a_value_beside_its_mark(store: Any) -> None:
    store.set("value", "stale", 600)
    acquire(KEY, "a", 10, cache=store)
    assert commit(KEY, "a", "fresh", 600, into="value", cache=store)
    assert (store.get("value"), store.get(KEY)) == ("fresh", None)
    assert not commit(KEY, "a", "late", 600, into="value", cache=store)
    assert store.get("value") == "fresh"


def test_of_many_threads_one_has_it_each_time(store: Any) -> None:
    """Each of 8 threads acquires and commits 50 times; between them, every commit is of the one who acquired."""
    committed: Counter[bool] = Counter()

    def run(number: int) -> None:
        for turn in range(50):
            token = f"{number}-{turn}"
            if acquire(KEY, token, 10, cache=store).token:
                committed[commit(KEY, token, token, 60, cache=store)] += 1
                if turn % 2:
                    store.delete(KEY)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert committed[True] >= 1
    assert acquire(KEY, "last", 10, cache=store).hit or release(KEY, "last", cache=store)


def test_a_lease_refuses_what_was_read_before_a_delete(store: Any) -> None:
    def slow() -> str:
        store.delete(KEY)
        return "old"

    assert leases.get_or_compute(KEY, slow, 60, cache=store) == "old"
    assert leases.get_or_compute(KEY, lambda: "new", 60, cache=store) == "new"
    assert leases.get_or_compute(KEY, lambda: "never", 60, cache=store) == "new"


@pytest.mark.parametrize("kind", [Namespace, Stamped])
def test_a_namespace_is_listed_and_bumped(store: Any, kind: type[Namespace]) -> None:
    product, other = (kind("product", number, cache=store) for number in (42, 421))
    assert product.list() == product.left_behind() == []
    for thing in (product, other):
        thing.get_or_set("detail", lambda: "old", 60)
        thing.get_or_set(("re*views", 2), lambda: "old", 60, language="de")
    listed = product.list()
    assert listed == sorted([product.key("detail"), product.key("re*views", 2, language="de")])
    product.clear()
    assert (product.list(), product.left_behind(), len(other.list())) == ([], listed, 2)
    assert product.get_or_set("detail", lambda: "new", 60) == "new"
    store.delete(product.generation_key)
    assert product.get_or_set("detail", lambda: "newest", 60) == "newest"


def test_what_is_below_a_key_is_found_and_deleted_and_nothing_else(store: Any) -> None:
    hostile = ["*", "?", "[4]2", "[^4]2", "\\", "\\*", "4*", "product:42"]
    below = [key("product", 42), key("product", 42, "detail"), *(key("product", 42, part) for part in hostile)]
    others = [key("product", 421), key("product", 4), *(key("product", part) for part in hostile)]
    for name in (*below, *others):
        store.set(name, 1, 60)
    assert keys_below(key("product", 42), cache=store) == sorted(below)
    for part in hostile:
        assert keys_below(key("product", part), cache=store) == [key("product", part)]
        assert delete_below(key("product", part), cache=store).keys == 1
    assert delete_below(key("product", 42), cache=store).keys == len(below)
    assert keys_below("product", cache=store) == sorted(others[:2])


def test_the_round_trips_of_a_deletion_grow_with_the_cache(store: Any) -> None:
    scans, deletes = [], 0
    for number in (100, 3000):
        store.set_many({f"other:{n}": 1 for n in range(number)})
        store.set_many({key("product", 42, n): 1 for n in range(5)})
        keys, scanned, deletes = delete_below("product:42", cache=store, count=10)
        assert (keys, keys_below("product:42", cache=store)) == (5, [])
        scans.append(scanned)
    if isinstance(store, LocMemCache):
        assert scans == [0, 0]
    else:
        assert 5 <= scans[0] <= 30 and scans[1] > 10 * scans[0] and deletes == 1


def test_more_than_a_portion_is_deleted_in_portions(store: Any) -> None:
    if isinstance(store, LocMemCache):
        pytest.skip("local memory has no round trips")
    store.set_many({key("product", 42, n): 1 for n in range(2500)})
    deleted = delete_below("product:42", cache=store)
    assert deleted == Deleted(2500, deleted.scans, deleted.deletes) and 2 <= deleted.deletes <= 3


def test_a_script_is_sent_once_and_again_to_a_server_that_has_lost_it(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(store, LocMemCache):
        pytest.skip("local memory has no scripts")
    sent: list[str] = []
    real = redis.Redis.execute_command

    def told(self: Any, *args: Any, **options: Any) -> Any:
        sent.append(args[0])
        return real(self, *args, **options)

    monkeypatch.setattr(atomic, "_sent", set())
    with monkeypatch.context() as patch:
        patch.setattr(redis.Redis, "execute_command", told)
        for token in ("a", "b", "c"):
            acquire(KEY, token, 10, cache=store)
        assert sent == ["EVAL", "EVALSHA", "EVALSHA"]
        if store.is_fake:  # it ends the connection after an error
            return
        sent.clear()
        store._cache.get_client(write=True).script_flush()
        for token in ("d", "e"):
            acquire(KEY, token, 10, cache=store)
        assert sent == ["SCRIPT FLUSH", "EVALSHA", "EVAL", "EVALSHA"]
