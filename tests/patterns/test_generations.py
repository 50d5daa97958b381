"""The generations pattern: one bump puts all of a thing's entries out of reach, for good, and nobody else's."""

from collections.abc import Callable
from typing import Any
from unittest import mock

from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.db import transaction
from django.test import SimpleTestCase, TransactionTestCase, override_settings

from tutorial_project.caching.generations import Namespace, Stamped
from tutorial_project.caching.keys import ROOM, key

FALSE: list[Any] = [None, 0, "", [], False]


def giving(value: Any) -> Callable[[], Any]:
    """A computation whose result is `value`."""
    return lambda: value


KINDS: tuple[Callable[..., Namespace], ...] = (Namespace, Stamped)


class Both(SimpleTestCase):
    """What holds whether the generation is in the key or in the value."""

    def setUp(self) -> None:
        self.cache: Any = LocMemCache(self.id(), {})
        self.addCleanup(self.cache.clear)

    def each(self, *parts: Any, **more: Any) -> list[Namespace]:
        """A namespace of each kind, in a cache of its own."""
        made = []
        for kind in KINDS:
            cache: Any = LocMemCache(f"{self.id()} {kind.__name__}", {})
            self.addCleanup(cache.clear)
            cache.clear()
            made.append(kind(*(parts or ("product", 42)), cache=cache, **more))
        return made

    def test_computed_once_and_after_a_bump_once_more(self) -> None:
        for product in self.each():
            with self.subTest(product=product):
                compute = mock.Mock(side_effect=["old", "new"])
                seen = [product.get_or_set("detail", compute, 60) for _ in range(3)]
                product.bump()
                seen += [product.get_or_set("detail", compute, 60) for _ in range(3)]
                self.assertEqual(seen, ["old"] * 3 + ["new"] * 3)

    def test_one_bump_is_for_all_entries_and_for_no_other_thing(self) -> None:
        for product in self.each():
            other = type(product)("product", 421, cache=product.cache)
            with self.subTest(product=product):
                for thing in (product, other):
                    thing.get_or_set("detail", lambda: "old", 60)
                    thing.get_or_set(("reviews", 2), lambda: "old", 60, language="de")
                product.clear()
                self.assertEqual(product.get_or_set("detail", lambda: "new", 60), "new")
                self.assertEqual(product.get_or_set(("reviews", 2), lambda: "new", 60, language="de"), "new")
                self.assertEqual(other.get_or_set("detail", lambda: "new", 60), "old")

    def test_entries_differ_by_parts_and_by_identity(self) -> None:
        for product in self.each():
            asked: list[tuple[Any, dict[str, Any]]] = [
                ("a:b", {}),
                (("a", "b"), {}),
                (("a:b", "c"), {}),
                (("a", "b:c"), {}),
                ("a", {"b": 1}),
                ("a=b", {}),
                ("x" * 300, {}),
                ("x" * 301, {}),
            ]
            for number, (part, identity) in enumerate(asked):
                product.get_or_set(part, giving(number), 60, **identity)
            seen = [product.get_or_set(part, lambda: "missing", 60, **identity) for part, identity in asked]
            self.assertEqual(seen, list(range(len(asked))))

    def test_a_namespace_may_be_somebodys(self) -> None:
        for mine in self.each("basket", user=7):
            theirs = type(mine)("basket", cache=mine.cache, user=8)
            for thing in (mine, theirs):
                thing.get_or_set("total", giving(thing.name), 60)
            theirs.bump()
            self.assertEqual(mine.get_or_set("total", giving("new"), 60), "basket:user=7")
            self.assertEqual(theirs.get_or_set("total", giving("new"), 60), "new")
            self.assertEqual(mine.list(), [mine.key("total")])
            with self.assertRaisesRegex(TypeError, "user: None says nothing"):
                type(mine)("basket", user=None)

    def test_none_and_whatever_is_false_are_values(self) -> None:
        for product in self.each():
            for value in FALSE:
                product.bump()
                compute = mock.Mock(return_value=value)
                self.assertEqual([product.get_or_set("x", compute, 60) for _ in range(2)], [value] * 2)
                self.assertEqual(compute.call_count, 1)

    def test_whoever_computes_while_another_bumps_stores_where_nobody_looks(self) -> None:
        for product in self.each():
            with self.subTest(product=product):

                def slow(product: Namespace = product) -> str:
                    product.bump()  # by one who has changed what was read here already
                    return "old"

                self.assertEqual(product.get_or_set("detail", slow, 60), "old")
                self.assertEqual(product.get_or_set("detail", lambda: "new", 60), "new")

    def test_whoever_stores_old_rows_last_is_not_believed(self) -> None:
        for product in self.each():
            with self.subTest(product=product):

                def slow(product: Namespace = product) -> str:
                    product.bump()
                    product.get_or_set("detail", lambda: "new", 60)  # by a reader who came after the bump
                    return "old"

                product.get_or_set("detail", slow, 60)
                self.assertEqual(product.get_or_set("detail", lambda: "new", 60), "new")

    def test_a_generation_that_was_lost_brings_nothing_back(self) -> None:
        for product in self.each():
            with self.subTest(product=product):
                product.get_or_set("detail", lambda: "old", 60)
                product.bump()
                for _ in range(3):  # counted from 1, it would soon be where it was
                    product.cache.delete(product.generation_key)
                    self.assertEqual(product.get_or_set("detail", lambda: "new", 60), "new")

    def test_two_who_find_no_generation_agree_on_one(self) -> None:
        for product in self.each():
            add = product.cache.add

            def overtaken(key: str, value: Any, timeout: Any, add: Any = add) -> Any:
                add(key, "theirs", timeout)
                return add(key, value, timeout)

            with mock.patch.object(product.cache, "add", overtaken):
                self.assertEqual(product.generation(), "theirs")

    def test_a_generation_that_is_gone_again_at_once_costs_no_correctness(self) -> None:
        for product in self.each():
            with mock.patch.object(product.cache, "add", return_value=False):
                self.assertNotEqual(product.generation(), product.generation())

    def test_generations_are_drawn_and_not_counted(self) -> None:
        for product in self.each():
            drawn = {product.bump() for _ in range(500)} | {product.generation()}
            self.assertEqual(len(drawn), 500)
            self.assertTrue(all(len(word) == 11 and ":" not in word for word in drawn))

    def test_the_generation_lives_as_long_as_it_is_told(self) -> None:
        for ttl in (None, 3600):
            for product in self.each(ttl=ttl):
                with (
                    mock.patch.object(product.cache, "set") as set_,
                    mock.patch.object(product.cache, "add", return_value=True) as add,
                ):
                    product.bump(), product.generation()
                self.assertEqual((set_.call_args.args[2], add.call_args.args[2]), (ttl, ttl))

    def test_no_key_of_another_kind_looks_like_its_own(self) -> None:
        for product in self.each():
            own = {product.generation_key, product.key("detail")}
            self.assertFalse(own & {key("product", 42, "generation"), key("product", 42, "detail")})
            with self.assertRaises(ValueError):
                key("product", 42, generation="")

    def test_it_is_listed_and_only_it(self) -> None:
        for product in self.each():
            others = [type(product)(*parts, cache=product.cache) for parts in (("product", 421), ("product", 4))]
            product.cache.set(key("product", 42, "plain"), 1)
            for thing in (*others, product):
                thing.get_or_set("detail", lambda: "old", 60)
                thing.get_or_set("x" * 300, lambda: "old", 60)
            listed = product.list()
            self.assertEqual(listed, sorted([product.key("detail"), product.key("x" * 300)]))
            self.assertEqual(product.left_behind(), [])
            product.bump()
            self.assertEqual((product.list(), product.left_behind()), ([], listed))
            product.get_or_set("detail", lambda: "new", 60)
            self.assertEqual(product.list(), [product.key("detail")])

    def test_a_long_name_fits_and_its_entries_are_found(self) -> None:
        for product in self.each("catalogue", "x" * 400):
            for name in ("short", "y" * 400):
                product.get_or_set(name, lambda: 1, 60)
                self.assertLessEqual(len(product.key(name)), ROOM)
            self.assertEqual(len(product.list()), 2)
            self.assertEqual(type(product)("catalogue", "x" * 401, cache=product.cache).list(), [])

    def test_in_a_cache_that_stores_nothing_all_is_computed(self) -> None:
        for kind in KINDS:
            compute = mock.Mock(side_effect=[1, 2])
            nothing = kind("product", 42, cache=DummyCache("", {}))
            self.assertEqual([nothing.get_or_set("x", compute, 60) for _ in range(2)], [1, 2])

    def test_without_a_cache_given_it_is_the_default_one(self) -> None:
        memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": self.id()}
        with override_settings(CACHES={"default": memory}):
            for kind in KINDS:
                drawn = kind("product", kind.__name__).bump()
                self.assertEqual(caches["default"].get(f"product:{kind.__name__}:generation="), drawn)


