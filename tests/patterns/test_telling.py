"""What is told of bulk writes; needs `django.contrib.auth`'s tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import Group
from django.core.exceptions import FieldDoesNotExist
from django.db import connection
from django.db.models import F, Value
from django.db.models.functions import Concat
from django.test import TestCase
from django.test.utils import CaptureQueriesContext

from tutorial_project.caching.telling import Telling, rows_changed


@contextmanager
def told() -> Iterator[list[list[str]]]:
    """The names of the rows that are told in the block, a list each time."""
    found: list[list[str]] = []

    def hear(rows: list[Any], **_: Any) -> None:
        found.append([row.name for row in rows])

    rows_changed.connect(hear, sender=Group)
    try:
        yield found
    finally:
        rows_changed.disconnect(hear, sender=Group)


class Tells(TestCase):
    def setUp(self) -> None:
        self.groups = [Group.objects.create(name=name) for name in ("a", "b", "c")]

    def test_an_update_tells_its_rows_as_they_were_and_as_they_are(self) -> None:
        with told() as found:
            self.assertEqual(Telling(Group).filter(name="a").update(name="z"), 1)
        self.assertEqual(found, [["a", "z"]])

    def test_no_other_row_is_told(self) -> None:
        with told() as found:
            Telling(Group).exclude(name="a").order_by("-name").values("name").update(name=Concat(F("name"), Value("!")))
        self.assertEqual(sorted(found[0]), ["b", "b!", "c", "c!"])

    def test_a_bulk_update_works_by_update(self) -> None:
        for group in self.groups:
            group.name += "!"
        with told() as found:
            self.assertEqual(Telling(Group).bulk_update(self.groups[:2], ["name"]), 2)
        self.assertEqual(sorted(found[0]), ["a", "a!", "b", "b!"])

    def test_a_bulk_create_tells_the_new_rows(self) -> None:
        with told() as found:
            made = Telling(Group).bulk_create([Group(name="d"), Group(name="e")])
        self.assertEqual(([group.name for group in made], found), (["d", "e"], [["d", "e"]]))

    def test_nothing_is_asked_where_nobody_listens(self) -> None:
        with CaptureQueriesContext(connection) as asked:
            Telling(Group).filter(name="a").update(name="z")
        self.assertEqual([query["sql"].split()[0] for query in asked.captured_queries], ["UPDATE"])

    def test_an_update_that_fails_tells_nothing(self) -> None:
        with told() as found, self.assertRaises(FieldDoesNotExist):
            Telling(Group).update(**{"no_such_field": 1})
        self.assertEqual(found, [])

    def test_a_template_does_not_call_it(self) -> None:
        self.assertTrue(Telling.update.alters_data)  # type: ignore[attr-defined]
