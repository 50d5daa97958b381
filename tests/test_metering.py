"""What is counted: every statement and every cache call, once, of every thread, as the caller sees it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache, caches
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.test import override_settings

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.caching.metering import CacheCall, Event, Statement, counting, install, listening
from tutorial_project.lab.bench import Lab
from tutorial_project.shop.models import Tag

pytestmark = pytest.mark.usefixtures("lab")
BACKENDS = ("locmem", "redis", "db", "file", "dummy")


@pytest.fixture
def backends(lab: Lab, tmp_path: Path) -> Iterator[None]:
    """One cache of each stock kind, by these names, besides the lab's own."""
    stock = "django.core.cache.backends."
    kinds: dict[str, dict[str, Any]] = {
        "default": {"BACKEND": stock + "locmem.LocMemCache", "LOCATION": str(tmp_path)},
        "locmem": {"BACKEND": stock + "locmem.LocMemCache", "LOCATION": f"{tmp_path}-2"},
        "redis": settings.CACHES["default"],
        "db": {"BACKEND": stock + "db.DatabaseCache", "LOCATION": "test_cache"},
        "file": {"BACKEND": stock + "filebased.FileBasedCache", "LOCATION": str(tmp_path)},
        "dummy": {"BACKEND": stock + "dummy.DummyCache"},
    }
    with override_settings(CACHES=kinds):
        call_command("createcachetable", verbosity=0)
        yield


def calls_of(act: Callable[[], object]) -> list[CacheCall]:
    """The cache calls that `act` makes, in the order in which they end."""
    events: list[Event] = []
    with listening(events.append):
        act()
    return [event for event in events if isinstance(event, CacheCall)]


# SQL


def test_the_statements_of_all_threads_are_counted() -> None:
    def forty() -> None:
        for _ in range(40):
            list(Tag.objects.all()[:1])
        connections.close_all()

    threads = [threading.Thread(target=forty) for _ in range(10)]
    with counting(everywhere=True) as every, counting() as mine:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert every.queries == 400
    assert mine.queries == 0
    assert every.sql_seconds > 0


def test_counting_ends_with_its_block_and_blocks_nest() -> None:
    with counting() as outer:
        Tag.objects.count()
        with counting() as inner:
            Tag.objects.count()
    Tag.objects.count()
    assert (outer.queries, inner.queries) == (2, 1)


def test_begin_and_savepoints_are_statements_and_no_queries() -> None:
    events: list[Event] = []
    with counting() as counted, listening(events.append), transaction.atomic(), transaction.atomic():
        Tag.objects.count()
    said = [event.sql.split()[0] for event in events if isinstance(event, Statement) and not event.is_query]
    assert "SAVEPOINT" in said
    assert counted.queries == 1


def test_a_statement_that_fails_is_told_too() -> None:
    with counting() as counted, pytest.raises(Exception, match="no_such_table"), connection.cursor() as cursor:
        cursor.execute("SELECT * FROM no_such_table")
    assert counted.queries == 1


def test_many_rows_in_one_statement_are_one_query_that_can_be_written_out(lab: Lab) -> None:
    with lab.meter() as reading, connection.cursor() as cursor:
        cursor.executemany("UPDATE shop_tag SET slug = %s WHERE id = %s", [("a", 1), ("b", 2)])
    assert reading.queries == 1
    assert reading.sql == ["UPDATE shop_tag SET slug = %s WHERE id = %s [('a', 1), ('b', 2)]"]


# The cache, as the caller sees it


@pytest.mark.parametrize("alias", BACKENDS)
def test_a_look_up_misses_then_hits_on_every_backend(backends: None, alias: str) -> None:
    it, hits = caches[alias], alias != "dummy"
    with counting() as counted:
        assert it.get("a", "nothing") == "nothing"
        it.set("a", [1, 2])
        assert it.get("a") == ([1, 2] if hits else None)
    assert (counted.hits, counted.misses) == ((1, 1) if hits else (0, 2))
    assert counted.operations["set"] == 1 and counted.uses["a"].bytes > 0
    assert (counted.queries > 0) == (alias == "db")


@pytest.mark.parametrize("alias", BACKENDS)
def test_get_or_set_is_one_look_up_and_its_inner_calls_are_parts_of_it(backends: None, alias: str) -> None:
    it = caches[alias]
    calls = calls_of(lambda: it.get_or_set("a", lambda: 42))
    assert [call.operation for call in calls if not call.part_of] == ["get_or_set"]
    assert calls[-1].missed == ("a",) and calls[-1].found == ()
    assert {call.part_of for call in calls[:-1]} <= {"get_or_set", "get", "get_many", "add"}
    assert len(calls) > 2
    with counting() as counted:
        assert it.get_or_set("a", 42) == 42
    assert (counted.hits, counted.misses) == ((1, 0) if alias != "dummy" else (0, 1))


def test_a_computation_inside_get_or_set_counts_its_own_cache_calls() -> None:
    cache.set("rate", 2)
    calls = calls_of(lambda: cache.get_or_set("price", lambda: 10 * cache.get("rate")))
    assert [(call.operation, call.keys[0]) for call in calls if not call.part_of] == [
        ("get", "rate"),
        ("get_or_set", "price"),
    ]
    with counting() as counted:
        assert cache.get_or_set("price:2", lambda: 10 * cache.get("rate")) == 20
    assert (counted.hits, counted.misses) == (1, 1)


@pytest.mark.parametrize("alias", BACKENDS[:-1])
def test_get_many_hits_and_misses_by_key(backends: None, alias: str) -> None:
    it = caches[alias]
    it.set_many({"product:1:detail": "x" * 100, "menu": 1})
    with counting() as counted:
        it.get_many(key for key in ("product:1:detail", "product:2:detail", "product:2:detail", "menu"))
    uses = {name: (use.hits, use.misses) for name, use in counted.uses.items()}
    assert uses == {"product:detail": (1, 1), "menu": (1, 0)}
    assert counted.uses["product:detail"].bytes > 100 > counted.uses["menu"].bytes > 0


