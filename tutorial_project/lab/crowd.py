"""A cache full of other people's entries, in which a few of one thing must be found, or forgotten."""

from __future__ import annotations

from typing import Any

from django.core.cache import cache

from .errors import LabError

AT_ONCE = 2000  # entries a command: a hundred thousand are there in a second


def sizes() -> tuple[int, int, int]:
    """How many entries a crowd has here: a thousand, ten thousand and a hundred thousand.

    A tenth of each on fakeredis: a search that a server does in a second takes it a minute.
    """
    from .bench import current

    return (100, 1_000, 10_000) if current().environment.cache_server.kind == "fakeredis" else (1_000, 10_000, 100_000)


def crowd(entries: int) -> int:
    """Fill the cache server with `entries` entries `other:<n>:detail`, beside what it holds; how many there are.

    They are written past Django, many at once, and live until the cache is emptied. Raises LabError below 0.
    """
    if not isinstance(entries, int) or entries < 0:
        raise LabError(f"entries={entries!r} is no whole number from 0 up.")
    client: Any = cache._cache.get_client(write=True)  # type: ignore[attr-defined]  # the Redis backend's own
    for start in range(0, entries, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, entries))
        client.mset({cache.make_key(f"other:{n}:detail"): 1 for n in numbers})
    return entries
