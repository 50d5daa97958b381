"""The atomic steps, in local memory: whose a mark is, and that nobody comes between."""

import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

from django.core.cache import cache, caches
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.test import SimpleTestCase, override_settings

from tutorial_project.caching.atomic import MARK, Leased, acquire, commit, release, renew


class AtomicTests(SimpleTestCase):
    def setUp(self) -> None:
        self.clock = mock.Mock()
        self.clock.time.return_value = 1_000_000.0
        for module in ("base", "locmem"):
            patch = mock.patch(f"django.core.cache.backends.{module}.time", self.clock)
            patch.start()
            self.addCleanup(patch.stop)
        self.cache: Any = LocMemCache(self.id(), {})
        self.addCleanup(self.cache.clear)

    def acquire(self, token: str, ttl: float = 10) -> Leased:
        return acquire("menu", token, ttl, cache=self.cache)

    def commit(self, token: str, value: object, timeout: float | None = 60, **more: Any) -> bool:
        return commit("menu", token, value, timeout, cache=self.cache, **more)

    def later(self, seconds: float) -> None:
        self.clock.time.return_value += seconds

    def test_the_first_has_it_and_the_value_takes_its_place(self) -> None:
        self.assertEqual(self.acquire("a"), Leased(token="a"))
        self.assertEqual(self.acquire("b"), Leased())
        self.assertEqual(self.acquire("a"), Leased(token="a"))  # asked again, as after a lost answer
        self.assertFalse(self.commit("b", "stew"))
        self.assertTrue(self.commit("a", "soup"))
        self.assertEqual(self.acquire("b"), Leased(hit=True, value="soup"))
        self.assertEqual(self.cache.get("menu"), "soup")
        self.assertFalse(self.commit("a", "again"))

    def test_any_value_is_a_value_but_one_that_reads_like_a_mark(self) -> None:
        values: list[Any] = [None, False, 0, "", [], 42, {"a": 1}]
        for value in values:
            with self.subTest(value=value):
                self.cache.delete("menu")
                self.acquire("a")
                self.assertTrue(self.commit("a", value))
                self.assertEqual(self.acquire("b"), Leased(hit=True, value=value))
        with self.assertRaisesRegex(ValueError, "taken for a mark"):
            self.commit("a", MARK + "a")

    def test_what_deletes_replaces_or_outlives_the_mark_takes_it_away(self) -> None:
        changes = {
            "deleted": lambda: self.cache.delete("menu"),
            "deleted with others": lambda: self.cache.delete_many(["menu", "rates"]),
            "replaced": lambda: self.cache.set("menu", "stew", 60),
            "too late": lambda: self.later(10.1),
            "emptied": lambda: self.cache.clear(),
        }
        for name, change in changes.items():
            for act in (lambda: self.commit("a", "old"), lambda: renew("menu", "a", 10, cache=self.cache)):
                with self.subTest(name):
                    self.cache.delete("menu")
                    self.acquire("a")
                    change()
                    self.assertFalse(act())
                    self.assertFalse(release("menu", "a", cache=self.cache))
                    self.assertEqual(self.cache.get("menu"), "stew" if name == "replaced" else None)

    def test_a_mark_that_came_after_another_is_not_the_others(self) -> None:
        self.acquire("a")
        self.cache.delete("menu")
        self.assertEqual(self.acquire("b").token, "b")
        self.assertFalse(self.commit("a", "old"))
        self.assertFalse(release("menu", "a", cache=self.cache))
        self.assertTrue(self.commit("b", "new"))

    def test_renewed_it_lives_on_and_released_it_is_gone(self) -> None:
        self.acquire("a", ttl=10)
        self.later(8)
        self.assertTrue(renew("menu", "a", 10, cache=self.cache))
        self.later(8)
        self.assertEqual(self.acquire("b"), Leased())
        self.assertTrue(release("menu", "a", cache=self.cache))
        self.assertEqual(self.acquire("b").token, "b")

    def test_a_mark_needs_a_time(self) -> None:
        for ttl in (0, -1):
            with self.assertRaisesRegex(ValueError, "it needs some"):
                self.acquire("a", ttl)
            with self.assertRaisesRegex(ValueError, "it needs some"):
                renew("menu", "a", ttl, cache=self.cache)

    def test_timeouts_are_djangos(self) -> None:
        for timeout, after, there in ((60, 59, True), (60, 61, False), (0, 0, False), (None, 10**6, True)):
            with self.subTest(timeout=timeout, after=after):
                self.cache.delete("menu")
                self.acquire("a")
                self.assertTrue(self.commit("a", "soup", timeout))
                self.later(after)
                self.assertEqual(self.cache.get("menu") == "soup", there)

    def test_a_value_beside_its_mark(self) -> None:
        self.cache.set("value", "stale", 600)
        self.acquire("a")
        self.assertTrue(self.commit("a", "fresh", into="value"))
        self.assertEqual((self.cache.get("value"), self.cache.get("menu")), ("fresh", None))
        self.assertFalse(self.commit("a", "late", into="value"))
        self.assertEqual(self.cache.get("value"), "fresh")

    def test_one_of_many_threads_has_it(self) -> None:
        for _ in range(20):
            self.cache.clear()
            self.assertEqual(self.at_once(lambda name: self.acquire(name).token).count(""), 7)

    def test_nobody_comes_between_a_look_and_what_follows_it(self) -> None:
        """A thread that is in the middle of a step is waited for, by whoever calls the cache itself too."""
        in_the_middle, go_on = threading.Event(), threading.Event()
        delete = self.cache._delete

        def slowly(name: str) -> bool:
            if threading.current_thread() is committing:
                in_the_middle.set()
                go_on.wait(0.2)
            return delete(name)

        self.acquire("a")
        committing = threading.Thread(target=self.commit, args=("a", "old"))
        with mock.patch.object(self.cache, "_delete", slowly):
            committing.start()
            in_the_middle.wait(5)  # it has looked, and is about to store
            self.cache.delete("menu")
            go_on.set()
            committing.join()
        self.assertIsNone(self.cache.get("menu"))

    def at_once(self, act: Callable[[str], str]) -> list[str]:
        """What `act` returned to each of eight threads that began together."""
        together, returned = threading.Barrier(8), []

        def run(name: str) -> None:
            together.wait()
            returned.append(act(name))

        threads = [threading.Thread(target=run, args=(str(n),)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return returned

    def test_a_cache_that_stores_nothing_leases_nothing(self) -> None:
        dummy = DummyCache("", {})
        self.assertEqual(acquire("menu", "a", 10, cache=dummy), Leased(token="a"))
        self.assertFalse(commit("menu", "a", "soup", cache=dummy))
        self.assertFalse(renew("menu", "a", 10, cache=dummy) or release("menu", "a", cache=dummy))

    def test_a_cache_without_atomic_steps_is_refused(self) -> None:
        for store in (DatabaseCache("table", {}), FileBasedCache("/nowhere", {})):
            with self.assertRaisesRegex(TypeError, f"{type(store).__name__} has no steps that nobody can come between"):
                acquire("menu", "a", 10, cache=store)

    def test_without_a_cache_given_it_is_the_default_one(self) -> None:
        settings = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": self.id()}}
        with override_settings(CACHES=settings):
            for given in ({}, {"cache": cache}, {"cache": caches["default"]}):
                self.assertEqual(acquire("menu", "a", 10, **given), Leased(token="a"))

    def test_a_cache_that_has_its_own_way_to_be_alone_is_asked_for_it(self) -> None:
        entered = []

        class Stepped(LocMemCache):
            def exclusively(self, *what: str) -> threading.Lock:
                entered.append(what)
                return threading.Lock()

        stepped = Stepped(self.id(), {})
        acquire("menu", "a", 10, cache=stepped)
        renew("menu", "a", 10, cache=stepped)
        commit("menu", "a", 1, 60, cache=stepped)
        release("menu", "a", cache=stepped)
        self.assertEqual(entered, [(step, "menu") for step in ("acquire", "renew", "commit", "release")])
