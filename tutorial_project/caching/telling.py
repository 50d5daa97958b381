"""A queryset that tells what it changes in bulk, where Django sends no signal: `objects = Telling.as_manager()`.

    @receiver(rows_changed, sender=Product)
    def changed(rows, using, **kwargs): ...

Guarantee: `update`, `bulk_update` (which works by `update`) and `bulk_create` send `rows_changed` with the rows as they
were and as they are, inside the transaction of the change where there is one. Where nobody listens nothing is asked.
Price: where somebody does, `update` reads its rows twice, into memory.
Limits: a row that comes to match while `update` reads is updated and not told, unless the database locks out writers.
`bulk_create(update_conflicts=True)` tells of the rows as given, not of those that they replace. A reverse foreign key's
`add()` and whatever else goes by `_base_manager` is not told, nor is raw SQL: send `rows_changed` yourself.
`delete()` needs nothing: for a model with receivers of `pre_delete` Django sends that row by row.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import models, transaction
from django.dispatch import Signal

M = TypeVar("M", bound=models.Model)

# Its sender is the model; `rows` are as they were, then as they are now; `using` is the alias of their database.
rows_changed = Signal()


class Telling(models.QuerySet[M]):
    """A queryset that sends `rows_changed` for what it changes in bulk."""

    if TYPE_CHECKING:  # that `Telling(Product)` is one of products

        def __init__(self, model: type[M] | None = None, query: Any = None, using: str | None = None) -> None: ...

    def update(self, **kwargs: Any) -> int:
        """Update, and tell. Returns how many rows matched."""
        if not rows_changed.has_listeners(self.model):
            return super().update(**kwargs)
        self._for_write = True
        rows = self.model._base_manager.using(self.db)
        with transaction.atomic(using=self.db, savepoint=False):
            before = list(rows.filter(pk__in=self.order_by().values("pk")))
            count = super().update(**kwargs)
            after = rows.in_bulk([row.pk for row in before]).values()
            rows_changed.send(self.model, rows=[*before, *after], using=self.db)
        return count

    update.alters_data = True  # type: ignore[attr-defined]  # a template must not call it

    def bulk_create(self, objs: Iterable[M], *args: Any, **kwargs: Any) -> list[M]:
        """Create, and tell. Returns the rows."""
        created = super().bulk_create(objs, *args, **kwargs)
        if created and rows_changed.has_listeners(self.model):
            rows_changed.send(self.model, rows=created, using=self.db)
        return created
