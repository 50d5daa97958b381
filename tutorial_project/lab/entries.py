"""What lies in the cache server: every entry that this notebook stored, with its size and the time it has left."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from django.core.cache import cache

from ..caching.metering import use_of

if TYPE_CHECKING:
    import pandas as pd


def entries() -> dict[str, int]:
    """The entries on the cache server: the seconds that each has left (-1: kept for ever), by Django's name for it."""
    client = cache._cache.get_client()  # type: ignore[attr-defined]  # the Redis backend's own
    before = len(cache.make_key(""))
    return {key.decode()[before:]: client.ttl(key) for key in client.scan_iter(cache.make_key("*"))}


def table() -> pd.DataFrame:
    """A row an entry, in the order of their keys: `use` (the cache use), `key`, `bytes` and `lives` (seconds).

    Hashes in keys are cut to six digits. `lives` is what is left of an entry's life, up to the next ten (60 for 59.3;
    exact below ten, and -1 for ever), so that it is the same in every run. `bytes` are those of the pickled value,
    which differ a little between versions of Python.
    """
    import pandas as pd

    client = cache._cache.get_client()  # type: ignore[attr-defined]
    rows = [
        (use_of(key), shortened(key), client.strlen(cache.make_key(key)), _up(left))
        for key, left in sorted(entries().items())
    ]
    return pd.DataFrame(rows, columns=["use", "key", "bytes", "lives"])


def shortened(text: str) -> str:
    """The text with every hash of 32 hexadecimal digits cut to its first six."""
    return re.sub(r"[0-9a-f]{32}", lambda found: found[0][:6] + "…", text)


def _up(left: int) -> int:
    return left if left < 10 else math.ceil(left / 10) * 10
