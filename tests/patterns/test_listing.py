"""The listing pattern, in local memory: what is below a key, and what only looks as if it were."""

from typing import Any
from unittest import mock

from django.core.cache import cache
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.test import SimpleTestCase, override_settings

from tutorial_project.caching.keys import READABLE, key
from tutorial_project.caching.listing import Deleted, delete_below, keys_below


class ListingTests(SimpleTestCase):
    def setUp(self) -> None:
        self.cache: Any = LocMemCache(self.id(), {"KEY_PREFIX": "shop*", "VERSION": 3})
        self.addCleanup(self.cache.clear)
        self.below = sorted([key("product", 42), key("product", 42, "detail"), key("product", 42, "x" * 500, page=2)])
        self.others = [
            key("product", 421),
            key("product", 4),
            key("product"),
            key("product", "*"),
            "product",
            "a:product:42:b",
        ]
        for name in (*self.below, *self.others):
            self.cache.set(name, 1, 60)

    def left(self) -> list[str]:
        return [name for name in (*self.below, *self.others) if name in self.cache]

    def test_what_is_below_is_found_and_can_be_asked_for(self) -> None:
        self.assertEqual(keys_below(key("product", 42), cache=self.cache), self.below)
        self.assertTrue(all(self.cache.get(name) for name in keys_below("product:42", cache=self.cache)))

    def test_what_is_below_is_deleted_and_nothing_else(self) -> None:
        self.assertEqual(delete_below(key("product", 42), cache=self.cache), Deleted(keys=3, scans=0, deletes=0))
        self.assertEqual(self.left(), self.others)
        self.assertEqual(delete_below(key("product", 42), cache=self.cache).keys, 0)

    def test_a_star_stands_for_itself(self) -> None:
        self.assertEqual(delete_below(key("product", "*"), cache=self.cache).keys, 1)
        self.assertEqual(len(self.left()), 8)

    def test_what_has_expired_is_not_there(self) -> None:
        with mock.patch("django.core.cache.backends.locmem.time.time", return_value=2e12):
            self.assertEqual(keys_below("product:42", cache=self.cache), [])
            self.assertEqual(delete_below("product:42", cache=self.cache).keys, 0)

    def test_another_prefix_and_another_version_are_others(self) -> None:
        for more in ({"KEY_PREFIX": "shop", "VERSION": 3}, {"KEY_PREFIX": "shop*", "VERSION": 2}):
            self.assertEqual(keys_below("product:42", cache=LocMemCache(self.id(), more)), [])

    def test_what_cannot_be_told_is_refused(self) -> None:
        with self.assertRaisesRegex(ValueError, "keys below it are hashed"):
            keys_below("x" * READABLE, cache=self.cache)
        hiding = LocMemCache(self.id(), {"KEY_FUNCTION": lambda key, prefix, version: "hash"})
        for act in (keys_below, delete_below):
            with self.assertRaisesRegex(ValueError, "KEY_FUNCTION"):
                act("product:42", cache=hiding)
            with self.assertRaisesRegex(TypeError, "DatabaseCache"):
                act("product:42", cache=DatabaseCache("table", {}))

    def test_a_cache_that_stores_nothing_has_nothing(self) -> None:
        dummy = DummyCache("", {})
        self.assertEqual((keys_below("a", cache=dummy), delete_below("a", cache=dummy)), ([], Deleted(0, 0, 0)))

    def test_without_a_cache_given_it_is_the_default_one(self) -> None:
        memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": self.id()}
        with override_settings(CACHES={"default": memory}):
            cache.set("product:42:detail", 1)
            self.assertEqual(keys_below("product:42"), ["product:42:detail"])
            self.assertEqual(delete_below("product:42").keys, 1)
