"""A lease that its owner alone renews, uses and gives back."""

import threading
from typing import Any
from unittest import mock

from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.test import SimpleTestCase

from tutorial_project.caching import atomic, owned, runtime
from tutorial_project.caching.owned import acquire, owning


class Bench(runtime.Runtime):
    """A clock that waiting moves, and background work that the test does when it likes."""

    def __init__(self) -> None:
        self.time = 1_000_000.0
        self.background: list[Any] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def wait(self, until: Any, timeout: float) -> bool:
        self.time += timeout
        return bool(until())

    def spawn(self, function: Any) -> None:
        self.background.append(function)


class OwnedTests(SimpleTestCase):
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

    def acquire(self, seconds: float = 9.0) -> owned.Lease | None:
        return acquire("menu:lock", seconds, cache=self.cache)

    def test_one_owner_at_a_time(self) -> None:
        with owning("menu:lock", 9, cache=self.cache) as first:
            self.assertIsNotNone(first)
            with owning("menu:lock", 9, cache=self.cache) as second:
                self.assertIsNone(second)
        self.assertIsNotNone(self.acquire())

    def test_given_back_after_an_error(self) -> None:
        with self.assertRaises(ZeroDivisionError), owning("menu:lock", 9, cache=self.cache):
            raise ZeroDivisionError
        self.assertIsNotNone(self.acquire())

    def test_a_commit_stores_and_gives_back(self) -> None:
        with owning("menu:lock", 9, cache=self.cache) as lease:
            assert lease
            self.assertTrue(lease.commit("soup", 60, into="menu"))
            self.assertIsNotNone(self.acquire())
        self.assertEqual(self.cache.get("menu"), "soup")
        self.assertIsNone(self.acquire())  # what was taken since is not given back with the block

    def test_who_lost_it_changes_nothing(self) -> None:
        lease = self.acquire()
        assert lease
        self.bench.time += 9.1
        successor = self.acquire()
        assert successor
        self.assertFalse(lease.renew())
        self.assertFalse(lease.commit("old", 60, into="menu"))
        lease = owned.Lease("menu:lock", 9, self.cache)
        lease.release()
        self.assertIsNone(self.cache.get("menu"))
        self.assertTrue(successor.renew())

    def test_a_delete_takes_it_away(self) -> None:
        lease = self.acquire()
        assert lease
        self.cache.delete("menu:lock")
        self.assertFalse(lease.commit("old", 60, into="menu"))

    def test_renewed_while_the_block_runs(self) -> None:
        with owning("menu:lock", 9, limit=30, cache=self.cache) as lease:
            assert lease
            renewals = mock.Mock(side_effect=lease.renew)
            with mock.patch.object(lease, "renew", renewals):
                self.bench.background.pop()()  # it waits three seconds, and renews, ten times
            self.assertEqual(renewals.call_count, 10)
            self.bench.time += 8.9
            self.assertTrue(lease.renew())
            self.bench.time += 9.1
            self.assertFalse(lease.renew())  # the limit has come, and it has lapsed

    def test_no_longer_than_the_block(self) -> None:
        with owning("menu:lock", 9, cache=self.cache):
            pass
        began = self.bench.time
        self.bench.background.pop()()
        self.assertEqual(self.bench.time - began, 3)  # one look, and it is over

    def test_a_plain_lock_is_not_renewed(self) -> None:
        with owning("menu:lock", 9, renewed=False, cache=self.cache):
            self.assertEqual(self.bench.background, [])

    def test_the_owner_is_told_when_it_is_lost_and_at_the_limit(self) -> None:
        for taken_away in (True, False):
            with self.subTest(taken_away=taken_away):
                self.cache.clear()
                lost = mock.Mock()
                lease = self.acquire()
                assert lease
                lease.keep(30, lost)
                if taken_away:
                    self.cache.delete("menu:lock")
                self.bench.background.pop()()
                lost.assert_called_once_with()

    def test_a_server_that_is_away_for_a_turn_is_asked_again(self) -> None:
        lease, lost = self.acquire(), mock.Mock()
        assert lease
        lease.keep(30, lost)
        with mock.patch.object(lease, "renew", side_effect=[OSError, OSError, *[True] * 8]) as renew:
            self.bench.background.pop()()
        self.assertEqual(renew.call_count, 10)

    def test_an_absent_server_does_not_hide_an_error_of_the_block(self) -> None:
        absent = mock.patch.object(atomic, "release", side_effect=OSError("refused"))
        with absent, self.assertRaises(ZeroDivisionError), owning("menu:lock", 9, cache=self.cache):
            raise ZeroDivisionError

    def test_what_cannot_be_meant(self) -> None:
        for seconds in (0, -1, float("nan")):
            with self.subTest(seconds), self.assertRaises(ValueError):
                self.acquire(seconds)
        for limit in (-1, float("inf"), float("nan")):
            with self.subTest(limit=limit), self.assertRaisesRegex(ValueError, "limit"):
                owning("menu:lock", 9, limit=limit, cache=self.cache).__enter__()
            self.assertIsNone(self.cache.get("menu:lock"))
        with self.assertRaises(TypeError):
            acquire("menu:lock", 9, cache=FileBasedCache("/nowhere", {}))

    def test_without_a_thread_to_renew_it_lasts_its_seconds(self) -> None:
        no_thread = mock.patch.object(self.bench, "spawn", side_effect=RuntimeError("can't start new thread"))
        with (
            no_thread,
            self.assertLogs(owned.logger, "ERROR") as logs,
            owning("menu:lock", 9, cache=self.cache) as lease,
        ):
            assert lease
            self.assertIn("menu:lock is not renewed", logs.output[0])
            self.assertTrue(lease.commit("soup", 60, into="menu"))
        self.assertEqual(self.cache.get("menu"), "soup")

    def test_none_is_a_value_zero_seconds_store_nothing_and_what_cannot_be_pickled_is_an_error(self) -> None:
        for value, timeout, found in ((None, 60, None), ("soup", 0, "nothing")):
            with owning("menu:lock", 9, cache=self.cache) as lease:
                assert lease
                self.assertTrue(lease.commit(value, timeout, into="menu"))
            self.assertEqual(self.cache.get("menu", "nothing"), found)
        with (
            self.assertRaisesRegex((TypeError, AttributeError), "pickle"),
            owning("menu:lock", 9, cache=self.cache) as it,
        ):
            assert it
            it.commit(threading.Lock(), 60, into="menu")
        self.assertIsNotNone(self.acquire())  # given back

    def test_what_somebody_else_put_there_is_nobodys_lease(self) -> None:
        self.cache.set("menu:lock", "locked by the old release", 60)
        self.assertIsNone(self.acquire())
        self.bench.time += 61
        self.assertIsNotNone(self.acquire())

    def test_a_cache_that_stores_nothing_holds_nobody_up(self) -> None:
        dummy: Any = DummyCache("", {})
        with owning("menu:lock", 9, cache=dummy) as first, owning("menu:lock", 9, cache=dummy) as second:
            assert first and second
            self.assertFalse(first.commit("soup", 60, into="menu"))


class ThreadTests(SimpleTestCase):
    def test_the_renewing_thread_ends_with_the_block(self) -> None:
        cache: Any = LocMemCache(self.id(), {})
        before = set(threading.enumerate())
        with owning("menu:lock", 0.09, cache=cache) as lease:
            assert lease
            runtime.sleep(0.3)
            self.assertTrue(lease.renew())
        for thread in set(threading.enumerate()) - before:
            thread.join(10)
            self.assertFalse(thread.is_alive())
