"""The keys pattern: no two lists of parts share a key, and nobody's key is shared by accident."""

import itertools
import random
import re
import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.core.cache.backends.locmem import LocMemCache
from django.db import models
from django.test import SimpleTestCase
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from tutorial_project.caching.keys import HASHED, READABLE, ROOM, fitted, key


class Colour(models.TextChoices):
    RED = "red", "Red"


class Size(models.IntegerChoices):
    SMALL = 1, "Small"


# Whatever a part could be mistaken for, or for the end of one.
ALPHABET = ["", ":", "=", "%", "a", "a:a", "a=a", "%3A", "ä", " ", HASHED]


class NoCollisions(SimpleTestCase):
    def test_all_short_lists_over_a_small_alphabet_have_keys_of_their_own(self) -> None:
        lists = [parts for length in (1, 2, 3) for parts in itertools.product(ALPHABET, repeat=length)]
        self.assertEqual(len({key(*parts) for parts in lists}), len(lists))

    def test_identity_is_never_mistaken_for_a_part_or_for_another_identity(self) -> None:
        names = ["a", "b", "a=a", "a:b"]
        asked: dict[tuple[Any, ...], str] = {}
        for parts in itertools.product(ALPHABET, repeat=2):
            for name, value in itertools.product(names, ALPHABET[1:]):
                asked[parts, name, value] = key(*parts, **{name: value})
            asked[parts] = key(*parts)
            asked[parts, "two"] = key(*parts, a="a", b="a")
        self.assertEqual(len(set(asked.values())), len(asked))

    def test_random_lists_have_keys_of_their_own_hashed_or_not(self) -> None:
        lists = set(random_lists(random.Random(1), 20_000))
        found = {key(*parts) for parts in lists}
        self.assertEqual(len(found), len(lists))
        self.assertGreater(sum(HASHED in name for name in found), 1000)

    def test_a_long_key_differs_by_its_last_letter_and_from_what_looks_like_it(self) -> None:
        long = key("product", "x" * 500)
        self.assertEqual(long, key("product", "x" * 500))
        self.assertNotEqual(long, key("product", "x" * 499 + "y"))
        *parts, last = long.split(":")
        name, digest = last.split("=")
        self.assertNotEqual(long, key(*parts, last))
        self.assertNotEqual(long, key(*parts, **{name: digest}))

    def test_room_is_exact(self) -> None:
        self.assertEqual(key("x" * ROOM), "x" * ROOM)
        self.assertEqual(len(key("x" * (ROOM + 1))), ROOM)
        self.assertTrue(key("product", "x" * 500).startswith("product:" + "x" * (READABLE - len("product:")) + HASHED))
        self.assertEqual([len(fitted("x" * 101, room)) for room in (100, 101)], [100, 101])

    def test_the_order_of_parts_counts_and_that_of_names_does_not(self) -> None:
        self.assertNotEqual(key("a", "b"), key("b", "a"))
        self.assertEqual(key("a", tenant=7, language="de"), key("a", language="de", tenant=7))


def random_lists(choice: random.Random, count: int) -> Iterator[tuple[str, ...]]:
    """Lists of texts whose letters are mostly the dangerous ones; one in eight is too long for a key."""
    letters = ":=%ab3A ~*\n\x00ä€😀\ud800"
    for _ in range(count):
        longest = 120 if choice.random() < 0.25 else 4
        parts = range(choice.randint(1, 4))
        yield tuple("".join(choice.choices(letters, k=choice.randint(0, longest))) for _ in parts)


class Valid(SimpleTestCase):
    def test_no_backend_would_object(self) -> None:
        """Django warns of what memcached refuses: white space, control characters, more than 250 characters."""
        cache = LocMemCache("keys", {"KEY_PREFIX": "a-prefix-of-thirty-six-letters-------", "VERSION": 1})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for parts in random_lists(random.Random(2), 2000):
                self.assertRegex(key(*parts), r"\A[!-~]*\Z")
                cache.get(key(*parts))

    def test_it_can_be_read(self) -> None:
        expected = {
            "product:42:detail": key("product", 42, "detail"),
            "dashboard_stats:tenant=7": key("dashboard_stats", tenant=7),
            "search:red%20shoes:language=de:page=2": key("search", "red shoes", page=2, language="de"),
            "a::b": key("a", "", "b"),
            "rates:2026-11-28": key("rates", date(2026, 11, 28)),
            "rates:2026-11-28T09%3A30%3A00+00%3A00": key("rates", datetime(2026, 11, 28, 9, 30, tzinfo=UTC)),
            "below:9.90": key("below", Decimal("9.90")),
            "order:00000000-0000-0000-0000-000000000001": key("order", UUID(int=1)),
            "in_stock:True": key("in_stock", True),
            "colour:red:1": key("colour", Colour.RED, Size.SMALL),
            "text:&lt;b&gt;": key("text", mark_safe("&lt;b&gt;")),
        }
        for name, made in expected.items():
            with self.subTest(name):
                self.assertEqual(made, name)

    def test_numbers_and_texts_that_read_alike_are_alike(self) -> None:
        self.assertEqual(key("product", 42), key("product", "42"))
        self.assertNotEqual(key("product", 1), key("product", True))
        self.assertNotEqual(key("4", "2"), key("42"))


class Refused(SimpleTestCase):
    def test_what_says_nothing_or_not_always_the_same_is_refused_with_what_to_do(self) -> None:
        refused: list[tuple[Any, str]] = [
            (None, "leave the part out"),
            (0.1, "round it to a text"),
            (["a", "b"], "give its elements one by one"),
            ({"a"}, "in an order that does not vary"),
            (gettext_lazy("Kitchen"), "in each language"),
            (User(pk=7), re.escape("key('user', user.pk)")),
            (object(), "a text or a number"),
            (b"raw", "a text or a number"),
        ]
        for part, says in refused:
            with self.subTest(part=part), self.assertRaisesRegex(TypeError, says):
                key("a", part)
        with self.assertRaisesRegex(TypeError, "names nothing"):
            key(tenant=7)

    def test_nobodys_identity_is_shared(self) -> None:
        refused: list[tuple[Any, type[Exception], str]] = [
            (None, TypeError, "user: None says nothing"),
            ("", ValueError, "user is empty"),
            (AnonymousUser(), TypeError, "user: nobody is signed in"),
            (SimpleLazyObject(AnonymousUser), TypeError, "user: nobody is signed in"),
            (User(username="new"), ValueError, "user: this User is not saved"),
            (User(pk=7), ValueError, "user: this User is not saved"),
            (1.5, TypeError, "user: 1.5 is a float"),
        ]
        for value, error, says in refused:
            with self.subTest(value=value), self.assertRaisesRegex(error, says):
                key("basket", user=value)

    def test_a_row_stands_for_its_primary_key_whichever_way_it_came(self) -> None:
        user = User.from_db("default", ["id", "username"], [7, "alice"])
        for same in (user, SimpleLazyObject(lambda: user), 7, "7"):
            self.assertEqual(key("basket", user=same), "basket:user=7")
        self.assertEqual(key("rights", group=Group.from_db("default", ["id"], [3])), "rights:group=3")
        with self.assertRaisesRegex(ValueError, "this Permission is not saved"):
            key("rights", permission=Permission())
