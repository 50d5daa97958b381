"""Count what a piece of work did: SQL statements, cache look-ups, hits, misses and bytes, by cache use.

`install()` (once, in an `AppConfig.ready`) makes every database connection and every cache tell what they do;
`counting()` counts one block, `listening()` hands you each event. `server_timing.py` puts the counts on each response.

Guarantee: every statement and every cache call of every thread is told, once, and a look-up is counted as the caller
sees it: `get_or_set` is one look-up, however many calls the backend makes for it.
Limit: SQL time is the time inside `execute`; rows fetched later are not in it. Bytes are those of the pickled value, as
the stock backends store it. An async method is told as the calls that it makes: a missed `aget_or_set` is two look-ups.
"""

from __future__ import annotations

import functools
import pickle
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from django.conf import settings
from django.core.cache import CacheHandler, caches
from django.core.cache.backends.base import BaseCache
from django.db import connections
from django.db.backends.signals import connection_created


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement sent to a database; `seconds` is the time it took to execute."""

    sql: str
    params: Any
    alias: str
    seconds: float
    many: bool = False  # sent by executemany, once for each of `params`

    @property
    def is_query(self) -> bool:
        """Whether it reads or writes rows; BEGIN, SAVEPOINT and their kind do not."""
        return bool(_READS_OR_WRITES.match(self.sql))


@dataclass(frozen=True, slots=True)
class CacheCall:
    """One call of a cache method on `keys`; a look-up tells which it `found` and which it `missed`.

    `part_of` names the call that this one was a part of (`get_or_set` calls `get`), or is empty. `sizes` are the bytes
    of the values read or written, by key.
    """

    alias: str
    operation: str
    keys: tuple[str, ...]
    found: tuple[str, ...]
    missed: tuple[str, ...]
    sizes: Mapping[str, int]
    seconds: float
    part_of: str = ""

    @property
    def bytes(self) -> int:
        """The size of all values read or written."""
        return sum(self.sizes.values())


Event = Statement | CacheCall
Listener = Callable[[Event], None]

_READS_OR_WRITES = re.compile(r"\s*\(?\s*(SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH|VALUES)\b", re.IGNORECASE)
_MISSING = object()
_OPERATIONS = (
    *("get", "set", "add", "delete", "get_many", "set_many", "delete_many", "get_or_set"),
    *("has_key", "touch", "incr", "decr", "incr_version", "decr_version", "clear"),
)

_MANY = ("get_many", "delete_many")

_everywhere: list[Listener] = []
_here: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())
_inside: ContextVar[list[CacheCall] | None] = ContextVar("inside a cache call", default=None)
_outer: ContextVar[str] = ContextVar("the cache call this one is part of", default="")


# Telling


def install() -> None:
    """Make every database connection and every cache of this process tell what it does; again changes nothing."""
    connection_created.connect(_watch_connection, dispatch_uid="caching.metering")
    for connection in connections.all(initialized_only=True):
        _watch_connection(connection=connection)
    if not hasattr(CacheHandler.create_connection, "metered"):
        CacheHandler.create_connection = _metered_creation(CacheHandler.create_connection)  # type: ignore[method-assign]
    for alias in settings.CACHES:
        _watch_cache(caches[alias], alias)  # this thread's may have been created before


@contextmanager
def listening(listener: Listener, *, everywhere: bool = False) -> Iterator[None]:
    """Call `listener(event)` for each statement and cache call in this block; of every thread, if `everywhere`.

    A listener of every thread must be safe to call from any of them.
    """
    if everywhere:
        _everywhere.append(listener)
    token = None if everywhere else _here.set((*_here.get(), listener))
    try:
        yield
    finally:
        if token is None:
            _everywhere.remove(listener)
        else:
            _here.reset(token)


def _listeners() -> tuple[Listener, ...]:
    return (*_everywhere, *_here.get()) if _everywhere else _here.get()


def _tell(event: Event) -> None:
    for listener in _listeners():
        listener(event)


def _watch_connection(connection: Any, **_: Any) -> None:
    if _timed_statement not in connection.execute_wrappers:
        connection.execute_wrappers.append(_timed_statement)


def _timed_statement(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    if not _listeners():
        return execute(sql, params, many, context)
    started = perf_counter()
    try:
        return execute(sql, params, many, context)
    finally:
        _tell(Statement(sql, params, context["connection"].alias, perf_counter() - started, many))


def _metered_creation(create: Callable[[Any, str], BaseCache]) -> Any:
    @functools.wraps(create)
    def create_connection(self: Any, alias: str) -> BaseCache:
        return _watch_cache(create(self, alias), alias)

    create_connection.metered = True  # type: ignore[attr-defined]
    return create_connection


def _watch_cache(cache: BaseCache, alias: str) -> BaseCache:
    """Wrap the methods of this one cache object: its class, and so the project's settings, stay the stock ones."""
    for operation in _OPERATIONS:
        method = getattr(cache, operation)
        if not hasattr(method, "metered"):
            setattr(cache, operation, _metered_call(method, operation, alias))
    return cache


