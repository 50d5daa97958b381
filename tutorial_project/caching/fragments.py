"""Template fragments: forget one by its name, vary on several values safely, and find those that vary on nothing.

    forget("sidebar_popular", ["en"], ["de"])             # after a change; one round trip for all variants
    {"reader": framed(store.name, customer.name)}         # in the view, and `reader` in the template's tag
    with empty_keys() as found: client.get("/")           # in a test: found == []

`forget`: guarantee: the next request that draws the fragment builds it anew, in whatever process. Limits: you name
each variant with the values that the tag varies on, in its order (compared by their `str()`); and a request that is
building the old one at that moment stores it afterwards, for the whole timeout.
`framed`: guarantee: two different lists of values never give the same text, where their `str()` differ. Django 5.2 puts
the values of a tag one after another with a colon behind each, so that ("a:b", "c") and ("a", "b:c") share an entry;
6.1 frames them itself (ticket 37174). Limit: numbers and texts that read alike, 1 and "1", stay alike.
`empty_keys`: guarantee: every fragment that this thread draws in the block and that varies on an empty value is listed:
a variable that does not exist is the empty string to the tag, without an error. Limits: it patches Django's tag while
the block runs, so keep it in tests; and what is inside a fragment that comes from the cache is not drawn: start cold.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

from django.core.cache import InvalidCacheBackendError, caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.utils import make_template_fragment_key
from django.template.context import Context
from django.templatetags.cache import CacheNode


def fragment_cache(using: str | None = None) -> BaseCache:
    """The cache that the tag uses: the alias `using`, else `template_fragments` where there is one, else `default`."""
    if using is not None:
        return caches[using]
    try:
        return caches["template_fragments"]
    except InvalidCacheBackendError:
        return caches["default"]


def forget(name: str, *variants: Sequence[Any], using: str | None = None) -> None:
    """Delete the fragment `name`: each of `variants` is the list of values that one of its entries varies on.

    Without any, the fragment is one that varies on nothing. Raises TypeError for a variant that is a text: "en" is not
    ["en"], and Django would take it for the list of its letters.
    """
    for variant in variants:
        if isinstance(variant, str | bytes):
            raise TypeError(f"{variant!r} is a text: a variant is a list of values, such as [{variant!r}].")
    keys = [make_template_fragment_key(name, variant) for variant in variants or [()]]
    fragment_cache(using).delete_many(keys)


def framed(*values: Any) -> str:
    """The values as one text that no other values give: each with its length in front (a netstring)."""
    return "".join(f"{len(text)}:{text}," for text in map(str, values))


@contextmanager
def empty_keys() -> Iterator[list[str]]:
    """Yields a list: "name: expression" for each fragment drawn in this block that varies on an empty value, once."""
    found: list[str] = []
    render, thread = CacheNode.render, threading.get_ident()

    def watched(node: CacheNode, context: Context) -> Any:
        if threading.get_ident() == thread:
            empty = [var.token for var in node.vary_on if var.resolve(context) in ("", None)]
            found.extend(line for token in empty if (line := f"{node.fragment_name}: {token}") not in found)
        return render(node, context)

    with mock.patch.object(CacheNode, "render", watched):
        yield found
