"""Count what a piece of work did: SQL statements, cache look-ups, hits, misses and bytes, by cache use.

`install()` (once, in an `AppConfig.ready`), then `counting()` around a block. What is counted is what
`instrumentation.py` hears, with its guarantee and its limits. `server_timing.py` puts the counts on each response.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .instrumentation import CacheCall, Event, Statement, install, listening

__all__ = ["Counters", "Event", "Statement", "CacheCall", "Use", "counting", "install", "listening", "use_of"]


def use_of(key: str) -> str:
    """The cache use that a key is an entry of: its entity, and what of the entity it holds.

    `popular_products` and `popular_products:de` are entries of `popular_products`; `product:42:detail` is one of
    `product:detail`; a cached page is one of `page`, and `template.cache.sidebar.<hash>` of `fragment:sidebar`.
    """
    if key.startswith("views.decorators.cache."):
        return "page"
    if key.startswith("template.cache."):
        return "fragment:" + key.split(".")[2]
    if key.startswith("django.contrib.sessions."):
        return "session"
    entity, *rest = key.split(":")
    return f"{entity}:{rest[-1]}" if len(rest) > 1 and rest[-1].isidentifier() else entity


@dataclass
class Use:
    """What one cache use did: look-ups that hit and missed, and the bytes of the values that were read or written."""

    hits: int = 0
    misses: int = 0
    bytes: int = 0

    @property
    def hit_ratio(self) -> float:
        """Hits ÷ look-ups, from 0.0 to 1.0; 0.0 where there was no look-up."""
        return self.hits / (self.hits + self.misses) if self.hits + self.misses else 0.0


@dataclass
class Counters:
    """A listener that counts. `operations` counts cache calls by name, `uses` look-ups by cache use.

    `trips` counts, by alias, the calls that reached the cache itself: on Redis a round trip each (two for `incr`).
    """

    queries: int = 0
    sql_seconds: float = 0.0
    cache_seconds: float = 0.0
    operations: Counter[str] = field(default_factory=Counter)
    uses: dict[str, Use] = field(default_factory=dict)
    trips: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def __call__(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, Statement):
                self.queries += event.is_query
                self.sql_seconds += event.seconds
            else:
                self._count_call(event)

    def _count_call(self, call: CacheCall) -> None:
        self.operations[call.operation] += 1
        if not call.parts:
            self.trips[call.alias] += 1
        if call.part_of:
            return
        self.cache_seconds += call.seconds
        for key in call.found:
            self._use(key).hits += 1
        for key in call.missed:
            self._use(key).misses += 1
        for key, size in call.sizes.items():
            self._use(key).bytes += size

    def _use(self, key: str) -> Use:
        return self.uses.setdefault(use_of(key), Use())

    @property
    def hits(self) -> int:
        return sum(use.hits for use in self.uses.values())

    @property
    def misses(self) -> int:
        return sum(use.misses for use in self.uses.values())


@contextmanager
def counting(*, everywhere: bool = False) -> Iterator[Counters]:
    """Count what this block does (what every thread does meanwhile, if `everywhere`); yields the `Counters`."""
    counters = Counters()
    with listening(counters, everywhere=everywhere):
        yield counters
