"""Stale-while-revalidate: who comes too late for a fresh value gets the previous one, and does not wait."""

import threading
from typing import Any
from unittest import mock

from django.core.cache.backends.locmem import LocMemCache
from django.test import SimpleTestCase

from tutorial_project.caching import runtime, stale
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
        endless, none = float("inf"), float("nan")
        for timeout, grace in ((-1, 600), (60, -1), (none, 600), (60, none), (endless, 600), (60, endless)):
            with self.subTest((timeout, grace)), self.assertRaisesRegex(ValueError, "a number of seconds, 0 or more"):
                self.read(compute := mock.Mock(), timeout, grace)
            self.assertEqual(compute.call_count, 0)  # told before anything is done

    def test_a_timeout_shorter_than_the_computation(self) -> None:
        def slow() -> str:
            self.bench.time += 5
            return "slow"

        self.assertEqual(
            [self.read(mock.Mock(side_effect=slow), timeout=1), self.read("never", timeout=1)], ["slow"] * 2
        )
        self.bench.time += 1.1
        self.assertEqual(self.read("new", timeout=1), "slow")
        self.assertEqual(len(self.bench.background), 1)

    def test_a_clock_that_is_set_back_serves_no_longer_than_the_server_keeps_it(self) -> None:
        self.read("old", timeout=60, grace=0)
        with runtime.using(behind := Bench()):
            behind.time = self.bench.time - 86_400
            self.bench.time += 59
            self.assertEqual(self.read("new", timeout=60, grace=0), "old")
            self.bench.time += 2
            self.assertEqual(self.read("new", timeout=60, grace=0), "new")

    def test_a_value_that_cannot_be_pickled_is_an_error_only_where_nothing_is_kept(self) -> None:
        with self.assertRaisesRegex((TypeError, AttributeError), "pickle"):
            self.read(threading.Lock())
        self.read("old")
        self.bench.time += 61
        self.assertEqual(self.read(threading.Lock()), "old")
        with self.assertRaisesRegex((TypeError, AttributeError), "pickle"):
            self.bench.background.pop()()
        self.assertEqual(self.read("new"), "old")
        self.bench.background.pop()()
        self.assertEqual(self.read("never"), "new")

    def test_where_there_is_no_thread_the_previous_value_is_served_all_the_same(self) -> None:
        self.read("old")
        self.bench.time += 61
        no_thread = mock.patch.object(self.bench, "spawn", side_effect=RuntimeError("can't start new thread"))
        with no_thread, self.assertLogs(stale.logger, "ERROR") as logs:
            self.assertEqual(self.read("new"), "old")
        self.assertIn("menu is not refreshed", logs.output[0])
        self.assertEqual(self.read("new"), "old")
        self.assertEqual(len(self.bench.background), 1)  # the next one tries again

    def test_one_refresh_where_each_thread_has_a_cache_object_of_its_own(self) -> None:
        """As `django.core.cache.caches["…"]` gives them."""
        self.read("old")
        self.bench.time += 61
        for _ in range(4):
            self.cache = LocMemCache(self.id(), {})
            self.assertEqual(self.read("new"), "old")
        self.assertEqual(len(self.bench.background), 1)
        self.bench.background.pop()()
