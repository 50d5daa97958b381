"""Protection against stampedes: however many ask for an expired key, and whatever dies meanwhile, one computes it.

    protection = Protection(grace=300, lease=10)            # one for the whole process, in a module
    value = protection.get_or_set("tenant:7:dashboard_stats", lambda: dashboard_stats(7), timeout=60)
    protection.invalidate_on_commit("tenant:7:dashboard_stats")         # wherever the figures of tenant 7 change

A fresh value is one `get`. A value that is no longer fresh is served for `grace` seconds more while ONE request of all
processes takes the lease and refreshes it in the background. Where there is no value, one request computes it under the
lease and the others wait for it. It is made of parts that also stand alone: the entry that outlives its freshness
(`stale.py`), the lease that is owned and renewed (`owned.py`, over the four atomic steps of `atomic.py`), early refresh
and jitter (`early.py`), one computation a key and process (`single_flight.py`), a breaker (`resilience.py`).

Guarantee, as long as no lease lapses: one computation for a cold key and for each expiry; nobody who can be given a
previous value computes or waits. A lease lapses only where its owner is dead or stopped for `lease` seconds, where a
computation takes longer than `limit`, or where the cache server loses it; then another request computes too, and what
the former owner stores late is refused. A request that begins after `invalidate` has returned is never given a value
whose computation began before it was called: such a value is not stored, and inside a process a computation is shared
only with those who asked before it began.
An owner that is killed is succeeded after `lease` and `POLL` seconds at most. What a computation raises is raised to
those who have no value; a failing refresh is tried again after `backoff` seconds. While the cache server is away, each
request is answered after one operation's timeout, its wait for a slot (and for a computation of its key that was begun
before it asked) and a computation; a process makes one at a time a key, and `slots` in all.
Limit: a plain `cache.delete(key)` takes the value and not the lease: a computation under way may still store what it
read before. Keys that expire together are refreshed together, each in a thread of its own: `jitter` spreads them.
An invalidation that cannot be delivered raises `InvalidationLost`; the old value is then served for
`timeout + grace` seconds at most since it was stored. An entry's freshness is told by the wall clocks of the machines:
a clock that jumps ahead costs one refresh, one that is set back serves a value for `timeout + grace` seconds at most,
by the cache server's clock. Inside a transaction that has written, you would store for all what only you can see.
What cannot be unpickled (its class was renamed by a release) raises, as a plain `get` does, until it is invalidated.
Read the key through this module alone. Needs Django's RedisCache with one server in its LOCATION (with more it reads
from replicas, which may be behind an invalidation), or LocMemCache where there is one process.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf, isinf
from typing import Any, TypeVar, cast

from django.core.cache import cache as default_cache
from django.db import transaction

from . import early, owned, runtime
from .resilience import Breaker, InvalidationLost, Slots, StillComputing, failures
from .single_flight import Flight, SingleFlight
from .stale import Kept, keep, kept

POLL = 0.05  # seconds between two looks of a request that waits for another process
LONGEST = 240  # characters of a key: ":lease" is added to it, and 250 is what every cache takes
Value = TypeVar("Value")
logger = logging.getLogger(__name__)


class CacheAway(Exception):
    """The cache server has not answered; only inside this module."""


class Protection:
    """How the keys that are read through it are protected; one per process for each set of them."""

    def __init__(
        self,
        *,
        grace: float = 300.0,
        lease: float = 10.0,
        limit: float = 60.0,
        patience: float = 30.0,
        backoff: float = 5.0,
        jitter: float = 0.0,
        beta: float = 0.0,
        slots: int = 4,
        breaker: Breaker | None = None,
        cache: Any = default_cache,
    ) -> None:
        """All times in seconds. Raises ValueError for what cannot be meant.

        `grace`: for how long a value is served when it is no longer fresh. `lease`: after how long an owner that is
        gone is given up. `limit`: for how long a computation's lease is renewed at most. `patience`: for how long a
        request without a value waits at most; then it raises `StillComputing`, or `Overloaded` where it waited for a
        slot. `backoff`: pause after a refresh that failed. `jitter`: the share by which each timeout is varied, up and
        down. `beta`: above 0, a refresh may begin before a value expires (`early.py`). `slots`: computations at a time
        while the cache is away.
        """
        early.checked(beta=beta, share=jitter)
        for name, seconds in {"grace": grace, "patience": patience, "backoff": backoff}.items():
            if not 0 <= seconds < inf:
                raise ValueError(f"{name}={seconds!r}: it is a number of seconds, 0 or more.")
        if not 0 < lease <= limit < inf:
            raise ValueError(f"lease={lease!r}, limit={limit!r}: a lease lasts some time, and is renewed for as long.")
        self.grace, self.lease, self.limit, self.patience, self.backoff = grace, lease, limit, patience, backoff
        self.jitter, self.beta, self.cache = jitter, beta, cache
        self.slots, self.breaker = Slots(slots), breaker or Breaker()
        self._flights = SingleFlight()

    def get_or_set(self, key: str, compute: Callable[[], Value], timeout: float | None) -> Value:
        """The value under `key`, fresh for `timeout` seconds (None: for ever; 0: it is computed, and not kept).

        Raises what `compute` raises, `StillComputing` or `Overloaded` where there is no value in time, and ValueError
        for a `timeout` that is negative or infinite, or a key of more than 240 characters. A value that cannot be
        pickled is an error of the computation. None is a value like any other.
        """
        if len(key) > LONGEST:
            raise ValueError(f"A key of {len(key):,} characters: keys.key() makes one of {LONGEST} at most.")
        if timeout is not None and not 0 < timeout < inf:
            if timeout == 0:
                return compute()
            raise ValueError(f"A timeout of {timeout!r} seconds: it is above 0, 0 for not at all, or None for ever.")
        asked, found, away = self._flights.ask(), None, not self.breaker.closed
        if not away:
            try:
                found = self._look(key)
            except CacheAway:
                away = True
        if found is None:
            return self._without_a_value(key, compute, timeout, asked, away)
        if self._due(found):
            self._refresh(key, compute, timeout, found)
        return cast(Value, found.value)

    def invalidate(self, *keys: str) -> None:
        """Forget these values, and whatever is being computed for them. Call it after the commit.

        One round trip. Raises `InvalidationLost` where the cache server could not be told.
        """
        try:
            self.cache.delete_many([name for key in keys for name in (_lease(key), key)])  # a lease before its value
        except failures(self.cache) as error:
            raise InvalidationLost(keys) from error
        for key in keys:
            self._flights.drop(key)

    def invalidate_on_commit(self, *keys: str, using: str | None = None) -> None:
        """`invalidate` them once the transaction is committed (at once outside of one); never, if it is rolled back.

        One that is lost is logged by Django, as an error, and hinders no other callback.
        """

        def invalidate_these() -> None:  # a functools.partial has no name, which Django needs to log a failure
            self.invalidate(*keys)

        transaction.on_commit(invalidate_these, using=using, robust=True)

    # A value is there

    def _due(self, found: Kept) -> bool:
        now = runtime.now()
        return now >= found.fresh_until or (
            self.beta > 0 and early.is_due(now, found.fresh_until, found.took, self.beta)
        )

    def _refresh(self, key: str, compute: Callable[[], Any], timeout: float | None, seen: Kept) -> None:
        """Have the value computed in the background, unless somebody is at it."""
        flight, mine = self._flights.join(key)
        if not mine:
            return
        lease, begun = None, False
        try:
            if lease := self._acquire(key):
                runtime.spawn(partial(self._refresh_now, flight, lease, key, compute, timeout, seen.fresh_until))
                begun = True
        except CacheAway:
            pass  # there is a value to answer with
        except RuntimeError:
            logger.exception("%s is not refreshed: there is no thread to do it", key)
        finally:
            if not begun:
                flight.leave()
                if lease:
                    lease.release()

    def _refresh_now(
        self,
        flight: Flight,
        lease: owned.Lease,
        key: str,
        compute: Callable[[], Any],
        timeout: float | None,
        fresh_until: float,
    ) -> None:
        with flight, lease:
            found = self._look(key, lease)
            if found is None or found.fresh_until != fresh_until:
                return  # it was invalidated, or somebody was faster
            try:
                self._compute(flight, lease, key, compute, timeout)
            except Exception:
                self._postpone(lease, key, found)
                raise

    def _postpone(self, lease: owned.Lease, key: str, found: Kept) -> None:
        """The refresh failed: the previous value is fresh for `backoff` seconds, and is not kept for longer."""
        now = runtime.now()
        lives = found.kept_until - now
        if lives > 0:
            later = found._replace(fresh_until=now + self.backoff, took=0.0)
            self._commit(lease, key, later, None if isinf(lives) else lives)

    # No value is there

    def _without_a_value(
        self, key: str, compute: Callable[[], Value], timeout: float | None, asked: int, away: bool
    ) -> Value:
        """One request of this process goes on with it; the others wait, for a value whose computation began later."""
        end = time.monotonic() + self.patience  # of all its waits together; a clock that is set does not move it
        flight = None
        while True:
            flight, mine = self._flights.join(key, flight)
            if mine:
                with flight:
                    return cast(Value, flight.end(self._lead(flight, key, compute, timeout, end, away)))
            if not flight.wait(end - time.monotonic()):
                raise StillComputing(key, self.patience)
            if flight.serves(asked):
                return cast(Value, flight.result())

    def _lead(
        self, flight: Flight, key: str, compute: Callable[[], Any], timeout: float | None, end: float, away: bool
    ) -> Any:
        if not away:
            try:
                return self._through_the_cache(flight, key, compute, timeout, end)
            except CacheAway:
                pass
        with self.slots.taken(max(0.0, round(end - time.monotonic(), 1))):
            flight.begin()
            return compute()

    def _through_the_cache(
        self, flight: Flight, key: str, compute: Callable[[], Any], timeout: float | None, end: float
    ) -> Any:
        while (lease := self._acquire(key)) is None:
            flight.begin()
            if found := self._look(key):
                return found.value
            if time.monotonic() >= end:
                flight.leave()  # the others have not waited for as long: one of them goes on
                raise StillComputing(key, self.patience)
            runtime.sleep(POLL)
        with lease:
            flight.begin()
            if found := self._look(key, lease):  # the second look: it may have come before the lease was ours
                return found.value
            return self._compute(flight, lease, key, compute, timeout)

    # The steps

    def _compute(
        self, flight: Flight, lease: owned.Lease, key: str, compute: Callable[[], Any], timeout: float | None
    ) -> Any:
        lease.keep(self.limit, lost=lambda: self._flights.drop(key, flight))
        flight.begin()
        began = runtime.now()
        value = compute()
        took = max(0.0, runtime.now() - began)
        fresh = timeout if timeout is None else early.jittered(timeout, self.jitter)
        self._commit(lease, key, *keep(value, fresh, self.grace, took))
        return value

    def _commit(self, lease: owned.Lease, key: str, entry: Kept, lives: float | None) -> None:
        with suppress(CacheAway):  # whoever asked has a value to go on with
            self._ask(lambda: lease.commit(entry.stored(), lives, into=key), lease)

    def _look(self, key: str, lease: owned.Lease | None = None) -> Kept | None:
        return kept(self._ask(lambda: self.cache.get(key), lease))

    def _acquire(self, key: str) -> owned.Lease | None:
        return self._ask(lambda: owned.acquire(_lease(key), self.lease, cache=self.cache))

    def _ask(self, step: Callable[[], Value], lease: owned.Lease | None = None) -> Value:
        try:
            answer = step()
        except Exception as error:
            if not isinstance(error, failures(self.cache)):
                raise
            self.breaker.failed(error)
            if lease:
                lease.over = True  # to give it back would take another timeout: it lapses
            raise CacheAway from error
        self.breaker.worked()
        return answer


def _lease(key: str) -> str:
    return f"{key}:lease"
