"""A map from what changes to the keys that it touches, and the deleting of them: after the commit, once a transaction.

    touches = Touches()

    @touches.when(Product)                        # a row of it is saved, deleted, or has a many-to-many changed
    def shelves(product):
        yield f"product:{product.pk}:detail"
        yield f"category:{product.category_id}:products"

    touches.connect()                             # in an `AppConfig.ready`

A rule yields keys, and callables that are run after the keys have gone (`namespace.bump`). It is asked for the row as
it was before the change too: a product that moves from one category to another touches both.

Guarantee: once a transaction has committed, every key that a rule names for its changes is deleted, in one call; if it
is rolled back, or the savepoint of a change is, none of that is. Outside a transaction that is at once. Whoever reads
afterwards, and finds nothing, computes what is true.
Price: a SELECT before each save of a row that exists (`before=False` saves it), what the rules themselves ask, and one
`delete_many`. And inside the transaction the cache still has the old value: read what you have just written from the
database there.
Limits. A reader who asked the database before the commit may store the old answer after the delete; then it stays until
it expires, as it does where the process dies between commit and delete, or the cache cannot be reached (logged, and
handed to `failed`). So give every entry a timeout. The row before is the one that was there at `pre_save`: without a
lock (`select_for_update`) somebody else's change in between is not seen. A rule that raises makes the save raise.
Not heard: `QuerySet.update` and `bulk_create`, raw SQL, rows of a through table written directly, `related.add()` of
a reverse foreign key, what another program writes. See `Telling` and `Touches.tell`. What SET_NULL does to the rows
that point to a deleted one is not told either: let the rule of the deleted one name their keys; it is asked while they
still point to it.
Tests: in a `TestCase` nothing ever commits. Use `with self.captureOnCommitCallbacks(execute=True):`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from django.apps import apps
from django.core.cache import cache
from django.db import models, router
from django.db.models.signals import class_prepared, m2m_changed, post_save, pre_delete, pre_save
from django.dispatch import Signal

from .after_commit import AfterCommit, Touched
from .telling import Telling, rows_changed

__all__ = ["Rule", "Telling", "Touches", "rows_changed"]

RuleFunction = Callable[[Any], Iterable[Touched] | None]
F = TypeVar("F", bound=RuleFunction)


@dataclass(frozen=True)
class Rule:
    """What one function says of the rows of some models; see `Touches.when`."""

    models: tuple[type[models.Model], ...]
    function: RuleFunction
    fields: frozenset[str] | None
    before: bool


class Touches:
    """The map. `delete` takes a list of keys (the default cache's `delete_many` does); `failed`, what could not be
    deleted or called, and the exception: an error is logged where nothing else is given."""

    def __init__(
        self,
        delete: Callable[[list[str]], Any] | None = None,
        failed: Callable[[list[Touched], Exception], Any] | None = None,
    ) -> None:
        self.rules: list[Rule] = []
        self._heard: set[type[models.Model]] = set()
        self.is_connected = False
        self._later = AfterCommit(delete or (lambda keys: cache.delete_many(keys)), failed)  # each thread's own cache

    # The map

    def when(
        self, *of: type[models.Model], fields: Iterable[str] | None = None, before: bool = True
    ) -> Callable[[F], F]:
        """Make a function of one row a rule for these models, their proxies and the models that inherit from them.

        It returns, or yields, keys and callables. With `fields` it is asked only where one of these has changed, and
        for new, deleted and told rows; the names of many-to-many fields count. With `before=False` it is not asked for
        the row as it was: for keys that follow from the primary key alone.
        """

        def register(function: F) -> F:
            self.rules.append(Rule(of, function, None if fields is None else frozenset(fields), before))
            return function

        return register

    def keys_of(self, row: models.Model, changed: set[str] | None = None, was: bool = False) -> list[Touched]:
        """What the rules name for a row, in their order, each once; with `changed`, those rules that ask for one of
        these fields or for any. `was`: the row is one from before a change."""
        found: dict[Touched, None] = {}
        for rule in self._rules_of(type(row)):
            if (was and not rule.before) or (changed is not None and rule.fields and not rule.fields & changed):
                continue
            named = rule.function(row)
            found |= dict.fromkeys([named] if isinstance(named, str) else named or ())
        return list(found)

    @contextmanager
    def without(self, function: RuleFunction) -> Iterator[None]:
        """For this block the map lacks the rules of this function: for a test that has to notice."""
        kept = self.rules
        self.rules = [rule for rule in kept if rule.function is not function]
        try:
            yield
        finally:
            self.rules = kept

    def _rules_of(self, model: type[models.Model]) -> list[Rule]:
        return [rule for rule in self.rules if issubclass(model, rule.models)]

    # Hearing of changes

    def connect(self) -> None:
        """Hear of every change from now on, in this process. Raises FieldDoesNotExist where a rule's field is none."""
        for rule in self.rules:
            for model in rule.models:
                for name in rule.fields or ():
                    model._meta.get_field(name)
        self.is_connected = True
        for model in apps.get_models():
            self._hear(model)
        class_prepared.connect(self._prepared)  # a proxy that is defined later

    def disconnect(self) -> None:
        """Hear of nothing any more. What was heard in a transaction that is still open is deleted at its commit."""
        self.is_connected = False
        class_prepared.disconnect(self._prepared)
        for model in self._heard:
            self._wire(model, connecting=False)
        self._heard.clear()

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Hear of what changes in this block, in every thread of this process."""
        already = self.is_connected
        self.connect()
        try:
            yield
        finally:
            if not already:
                self.disconnect()

    def tell(self, rows: models.Model | Iterable[models.Model], using: str | None = None) -> None:
        """Delete what these rows touch, after the commit: for changes that nobody was told of. Connected or not.

        Rows that the change moves from one key to another are told before the change and after it. `using` is the
        alias of the database; without it, that of the first row.
        """
        told = [rows] if isinstance(rows, models.Model) else list(rows)
        if told:
            found = [key for row in told for key in self.keys_of(row)]
            self._later(found, using or told[0]._state.db or router.db_for_write(type(told[0])))

    def _prepared(self, sender: type[models.Model], **_: Any) -> None:
        self._hear(sender)

    def _hear(self, model: type[models.Model]) -> None:
        if self._rules_of(model) and model not in self._heard:
            self._heard.add(model)
            self._wire(model, connecting=True)

    def _wire(self, model: type[models.Model], connecting: bool) -> None:
        wanted: list[tuple[Signal, Any, Any]] = [
            (pre_save, self._saving, model),
            (post_save, self._saved, model),
            (pre_delete, self._deleting, model),  # and not post_: rows that point to it are still there
            (rows_changed, self._told, model),
        ]
        wanted += [(m2m_changed, self._linked, field.remote_field.through) for field in model._meta.many_to_many]
        for signal, receiver, sender in wanted:
            (signal.connect if connecting else signal.disconnect)(receiver, sender=sender)

    # The receivers

    @property
    def _stash(self) -> str:
        return f"_touches_before_{id(self)}"

    def _saving(
        self, instance: models.Model, using: str, update_fields: Any = None, raw: bool = False, **_: Any
    ) -> None:
        instance.__dict__.pop(self._stash, None)  # of a save that failed
        names = _names(instance, update_fields)
        asked = [rule for rule in self._rules_of(type(instance)) if rule.before or rule.fields is not None]
        new = instance.pk is None or (instance._state.adding and instance._meta.pk.has_default())
        if not new and any(names is None or rule.fields is None or rule.fields & names for rule in asked):
            before = type(instance)._base_manager.using(using).filter(pk=instance.pk).first()
            if before is not None:
                found = [] if raw else self.keys_of(before, _changed(before, instance, names), was=True)
                instance.__dict__[self._stash] = before, found

    def _saved(
        self, instance: models.Model, using: str, update_fields: Any = None, raw: bool = False, **_: Any
    ) -> None:
        before, found = instance.__dict__.pop(self._stash, (None, []))
        names = _names(instance, update_fields)
        if raw:  # a fixture: rows that this one points to may come later, so its keys are asked for at the commit
            rows = [row for row in (before, instance) if row is not None]
            self._later([], using, lambda: [key for row in rows for key in self.keys_of(row)])
        else:
            changed = names if before is None else _changed(before, instance, names)
            self._later([*found, *self.keys_of(instance, changed)], using)

    def _deleting(self, instance: models.Model, using: str, **_: Any) -> None:
        self._later(self.keys_of(instance), using)

    def _told(self, rows: list[models.Model], using: str | None = None, **_: Any) -> None:
        self.tell(rows, using)

    def _linked(
        self, sender: Any, instance: Any, action: str, reverse: bool, model: Any, pk_set: Any, using: str, **_: Any
    ) -> None:
        # The links are there: before those that go have gone, and after those that come.
        if action not in ("post_add", "pre_remove", "pre_clear") or (action != "pre_clear" and not pk_set):
            return
        owner = model if reverse else type(instance)
        field = next(field for field in owner._meta.many_to_many if field.remote_field.through is sender)
        rows = [] if reverse else [instance]
        if reverse or field.remote_field.symmetrical:  # the field's own rows are on the other side
            linked = {"pk__in": pk_set} if pk_set else {field.name: instance}
            rows += owner._base_manager.using(using).filter(**linked)
        self._later([key for row in rows for key in self.keys_of(row, {field.name})], using)


def _names(row: models.Model, update_fields: Iterable[str] | None) -> set[str] | None:
    """The names of the fields that are saved, which may have been given by their columns' ("category_id")."""
    if update_fields is None:
        return None
    given = set(update_fields)
    return {field.name for field in row._meta.concrete_fields if given & {field.name, field.attname}}


def _changed(before: models.Model, row: models.Model, names: set[str] | None) -> set[str]:
    """The names of the fields that differ, of those that are saved."""
    columns = [field for field in row._meta.concrete_fields if names is None or field.name in names]
    now = {field.name for field in columns if getattr(field, "auto_now", False)}  # set on its way to the database
    return now | {f.name for f in columns if getattr(before, f.attname) != getattr(row, f.attname)}
