"""The map: which keys each way to change a row touches; needs the tables of `django.contrib.auth`."""

from collections.abc import Iterator
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core import serializers
from django.core.exceptions import FieldDoesNotExist
from django.db import IntegrityError, connection, transaction
from django.test import TransactionTestCase
from django.test.utils import CaptureQueriesContext

from tutorial_project.caching.invalidation import Telling, Touches


class Staff(Group):
    class Meta:
        proxy = True
        app_label = "auth"


class Mapped(TransactionTestCase):
    """`self.deleted` is what each call deleted; the map is connected for each test."""

    def setUp(self) -> None:
        self.deleted: list[list[str]] = []
        self.touches = Touches(delete=lambda keys: self.deleted.append(keys))
        self.shelf, self.other = (ContentType.objects.create(app_label="shop", model=name) for name in ("a", "b"))
        self.item = Permission.objects.create(content_type=self.shelf, codename="item", name="Item")
        self.group = Group.objects.create(name="staff")

    def tearDown(self) -> None:
        self.touches.disconnect()

    def items_and_shelves(self, **options: Any) -> None:
        @self.touches.when(Permission, **options)
        def rule(item: Permission) -> Iterator[str]:
            yield f"item:{item.pk}"
            yield f"shelf:{item.content_type_id}"

        self.touches.connect()

    def groups(self, **options: Any) -> None:
        self.touches.when(Group, **options)(lambda group: f"group:{group.name}")
        self.touches.connect()

    def keys(self) -> list[str]:
        """What has been deleted since the last time, sorted; each call counted once."""
        found = sorted(key for keys in self.deleted for key in keys)
        self.deleted.clear()
        return found


class Changes(Mapped):
    def test_a_save_touches_what_the_row_is_and_what_it_was(self) -> None:
        self.items_and_shelves()
        self.item.content_type = self.other
        self.item.save()
        self.assertEqual(len(self.deleted), 1)
        self.assertEqual(
            self.keys(), sorted([f"item:{self.item.pk}", f"shelf:{self.shelf.pk}", f"shelf:{self.other.pk}"])
        )

    def test_the_row_before_is_asked_for_while_it_is_there(self) -> None:
        seen: list[tuple[str, int]] = []

        @self.touches.when(Permission)
        def rule(item: Permission) -> str:
            seen.append((item.name, Permission.objects.filter(name="Item").count()))
            return "x"

        self.touches.connect()
        self.item.name = "New"
        self.item.save()
        self.assertEqual(seen, [("Item", 1), ("New", 0)])

    def test_a_new_row_and_a_deleted_one(self) -> None:
        self.items_and_shelves()
        new = Permission.objects.create(content_type=self.other, codename="new", name="New")
        wanted = [f"item:{new.pk}", f"shelf:{self.other.pk}"]
        self.assertEqual(self.keys(), sorted(wanted))
        new.delete()
        self.assertEqual(self.keys(), sorted(wanted))

    def test_a_queryset_deletes_row_by_row_once_somebody_listens(self) -> None:
        self.items_and_shelves()
        Permission.objects.filter(pk=self.item.pk).delete()
        self.assertIn(f"item:{self.item.pk}", self.keys())

    def test_what_a_cascade_deletes(self) -> None:
        self.items_and_shelves()
        self.shelf.delete()
        self.assertEqual(len(self.deleted), 1)
        self.assertIn(f"item:{self.item.pk}", self.keys())

    def test_the_rule_of_a_deleted_row_finds_what_still_points_to_it(self) -> None:
        self.touches.when(ContentType)(lambda shelf: [f"item:{item.pk}" for item in shelf.permission_set.all()])
        self.touches.connect()
        item = self.item.pk
        self.shelf.delete()
        self.assertEqual(self.keys(), [f"item:{item}"])

    def test_a_row_saved_by_its_key_alone_has_a_past_too(self) -> None:
        self.items_and_shelves()
        Permission(pk=self.item.pk, content_type=self.other, codename="item", name="Item").save()
        self.assertIn(f"shelf:{self.shelf.pk}", self.keys())

    def test_a_proxy_is_the_model(self) -> None:
        self.groups()
        staff = Staff.objects.get(name="staff")
        staff.name = "crew"
        staff.save()
        self.assertEqual(self.keys(), ["group:crew", "group:staff"])
        staff.delete()
        self.assertEqual(self.keys(), ["group:crew"])

    def test_a_rule_for_a_proxy_hears_of_that_proxy(self) -> None:
        self.touches.when(Staff)(lambda staff: f"staff:{staff.name}")
        self.touches.connect()
        Staff.objects.get(name="staff").save()
        self.assertEqual(self.keys(), ["staff:staff"])

    def test_a_fixture_is_asked_about_at_the_commit(self) -> None:
        @self.touches.when(Permission)
        def rule(item: Permission) -> str:
            return f"shelf:{item.content_type.model}"

        self.touches.connect()
        text = serializers.serialize("json", [self.item, self.shelf])
        new = text.replace(f'"content_type": {self.shelf.pk}', '"content_type": 4242')
        new = new.replace(f'"pk": {self.shelf.pk}, "fields": {{"app_label"', '"pk": 4242, "fields": {"app_label"')
        new = new.replace('"model": "a"', '"model": "later"')
        with transaction.atomic():
            for row in serializers.deserialize("json", new):  # the item comes first, and its shelf is not there yet
                row.save()
        self.assertEqual(self.keys(), ["shelf:a", "shelf:later"])


