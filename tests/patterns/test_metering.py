"""What is counted: every statement and every cache call, once, of every thread, as the caller sees it."""

import asyncio
import pickle
import threading
from collections.abc import Callable

from django.core.cache import cache, caches
from django.db import DatabaseError, connection, connections, transaction
from django.test import SimpleTestCase, TestCase, override_settings

from tutorial_project.caching.metering import CacheCall, Event, Statement, Use, counting, install, listening, use_of

MEMORY = "django.core.cache.backends.locmem.LocMemCache"


def ask(sql: str = "SELECT 1") -> None:
    """Send the database one query."""
    with connection.cursor() as cursor:
        cursor.execute(sql + connection.features.bare_select_suffix)


def in_threads(act: Callable[[], object], threads: int) -> None:
    """Act in so many threads at a time, and wait until they are done."""

    def work() -> None:
        act()
        connections.close_all()

    started = [threading.Thread(target=work) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def events_of(act: Callable[[], object]) -> list[Event]:
    """What is told while `act` runs, in the order in which it ends."""
    events: list[Event] = []
    with listening(events.append):
        act()
    return events


def calls_of(act: Callable[[], object]) -> list[CacheCall]:
    return [event for event in events_of(act) if isinstance(event, CacheCall)]


class UseTests(SimpleTestCase):
    def test_a_key_is_an_entry_of_its_use(self) -> None:
        for key, use in {
            "popular_products": "popular_products",
            "popular_products:de": "popular_products",
            "product:42:detail": "product:detail",
            "product:42:7": "product",
            "views.decorators.cache.cache_page..GET.d41d8cd9.d41d8cd9.en.UTC": "page",
            "template.cache.sidebar.d41d8cd98f00b204": "fragment:sidebar",
            "django.contrib.sessions.cache7a1": "session",
        }.items():
            with self.subTest(key):
                self.assertEqual(use_of(key), use)

    def test_the_hit_ratio_is_the_hits_among_the_look_ups(self) -> None:
        self.assertEqual([Use(hits=3, misses=1).hit_ratio, Use().hit_ratio], [0.75, 0.0])


class StatementTests(TestCase):
    def setUp(self) -> None:
        install()

    def test_the_statements_of_this_thread_or_of_all_are_counted(self) -> None:
        with counting(everywhere=True) as every, counting() as mine:
            ask()
            in_threads(ask, threads=1)
        self.assertEqual((every.queries, mine.queries), (2, 1))

    def test_counting_ends_with_its_block_and_blocks_nest(self) -> None:
        with counting() as outer:
            ask()
            with counting() as inner:
                ask()
        ask()
        self.assertEqual((outer.queries, inner.queries), (2, 1))

    def test_savepoints_are_statements_and_no_queries(self) -> None:
        def work() -> None:
            with transaction.atomic():
                ask()

        statements = [event for event in events_of(work) if isinstance(event, Statement)]
        self.assertEqual([event.is_query for event in statements], [False, True, False])

    def test_a_query_behind_a_comment_or_a_bracket_is_one(self) -> None:
        with counting() as counted:
            ask("/* who asks */ SELECT 1")
            ask("-- why\nSELECT 1")
            ask("WITH one AS (SELECT 1) SELECT 2")
        self.assertEqual(counted.queries, 3)

    def test_a_statement_that_fails_is_told_too(self) -> None:
        with counting() as counted, self.assertRaises(DatabaseError), transaction.atomic():
            ask("SELECT * FROM no_such_table")
        self.assertEqual(counted.queries, 1)

    def test_installing_it_again_counts_nothing_twice(self) -> None:
        install()
        with counting() as counted:
            ask()
        self.assertEqual(counted.queries, 1)


@override_settings(CACHES={"default": {"BACKEND": MEMORY, "LOCATION": __name__}})
class CacheTests(SimpleTestCase):
    def setUp(self) -> None:
        self.addCleanup(cache.clear)
        install()

    def test_a_look_up_misses_and_then_hits(self) -> None:
        with counting() as counted:
            self.assertEqual(cache.get("menu", "nothing"), "nothing")
            cache.set("menu", "soup")
            self.assertEqual(cache.get("menu"), "soup")
        self.assertEqual((counted.hits, counted.misses), (1, 1))
        self.assertEqual(counted.operations, {"get": 2, "set": 1})

    def test_a_stored_none_is_a_hit(self) -> None:
        cache.set("nobody", None)
        with counting() as counted:
            self.assertIsNone(cache.get("nobody", "somebody"))
        self.assertEqual((counted.hits, counted.misses), (1, 0))

    def test_get_or_set_is_one_look_up_however_many_calls_it_makes(self) -> None:
        for found, look_ups in (((), (0, 1)), (("menu",), (1, 0))):
            with self.subTest(found=found), counting() as counted:
                calls = calls_of(lambda: cache.get_or_set("menu", lambda: "soup"))
                self.assertEqual([call.found for call in calls if not call.part_of], [found])
                self.assertEqual((counted.hits, counted.misses), look_ups)
                self.assertEqual(counted.trips["default"], len(calls) - 1)

    def test_what_is_computed_inside_counts_its_own_calls(self) -> None:
        cache.set("rate", 2)
        with counting() as counted:
            self.assertEqual(cache.get_or_set("price", lambda: 10 * cache.get("rate")), 20)
        self.assertEqual(
            {name: (use.hits, use.misses) for name, use in counted.uses.items()}, {"rate": (1, 0), "price": (0, 1)}
        )

    def test_many_keys_are_looked_up_one_by_one_in_one_call(self) -> None:
        cache.set_many({"product:1:detail": 1, "menu": 2})
        with counting() as counted:
            cache.get_many(key for key in ("product:1:detail", "product:2:detail", "menu"))
        self.assertEqual(
            {name: (use.hits, use.misses) for name, use in counted.uses.items()},
            {"product:detail": (1, 1), "menu": (1, 0)},
        )
        self.assertEqual(counted.operations["get_many"], 1)

    def test_bytes_are_those_of_the_pickled_values(self) -> None:
        value = ["soup"] * 100
        with counting() as counted:
            cache.set("menu", value)
            cache.get("menu")
        self.assertEqual(counted.uses["menu"].bytes, 2 * len(pickle.dumps(value, pickle.HIGHEST_PROTOCOL)))

    def test_a_call_that_fails_is_counted_and_fails(self) -> None:
        with counting() as counted:
            with self.assertRaises(LookupError):
                cache.get_or_set("menu", lambda: [][0])
            with self.assertRaises(ValueError):
                cache.incr("nothing")
        self.assertEqual([counted.operations[name] for name in ("get_or_set", "incr")], [1, 1])

    def test_the_calls_of_this_thread_or_of_all_are_counted(self) -> None:
        cache.set("menu", "soup")
        with counting(everywhere=True) as every, counting() as mine:
            in_threads(lambda: [cache.get("menu") for _ in range(20)], threads=10)
        self.assertEqual((every.hits, mine.hits), (200, 0))

    def test_an_async_call_is_told_as_the_calls_that_it_makes(self) -> None:
        with counting() as counted:
            self.assertEqual(asyncio.run(cache.aget_or_set("menu", "soup")), "soup")
        self.assertEqual(counted.hits + counted.misses, 2)  # the limit: a look, and another at what it has set

    def test_installing_it_again_counts_nothing_twice(self) -> None:
        install()
        with counting() as counted:
            cache.get("menu")
        self.assertEqual(counted.operations, {"get": 1})

    def test_the_class_of_the_cache_stays_as_it_is(self) -> None:
        self.assertFalse(hasattr(type(caches["default"]).get, "metered"))
        self.assertTrue(hasattr(caches["default"].get, "metered"))
