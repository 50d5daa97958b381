"""Part of `isolation`: a rehearsal, in which a project answers as always and from which nothing stays behind.

Every cache is replaced by one in this process's memory, every database is in a transaction that is rolled back, no mail
is sent, and sessions of Django's own kinds lie in a memory of their own. Whoever interrupts it finds all as it was.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fnmatch import fnmatchcase
from threading import Lock
from typing import Any, cast

from django.apps import apps
from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends import locmem
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections, transaction
from django.test import override_settings
from django.utils import timezone, translation

HOST = "testserver"
SESSIONS = "sessions of the rehearsal"
# Django's own: what they keep is kept in memory instead, and differs in nothing for a view.
MOVED = tuple(f"django.contrib.sessions.backends.{name}" for name in ("db", "file", "cache", "cached_db"))
SESSION_KEY = "django.contrib.sessions."
ROOM = 1_000_000  # entries
KEPT_OPTIONS = {"TIMEOUT", "KEY_PREFIX", "VERSION", "KEY_FUNCTION"}  # what a cache in memory understands too
SILENCED = ("django.request", "django.security")
# Where Django keeps the caches in this process's memory, by their names.
_ENTRIES, _ENDS, _LOCKS = (vars(locmem)[name] for name in ("_caches", "_expire_info", "_locks"))

Kept = dict[str, tuple["OrderedDict[str, Any]", dict[str, Any]]]


class AuditError(Exception):
    """What keeps the whole audit from running, in one line."""


class RehearsalCache(locmem.LocMemCache):
    """Memory in place of a project's cache, with what projects ask of django-redis besides."""

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None, **flags: Any) -> Any:
        if flags.get("nx"):
            return self.add(key, value, timeout, version)
        return super().set(key, value, timeout, version)

    def lock(self, key: str, *args: Any, **kwargs: Any) -> Any:
        """A lock that nobody else holds: a rehearsal has one visitor at a time."""
        return Lock()

    def ttl(self, key: Any, version: Any = None) -> int | None:
        """The seconds that the key has left; None if it has no end, 0 if it is not there."""
        end = vars(self)["_expire_info"].get(self.make_key(key, version), 0)
        return None if end is None else max(0, int(end - time.time()))

    def keys(self, search: str = "*", version: Any = None) -> list[str]:
        """The keys like `search`, without prefix and version."""
        names = [key.split(":", 2)[-1] for key in list(vars(self)["_cache"])]
        return [name for name in names if fnmatchcase(name, search)]

    def delete_pattern(self, pattern: str, version: Any = None, **kwargs: Any) -> int:
        """Delete the keys like `pattern`; returns how many there were."""
        return sum(self.delete(key, version) for key in self.keys(pattern))


class Memory:
    """What lies in the caches of a rehearsal."""

    def __init__(self, places: dict[str, str]) -> None:
        self._places = places  # alias -> name of a place in this process's memory
        self._start: Kept = {}

    def begin(self) -> None:
        """What lies there now, the sessions of those who have signed in, is what every visit begins with."""
        self._start = self.kept()

    def kept(self) -> Kept:
        """All that lies there now."""
        now = time.time()
        return {
            alias: (_ENTRIES[place].copy(), {key: end and end - now for key, end in _ENDS[place].items()})
            for alias, place in self._places.items()
        }

    def put_back(self, kept: Kept | None = None) -> None:
        """Make the caches hold what they held then; at the beginning, if nothing is given."""
        for alias, held in (kept or self._start).items():
            self._fill(alias, held)
        self.put_back_sessions()

    def put_back_sessions(self, kept: Kept | None = None) -> None:
        """Make the sessions what they were then, or at the beginning: they belong to the visitors, not to the pages."""
        self._fill(SESSIONS, (kept or self._start)[SESSIONS])

    def _fill(self, alias: str, held: tuple[Any, Any]) -> None:
        # Each entry has as long to live as it had then, however long the audit takes.
        now = time.time()
        ends = {key: left and now + left for key, left in held[1].items()}
        # In place: cache objects, of other threads too, hold these two.
        place = self._places[alias]
        for here, then in ((_ENTRIES[place], held[0]), (_ENDS[place], ends)):
            here.clear()
            here.update(then)

    def entries(self) -> dict[tuple[str, str], bytes]:
        """(alias, key) -> the bytes stored, of all but sessions."""
        return {
            (alias, key): value
            for alias, place in self._places.items()
            if alias != SESSIONS
            for key, value in _ENTRIES[place].items()
            if SESSION_KEY not in key
        }

    def forget(self) -> None:
        """Give the memory back."""
        for place in self._places.values():
            for held in (_ENTRIES, _ENDS, _LOCKS):
                held.pop(place, None)