class ManyToMany(Mapped):
    def test_both_sides_and_every_way(self) -> None:
        self.groups(fields=("permissions",))
        for links, one in ((self.group.permissions, self.item), (self.item.group_set, self.group)):
            for way, given in (("add", [one]), ("remove", [one]), ("set", [[one]]), ("clear", [])):
                with self.subTest(way, of=one):
                    getattr(links, way)(*given)
                    self.assertEqual(self.keys(), ["group:staff"])

    def test_the_rows_of_the_other_side_are_not_asked(self) -> None:
        self.items_and_shelves()
        self.group.permissions.add(self.item)
        self.assertEqual(self.keys(), [])

    def test_nothing_added_is_nothing_touched(self) -> None:
        self.group.permissions.add(self.item)
        self.groups()
        self.group.permissions.add(self.item)
        self.assertEqual(self.keys(), [])

    def test_a_field_of_an_abstract_class(self) -> None:
        self.touches.when(User, before=False)(lambda user: f"user:{user.username}")
        user = User.objects.create(username="ann")
        self.touches.connect()
        self.group.user_set.add(user)
        self.assertEqual(self.keys(), ["user:ann"])


class Fields(Mapped):
    def test_a_rule_with_fields_is_asked_where_one_of_them_changed(self) -> None:
        self.items_and_shelves(fields=("content_type",))
        self.item.name = "Another"
        self.item.save()
        self.assertEqual(self.keys(), [])
        self.item.content_type = self.other
        self.item.save()
        self.assertIn(f"shelf:{self.shelf.pk}", self.keys())

    def test_what_is_not_saved_has_not_changed(self) -> None:
        self.items_and_shelves(fields=("content_type",))
        self.item.content_type, self.item.name = self.other, "Another"
        with CaptureQueriesContext(connection) as asked:
            self.item.save(update_fields=["name"])
        self.assertEqual((self.keys(), len(asked)), ([], 1))  # and so the row before is not read
        self.item.save(update_fields=["content_type_id"])
        self.assertIn(f"shelf:{self.shelf.pk}", self.keys())

    def test_a_field_that_does_not_exist_is_found_when_the_map_is_connected(self) -> None:
        with self.assertRaises(FieldDoesNotExist):
            self.items_and_shelves(fields=("shelf",))

    def test_without_before_the_row_is_not_read_and_the_past_not_touched(self) -> None:
        self.items_and_shelves(before=False)
        self.item.content_type = self.other
        with CaptureQueriesContext(connection) as asked:
            self.item.save()
        self.assertEqual(len(asked), 1)
        self.assertEqual(self.keys(), sorted([f"item:{self.item.pk}", f"shelf:{self.other.pk}"]))


