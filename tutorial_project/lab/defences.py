"""The remedies against a stampede, one after the other, so that the same experiment can be made with each.

A remedy is called with what it defends (`Setup`) and makes an object with `get(key)`, the defended read, and
`invalidate(key)`. It stands for one process: what it keeps in memory is that process's. So

    Fleet("tutorial_project.lab.defences:lease", …)                    # real processes; each calls it once
    simulate({defended(lease, origin, timeout=60): 1000.0}, origin=origin)                      # virtual time

put the same code to the test. `plain`, `jitter`, `naive_lock` and `lock_with_previous` are written as people write
them, with Django's cache alone, and keep their faults; `early`, `stale` and `lease` are those of
`tutorial_project/caching`. (`stale` keeps what it does in its module: in virtual time it is one process.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Protocol

from django.core.cache import cache

from ..caching import early as caching_early
from ..caching import runtime
from ..caching import stale as caching_stale
from ..caching.stampede import Protection

POLL = 0.05  # seconds between two looks of whoever waits for a lock
SHARE = 0.1  # of the timeout, by which jitter moves it


class Setup(Protocol):
    """What a remedy is told: the computation, for how many seconds its value, its lock and its old value hold, and the
    settings of a lease (`Protection`)."""

    @property
    def compute(self) -> Callable[[Any], Any]: ...
    @property
    def timeout(self) -> float: ...
    @property
    def lease(self) -> float: ...
    @property
    def grace(self) -> float: ...
    @property
    def limit(self) -> float: ...
    @property
    def patience(self) -> float: ...
    @property
    def backoff(self) -> float: ...
    @property
    def slots(self) -> int: ...


class Defence(Protocol):
    """What a remedy returns."""

    def get(self, key: Any) -> Any: ...
    def invalidate(self, key: Any) -> None: ...


@dataclass(frozen=True)
class Told:
    """A `Setup` for virtual time, or for a test."""

    compute: Callable[[Any], Any]
    timeout: float = 60
    lease: float = 10
    grace: float = 300
    limit: float = 60
    patience: float = 30
    backoff: float = 5
    slots: int = 4


def defended(
    defence: Callable[[Setup], Defence],
    origin: Any,
    *,
    timeout: float = 60,
    lease: float = 10,
    grace: float = 300,
    processes: int = 1,
) -> Callable[[Any], Any]:
    """The read of `origin` under a remedy, for `simulate`: a function of the key's number, with the remedy's name.

    Requests go to `processes` processes in turn, each with a memory of its own. Make a new one for each run.
    """
    told = Told(origin.read, timeout, lease, grace)
    in_turn = cycle([defence(told) for _ in range(processes)])

    def read(key: Any) -> Any:
        return next(in_turn).get(key)

    read.__name__ = defence.__name__
    return read


class plain:
    """Django's `get_or_set`: whoever misses computes."""

    def __init__(self, setup: Setup) -> None:
        self.compute, self.timeout = setup.compute, setup.timeout

    def get(self, key: Any) -> Any:
        return cache.get_or_set(str(key), lambda: self.compute(key), self.lifetime())

    def lifetime(self) -> float:
        """For how many seconds this value is kept."""
        return self.timeout

    def invalidate(self, key: Any) -> None:
        cache.delete(str(key))


class jitter(plain):
    """The same, with lifetimes that differ, so that what was stored together does not end together."""

    def lifetime(self) -> float:
        drawn = caching_early.jittered(self.timeout, SHARE)
        return max(1, round(drawn))  # Django's Redis backend keeps whole seconds, and none for less than one


class naive_lock(plain):
    """A lock as it is written on the first day: no second look after winning it, and deleted whoever's it is."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.lease: int | None = math.ceil(setup.lease)  # whole seconds: add(…, 0.6) would be a lock of none

    def get(self, key: Any) -> Any:
        name = str(key)
        while (value := cache.get(name)) is None:
            if cache.add(f"{name}:lock", "taken", self.lease):
                try:
                    value = self.compute(key)
                    cache.set(name, value, self.timeout)
                finally:
                    cache.delete(f"{name}:lock")
                return value
            runtime.sleep(POLL)
        return value


class lock_with_previous:
    """A lock with a second look; while one computes, the others are served the previous value if there is one.

    The entry outlives its time by `grace` seconds and says itself until when it is fresh. The lock is still one that
    anybody deletes, and whoever wins it computes in the middle of a request.
    """

    def __init__(self, setup: Setup) -> None:
        self.compute, self.timeout, self.grace = setup.compute, setup.timeout, setup.grace
        self.lease: int | None = math.ceil(setup.lease)

    def get(self, key: Any) -> Any:
        name = str(key)
        while True:
            value, fresh_until = cache.get(name, (None, None))
            if fresh_until and runtime.now() < fresh_until:
                return value
            if cache.add(f"{name}:lock", "taken", self.lease):
                return self.computed(key, name)
            if fresh_until:
                return value
            runtime.sleep(POLL)

    def computed(self, key: Any, name: str) -> Any:
        """The value, by whoever has the lock; another's, if it came in between."""
        try:
            value, fresh_until = cache.get(name, (None, 0))
            if runtime.now() >= fresh_until:
                value = self.compute(key)
                cache.set(name, (value, runtime.now() + self.timeout), self.timeout + self.grace)
            return value
        finally:
            cache.delete(f"{name}:lock")

    def invalidate(self, key: Any) -> None:
        cache.delete(str(key))


class early(plain):
    """Probabilistic early recomputation: whoever draws it computes before the value expires."""

    def get(self, key: Any) -> Any:
        return caching_early.get_or_set(str(key), lambda: self.compute(key), self.timeout, beta=1.0)


class stale(plain):
    """Stale-while-revalidate: an expired value is served while one of each process computes in the background."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.grace = setup.grace

    def get(self, key: Any) -> Any:
        return caching_stale.get_or_refresh(str(key), lambda: self.compute(key), self.timeout, self.grace)


class lease:
    """The lease of `caching/stampede.py`: owned, renewed, with a second look and the previous value."""

    def __init__(self, setup: Setup) -> None:
        self.compute, self.timeout = setup.compute, setup.timeout
        self.limit, self.slots = setup.limit, setup.slots
        self.protection = Protection(
            grace=setup.grace,
            lease=setup.lease,
            limit=setup.limit,
            patience=setup.patience,
            backoff=setup.backoff,
            slots=setup.slots,
        )

    def get(self, key: Any) -> Any:
        return self.protection.get_or_set(str(key), lambda: self.compute(key), self.timeout)

    def invalidate(self, key: Any) -> None:
        self.protection.invalidate(str(key))


NAMES = {
    plain: "get_or_set",
    jitter: "jitter",
    naive_lock: "lock",
    lock_with_previous: "lock, previous value",
    early: "early",
    stale: "stale",
    lease: "lease",
}
