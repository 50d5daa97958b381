"""Generations: one random word in the key of every entry of a thing; change the word, and all of them are out of reach.

    product = Namespace("product", 42)
    product.get_or_set("detail", lambda: product_detail(42), timeout=600)
    product.get_or_set(("reviews", 2), lambda: reviews(42, page=2), timeout=600, language="de")
    product.bump_on_commit()                       # wherever product 42 changes; one write, however many entries

The generation is read before the value, and so before the database. What is computed from old rows is therefore stored
under the old generation, where nobody looks after the bump. It is random and not counted, so that one which was lost
(evicted, or gone with the server) cannot come back and bring its old entries with it.

Guarantee: whoever asks after a bump that followed the commit gets what was read after the commit, however the steps of
readers and writers fall. A generation that is lost costs computations and no correctness.
Limit: it rests on that bump. A writer that dies between commit and bump, that is outside the ORM, or whose bump fails
leaves the old values for their `timeout`. Compute from rows read after you asked, from the database that was written
to: a replica that lags, or a transaction whose snapshot is older (SQLite's, MySQL's by default, REPEATABLE READ), reads
old ones. Inside a transaction that has written, you would store for all what only you can see yet.
A hit costs two round trips. What a bump leaves behind takes room until its timeout or the server's eviction; `Stamped`
pays one trip, and what is asked for again is overwritten.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, TypeVar

from django.core.cache import cache as default_cache
from django.db import transaction

from . import keys
from .listing import keys_below

Value = TypeVar("Value")
NAME_ROOM = 100  # characters for the namespace in a key: the generation must stand in what a hash leaves readable
Keys = list[str]
_MISSING = object()


def new_generation() -> str:
    """A word that nobody has had: 64 random bits, in eleven letters that need no escaping."""
    return secrets.token_urlsafe(8)


class Namespace:
    """All cached entries of one thing, such as `Namespace("product", 42)`: found, and invalidated, together.

    `parts` and `identity` are those of `keys.key`. The generation lives for `ttl` seconds, or for ever: less than its
    values, and they are computed more often than they need be. `cache` may be any of Django's.
    """

    def __init__(self, *parts: Any, cache: Any = default_cache, ttl: float | None = None, **identity: Any) -> None:
        self.name = keys.fitted(keys.key(*parts, **identity), NAME_ROOM)
        self.cache = cache
        self.ttl = ttl
        # Nobody else's key looks like this: `keys.key` refuses an identity that is empty.
        self.generation_key = f"{self.name}:generation="

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def generation(self) -> str:
        """The generation in force. One round trip; where there is none, one is drawn, and all agree on one."""
        return self._known(self.cache.get(self.generation_key))

    def _known(self, found: Any) -> str:
        if found is None:
            drawn = new_generation()
            if self.cache.add(self.generation_key, drawn, self.ttl):
                return drawn
            # Another was quicker. Were that one gone again: nobody else will ever look under `drawn`.
            found = self.cache.get(self.generation_key, drawn)
        return found

    def bump(self) -> str:
        """Put every entry out of reach, at once and in one round trip. Returns the new generation.

        After the commit: a bump inside the transaction lets a reader store the old rows under the new generation.
        """
        drawn = new_generation()
        self.cache.set(self.generation_key, drawn, self.ttl)
        return drawn

    clear = bump

    def bump_on_commit(self, using: str | None = None) -> None:
        """Bump once the transaction is committed (at once outside of one); never, if it is rolled back.

        A bump that fails is logged by Django and hinders no other callback.
        """
        transaction.on_commit(self.bump, using=using, robust=True)

    def key(self, *parts: Any, **identity: Any) -> str:
        """The key of an entry in the generation in force, which this reads: ask before you read the database."""
        return self._entry(self.generation(), parts, identity)

    def get_or_set(self, part: Any, compute: Callable[[], Value], timeout: float, **identity: Any) -> Value:
        """The entry `part` (or a tuple of parts), computed and stored for `timeout` seconds where it is missing.

        In this order: generation, value, `compute`, set. None is a value like any other. Raises ValueError for a
        timeout of None: what a bump leaves behind would stay for ever.
        """
        if timeout is None:
            raise ValueError("An entry of a namespace needs a timeout: what a bump leaves behind goes by nothing else.")
        key = self.key(*_parts(part), **identity)
        value = self.cache.get(key, _MISSING)
        if value is _MISSING:
            value = compute()
            self.cache.set(key, value, timeout)
        return value

    def list(self) -> Keys:
        """The keys of the entries in reach, sorted, as `cache.get` takes them. It looks through the whole cache."""
        generation = self.generation()
        return [key for key in self._entries() if self._generation_in(key) == generation]

    def left_behind(self) -> Keys:
        """The keys of the entries that bumps put out of reach and that still take room, sorted."""
        generation = self.generation()
        return [key for key in self._entries() if self._generation_in(key) != generation]

    def _entries(self) -> Keys:
        found = keys_below(self.name, cache=self.cache)
        return [key for key in found if self._generation_in(key)]

    def _generation_in(self, key: str) -> str:
        """The generation in an entry's key; "" where the key is of something else."""
        return key.removeprefix(self.generation_key).split(":")[0] if key.startswith(self.generation_key) else ""

    def _entry(self, generation: str, parts: tuple[Any, ...], identity: dict[str, Any]) -> str:
        return keys.fitted(f"{self.generation_key}{generation}:{keys.key(*parts, **identity)}")


class Stamped(Namespace):
    """A namespace whose values carry the generation, not their keys: one round trip a hit, and old values overwritten.

    Both are fetched in one `get_many`, the generation first. A value whose stamp is not the generation in force is
    computed again and overwritten. The guarantee is the same. The price: of two readers who compute at once, one with
    old rows may overwrite the other, and the next one computes again. Values are stored as (stamp, value).
    """

    def key(self, *parts: Any, **identity: Any) -> str:
        """The key of an entry, in whatever generation: no round trip."""
        return self._entry("", parts, identity)

    def get_or_set(self, part: Any, compute: Callable[[], Value], timeout: float | None, **identity: Any) -> Value:
        """The entry `part` (or a tuple of parts), computed and stored for `timeout` seconds where it is missing.

        In this order: generation and value, `compute`, set. None is a value like any other.
        """
        key = self.key(*_parts(part), **identity)
        found = self.cache.get_many([self.generation_key, key])
        generation = self._known(found.get(self.generation_key))
        stamp, value = found.get(key, ("", None))
        if stamp != generation:
            value = compute()
            self.cache.set(key, (generation, value), timeout)
        return value

    def list(self) -> Keys:
        """The keys of the entries in reach, sorted, as `cache.get` takes them. It looks through the whole cache."""
        return self._stamped(in_force=True)

    def left_behind(self) -> Keys:
        """The keys of the entries that nobody has overwritten since the last bump, sorted."""
        return self._stamped(in_force=False)

    def _stamped(self, in_force: bool) -> Keys:
        generation, entries = self.generation(), f"{self.generation_key}:"
        keys = [key for key in keys_below(self.name, cache=self.cache) if key.startswith(entries)]
        found = self.cache.get_many(keys) if keys else {}  # Redis is not asked for nothing
        return [key for key, (stamp, _) in found.items() if (stamp == generation) == in_force]


def _parts(part: Any) -> tuple[Any, ...]:
    return part if isinstance(part, tuple) else (part,)