def test_keys_that_can_be_read_once_only_still_reach_the_cache() -> None:
    cache.set_many({"a": 1, "b": 2})
    (call,) = calls_of(lambda: cache.delete_many(key for key in ("a", "b")))
    assert call.keys == ("a", "b")
    assert cache.get_many(keys=iter(["a", "b"])) == {}


@pytest.mark.parametrize("alias", BACKENDS[:-1])
def test_a_stored_none_is_a_hit(backends: None, alias: str) -> None:
    it = caches[alias]
    it.set("nobody", None)
    with counting() as counted:
        assert it.get("nobody", "default") is None
        assert it.get_or_set("nobody", "default") is None
    assert (counted.hits, counted.misses) == (2, 0)


def test_arguments_arrive_however_they_are_given() -> None:
    with counting() as counted:
        cache.set(key="a", value=1, timeout=None, version=7)
        assert cache.get(key="a", default=3) == 3
        assert cache.get("a", 3, 7) == cache.get(key="a", version=7) == 1
        assert cache.get_or_set(key="b", default=lambda: 2, timeout=5) == 2
    assert (counted.hits, counted.misses) == (2, 2)


@pytest.mark.parametrize("alias", BACKENDS[:-1])
def test_the_other_operations_are_counted_and_are_no_look_ups(backends: None, alias: str) -> None:
    it = caches[alias]
    it.set("n", 1)
    with counting() as counted:
        assert it.incr("n") == 2 and it.decr("n") == 1
        assert it.touch("n", 60) and it.has_key("n")
        assert it.add("n", 5) is False
        assert it.delete("n") is True
        it.clear()
    for name in ("incr", "decr", "touch", "has_key", "add", "delete", "clear"):
        assert counted.operations[name] >= 1, name
    assert (counted.hits, counted.misses) == (0, 0)


def test_bytes_are_those_of_the_pickled_values_written_and_read() -> None:
    with counting() as counted:
        cache.set("a", "x" * 1000)
        cache.get("a")
        cache.set_many({"b": "x" * 1000})
    assert 2000 < counted.uses["a"].bytes < 2100
    assert 1000 < counted.uses["b"].bytes < 1100


def test_bytes_are_those_that_the_server_holds(lab: Lab) -> None:
    with counting() as counted:
        cache.set_many({"number": 123456, "text": "x" * 1000})
        cache.get_or_set("list", lambda: [1, 2, 3])
    with lab.environment.cache_server.client() as server:
        assert {name: use.bytes for name, use in counted.uses.items()} == {
            name: server.strlen(f":1:{name}") for name in ("number", "text", "list")
        }


def test_a_call_that_fails_is_counted_and_fails() -> None:
    with counting() as counted:
        with pytest.raises(Exception, match="pickle"):
            cache.set("a", lambda: 1)
        with pytest.raises(LookupError):
            cache.get_or_set("a", lambda: [][0])
        with pytest.raises(ValueError, match="not found"):
            cache.incr("nothing")
        cache.get("a")
    assert [counted.operations[name] for name in ("set", "get_or_set", "incr")] == [1, 1, 1]
    assert (counted.hits, counted.misses) == (0, 2)  # the one that then failed, and the one after it


def test_the_cache_calls_of_all_threads_are_counted() -> None:
    cache.set("a", 1)
    threads = [threading.Thread(target=lambda: [cache.get("a") for _ in range(20)]) for _ in range(10)]
    with counting(everywhere=True) as counted:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counted.hits == counted.operations["get"] == 200


def test_async_methods_are_counted() -> None:
    async def work() -> tuple[Any, Any]:
        await cache.aset("a", 1)
        return await cache.aget("a"), await cache.aget("b", 9)

    with counting() as counted:
        assert asyncio.run(work()) == (1, 9)
    assert (counted.hits, counted.misses, counted.operations["set"]) == (1, 1, 1)


def test_install_twice_counts_once() -> None:
    install()
    install()
    with counting() as counted:
        Tag.objects.count()
        cache.get("a")
    assert (counted.queries, counted.misses, counted.operations) == (1, 1, {"get": 1})


def test_the_stock_classes_stay_as_they_are() -> None:
    assert not hasattr(type(caches["default"]).get, "metered")
    assert hasattr(caches["default"].get, "metered")


def test_nobody_listens_outside_a_block() -> None:
    with counting() as counted:
        pass
    cache.get("a")
    assert counted.operations == {} and counted.uses == {}


def test_a_key_may_be_any_object() -> None:
    with counting() as counted:
        cache.set(42, "x")
        assert cache.get(42) == "x"
        assert cache.get_many([42, 43]) == {42: "x"}
    assert (counted.hits, counted.misses) == (2, 1)


def test_two_listeners_of_everything_that_have_counted_the_same_are_two() -> None:
    with counting(everywhere=True) as outer:
        with counting(everywhere=True) as inner:
            cache.get("a")
        cache.get("b")
    assert (inner.misses, outer.misses) == (1, 2)


def test_a_wrapper_of_somebody_else_comes_and_goes_beside_ours() -> None:
    connection.close()
    connection.execute_wrappers.clear()
    seen: list[str] = []

    def theirs(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(theirs):
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    with counting() as counted, connection.cursor() as cursor:
        cursor.execute("/* who asks */ SELECT 1")
        cursor.execute("-- why\nSELECT 1")
    assert (counted.queries, seen) == (2, ["SELECT 1"])
