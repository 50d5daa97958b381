"""An actor's own database connections, with a point before each statement, COMMIT and ROLLBACK.

Actors that shared one connection would share its transaction: an order's count would be wrong, without any error.
BEGIN and the step after it are one step: nobody else can tell them apart. SAVEPOINTs are no steps.

SQLite and PostgreSQL would let a second writer wait. Here it would wait for an actor on its own thread, for ever. So
the scheduler asks first: a write can be taken only while nobody else is in a transaction that has written.
Limit: PostgreSQL locks rows; two transactions that write different rows at once are not among the orders there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import connections

if TYPE_CHECKING:
    from .scheduler import Orders

_READS = re.compile(r"\s*\(?\s*(SELECT|VALUES|EXPLAIN|PRAGMA|SHOW)\b(?!.*\bFOR\b.*\b(UPDATE|SHARE)\b)", re.I | re.S)
# A plain BEGIN takes no lock: it does nothing that anybody could see.
_NO_STEP = re.compile(r"\s*(SAVEPOINT|RELEASE|ROLLBACK TO|PRAGMA|SET |BEGIN$|BEGIN DEFERRED$)", re.I)
_TABLE = re.compile(r'\b(?:FROM|INTO|UPDATE|JOIN)\s+"?([\w.]+)', re.I)


class ActorConnections:
    """One connection for each of the project's databases; none is opened before it is used."""

    def __init__(self, scheduler: Orders | None) -> None:
        self._scheduler = scheduler
        self._by_alias: dict[str, Any] = {}
        if scheduler is not None:
            self._by_alias = {alias: self._stepped(alias) for alias in connections.settings}

    @classmethod
    def of_this_context(cls) -> ActorConnections:
        """Those in use now, to be put back."""
        kept = cls(None)
        kept._by_alias = {alias: connections[alias] for alias in connections.settings}
        return kept

    def use(self) -> None:
        """Let this thread, in this context, use these."""
        for alias, connection in self._by_alias.items():
            connections[alias] = connection

    def in_transaction(self, begins: bool = False) -> bool:
        """Whether one of them is in a transaction, or is about to `begin` one."""
        return begins or any(connection.in_atomic_block for connection in self._by_alias.values())

    def close(self) -> None:
        """Roll back what is open and close."""
        for connection in self._by_alias.values():
            connection.close()

    def _stepped(self, alias: str) -> Any:
        connection: Any = connections.create_connection(alias)
        connection.execute_wrappers.append(self._before_statement)
        connection._commit = self._then_ended(connection._commit, "COMMIT")
        connection._rollback = self._then_ended(connection._rollback, "ROLLBACK")
        return connection

    def _before_statement(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        if not _NO_STEP.match(sql):
            begins = sql.startswith("BEGIN")
            self._scheduler.database_call(described(sql), writes=not _READS.match(sql), begins=begins)  # type: ignore[union-attr]
        return execute(sql, params, many, context)

    def _then_ended(self, end: Callable[[], None], name: str) -> Callable[[], None]:
        def call() -> None:
            self._scheduler.database_call(name)  # type: ignore[union-attr]
            try:
                end()
            finally:
                self._scheduler.transaction_ended()  # type: ignore[union-attr]

        return call


def described(sql: str) -> str:
    """A statement in two words: the verb, and the table."""
    verb = sql.split(None, 1)[0].strip("(").upper()
    table = _TABLE.search(sql)
    return f"{verb} {table[1]}" if table and verb != "BEGIN" else verb
