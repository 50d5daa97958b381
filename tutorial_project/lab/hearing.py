"""What Django's model signals say while a block runs, and who answers: the bench's ear on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db.models import signals
from django.dispatch import Signal

SIGNALS: dict[str, Signal] = {
    "pre_save": signals.pre_save,
    "post_save": signals.post_save,
    "pre_delete": signals.pre_delete,
    "post_delete": signals.post_delete,
    "m2m_changed": signals.m2m_changed,
}


@dataclass(frozen=True)
class Heard:
    """One signal: its name, the model that sent it, what it says it did, and the names of the receivers it ran."""

    signal: str
    sender: str
    did: str
    receivers: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(part for part in (self.signal, self.sender, self.did) if part)


@contextmanager
def hearing(app: str = "shop") -> Iterator[list[Heard]]:
    """`with hearing() as heard:` lists every model signal that a model of `app` sends in the block, in order.

    Listening changes nothing but one thing: a queryset whose rows nobody listens to is deleted in one statement, and
    with somebody listening its rows are loaded first. The shop's own receivers do the same.
    """
    heard: list[Heard] = []
    ears: list[tuple[Signal, Callable[..., None]]] = []
    for name, signal in SIGNALS.items():
        ear = _ear(name, signal, app, heard)
        signal.connect(ear, weak=False)
        ears.append((signal, ear))
    try:
        yield heard
    finally:
        for signal, ear in ears:
            signal.disconnect(ear)


def _ear(name: str, signal: Signal, app: str, heard: list[Heard]) -> Callable[..., None]:
    def ear(sender: Any, **told: Any) -> None:
        if sender._meta.app_label == app:
            # Django tells a receiver nothing of the others: this is the list that it is about to go through.
            others = [one for one in signal._live_receivers(sender)[0] if one is not ear]
            did = "raw" if told.get("raw") else told.get("action", "")
            heard.append(Heard(name, sender.__name__, did, tuple(_name(one) for one in others)))

    return ear


def _name(receiver: Any) -> str:
    """The name of a function or a method, as its code has it."""
    return str(getattr(receiver, "__qualname__", type(receiver).__name__)).replace("<locals>.", "")
