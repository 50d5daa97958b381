"""Four steps that nobody can come between: take a mark, renew it, put a value in its place, give it back.

    leased = acquire("product:42:detail", "me", ttl=10)     # the value that is there; else my mark is, from now on
    renew("product:42:detail", "me", ttl=10)                # True: it is still mine, and lives ten seconds more
    commit("product:42:detail", "me", value, timeout=60)    # True: it was still mine, and is now the value
    release("product:42:detail", "me")                      # True: it was mine, and the place is empty

A mark and a value exclude each other under one key, so that whatever deletes or replaces the value takes the mark away
too. Where both are wanted (a lock beside a value), `commit(lock_key, "me", value, timeout, into=value_key)`.

Guarantee: each is one step to everybody who uses the same cache, and on Redis one round trip (a Lua script). A mark
whose time is over, or that anybody deleted or overwrote, is nobody's: its former owner is told False, and changes
nothing.
Limit: in local memory "everybody" is one process. A cache in files, in the database or in memcached is refused. Whoever
reads the key with plain `cache.get` while it is marked reads the mark, a text that begins with `MARK`.
`leases.py` is made of these steps.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from django.core.cache import cache as default_cache
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache

from .families import alone, store_of

MARK = "%lease="  # a text, so that every serializer can store it


@dataclass(frozen=True, slots=True)
class Leased:
    """What stands under a key: a `value` if it is a `hit`; else a mark, which is yours if there is a `token`."""

    hit: bool = False
    value: Any = None
    token: str = ""


def acquire(key: str, token: str, ttl: float, *, cache: Any = default_cache) -> Leased:
    """The value under `key`; where nothing is, your mark, for `ttl` seconds. Again with the same token: still yours.

    `token` must be unlike everybody else's, as `secrets.token_urlsafe()` is. Raises ValueError for a `ttl` that is not
    above zero.
    """
    return _step(cache, "acquire")(key, token, _positive(ttl))


def renew(key: str, token: str, ttl: float, *, cache: Any = default_cache) -> bool:
    """Whether your mark is still there; then it lives `ttl` seconds from now."""
    return _step(cache, "renew")(key, token, _positive(ttl))


def commit(
    key: str,
    token: str,
    value: Any,
    timeout: float | None = DEFAULT_TIMEOUT,
    *,
    into: str = "",
    cache: Any = default_cache,
) -> bool:
    """Whether your mark was still under `key`; then it is gone, and `value` under `into` (by default `key`).

    `timeout` is Django's: seconds, None for ever, 0 not at all. Raises ValueError for a value that reads like a mark.
    """
    if isinstance(value, str) and value.startswith(MARK):
        raise ValueError(f"A value that begins with {MARK!r} would be taken for a mark: store it inside a list.")
    return _step(cache, "commit")(key, token, value, timeout, into or key)


def release(key: str, token: str, *, cache: Any = default_cache) -> bool:
    """Whether your mark was still there; now it is gone."""
    return _step(cache, "release")(key, token)


def _positive(ttl: float) -> float:
    if not ttl > 0:
        raise ValueError(f"A mark of {ttl!r} seconds: it needs some, in case its owner never comes back.")
    return ttl


class _Steps(Protocol):
    def acquire(self, key: str, token: str, ttl: float) -> Leased: ...
    def renew(self, key: str, token: str, ttl: float) -> bool: ...
    def commit(self, key: str, token: str, value: Any, timeout: Any, into: str) -> bool: ...
    def release(self, key: str, token: str) -> bool: ...


def _step(cache: Any, name: str) -> Callable[..., Any]:
    """The step as this kind of cache takes it; told to whoever listens, where the cache is instrumented."""
    store = store_of(cache)
    kind = next(kind for base, kind in _KINDS.items() if isinstance(store, base))
    step = getattr(kind(store), name)
    watch = getattr(store, "metered_step", None)
    return watch(step, name) if watch else step


def _read(found: Any, token: str) -> Leased:
    if isinstance(found, str) and found.startswith(MARK):
        return Leased(token=token if found == MARK + token else "")
    return Leased(hit=True, value=found)


class _Memory:
    """The steps in Django's local memory: its own lock is held, so that its own methods cannot come between."""

    def __init__(self, store: LocMemCache) -> None:
        self.store: Any = store

    def acquire(self, key: str, token: str, ttl: float) -> Leased:
        name, mark = self.store.make_and_validate_key(key), self._mark(token)
        with alone(self.store, "acquire", key):
            if self.store._has_expired(name):
                self.store._delete(name)
                self.store._set(name, mark, ttl)
            self.store._cache.move_to_end(name, last=False)
            found = self.store._cache[name]
        return _read(pickle.loads(found), token)

    def renew(self, key: str, token: str, ttl: float) -> bool:
        name, mark = self.store.make_and_validate_key(key), self._mark(token)
        with alone(self.store, "renew", key):
            if mine := self._stands(name, mark):
                self.store._expire_info[name] = self.store.get_backend_timeout(ttl)
        return mine

    def commit(self, key: str, token: str, value: Any, timeout: Any, into: str) -> bool:
        name, place = self.store.make_and_validate_key(key), self.store.make_and_validate_key(into)
        mark, stored = self._mark(token), pickle.dumps(value, self.store.pickle_protocol)
        with alone(self.store, "commit", key):
            if mine := self._stands(name, mark):
                self.store._delete(name)
                self.store._set(place, stored, timeout)
        return mine

    def release(self, key: str, token: str) -> bool:
        name, mark = self.store.make_and_validate_key(key), self._mark(token)
        with alone(self.store, "release", key):
            return self._stands(name, mark) and self.store._delete(name)

    def _mark(self, token: str) -> bytes:
        return pickle.dumps(MARK + token, self.store.pickle_protocol)

    def _stands(self, name: str, mark: bytes) -> bool:
        return not self.store._has_expired(name) and self.store._cache[name] == mark


