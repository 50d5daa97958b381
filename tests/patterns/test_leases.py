"""The leases pattern: old values are not stored after a delete, and one reader at a time stores."""

from typing import Any
from unittest import mock

from django.core.cache.backends.locmem import LocMemCache
from django.db import connection, transaction
from django.test import SimpleTestCase, TransactionTestCase

from tutorial_project.caching import leases
from tutorial_project.caching.atomic import MARK


class LeaseTests(SimpleTestCase):
    def setUp(self) -> None:
        self.clock = mock.Mock()
        self.clock.time.return_value = 1_000_000.0
        for module in ("base", "locmem"):
            patch = mock.patch(f"django.core.cache.backends.{module}.time", self.clock)
            patch.start()
            self.addCleanup(patch.stop)
        self.cache: Any = LocMemCache(self.id(), {})
        self.addCleanup(self.cache.clear)

    def read(self, compute: Any, timeout: float | None = 60, **more: Any) -> Any:
        return leases.get_or_compute("menu", compute, timeout, cache=self.cache, **more)

    def test_computed_once_and_served_from_then_on(self) -> None:
        compute = mock.Mock(return_value="soup")
        self.assertEqual([self.read(compute) for _ in range(3)], ["soup"] * 3)
        self.assertEqual(compute.call_count, 1)

    def test_none_and_whatever_is_false_are_values(self) -> None:
        values: list[Any] = [None, 0, "", [], False]
        for value in values:
            self.cache.clear()
            compute = mock.Mock(return_value=value)
            self.assertEqual([self.read(compute), self.read(compute)], [value] * 2)
            self.assertEqual(compute.call_count, 1)

    def test_what_was_computed_before_a_delete_is_not_stored_after_it(self) -> None:
        deletes = {
            "forget": lambda: leases.forget("menu", "rates", cache=self.cache),
            "cache.delete": lambda: self.cache.delete("menu"),
            "cache.delete_many": lambda: self.cache.delete_many(["menu"]),
        }
        for name, delete in deletes.items():
            with self.subTest(name):
                self.cache.clear()

                def slow(delete: Any = delete) -> str:
                    delete()  # by one who has changed what was read here already
                    return "old"

                self.assertEqual(self.read(slow), "old")
                self.assertEqual(self.read(lambda: "new"), "new")

    def test_neither_is_it_stored_over_what_another_wrote_or_began(self) -> None:
        def overtaken_by_a_write() -> str:
            self.cache.set("menu", "written", 60)
            return "old"

        self.assertEqual(self.read(overtaken_by_a_write), "old")
        self.assertEqual(self.read(lambda: "new"), "written")
        self.cache.clear()
        later: list[leases.Leased] = []

        def overtaken_by_a_reader() -> str:
            self.cache.delete("menu")
            later.append(leases.get("menu", cache=self.cache))
            return "old"

        self.read(overtaken_by_a_reader)
        self.assertTrue(leases.put("menu", "new", later[0].token, 60, cache=self.cache))
        self.assertEqual(self.read(lambda: "never"), "new")

    def test_one_has_the_lease_and_the_others_compute_for_themselves(self) -> None:
        first, second = leases.get("menu", cache=self.cache), leases.get("menu", cache=self.cache)
        self.assertTrue(first.token and not first.hit and not second.token and not second.hit)
        self.assertEqual(self.read(lambda: "mine"), "mine")  # and it is not stored
        self.assertFalse(leases.put("menu", "forged", "", 60, cache=self.cache))
        self.assertTrue(leases.put("menu", "soup", first.token, 60, cache=self.cache))
        self.assertEqual(self.read(lambda: "never"), "soup")

    def test_what_takes_longer_than_the_lease_is_not_stored(self) -> None:
        def slow() -> str:
            self.clock.time.return_value += 10.1
            return "slow"

        self.assertEqual(self.read(slow), "slow")
        self.assertEqual(self.read(lambda: "quick"), "quick")
        self.cache.clear()
        self.assertEqual(self.read(slow, lease=20), "slow")
        self.assertEqual(self.read(lambda: "never"), "slow")

    def test_a_computation_that_fails_gives_the_lease_back(self) -> None:
        with self.assertRaises(LookupError):
            self.read(mock.Mock(side_effect=LookupError))
        self.assertEqual([self.read(lambda: "soup"), self.read(lambda: "never")], ["soup"] * 2)

    def test_the_error_of_the_computation_is_the_one_that_is_raised(self) -> None:
        def fail() -> str:
            mock.patch.object(leases.atomic, "release", side_effect=OSError).start()
            raise LookupError

        self.addCleanup(mock.patch.stopall)
        with self.assertRaises(LookupError):
            self.read(fail)

    def test_a_value_lives_for_its_timeout(self) -> None:
        self.read(lambda: "soup", 60)
        self.clock.time.return_value += 59
        self.assertEqual(self.read(lambda: "never"), "soup")
        self.clock.time.return_value += 2
        self.assertEqual(self.read(lambda: "stew"), "stew")

    def test_a_plain_get_would_hand_out_the_mark(self) -> None:
        token = leases.get("menu", cache=self.cache).token
        self.assertEqual(self.cache.get("menu"), MARK + token)  # the limit


class OnCommit(TransactionTestCase):
    available_apps: list[str] = []

    def setUp(self) -> None:
        self.cache: Any = LocMemCache(self.id(), {})
        self.addCleanup(self.cache.clear)
        self.cache.set("menu", "soup")

    def test_it_is_forgotten_when_the_transaction_is_committed(self) -> None:
        with transaction.atomic():
            leases.forget_on_commit("menu", "rates", cache=self.cache)
            self.assertEqual(self.cache.get("menu"), "soup")
        self.assertIsNone(self.cache.get("menu"))

    def test_it_stays_when_the_transaction_is_rolled_back(self) -> None:
        with transaction.atomic():
            leases.forget_on_commit("menu", cache=self.cache)
            transaction.set_rollback(True)
        self.assertEqual(self.cache.get("menu"), "soup")

    def test_outside_of_a_transaction_it_is_forgotten_at_once(self) -> None:
        self.assertFalse(connection.in_atomic_block)
        leases.forget_on_commit("menu", cache=self.cache)
        self.assertIsNone(self.cache.get("menu"))

    def test_a_delete_that_fails_is_logged_and_hinders_no_other_callback(self) -> None:
        called = []
        with (
            self.assertLogs("django.db.backends", "ERROR") as logged,
            mock.patch.object(self.cache, "delete_many", side_effect=OSError("refused")),
            transaction.atomic(),
        ):
            leases.forget_on_commit("menu", cache=self.cache)
            transaction.on_commit(lambda: called.append(1))
        self.assertEqual(called, [1])
        self.assertIn("forget", logged.output[0])