@contextmanager
def rehearsal() -> Iterator[Memory]:
    """A project in which anything may be visited. Raises AuditError where a database or a setting does not work."""
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        stack.enter_context(translation.override(translation.get_language()))
        stack.enter_context(timezone.override(timezone.get_current_timezone()))
        memory = stack.enter_context(_caches_in_memory())
        stack.enter_context(_rolled_back())
        if apps.is_installed("django.contrib.contenttypes"):
            from django.contrib.contenttypes.models import ContentType

            stack.callback(ContentType.objects.clear_cache)  # rows of the rehearsal, which are no more
        yield memory


@contextmanager
def one_visit() -> Iterator[None]:
    """What is written to a database in this block is gone after it; so are its language and time zone."""
    with ExitStack() as stack:
        for alias in connections:
            if connections[alias].in_atomic_block and connections[alias].alias == alias:
                _open(stack, alias)
        stack.enter_context(timezone.override(timezone.get_default_timezone()))
        stack.enter_context(translation.override(settings.LANGUAGE_CODE))
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """What a view does wrong is told in the report, not in the log."""
    loggers = [logging.getLogger(name) for name in SILENCED]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, was in zip(loggers, before, strict=True):
            logger.disabled = was


@contextmanager
def _caches_in_memory() -> Iterator[Memory]:
    run = uuid.uuid4().hex
    places = {alias: f"rehearsal {run} {alias}" for alias in (*settings.CACHES, SESSIONS)}
    replaced = {
        alias: {key: value for key, value in settings.CACHES.get(alias, {}).items() if key in KEPT_OPTIONS}
        | {"BACKEND": f"{__name__}.RehearsalCache", "LOCATION": place, "OPTIONS": {"MAX_ENTRIES": ROOM}}
        for alias, place in places.items()
    }
    changes: dict[str, Any] = {
        "CACHES": replaced,
        "ALLOWED_HOSTS": [*settings.ALLOWED_HOSTS, HOST],
        "EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend",
    }
    if settings.SESSION_ENGINE in MOVED:
        changes |= {"SESSION_ENGINE": "django.contrib.sessions.backends.cache", "SESSION_CACHE_ALIAS": SESSIONS}
    handler: Any = caches
    held = {alias: getattr(handler._connections, alias, None) for alias in settings.CACHES}
    before, memory = handler._connections, Memory(places)
    try:
        with override_settings(**changes):
            # Made here and now, so that its place in memory exists.
            fresh = {alias: caches[alias] for alias in places}
            with ExitStack() as stack:
                for alias, cache in held.items():
                    if cache is not None:
                        stack.enter_context(_disguised(cache, fresh[alias]))
                yield memory
    finally:
        handler._connections = before
        memory.forget()


@contextmanager
def _disguised(cache: Any, fresh: Any) -> Iterator[None]:
    """A cache object that some module may have kept in a variable of its own does in this block what `fresh` does."""
    before = cache.__class__, cache.__dict__
    try:
        cache.__class__, cache.__dict__ = fresh.__class__, fresh.__dict__
    except TypeError:  # a class built differently: whoever kept it goes on using the real one
        pass
    try:
        yield
    finally:
        with suppress(TypeError):
            cache.__class__, cache.__dict__ = before


@contextmanager
def _rolled_back() -> Iterator[None]:
    """Every database in a transaction. A second name of one database shares its connection, as in Django's tests."""
    first: dict[Any, str] = {}
    with ExitStack() as stack:
        for alias in sorted(connections, key=lambda alias: alias != "default"):
            connection = connections[alias]
            place = connection.settings_dict
            where = tuple(str(place.get(key)) for key in ("ENGINE", "NAME", "HOST", "PORT"))
            mirrored = place.get("TEST", {}).get("MIRROR") or first.setdefault(where, alias)
            if connection.vendor == "unknown":  # the project has no database
                continue
            if mirrored != alias:
                stack.callback(connections.__setitem__, alias, connection)
                connections[alias] = connections[mirrored]
                continue
            try:
                _open(stack, alias)
            except (Error, ImproperlyConfigured) as error:
                raise AuditError(f"The database {alias!r} does not work: {_line(error)}") from error
            for name in ("close", "close_if_unusable_or_obsolete"):  # whoever closes it would end the rehearsal
                setattr(connection, name, lambda: None)
                stack.callback(delattr, connection, name)
        yield


def _open(stack: ExitStack, alias: str) -> None:
    atomic = cast(Any, transaction.atomic(using=alias))
    atomic._from_testcase = True  # a view may ask for a transaction of its own: `atomic(durable=True)`
    stack.enter_context(atomic)
    stack.callback(transaction.set_rollback, True, using=alias)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
