"""Keys that cannot collide: parts are framed, identity has a name, and what is too long is hashed.

    key("product", 42, "detail")                     # product:42:detail
    key("dashboard_stats", tenant=request.tenant)    # dashboard_stats:tenant=7
    key("search", query, page=2, language="de")      # search:red%20shoes:language=de:page=2

Parts come in their order, then identity (what has a name), in the alphabet's. Inside a part, `:`, `=`, `%`, spaces,
control characters and whatever is not ASCII are escaped as in a URL, so that no part can end early. A key of more than
`ROOM` characters becomes its own beginning and a hash of the whole.

Guarantee: two different lists of parts never give one key (two long ones: only where SHA-256 itself collides), and the
key is valid for every backend, memcached too, under a prefix and a version of Django's of 40 characters together.
Numbers and texts that read alike are alike: 42 and "42" are one product, whether a URL or a row says it.
Nobody is shared by accident: None, an empty identity, a row that is not saved and a visitor who is not signed in raise.
Limit: it frames what you give it. What varies the value and is not among the parts is not in the key either. Two values
that are equal and read differently are two entries: Decimal("1.0") and Decimal("1.00"), one moment in two time zones.
"""

from __future__ import annotations

import hashlib
import string
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.db.models import Model
from django.utils.functional import Promise

ROOM = 200  # characters; memcached takes 250, and Django puts its prefix and version in front
# What a key that was too long has before its hash: `quote` writes "%" and two capital hexadecimal digits, never this.
HASHED = ":%sha256="
READABLE = ROOM - len(HASHED) - 64  # characters of its own at the beginning of a hashed key

_AS_IT_IS = "".join(set(string.punctuation) - set(":=%"))


def key(*parts: Any, **identity: Any) -> str:
    """The key of what these parts name, for whom `identity` says.

    A part is a text, a whole number, a bool, a Decimal, a date or a UUID; an identity may be a saved model instance
    too, which stands for its primary key. Raises TypeError for what is none of these, or says nothing (None, nobody
    signed in), and ValueError for an identity that is empty or not saved.
    """
    if not parts:
        raise TypeError("A key without parts names nothing: start with what the value is, as in key('menu').")
    framed = [_escaped(_text_of(part)) for part in parts]
    named = [_named(name, identity[name]) for name in sorted(identity)]
    return fitted(":".join(framed + named))


def fitted(text: str, room: int = ROOM) -> str:
    """The text, where it has room; else as much of its beginning as has, and a hash of the whole."""
    if len(text) <= room:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return text[: room - len(HASHED) - len(digest)] + HASHED + digest


def _named(name: str, value: Any) -> str:
    """One part of an identity: "tenant=7"."""
    if getattr(value, "is_anonymous", False) is True:
        raise TypeError(f"{name}: nobody is signed in, and strangers must not share a user's key: give them another.")
    if isinstance(value, Model):
        if value.pk is None or value._state.adding:
            raise ValueError(f"{name}: this {type(value).__name__} is not saved, so nothing tells it from another.")
        value = value.pk
    try:
        text = _text_of(value)
    except TypeError as refusal:
        raise TypeError(f"{name}: {refusal}") from None
    if not text:
        raise ValueError(f"{name} is empty: whoever has none would share this key with all others who have none.")
    return f"{_escaped(name)}={_escaped(text)}"


def _text_of(part: Any) -> str:
    """How a part reads in a key, before it is escaped. Raises TypeError, which says what to give instead."""
    match part:
        case Promise():
            raise TypeError(f"{part!r} reads differently in each language: name it in one, or say str() and language=.")
        case str():
            return str.__str__(part)  # a member of a TextChoices is its value, whatever its __str__ says
        case bool():
            return str(part)
        case int():
            return int.__repr__(part)
        case date():
            return part.isoformat()
        case Decimal() | UUID():
            return str(part)
    raise TypeError(_refusal(part))


def _escaped(text: str) -> str:
    return quote(text, safe=_AS_IT_IS, errors="surrogatepass")


def _refusal(part: Any) -> str:
    if part is None:
        return "None says nothing: leave the part out, or give the value that was to be here."
    if isinstance(part, Model):
        kind = type(part).__name__
        return f"a {kind} among the parts: say what it is, as in key({kind.lower()!r}, {kind.lower()}.pk)."
    if isinstance(part, float):
        return f"{part!r} is a float, which rarely is twice the same: round it to a text, as in f'{{x:.2f}}'."
    if isinstance(part, list | tuple | set | frozenset | dict):
        return f"a {type(part).__name__} is no part: give its elements one by one, in an order that does not vary."
    return f"{type(part).__name__} is no kind of part: give a text or a number that tells it from every other."