class Transactions(Mapped):
    def test_one_delete_after_the_commit_and_none_after_a_rollback(self) -> None:
        self.groups()
        with transaction.atomic():
            self.group.save()
            Group.objects.create(name="new")
            self.assertEqual(self.deleted, [])
        self.assertEqual(self.deleted, [["group:staff", "group:new"]])
        self.deleted.clear()
        with self.assertRaises(IntegrityError), transaction.atomic():
            self.group.save()
            Group.objects.create(name="new")
        self.assertEqual(self.deleted, [])

    def test_a_save_that_failed_leaves_nothing_behind(self) -> None:
        self.groups(fields=("name",))
        Group.objects.create(name="new")
        self.keys()
        self.group.name = "new"
        with self.assertRaises(IntegrityError):
            self.group.save()
        self.group.name = "crew"
        self.group.save()
        self.assertEqual(self.keys(), ["group:crew", "group:staff"])
        self.assertFalse([name for name in vars(self.group) if "touches" in name])

    def test_a_generation_is_bumped_after_the_commit(self) -> None:
        bumped: list[str] = []

        def bump() -> None:
            bumped.append("bumped")

        self.touches.when(Group)(lambda group: [bump])
        self.touches.connect()
        with transaction.atomic():
            self.group.save()
            self.assertEqual(bumped, [])
        self.assertEqual((bumped, self.deleted), (["bumped"], []))


class Remedies(Mapped):
    def test_no_signal_comes_of_an_update_unless_the_queryset_tells(self) -> None:
        self.items_and_shelves()
        Permission.objects.filter(pk=self.item.pk).update(name="Quiet")
        self.assertEqual(self.keys(), [])
        Telling(Permission).filter(pk=self.item.pk).update(content_type=self.other)
        wanted = sorted([f"item:{self.item.pk}", f"shelf:{self.shelf.pk}", f"shelf:{self.other.pk}"])
        self.assertEqual((len(self.deleted), self.keys()), (1, wanted))

    def test_what_nobody_was_told_of_is_told_by_hand_connected_or_not(self) -> None:
        self.items_and_shelves()
        self.touches.disconnect()
        self.touches.tell(self.item)
        self.assertEqual(len(self.keys()), 2)
        with transaction.atomic():
            self.touches.tell(Permission.objects.filter(pk=self.item.pk))
            self.assertEqual(self.deleted, [])
        self.assertEqual(len(self.keys()), 2)
        self.touches.tell([])
        self.touches.tell(Permission.objects.none())
        self.assertEqual(self.deleted, [])


class Connecting(Mapped):
    def test_nothing_is_heard_before_and_after(self) -> None:
        self.groups()
        self.touches.disconnect()
        with self.touches.connected():
            with self.touches.connected():
                self.group.save()
            self.group.save()
        self.group.save()
        self.group.permissions.add(self.item)
        Telling(Group).update(name="x")
        self.assertEqual(self.deleted, [["group:staff"], ["group:staff"]])

    def test_a_proxy_that_is_defined_later_is_heard(self) -> None:
        self.groups()
        late = type(
            "Late", (Group,), {"Meta": type("Meta", (), {"proxy": True, "app_label": "auth"}), "__module__": __name__}
        )
        late.objects.get(name="staff").save()  # type: ignore[attr-defined]
        self.assertEqual(self.keys(), ["group:staff"])

    def test_a_map_without_one_of_its_rules(self) -> None:
        self.groups()
        rule = self.touches.rules[0].function
        self.touches.when(Group)(lambda group: "other")
        with self.touches.without(rule):
            self.group.save()
        self.group.save()
        self.assertEqual(self.deleted, [["other"], ["group:staff", "other"]])

    def test_keys_of_a_row(self) -> None:
        self.touches.when(Group)(lambda group: "one text is one key")
        self.touches.when(Group)(lambda group: None)
        self.touches.when(Group)(lambda group: ["b", "one text is one key"])
        self.assertEqual(self.touches.keys_of(self.group), ["one text is one key", "b"])
        self.assertEqual(self.touches.keys_of(self.item), [])
