"""Protection: one computes, the others get the previous value or wait; what is invalidated does not come back."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from unittest import mock

from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.db import transaction
from django.test import SimpleTestCase, TransactionTestCase

from tutorial_project.caching import atomic, owned, resilience, runtime, stampede
from tutorial_project.caching.resilience import Breaker, InvalidationLost, Overloaded, StillComputing
from tutorial_project.caching.stampede import LONGEST, Protection


class Bench(runtime.Runtime):
    """A clock that the test sets and sleeping moves, and background work that the test does when it likes."""

    def __init__(self) -> None:
        self.time = 1_000_000.0
        self.background: list[Callable[[], object]] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def wait(self, until: Callable[[], bool], timeout: float) -> bool:
        return until()

    def spawn(self, function: Callable[[], object]) -> None:
        self.background.append(function)


class ProtectionCase(SimpleTestCase):
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
        self.mine, self.other = self.process(), self.process()

    def process(self, **more: Any) -> Protection:
        """What another process would have."""
        return Protection(**{"grace": 600, "lease": 10, "patience": 1, "backoff": 5, "cache": self.cache} | more)

    def read(self, value: Any, protection: Protection | None = None, timeout: float | None = 60) -> Any:
        compute = value if callable(value) else lambda: value
        return (protection or self.mine).get_or_set("menu", compute, timeout)

    def expired(self) -> None:
        """A value that was computed, and is no longer fresh."""
        self.read("old")
        self.refresh()
        self.bench.time += 60.1

    def refresh(self) -> None:
        """Do the background work; what renews a lease finds nothing to do afterwards."""
        while self.bench.background:
            self.bench.background.pop(0)()

    def left(self) -> tuple[Any, ...]:
        """Flights and leases that are still there."""
        return (*self.mine._flights._flights, *self.other._flights._flights, *self.cache.get_many(["menu:lease"]))


class ValueTests(ProtectionCase):
    def test_computed_once_and_served_from_then_on(self) -> None:
        compute = mock.Mock(return_value="soup")
        self.assertEqual([self.read(compute, each) for each in (self.mine, self.mine, self.other)], ["soup"] * 3)
        self.assertEqual(compute.call_count, 1)
        self.assertEqual(self.left(), ())

    def test_none_and_whatever_is_false_are_values(self) -> None:
        values: list[Any] = [None, 0, "", [], False]
        for value in values:
            self.cache.clear()
            self.assertEqual([self.read(value), self.read("never")], [value] * 2)

    def test_one_refresh_in_the_background_and_the_previous_value_meanwhile(self) -> None:
        self.expired()
        new = mock.Mock(return_value="new")
        answers = [self.read(new, protection) for protection in (self.mine, self.other) for _ in range(3)]
        self.assertEqual((answers, new.call_count, len(self.bench.background)), (["old"] * 6, 0, 1))
        self.refresh()
        self.assertEqual((self.read("never"), self.read("never", self.other)), ("new", "new"))
        self.assertEqual((new.call_count, self.left()), (1, ()))

    def test_who_has_the_lease_looks_again_before_it_computes(self) -> None:
        for cold in (True, False):
            with self.subTest(cold=cold):
                self.cache.clear()
                if not cold:
                    self.expired()

                def overtaken(key: str) -> Any:
                    self.read("new", self.other)
                    self.refresh()
                    return Protection._acquire(self.mine, key)

                late = mock.Mock()
                with mock.patch.object(self.mine, "_acquire", overtaken):
                    self.read(late)
                self.refresh()
                self.assertEqual((self.read(late), late.call_count, self.left()), ("new", 0, ()))

    def test_nothing_is_kept_past_its_grace_and_nothing_of_somebody_elses(self) -> None:
        self.cache.set("menu", "soup of the day")
        self.assertEqual(self.read("old"), "old")
        self.bench.time += 660.1
        self.assertEqual(self.read("new"), "new")

    def test_for_ever_and_not_at_all(self) -> None:
        self.assertEqual([self.read(value, timeout=0) for value in "abc"], ["a", "b", "c"])
        self.read("soup", timeout=None)
        self.bench.time += 10**9
        self.assertEqual([self.read("never", timeout=None) for _ in range(2)], ["soup"] * 2)

    def test_a_timeout_shorter_than_the_computation(self) -> None:
        def slow() -> str:
            self.bench.time += 5
            return "slow"

        self.assertEqual(self.read(slow, timeout=1), "slow")
        self.assertEqual(self.read("never", timeout=1), "slow")
        self.bench.time += 1.1
        self.assertEqual(self.read(slow, timeout=1), "slow")
        self.refresh()
        self.assertEqual(self.left(), ())

    def test_early_where_beta_says_so(self) -> None:
        eager = self.process(beta=1e9)

        def slow() -> str:
            self.bench.time += 1
            return "old"

        self.read(slow, eager)
        self.bench.background.clear()
        self.assertEqual(self.read("new", eager), "old")
        self.refresh()
        self.assertEqual(self.read("newer"), "new")

    def test_a_cache_that_stores_nothing(self) -> None:
        protection = Protection(cache=DummyCache("", {}))
        self.assertEqual([self.read(value, protection) for value in "ab"], ["a", "b"])

    def test_what_cannot_be_meant(self) -> None:
        for timeout in (-1, float("nan"), float("inf")):
            with self.subTest(timeout), self.assertRaisesRegex(ValueError, "timeout"):
                self.read(mock.Mock(side_effect=AssertionError), timeout=timeout)  # told before anything is done
        with self.assertRaisesRegex(ValueError, r"10,000 characters: keys\.key\(\)"):
            self.mine.get_or_set("k" * 10_000, lambda: "soup", 60)
        self.mine.get_or_set("k" * LONGEST, lambda: "soup", 60)
        wrong: list[dict[str, Any]] = [
            {"beta": -1}, {"beta": float("nan")}, {"jitter": 2}, {"grace": -1}, {"lease": 0}, {"limit": 1},
            {"patience": float("inf")}, {"slots": 0},
        ]  # fmt: skip
        for more in wrong:
            with self.subTest(more), self.assertRaises(ValueError):
                self.process(**more)


class InvalidationTests(ProtectionCase):
    def test_what_was_computed_before_is_not_stored_after(self) -> None:
        for cold in (True, False):
            with self.subTest(cold=cold):
                self.cache.clear()
                if not cold:
                    self.expired()

                def slow() -> str:
                    self.other.invalidate("menu", "rates")
                    return "old"

                self.read(slow)
                self.refresh()
                self.assertIsNone(self.cache.get("menu"))
                self.assertEqual((self.read("new"), self.left()), ("new", ()))

    def test_a_plain_delete_is_outside_the_guarantee(self) -> None:
        def slow() -> str:
            self.cache.delete("menu")
            return "old"

        self.read(slow)
        self.assertEqual(self.read("new"), "old")

    def test_a_holder_past_its_lease_stores_nothing(self) -> None:
        def stopped() -> str:
            self.bench.time += 10.1
            self.read("new", self.other)
            return "old"

        self.assertEqual(self.read(stopped), "old")
        self.assertEqual((self.read("never"), self.left()), ("new", ()))

    def test_one_that_is_lost_is_raised(self) -> None:
        refused = mock.patch.object(self.cache, "delete_many", side_effect=OSError("refused"))
        with refused, self.assertRaisesRegex(InvalidationLost, "menu, rates"):
            self.mine.invalidate("menu", "rates")


class FailureTests(ProtectionCase):
    def test_an_error_is_raised_and_leaves_nothing(self) -> None:
        for error in (OSError("the database"), ValueError("x"), KeyboardInterrupt()):
            with self.assertRaises(type(error)):
                self.read(mock.Mock(side_effect=error))
            self.assertEqual(self.left(), ())
        self.assertEqual(self.read("soup"), "soup")

    def test_a_failing_refresh_is_spaced_and_the_previous_value_served(self) -> None:
        self.expired()
        fails = mock.Mock(side_effect=OSError("the database"))
        for tries in (1, 2, 3):
            for protection in (self.mine, self.other, self.mine):
                self.assertEqual(self.read(fails, protection), "old")
                while self.bench.background:
                    with suppress(OSError):
                        self.bench.background.pop(0)()
            self.assertEqual((fails.call_count, self.left()), (tries, ()))
            self.bench.time += 5.1
        self.bench.time = 1_000_000.0 + 660.1
        self.assertEqual(self.read("new"), "new")  # the failures have not lengthened its time

    def test_a_value_that_cannot_be_pickled(self) -> None:
        with self.assertRaisesRegex((TypeError, AttributeError), "pickle"):
            self.read(lambda: threading.Lock())
        self.assertEqual((self.left(), self.read("soup")), ((), "soup"))

    def test_a_computation_that_asks_for_its_own_key(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "it would wait for itself"):
            self.read(lambda: self.read("soup"))
        self.assertEqual((self.left(), self.read("soup")), ((), "soup"))

    def test_nobody_waits_for_ever(self) -> None:
        self.cache.set("menu:lease", "%lease=somebody", 3600)
        impatient = self.process(patience=0)
        with self.assertRaisesRegex(StillComputing, "'menu' is being computed by another request"):
            self.read("soup", impatient)
        self.assertEqual(impatient._flights._flights, {})

    def test_no_thread_costs_no_value(self) -> None:
        no_thread = mock.patch.object(runtime, "spawn", side_effect=RuntimeError("can't start new thread"))
        with no_thread, self.assertLogs(owned.logger, "ERROR"):  # none to renew the lease in
            self.assertEqual((self.read("old"), self.left()), ("old", ()))
        self.bench.time += 60.1
        with no_thread, self.assertLogs(stampede.logger, "ERROR"):  # none to refresh in
            self.assertEqual((self.read("new"), self.left()), ("old", ()))

    def test_while_the_server_is_away_values_are_computed_in_slots(self) -> None:
        away = self.process(breaker=Breaker(after=2, pause=10), slots=1, patience=0)
        with mock.patch.object(self.cache, "get", side_effect=OSError("refused")) as asked:
            with self.assertLogs(resilience.logger, "WARNING"):
                answers = [self.read(value, away) for value in "abcd"]
            self.assertEqual((answers, asked.call_count), (["a", "b", "c", "d"], 2))
            with away.slots.taken(0), self.assertRaises(Overloaded):
                self.read("never", away)
        self.bench.time += 10.1
        with self.assertLogs(resilience.logger, "WARNING"):
            self.assertEqual([self.read(value, away) for value in "ef"], ["e", "e"])

    def test_a_server_that_goes_away_meanwhile_costs_no_value(self) -> None:
        with mock.patch.object(atomic, "commit", side_effect=OSError("refused")):
            self.assertEqual(self.read("soup"), "soup")


class TransactionTests(TransactionTestCase):
    def test_on_commit_and_never_after_a_rollback(self) -> None:
        protection = Protection(cache=LocMemCache(self.id(), {}))
        read = lambda value: protection.get_or_set("menu", lambda: value, 60)  # noqa: E731
        read("old")
        with transaction.atomic():
            protection.invalidate_on_commit("menu")
            self.assertEqual(read("new"), "old")
            transaction.set_rollback(True)
        self.assertEqual(read("new"), "old")
        with transaction.atomic():
            protection.invalidate_on_commit("menu")
        self.assertEqual(read("new"), "new")

    def test_one_that_is_lost_hinders_no_other(self) -> None:
        cache: Any = LocMemCache(self.id(), {})
        protection, done = Protection(cache=cache), mock.Mock()
        refused = mock.patch.object(cache, "delete_many", side_effect=OSError("refused"))
        with refused, self.assertLogs("django.db.backends.base", "ERROR"), transaction.atomic():
            protection.invalidate_on_commit("menu")
            transaction.on_commit(done)
        done.assert_called_once_with()
