"""Stale-while-revalidate: who comes too late for a fresh value gets the previous one, and does not wait."""

from typing import Any
from unittest import mock

from django.core.cache.backends.locmem import LocMemCache
from django.test import SimpleTestCase

from tutorial_project.caching import runtime
from tutorial_project.caching.stale import get_or_refresh


class Bench(runtime.Runtime):
    """A clock that the test sets, and background work that it does when it likes."""

    def __init__(self) -> None:
        self.time = 1_000_000.0
        self.background: list[Any] = []

    def now(self) -> float:
        return self.time

    def spawn(self, function: Any) -> None:
        self.background.append(function)


class StaleTests(SimpleTestCase):
    def setUp(self) -> None:
        self.bench = Bench()
        block = runtime.using(self.bench)
        block.__enter__()
        self.addCleanup(block.__exit__, None, None, None)
        for module in ("base", "locmem"):
            patch = mock.patch(f"django.core.cache.backends.{module}.time", mock.Mock(time=self.bench.now))
            patch.start()
            self.addCleanup(patch.stop)
        self.cache: Any = LocMemCache(self.id(), {})
        self.addCleanup(self.cache.clear)

    def read(self, value: Any, timeout: float | None = 60, grace: float = 600) -> Any:
        compute = value if isinstance(value, mock.Mock) else lambda: value
        return get_or_refresh("menu", compute, timeout, grace, cache=self.cache)

    def test_fresh_then_the_previous_one_then_the_new_one(self) -> None:
        self.assertEqual(self.read("old"), "old")
        self.bench.time += 59.9
        self.assertEqual(self.read("new"), "old")
        self.assertEqual(self.bench.background, [])
        self.bench.time += 0.2
        self.assertEqual([self.read("new") for _ in range(5)], ["old"] * 5)
        self.assertEqual(len(self.bench.background), 1)  # one refresh, however many ask
        self.bench.background.pop()()
        self.assertEqual(self.read("never"), "new")

    def test_computed_at_once_where_nothing_is_kept(self) -> None:
        self.read("old")
        self.bench.time += 660.1
        self.assertEqual(self.read("new"), "new")
        self.assertEqual(self.bench.background, [])

    def test_an_error_in_the_background_is_followed_by_another_try(self) -> None:
        self.read("old")
        self.bench.time += 61
        self.assertEqual(self.read(mock.Mock(side_effect=OSError("the database"))), "old")
        with self.assertRaises(OSError):
            self.bench.background.pop()()
        self.assertEqual(self.read("new"), "old")
        self.bench.background.pop()()
        self.assertEqual(self.read("never"), "new")

    def test_an_error_where_nothing_is_kept_is_raised_and_not_kept(self) -> None:
        with self.assertRaises(OSError):
            self.read(mock.Mock(side_effect=OSError("the database")))
        self.assertEqual(self.read("soup"), "soup")

    def test_none_is_a_value_and_a_foreign_one_is_a_miss(self) -> None:
        self.assertIsNone(self.read(None))
        self.assertIsNone(self.read("never"))
        for foreign in ("somebody else's", ("a", "b", "c", "d", "e"), {"%kept": 1}):
            self.cache.set("menu", foreign)
            self.assertEqual(self.read("soup"), "soup")

    def test_for_ever(self) -> None:
        self.read("soup", timeout=None)
        self.bench.time += 10**9
        self.assertEqual(self.read("never", timeout=None), "soup")
        self.assertEqual(self.bench.background, [])

    def test_a_clock_that_jumps_ahead_costs_one_refresh(self) -> None:
        self.read("old")
        with runtime.using(ahead := Bench()):
            ahead.time = self.bench.time + 86_400
            self.assertEqual(self.read("new"), "old")
            self.assertEqual(len(ahead.background), 1)

    def test_a_timeout_of_zero_computes_each_time(self) -> None:
        self.assertEqual([self.read(value, timeout=0, grace=0) for value in "abc"], ["a", "b", "c"])

    def test_what_cannot_be_meant(self) -> None:
        for timeout, grace in ((-1, 600), (60, -1), (float("nan"), 600), (60, float("nan"))):
            with self.subTest((timeout, grace)), self.assertRaisesRegex(ValueError, "neither can be negative"):
                self.read("soup", timeout, grace)
