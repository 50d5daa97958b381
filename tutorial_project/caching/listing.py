"""Find, or delete, every entry below a key: `product:42` itself, and whatever begins with `product:42:`.

    keys_below(key("product", 42))           # ["product:42:detail", "product:42:reviews:page=2"]
    delete_below(key("product", 42))         # Deleted(keys=2, scans=97, deletes=1)

On Redis with SCAN, in portions, and never with KEYS, which keeps every other client waiting until it has seen the whole
database; in Django's local memory by a look through it. A cache that cannot say what it holds is refused.

Guarantee: an entry that was there before the call, and stays until its end, is found. Nothing else is: `product:421` is
not below `product:42`, and a part that holds a `*` stands for nothing but itself.
Limit: the price is that of the whole server and not of what is found: SCAN looks at every key there is, whoever's. An
entry that is stored meanwhile may be missed, and a reader who has read the old rows stores them afterwards: this is for
looking, and for cleaning up. To invalidate, bump a generation (`generations.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.core.cache import cache as default_cache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache

from .families import alone, store_of
from .keys import READABLE

PORTION = 1000  # keys that the server looks at in one SCAN, and that are deleted at once


class Deleted(NamedTuple):
    """What `delete_below` did: `keys` that are gone, and its round trips: to find them, and to delete them."""

    keys: int
    scans: int
    deletes: int


def keys_below(prefix: str, *, cache: Any = default_cache, count: int = PORTION) -> list[str]:
    """The keys below `prefix`, sorted, as `cache.get` takes them. The server looks at `count` keys in one SCAN.

    Raises TypeError for a cache that cannot list, and ValueError for a prefix that is so long that a key below it may
    be hashed, or for a cache whose KEY_FUNCTION hides the key.
    """
    store = store_of(cache)
    first = _name(store, prefix)
    names: set[str] = set()
    if isinstance(store, LocMemCache):
        with alone(store, "list", prefix):
            names.update(_held(store, first))
    elif isinstance(store, RedisCache):
        names.update(*_scanned(store, first, count), [first] if cache.has_key(prefix) else [])
    return sorted(name[len(first) - len(prefix) :] for name in names)


def delete_below(prefix: str, *, cache: Any = default_cache, count: int = PORTION) -> Deleted:
    """Delete the keys below `prefix`, in portions. Takes and raises what `keys_below` does."""
    store = store_of(cache)
    first = _name(store, prefix)
    keys = scans = deletes = 0
    if isinstance(store, LocMemCache):
        with alone(store, "delete below", prefix):
            keys = sum(store._delete(name) for name in _held(store, first))  # type: ignore[attr-defined]
    elif isinstance(store, RedisCache):
        client: Any = store._cache.get_client(write=True)
        waiting = {first}
        for portion in _scanned(store, first, count):
            scans += 1
            waiting.update(portion)
            if len(waiting) >= PORTION:
                keys, deletes, waiting = keys + client.unlink(*waiting), deletes + 1, set()
        if waiting:
            keys, deletes = keys + client.unlink(*waiting), deletes + 1
    return Deleted(keys, scans, deletes)


def _name(store: Any, prefix: str) -> str:
    """What the cache itself calls the key `prefix`; ValueError where the keys below it cannot be told by it."""
    if len(prefix) >= READABLE:
        raise ValueError(f"A prefix of {len(prefix)} characters: keys below it are hashed, from {READABLE} on.")
    name = store.make_and_validate_key(prefix)
    if not name.endswith(prefix):
        raise ValueError("This cache's KEY_FUNCTION does not end a key with its text: what is below it cannot be told.")
    return name


def _held(memory: Any, first: str) -> list[str]:
    """The names of what is below, in local memory; for a block in which one is alone with it."""
    return [
        name
        for name in memory._cache
        if (name == first or name.startswith(f"{first}:")) and not memory._has_expired(name)
    ]


def _scanned(store: Any, first: str, count: int) -> Iterator[list[str]]:
    """The names of what begins with `first` and a colon, one SCAN after the other; some may come twice."""
    client, cursor = store._cache.get_client(write=True), 0
    pattern = re.sub(r"[\\*?\[\]]", r"\\\g<0>", f"{first}:") + "*"
    while True:
        cursor, portion = client.scan(cursor, match=pattern, count=count)
        yield [name.decode() for name in portion]
        if not cursor:
            return
