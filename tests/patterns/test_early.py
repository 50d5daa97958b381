"""Timeouts that differ a little, and readers who recompute shortly before a value expires."""

import random
import threading
from typing import Any
from unittest import mock

from django.core.cache.backends.locmem import LocMemCache
from django.test import SimpleTestCase

from tutorial_project.caching import runtime
from tutorial_project.caching.early import get_or_set, is_due, jittered


class Clock(runtime.Runtime):
    """A clock that the test sets."""

    time = 1_000_000.0

    def now(self) -> float:
        return self.time


class JitterTests(SimpleTestCase):
    def test_evenly_between_its_bounds(self) -> None:
        random.seed(1)
        drawn = [jittered(100, 0.2) for _ in range(2000)]
        self.assertTrue(80 <= min(drawn) < 81 and 119 < max(drawn) <= 120)
        self.assertLess(abs(sum(drawn) / 2000 - 100), 1)
        self.assertEqual(jittered(100, 0), 100)

    def test_a_share_that_cannot_be_meant(self) -> None:
        for share in (-0.1, 1.5, float("nan")):
            with self.subTest(share), self.assertRaisesRegex(ValueError, "jitter"):
                jittered(100, share)


class EarlyTests(SimpleTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        block = runtime.using(self.clock)
        block.__enter__()
        self.addCleanup(block.__exit__, None, None, None)
        for module in ("base", "locmem"):
            patch = mock.patch(f"django.core.cache.backends.{module}.time", mock.Mock(time=self.clock.now))
            patch.start()
            self.addCleanup(patch.stop)
        self.cache: Any = LocMemCache(self.id(), {})
        self.addCleanup(self.cache.clear)
        self.computed = 0

    def read(self, timeout: float = 60, took: float = 2.0, value: Any = "soup", **more: Any) -> Any:
        def compute() -> Any:
            self.computed += 1
            self.clock.time += took
            return value

        return get_or_set("menu", compute, timeout, cache=self.cache, **more)

    def test_the_rule(self) -> None:
        # Δ = 2, β = 1: who draws e^(−x) recomputes 2x seconds before the expiry.
        draws = lambda: 1 - 0.1353352832366127  # noqa: E731  # e^(−2): four seconds before
        self.assertTrue(is_due(now=56.01, expires=60, took=2, beta=1, chance=draws))
        self.assertFalse(is_due(now=55.99, expires=60, took=2, beta=1, chance=draws))
        self.assertTrue(is_due(now=58.01, expires=60, took=2, beta=0.5, chance=draws))
        self.assertFalse(is_due(now=57.99, expires=60, took=2, beta=0.5, chance=draws))
        self.assertTrue(is_due(now=60, expires=60, took=0, beta=1))
        self.assertFalse(is_due(now=59, expires=60, took=0, beta=1, chance=lambda: 0.0))

    def test_a_reader_in_many_recomputes_before_the_end(self) -> None:
        random.seed(1)
        self.read()
        self.clock.time += 50
        for _ in range(300):
            self.read(took=0)
            self.clock.time += 0.03
        self.assertGreater(self.computed, 1)

    def test_never_early_without_beta_and_always_when_it_is_over(self) -> None:
        self.read(beta=0)
        self.clock.time += 59.9
        self.read(beta=0)
        self.assertEqual(self.computed, 1)
        self.clock.time += 0.1
        self.read(beta=0)
        self.assertEqual(self.computed, 2)

    def test_none_is_a_value_and_a_foreign_one_is_a_miss(self) -> None:
        self.assertEqual([self.read(took=0, value=None) for _ in range(3)], [None] * 3)
        self.assertEqual(self.computed, 1)
        self.cache.set("menu", ("somebody", "else's"))
        self.assertEqual(self.read(), "soup")

    def test_a_clock_that_is_set_back_serves_no_longer_than_the_server_keeps_it(self) -> None:
        self.read(beta=0)
        with runtime.using(mock.Mock(now=lambda: self.clock.time - 86_400)):
            self.assertEqual(self.read(beta=0, value="new"), "soup")
            self.clock.time += 61
            self.assertEqual(self.read(beta=0, value="new"), "new")

    def test_a_computation_during_which_the_clock_was_set_back_took_no_time(self) -> None:
        self.read(took=-3600)
        self.assertEqual(self.cache.get("menu")[4], 0.0)

    def test_less_than_a_second_is_stored(self) -> None:
        with mock.patch.object(self.cache, "set") as store:
            self.read(timeout=0.5)
        self.assertEqual(store.call_args.args[2], 1)  # Redis would take half a second for none

    def test_what_cannot_be_meant(self) -> None:
        for beta in (-1, float("nan"), float("inf")):
            with self.subTest(beta=beta), self.assertRaisesRegex(ValueError, "beta"):
                self.read(beta=beta)
        wrong: list[Any] = [0, -1, float("nan"), float("inf"), None]
        for timeout in wrong:
            with self.subTest(timeout=timeout), self.assertRaisesRegex(ValueError, "timeout"):
                self.read(timeout=timeout)
        self.assertEqual(self.computed, 0)

    def test_a_timeout_shorter_than_the_computation_is_hardly_a_cache(self) -> None:
        random.seed(1)
        for _ in range(200):
            self.read(timeout=1, took=5)
        self.assertGreater(self.computed, 140)  # e^(−1/5) of them, and no error

    def test_a_clock_that_jumps_ahead_costs_a_computation(self) -> None:
        self.read(beta=0)
        with runtime.using(mock.Mock(now=lambda: self.clock.time + 86_400)):
            self.assertEqual(self.read(beta=0, value="new"), "new")
        self.assertEqual(self.computed, 2)

    def test_an_error_leaves_nothing_and_a_value_that_cannot_be_pickled_is_one(self) -> None:
        with self.assertRaises(OSError):
            get_or_set("menu", mock.Mock(side_effect=OSError("the database")), 60, cache=self.cache)
        with self.assertRaisesRegex((TypeError, AttributeError), "pickle"):
            self.read(value=threading.Lock())
        self.assertEqual(self.cache.get("menu", "nothing"), "nothing")

    def test_a_key_of_any_length_is_the_caches_affair(self) -> None:
        cache = mock.Mock(**{"get.return_value": None})  # memcached would refuse it, Redis takes it
        self.assertEqual(get_or_set("k" * 10_000, lambda: "soup", 60, cache=cache), "soup")
        self.assertEqual(cache.set.call_args.args[0], "k" * 10_000)

    def test_an_enormous_beta_recomputes_each_time(self) -> None:
        for _ in range(5):
            self.read(beta=1e9)
        self.assertEqual(self.computed, 5)
