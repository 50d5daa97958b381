"""The short front: how stale it may be, who hears of a delete, and what it spares the shared cache."""

from typing import Any
from unittest import mock

from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.test import SimpleTestCase, override_settings

from tutorial_project.caching.front import Front

MEMORY = "django.core.cache.backends.locmem.LocMemCache"


class FrontTests(SimpleTestCase):
    """Two processes, `here` and `elsewhere`: each has a memory of its own in front of one shared cache."""

    def setUp(self) -> None:
        self.clock = mock.Mock()
        self.clock.time.return_value = 1_000_000.0
        for module in ("base", "locmem"):
            patch = mock.patch(f"django.core.cache.backends.{module}.time", self.clock)
            patch.start()
            self.addCleanup(patch.stop)
        self.shared = self.memory("shared")
        self.here = Front(1.0, self.shared, self.memory("here"))
        self.elsewhere = Front(1.0, self.shared, self.memory("elsewhere"))

    def memory(self, name: str, kind: type[LocMemCache] = LocMemCache) -> LocMemCache:
        """A cache in this process's memory that no other test and no project has."""
        cache = kind(f"{self.id()} {name}", {})
        self.addCleanup(cache.clear)
        return cache

    def later(self, seconds: float) -> None:
        self.clock.time.return_value += seconds

    def test_a_hot_key_is_read_from_the_shared_cache_once_in_its_seconds(self) -> None:
        with mock.patch.object(self.shared, "get_or_set", wraps=self.shared.get_or_set) as trips:
            for reads in (1, 2, 3):
                for _ in range(50):
                    self.assertEqual(self.here.get_or_set("menu", lambda: "soup", 600), "soup")
                self.assertEqual(trips.call_count, reads)
                self.later(1.1)

    def test_what_one_process_computed_another_does_not_compute(self) -> None:
        compute = mock.Mock(return_value="soup")
        for front in (self.here, self.elsewhere):
            self.assertEqual(front.get_or_set("menu", compute, 600), "soup")
        self.assertEqual(compute.call_count, 1)

    def test_a_change_is_seen_after_the_seconds_and_may_be_missed_until_then(self) -> None:
        changes = {
            "deleted": lambda: self.elsewhere.delete("menu"),
            "replaced": lambda: self.shared.set("menu", "stew", 600),
            "expired": lambda: self.shared.touch("menu", 0),
        }
        for name, change in changes.items():
            with self.subTest(name):
                self.here.delete("menu")
                self.here.get_or_set("menu", lambda: "soup", 600)
                change()
                self.later(0.9)
                self.assertEqual(self.here.get_or_set("menu", lambda: "stew", 600), "soup")  # the limit
                self.later(0.2)
                self.assertEqual(self.here.get_or_set("menu", lambda: "stew", 600), "stew")  # the guarantee

    def test_looking_often_does_not_make_a_value_last_longer(self) -> None:
        self.here.get_or_set("menu", lambda: "soup", 600)
        self.elsewhere.delete("menu")
        seen = []
        for _ in range(5):
            self.later(0.3)
            seen.append(self.here.get_or_set("menu", lambda: "stew", 600))
        self.assertEqual(seen, ["soup"] * 3 + ["stew"] * 2)

    def test_who_deletes_is_fresh_at_once(self) -> None:
        self.here.get_or_set("menu", lambda: "soup", 600)
        self.here.delete("menu")
        self.assertEqual(self.here.get_or_set("menu", lambda: "stew", 600), "stew")

    def test_two_processes_may_disagree_meanwhile(self) -> None:
        for front in (self.here, self.elsewhere):
            front.get_or_set("menu", lambda: "soup", 600)
        self.here.delete("menu")
        seen = [front.get_or_set("menu", lambda: "stew", 600) for front in (self.here, self.elsewhere)]
        self.assertEqual(seen, ["stew", "soup"])

    def test_nothing_is_kept_for_longer_than_its_timeout(self) -> None:
        front = Front(10.0, self.shared, self.memory("long"))
        front.get_or_set("menu", lambda: "soup", 2)
        self.later(2.1)
        self.assertEqual(front.get_or_set("menu", lambda: "stew", 2), "stew")
        compute = mock.Mock(side_effect=["soup", "stew"])
        self.assertEqual([front.get_or_set("never", compute, 0) for _ in range(2)], ["soup", "stew"])

    def test_what_is_kept_for_ever_is_asked_for_again_after_the_seconds(self) -> None:
        self.here.get_or_set("menu", lambda: "soup", None)
        self.shared.set("menu", "stew", None)
        self.later(1.1)
        self.assertEqual(self.here.get_or_set("menu", lambda: "never", None), "stew")

    def test_none_is_a_value_like_any_other(self) -> None:
        compute = mock.Mock(return_value=None)
        with mock.patch.object(self.shared, "get_or_set", wraps=self.shared.get_or_set) as trips:
            for _ in range(3):
                self.assertIsNone(self.here.get_or_set("nobody", compute, 600))
        self.assertEqual((compute.call_count, trips.call_count), (1, 1))

    def test_who_computes_while_another_deletes_stores_the_old_value(self) -> None:
        def slow() -> str:
            self.elsewhere.delete("menu")  # by one who has changed what was read here already
            return "old"

        self.here.get_or_set("menu", slow, 600)
        self.assertEqual(self.elsewhere.get_or_set("menu", lambda: "new", 600), "old")  # the limit: for `timeout`

    def test_a_thread_that_is_reading_may_keep_the_old_value_for_the_seconds(self) -> None:
        deleting = self.here.delete

        class Overtaken(LocMemCache):
            def set(self, key: str, value: Any, *args: Any, **kwargs: Any) -> None:
                deleting("menu")  # by another thread, between this one's look and its set
                super().set(key, value, *args, **kwargs)

        reading = Front(1.0, self.shared, self.memory("here", Overtaken))  # the memory of `here`
        reading.get_or_set("menu", lambda: "soup", 600)
        self.assertEqual(self.here.get_or_set("menu", lambda: "stew", 600), "soup")  # the limit
        self.later(1.1)
        self.assertEqual(self.here.get_or_set("menu", lambda: "stew", 600), "stew")

    def test_without_caches_given_it_uses_the_aliases_default_and_local(self) -> None:
        settings = {alias: {"BACKEND": MEMORY, "LOCATION": f"{self.id()} {alias}"} for alias in ("default", "local")}
        with override_settings(CACHES=settings):
            Front().get_or_set("menu", lambda: "soup", 600)
            self.assertEqual([caches[alias].get("menu") for alias in settings], ["soup", "soup"])
            self.later(1.1)
            self.assertEqual([caches[alias].get("menu") for alias in settings], ["soup", None])
            for alias in settings:
                caches[alias].clear()
