"""What is deleted once a transaction has committed, and what is not; needs `django.contrib.auth`'s tables."""

from typing import Any

from django.contrib.auth.models import Group
from django.core.cache import caches
from django.db import DatabaseError, transaction
from django.test import TestCase, TransactionTestCase, override_settings

from tutorial_project.caching import after_commit
from tutorial_project.caching.after_commit import AfterCommit

MEMORY = "django.core.cache.backends.locmem.LocMemCache"


class Recorded:
    """Stands for a cache's `delete_many`: remembers each call, and fails where it is told to."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.away = False

    def __call__(self, keys: list[str]) -> None:
        self.calls.append(sorted(keys))
        if self.away:
            raise ConnectionError("the cache is away")


class Commits(TransactionTestCase):
    def setUp(self) -> None:
        self.delete = Recorded()
        self.failures: list[tuple[list[Any], str]] = []
        self.later = AfterCommit(self.delete, lambda what, error: self.failures.append((what, str(error))))

    def test_outside_a_transaction_it_is_at_once(self) -> None:
        self.later(["a"])
        self.assertEqual(self.delete.calls, [["a"]])

    def test_one_call_for_all_that_a_transaction_named_and_after_its_commit(self) -> None:
        with transaction.atomic():
            self.later(["a", "b"])
            self.later(["b", "c"])
            with transaction.atomic():
                self.later(["d"])
            self.assertEqual(self.delete.calls, [])
        self.assertEqual(self.delete.calls, [["a", "b", "c", "d"]])

    def test_a_rollback_deletes_nothing_and_leaves_nothing_for_the_next(self) -> None:
        with self.assertRaises(DatabaseError), transaction.atomic():
            self.later(["a"])
            raise DatabaseError
        with transaction.atomic():
            self.later(["b"])
        self.assertEqual(self.delete.calls, [["b"]])

    def test_a_savepoint_that_is_rolled_back_takes_its_own_with_it(self) -> None:
        for first in (True, False):
            with self.subTest(first=first), transaction.atomic():
                self.delete.calls.clear()
                if not first:
                    self.later(["kept"])
                try:
                    with transaction.atomic():
                        self.later(["taken back"])
                        raise DatabaseError
                except DatabaseError:
                    pass
                if first:
                    self.later(["kept"])
            self.assertEqual(self.delete.calls, [["kept"]])

    def test_two_transactions_are_two(self) -> None:
        for key in ("a", "b"):
            with transaction.atomic():
                self.later([key])
        self.assertEqual(self.delete.calls, [["a"], ["b"]])

    def test_callables_are_called_after_the_keys_have_gone_in_their_order_and_once(self) -> None:
        told: list[Any] = []

        def first() -> None:
            told.append(("first", list(self.delete.calls)))

        def second() -> None:
            told.append(("second", list(self.delete.calls)))

        with transaction.atomic():
            self.later([first, "a"])
            self.later([second, first])
            self.assertEqual(told, [])
        self.assertEqual(told, [("first", [["a"]]), ("second", [["a"]])])

    def test_more_is_asked_for_at_the_commit(self) -> None:
        with transaction.atomic():
            self.later([], ask=lambda: [group.name for group in Group.objects.all()])
            Group.objects.create(name="a")
        self.assertEqual(self.delete.calls, [["a"]])

    def test_one_that_fails_keeps_none_of_the_others_from_being_done(self) -> None:
        def failing() -> None:
            raise ValueError("not today")

        called: list[str] = []
        self.delete.away = True
        with transaction.atomic():
            transaction.on_commit(lambda: called.append("before"))
            self.later(["a"], ask=lambda: 1 // 0)  # type: ignore[arg-type,return-value]
            self.later([failing, lambda: called.append("ours")])
            transaction.on_commit(lambda: called.append("after"))
        self.assertEqual(called, ["before", "ours", "after"])
        self.assertEqual([error for _, error in self.failures][1:], ["the cache is away", "not today"])
        self.assertEqual(self.failures[1][0], ["a"])

    def test_what_could_not_be_deleted_is_logged(self) -> None:
        self.delete.away = True
        with self.assertLogs(after_commit.logger, "ERROR") as logged:
            AfterCommit(self.delete)(["product:42"])
        self.assertIn("stale until it expires: ['product:42']", logged.output[0])

    def test_nothing_named_is_nothing_done(self) -> None:
        self.later([])
        self.assertEqual(self.delete.calls, [])


@override_settings(CACHES={"default": {"BACKEND": MEMORY, "LOCATION": "after commit"}})
class InATestCase(TestCase):
    def test_the_callbacks_of_a_test_case_are_captured_and_done_each_once(self) -> None:
        delete = Recorded()
        later = AfterCommit(delete)
        with self.captureOnCommitCallbacks(execute=True):
            later(["a"])
            later(["b"])
            self.assertEqual(delete.calls, [])
        self.assertEqual(delete.calls, [["a", "b"]])
        with self.captureOnCommitCallbacks(execute=True):
            later(["c"])
        self.assertEqual(delete.calls, [["a", "b"], ["c"]])

    def test_without_capturing_them_a_test_case_never_sees_a_delete(self) -> None:
        caches["default"].set("a", 1)
        AfterCommit(caches["default"].delete_many)(["a"])
        self.assertIn("a", caches["default"])
