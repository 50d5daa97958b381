"""Make every database connection and every cache tell what it does: `listening()` hands you each event.

`install()` (once, in an `AppConfig.ready`) wraps them; without a listener that costs next to nothing.

Guarantee: every statement and every cache call made after `install()` is told, once, whatever its thread (but for a
cache object that another thread already held), and a look-up is told as the caller sees
it: `get_or_set` is one look-up, however many calls the backend makes for it.
Limit: SQL time is the time inside `execute`; rows fetched later are not in it. Bytes are those of the pickled value, as
the stock backends store it. An async method is told as the calls that it makes: a missed `aget_or_set` is two look-ups.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from django.conf import settings
from django.core.cache import CacheHandler, caches
from django.core.cache.backends.base import BaseCache
from django.db import connections
from django.db.backends.signals import connection_created

from .weighing import Frame, Weighing, going_on, sizes


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

    `part_of` names the call that this one was a part of (`get_or_set` calls `get`), or is empty; `parts` is how many
    calls it made itself. `sizes` are the bytes of the values read or written, by key.
    """

    alias: str
    operation: str
    keys: tuple[str, ...]
    found: tuple[str, ...]
    missed: tuple[str, ...]
    sizes: Mapping[str, int]
    seconds: float
    part_of: str = ""
    parts: int = 0

    @property
    def bytes(self) -> int:
        """The size of all values read or written."""
        return sum(self.sizes.values())


Event = Statement | CacheCall
Listener = Callable[[Event], None]

# Past white space, brackets and the comments that some libraries put in front.
_READS_OR_WRITES = re.compile(
    r"(?:\s|\(|/\*.*?\*/|--[^\n]*\n)*(SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH|VALUES)\b", re.IGNORECASE | re.DOTALL
)
_MISSING = object()
_OPERATIONS = (
    *("get", "set", "add", "delete", "get_many", "set_many", "delete_many", "get_or_set"),
    *("has_key", "touch", "incr", "decr", "incr_version", "decr_version", "clear"),
)

_everywhere: list[Listener] = []
_here: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


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
            # By identity: two listeners that have counted the same are equal.
            del _everywhere[next(i for i, known in enumerate(_everywhere) if known is listener)]
        else:
            _here.reset(token)


def _listeners() -> tuple[Listener, ...]:
    return (*_everywhere, *_here.get()) if _everywhere else _here.get()


def _tell(event: Event) -> None:
    for listener in _listeners():
        listener(event)


def _watch_connection(connection: Any, **_: Any) -> None:
    if _timed_statement not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, _timed_statement)  # at the end it would be popped as somebody else's


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
    # For steps that are no method of the cache, such as those of `atomic.py`.
    cache.metered_step = functools.partial(_metered_call, alias=alias)  # type: ignore[attr-defined]
    with suppress(ImportError):  # a backend whose library is missing says so itself when it is used
        client: Any = getattr(cache, "_cache", None)
        if hasattr(client, "_serializer") and not isinstance(client._serializer, Weighing):
            client._serializer = Weighing(client._serializer)
    return cache


def _metered_call(method: Callable[..., Any], operation: str, alias: str) -> Any:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not _listeners():
            return method(*args, **kwargs)
        if operation in ("get_many", "delete_many"):  # an iterator of keys can be read once only
            args, kwargs = _listed(args, kwargs)
        outer, frame = going_on.get(), Frame(operation)
        found: tuple[str, ...] = ()
        missed: tuple[str, ...] = ()
        values: Mapping[str, Any] = {}
        started = perf_counter()
        try:  # before it is set: an interrupt or a time limit may come after any call
            going_on.set(frame)
            result, found, missed, values = _READERS.get(operation, _other)(method, frame, *args, **kwargs)
            return result
        finally:
            going_on.set(
                outer
            )  # first of all: what is interrupted here must not stand for the caller of all that follows
            seconds = perf_counter() - started
            if operation == "get_or_set" and frame.inner:
                found, missed = frame.inner[0].found, frame.inner[0].missed
            weighed, part_of = sizes(values, frame), outer.operation if outer else ""
            keys, parts = _keys(operation, args, kwargs), len(frame.inner)
            event = CacheCall(alias, operation, keys, found, missed, weighed, seconds, part_of, parts)
            if outer:
                outer.inner.append(event)
            _tell(event)

    call.metered = True  # type: ignore[attr-defined]
    return call


# Reading each kind of call: (what it returned, keys found, keys missed, values read or written by key)

_Reading = tuple[Any, tuple[str, ...], tuple[str, ...], Mapping[str, Any]]


def _get(method: Any, frame: Frame, key: str, default: Any = None, version: Any = None) -> _Reading:
    value = method(key, _MISSING, version=version)
    name = str(key)
    return (default, (), (name,), {}) if value is _MISSING else (value, (name,), (), {name: value})


def _get_many(method: Any, frame: Frame, keys: Any, version: Any = None) -> _Reading:
    values = method(keys, version=version)
    missed = tuple(str(key) for key in dict.fromkeys(keys) if key not in values)
    return values, tuple(map(str, values)), missed, _named(values)


def _get_or_set(method: Any, frame: Frame, key: str, default: Any, *args: Any, **kwargs: Any) -> _Reading:
    value = method(key, _apart(default) if callable(default) else default, *args, **kwargs)
    return value, (), (), {str(key): value}  # what it found is what its first get found


def _set(method: Any, frame: Frame, key: str, value: Any, *args: Any, **kwargs: Any) -> _Reading:
    return method(key, value, *args, **kwargs), (), (), {str(key): value}


def _acquire(method: Any, frame: Frame, key: str, *args: Any) -> _Reading:
    leased, name = method(key, *args), str(key)
    return (leased, (name,), (), {name: leased.value}) if leased.hit else (leased, (), (name,), {})


def _commit(method: Any, frame: Frame, key: str, token: str, value: Any, timeout: Any, into: str) -> _Reading:
    return method(key, token, value, timeout, into), (), (), {into: value}


def _set_many(method: Any, frame: Frame, data: Mapping[str, Any], *args: Any, **kwargs: Any) -> _Reading:
    return method(data, *args, **kwargs), (), (), _named(data)


def _named(values: Mapping[Any, Any]) -> Mapping[str, Any]:
    return {str(key): value for key, value in values.items()}


def _other(method: Any, frame: Frame, *args: Any, **kwargs: Any) -> _Reading:
    return method(*args, **kwargs), (), (), {}


_READERS: dict[str, Callable[..., _Reading]] = {
    **{"get": _get, "get_many": _get_many, "get_or_set": _get_or_set},
    **{"set": _set, "add": _set, "set_many": _set_many, "acquire": _acquire, "commit": _commit},
}


def _apart(compute: Callable[[], Any]) -> Callable[[], Any]:
    """What is computed inside a get_or_set may use the cache itself: those calls are its own, not parts of it."""

    @functools.wraps(compute)
    def computed() -> Any:
        outer = going_on.get()
        try:
            going_on.set(None)
            return compute()
        finally:
            going_on.set(outer)

    return computed


def _listed(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return ((list(args[0]), *args[1:]), kwargs) if args else (args, {**kwargs, "keys": list(kwargs["keys"])})


def _keys(operation: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, ...]:
    if operation == "clear":
        return ()
    first = args[0] if args else kwargs.get("key", kwargs.get("keys", kwargs.get("data", ())))
    return tuple(map(str, first)) if operation.endswith("_many") else (str(first),)