def _metered_call(method: Callable[..., Any], operation: str, alias: str) -> Any:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not _listeners():
            return method(*args, **kwargs)
        if operation in _MANY:  # an iterator of keys can be read once only, and the backend reads it
            args, kwargs = _listed(args, kwargs)
        inner: list[CacheCall] = []
        around, part_of = _inside.get(), _outer.get()
        tokens = _inside.set(inner), _outer.set(operation)
        started = perf_counter()
        found, missed, sizes = (), (), {}
        try:
            result, found, missed, sizes = _READERS.get(operation, _other)(method, inner, *args, **kwargs)
            return result
        finally:
            seconds = perf_counter() - started
            _inside.reset(tokens[0])
            _outer.reset(tokens[1])
            event = CacheCall(alias, operation, _keys(operation, args, kwargs), found, missed, sizes, seconds, part_of)
            if around is not None:
                around.append(event)
            _tell(event)

    call.metered = True  # type: ignore[attr-defined]
    return call


# Reading each kind of call: (what it returned, keys found, keys missed, bytes by key)

_Reading = tuple[Any, tuple[str, ...], tuple[str, ...], dict[str, int]]


def _get(method: Any, inner: list[CacheCall], key: str, default: Any = None, version: Any = None) -> _Reading:
    value = method(key, _MISSING, version=version)
    return (default, (), (key,), {}) if value is _MISSING else (value, (key,), (), {key: _size(value)})


def _get_many(method: Any, inner: list[CacheCall], keys: Any, version: Any = None) -> _Reading:
    values = method(keys, version=version)
    missed = tuple(key for key in dict.fromkeys(keys) if key not in values)
    return values, tuple(values), missed, {key: _size(value) for key, value in values.items()}


def _get_or_set(method: Any, inner: list[CacheCall], key: str, default: Any, *args: Any, **kwargs: Any) -> _Reading:
    value = method(key, _apart(default) if callable(default) else default, *args, **kwargs)
    found, missed = inner[0].found, inner[0].missed  # its first call is a get, and that decides
    return value, found, missed, {key: _size(value)}


def _other(method: Any, inner: list[CacheCall], *args: Any, **kwargs: Any) -> _Reading:
    return method(*args, **kwargs), (), (), {}


def _set(method: Any, inner: list[CacheCall], key: str, value: Any, *args: Any, **kwargs: Any) -> _Reading:
    return method(key, value, *args, **kwargs), (), (), {key: _size(value)}


def _set_many(method: Any, inner: list[CacheCall], data: Mapping[str, Any], *args: Any, **kwargs: Any) -> _Reading:
    return method(data, *args, **kwargs), (), (), {key: _size(value) for key, value in data.items()}


_READERS: dict[str, Callable[..., _Reading]] = {
    **{"get": _get, "get_many": _get_many, "get_or_set": _get_or_set},
    **{"set": _set, "add": _set, "set_many": _set_many},
}


def _apart(compute: Callable[[], Any]) -> Callable[[], Any]:
    """What is computed inside a get_or_set may use the cache itself: those calls are its own, not parts of it."""

    @functools.wraps(compute)
    def computed() -> Any:
        tokens = _inside.set(None), _outer.set("")
        try:
            return compute()
        finally:
            _inside.reset(tokens[0])
            _outer.reset(tokens[1])

    return computed


def _listed(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if args:
        return (list(args[0]), *args[1:]), kwargs
    return args, {**kwargs, "keys": list(kwargs["keys"])} if "keys" in kwargs else kwargs


def _keys(operation: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, ...]:
    if operation == "clear":
        return ()
    first = args[0] if args else kwargs.get("key", kwargs.get("keys", kwargs.get("data", ())))
    return (first,) if isinstance(first, str) else tuple(map(str, first))


def _size(value: Any) -> int:
    try:
        return len(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
    except Exception:  # the backend has said, or will say, that it cannot be stored
        return 0


# Counting


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
    """A listener that counts. `operations` counts cache calls by name, `uses` look-ups by cache use."""

    queries: int = 0
    sql_seconds: float = 0.0
    cache_seconds: float = 0.0
    operations: Counter[str] = field(default_factory=Counter)
    uses: dict[str, Use] = field(default_factory=dict)
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