class Recording(LocMemCache):
    """Local memory that writes down which of its methods are called; what get_many does itself is part of it."""

    def __init__(self, name: str) -> None:
        super().__init__(name, {})
        self.called: list[str] = []

    def get(self, *args: Any, **kwargs: Any) -> Any:
        self.called.append("get")
        return super().get(*args, **kwargs)

    def get_many(self, keys: Any, version: Any = None) -> Any:
        before = list(self.called)
        found = super().get_many(keys, version)
        self.called = [*before, "get_many"]
        return found

    def add(self, *args: Any, **kwargs: Any) -> Any:
        self.called.append("add")
        return super().add(*args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> Any:
        self.called.append("set")
        return super().set(*args, **kwargs)


class Differences(SimpleTestCase):
    def setUp(self) -> None:
        self.cache: Any = Recording(self.id())
        self.addCleanup(self.cache.clear)

    def calls(self, act: Callable[..., object], *args: Any) -> list[str]:
        """The methods of the cache that `act(*args)` calls, in order."""
        self.cache.called = []
        act(*args)
        return self.cache.called

    def test_the_price_of_a_miss_of_a_hit_and_of_a_bump(self) -> None:
        expected = {Namespace: (["get", "get", "set"], ["get", "get"]), Stamped: (["get_many", "set"], ["get_many"])}
        for kind, (miss, hit) in expected.items():
            thing = kind(kind.__name__, cache=self.cache)
            self.assertEqual(self.calls(thing.generation), ["get", "add"])
            self.assertEqual(self.calls(thing.bump), ["set"])
            self.assertEqual(self.calls(thing.get_or_set, "x", giving(1), 60), miss)
            self.assertEqual(self.calls(thing.get_or_set, "x", giving(1), 60), hit)

    def test_the_generation_is_read_before_anything_is_computed_and_not_after(self) -> None:
        for kind in KINDS:
            thing = kind(kind.__name__, cache=self.cache)
            order = self.calls(thing.get_or_set, "x", lambda: self.cache.called.append("computed"), 60)
            self.assertEqual(order[-2:], ["computed", "set"])

    def test_a_stamped_value_is_overwritten_where_the_other_leaves_one_behind(self) -> None:
        left = {}
        for kind in KINDS:
            thing = kind(kind.__name__, cache=self.cache)
            for number in range(5):
                thing.get_or_set("x", giving(number), 60)
                thing.bump()
            thing.get_or_set("x", lambda: "last", 60)
            left[kind] = len(thing.left_behind())
        self.assertEqual(left, {Namespace: 5, Stamped: 0})

    def test_what_is_left_behind_must_have_an_end(self) -> None:
        with self.assertRaisesRegex(ValueError, "needs a timeout"):
            Namespace("a", cache=self.cache).get_or_set("x", lambda: 1, None)  # type: ignore[arg-type]
        self.assertEqual(Stamped("a", cache=self.cache).get_or_set("x", lambda: 1, None), 1)


class OnCommit(TransactionTestCase):
    available_apps: list[str] = []

    def setUp(self) -> None:
        self.cache: Any = LocMemCache(self.id(), {})
        self.addCleanup(self.cache.clear)
        self.product = Namespace("product", 42, cache=self.cache)

    def test_it_is_bumped_when_the_transaction_is_committed(self) -> None:
        before = self.product.generation()
        with transaction.atomic():
            self.product.bump_on_commit()
            self.assertEqual(self.product.generation(), before)
        self.assertNotEqual(self.product.generation(), before)

    def test_it_is_not_when_it_is_rolled_back(self) -> None:
        before = self.product.generation()
        with transaction.atomic():
            self.product.bump_on_commit()
            transaction.set_rollback(True)
        self.assertEqual(self.product.generation(), before)

    def test_a_bump_that_fails_is_logged_and_hinders_no_other_callback(self) -> None:
        called = []
        with (
            self.assertLogs("django.db.backends", "ERROR") as logged,
            mock.patch.object(self.cache, "set", side_effect=OSError("refused")),
            transaction.atomic(),
        ):
            self.product.bump_on_commit()
            transaction.on_commit(lambda: called.append(1))
        self.assertEqual(called, [1])
        self.assertIn("bump", logged.output[0])
