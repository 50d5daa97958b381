"""Delete keys once a transaction has committed: all that it named in one call, and nothing of what was rolled back.

    later = AfterCommit(cache.delete_many)
    later(["product:42:detail", namespace.bump])      # inside `atomic()`: at its commit; outside: at once

Guarantee: what a transaction named is deleted after its commit, in one call, and then its callables are called. What a
savepoint named that is rolled back is not. One that fails keeps none of the others from being done.
Limits: what cannot be deleted (the cache is away) is logged, handed to `failed`, and stays until it expires; a process
that dies between commit and delete deletes nothing. Without reference counting (PyPy), what a savepoint took back may
be deleted all the same.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)

Touched = str | Callable[[], Any]  # a key, or what is called in its stead


def log_failure(failed: list[Touched], error: Exception) -> None:
    """Log what could not be deleted: it stays in the cache, and stale, until it expires."""
    logger.error("Not deleted after a change, and stale until it expires: %s", failed, exc_info=error)


class AfterCommit:
    """`delete` takes a list of keys; `failed`, what could not be deleted or called, and the exception."""

    def __init__(
        self,
        delete: Callable[[list[str]], Any],
        failed: Callable[[list[Touched], Exception], Any] | None = None,
    ) -> None:
        self._delete, self._failed = delete, failed or log_failure
        # A callback that a rollback drops dies with it: what is left here at a commit is what was committed.
        self._waiting: WeakKeyDictionary[BaseDatabaseWrapper, WeakSet[_Change]] = WeakKeyDictionary()
        self._numbers = itertools.count()

    def __call__(
        self,
        found: Iterable[Touched],
        using: str | None = None,
        ask: Callable[[], Iterable[Touched]] | None = None,
    ) -> None:
        """Name keys and callables; `ask` is called for more of them at the commit. `using`: the database's alias."""
        named = list(found)
        if not named and ask is None:
            return
        connection = transaction.get_connection(using)
        change = _Change(self, connection, next(self._numbers), named, ask)
        self._waiting.setdefault(connection, WeakSet()).add(change)
        transaction.on_commit(change, using=using, robust=True)

    def _forget(self, connection: BaseDatabaseWrapper) -> None:
        """Do what all committed changes named; the first of their callbacks does it."""
        found: dict[Touched, None] = {}
        for change in sorted(self._waiting.pop(connection, ()), key=lambda change: change.number):
            found |= dict.fromkeys(change.found)
            if change.ask is not None:
                found |= dict.fromkeys(self._tried([change.ask], change.ask) or ())
        if keys := [key for key in found if isinstance(key, str)]:
            self._tried(keys, lambda: self._delete(keys))
        for call in found:
            if not isinstance(call, str):
                self._tried([call], call)

    def _tried(self, what: Sequence[Touched], work: Callable[[], Any]) -> Any:
        try:
            return work()
        except Exception as error:
            self._failed(list(what), error)


@dataclass(eq=False)
class _Change:
    """A callback of one change: whichever runs first does the work of all that were committed with it."""

    later: AfterCommit
    connection: BaseDatabaseWrapper
    number: int
    found: list[Touched]
    ask: Callable[[], Iterable[Touched]] | None

    def __call__(self) -> None:
        self.later._forget(self.connection)