_ACQUIRE = """
local found = redis.call('GET', KEYS[1])
if found then return found end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]"""
_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])"""
_COMMIT = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
if ARGV[3] == '' then
    redis.call('SET', KEYS[2], ARGV[2])
elseif ARGV[3] ~= '0' then
    redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
end
return 1"""
_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])"""
_NAMES = {script: hashlib.sha1(script.encode()).hexdigest() for script in (_ACQUIRE, _RENEW, _COMMIT, _RELEASE)}
_sent: set[tuple[str, ...]] = set()  # which script this process has sent to which servers


class _Redis:
    """The steps on a server: a script each, sent once and called by its hash from then on."""

    def __init__(self, store: RedisCache) -> None:
        self.store: Any = store

    def acquire(self, key: str, token: str, ttl: float) -> Leased:
        found = self._run(_ACQUIRE, [key], [self._stored(MARK + token), _milliseconds(ttl)])
        return _read(self.store._cache._serializer.loads(found), token)

    def renew(self, key: str, token: str, ttl: float) -> bool:
        return bool(self._run(_RENEW, [key], [self._stored(MARK + token), _milliseconds(ttl)]))

    def commit(self, key: str, token: str, value: Any, timeout: Any, into: str) -> bool:
        seconds = self.store.default_timeout if timeout == DEFAULT_TIMEOUT else timeout
        lives = "" if seconds is None else _milliseconds(seconds)
        return bool(self._run(_COMMIT, [key, into], [self._stored(MARK + token), self._stored(value), lives]))

    def release(self, key: str, token: str) -> bool:
        return bool(self._run(_RELEASE, [key], [self._stored(MARK + token)]))

    def _stored(self, value: Any) -> Any:
        return self.store._cache._serializer.dumps(value)

    def _run(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        names = [self.store.make_and_validate_key(key) for key in keys]
        client, known = self.store._cache.get_client(names[0], write=True), (script, *self.store._servers)
        if known in _sent:
            with suppress(self.store._cache._lib.exceptions.NoScriptError):  # it was started again, and has forgotten
                return client.evalsha(_NAMES[script], len(names), *names, *arguments)
        result = client.eval(script, len(names), *names, *arguments)
        _sent.add(known)
        return result


def _milliseconds(seconds: float) -> int:
    """At least one, where there is any time at all: 0 is "not at all"."""
    return max(1, round(seconds * 1000)) if seconds > 0 else 0


class _Nothing:
    """The steps in a cache that stores nothing: whoever asks may go on, nobody waits, and nothing comes of it."""

    def __init__(self, store: DummyCache) -> None:
        pass

    def acquire(self, key: str, token: str, ttl: float) -> Leased:
        return Leased(token=token)

    def renew(self, key: str, token: str, ttl: float) -> bool:
        return False

    def commit(self, key: str, token: str, value: Any, timeout: Any, into: str) -> bool:
        return False

    def release(self, key: str, token: str) -> bool:
        return False


_KINDS: dict[type, Callable[[Any], _Steps]] = {LocMemCache: _Memory, RedisCache: _Redis, DummyCache: _Nothing}
