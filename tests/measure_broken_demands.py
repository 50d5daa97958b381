"""Each demand must be able to fail: Protection, broken in one place in every process, and the demand that notices.

python tests/measure_broken_demands.py          # a minute; a line a fault, and an error if one goes unnoticed
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from tutorial_project.lab import demands
from tutorial_project.lab.fleet import Fleet
from tutorial_project.lab.outcome import Outcome


def nobody_is_refused_the_lease(setup: Any) -> Any:
    from tutorial_project.caching import owned
    from tutorial_project.lab.defences import lease

    def acquire(key: str, seconds: float, *, cache: Any = None) -> Any:
        return owned.Lease(key, seconds, cache)

    owned.acquire = acquire
    return lease(setup)


def a_request_refreshes_by_itself(setup: Any) -> Any:
    from tutorial_project.caching import runtime
    from tutorial_project.lab.defences import lease

    spawn = runtime.spawn

    def at_once(function: Callable[[], object]) -> None:
        function() if isinstance(function, partial) else spawn(function)  # the other is the renewal of a lease

    runtime.spawn = at_once
    return lease(setup)


def the_background_keeps_its_connection(setup: Any) -> Any:
    import threading
    from contextvars import copy_context

    from tutorial_project.caching import runtime
    from tutorial_project.lab.defences import lease

    def bare(function: Callable[[], object]) -> None:
        threading.Thread(target=copy_context().run, args=(function,), daemon=True).start()

    runtime.spawn = bare
    return lease(setup)


def a_lease_that_never_lapses(setup: Any) -> Any:
    from tutorial_project.caching import atomic
    from tutorial_project.lab.defences import lease

    atomic._ACQUIRE = atomic._ACQUIRE.replace(", 'PX', ARGV[2]", "")
    atomic._NAMES[atomic._ACQUIRE] = "0" * 40
    return lease(setup)


def a_lease_that_is_not_renewed(setup: Any) -> Any:
    from tutorial_project.caching import owned
    from tutorial_project.lab.defences import lease

    owned.Lease.keep = lambda *_, **__: None  # type: ignore[method-assign]
    return lease(setup)


def a_lease_that_is_renewed_for_ever(setup: Any) -> Any:
    from tutorial_project.caching import owned
    from tutorial_project.lab.defences import lease

    keep = owned.Lease.keep
    owned.Lease.keep = lambda self, limit, lost=None: keep(self, 1e6, lost)  # type: ignore[method-assign]
    return lease(setup)


def a_late_write_that_is_not_refused(setup: Any) -> Any:
    from tutorial_project.caching import atomic
    from tutorial_project.lab.defences import lease

    old = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\nredis.call('DEL', KEYS[1], KEYS[2])"
    assert old in atomic._COMMIT
    atomic._COMMIT = atomic._COMMIT.replace(old, "redis.call('DEL', KEYS[1], KEYS[2])")
    atomic._NAMES[atomic._COMMIT] = "0" * 40
    return lease(setup)


def an_invalidation_of_the_value_alone(setup: Any) -> Any:
    from tutorial_project.caching.stampede import Protection
    from tutorial_project.lab.defences import lease

    Protection.invalidate = lambda self, *keys: self.cache.delete_many(keys)  # type: ignore[method-assign]
    return lease(setup)


def a_flight_shared_with_those_who_come_later(setup: Any) -> Any:
    from tutorial_project.caching.single_flight import Flight
    from tutorial_project.lab.defences import lease

    Flight.serves = lambda self, asked: self.over and self._began >= 0  # type: ignore[method-assign]
    return lease(setup)


def a_failing_refresh_that_is_not_put_off(setup: Any) -> Any:
    from tutorial_project.caching.stampede import Protection
    from tutorial_project.lab.defences import lease

    Protection._postpone = lambda *_: None  # type: ignore[method-assign]
    return lease(setup)


def a_lease_that_is_not_given_back(setup: Any) -> Any:
    from tutorial_project.caching import owned
    from tutorial_project.lab.defences import lease

    owned.Lease.release = lambda self: setattr(self, "over", True)  # type: ignore[method-assign]
    return lease(setup)


def errors_of_the_server_that_are_raised(setup: Any) -> Any:
    from tutorial_project.caching import stampede
    from tutorial_project.lab.defences import lease

    stampede.failures = lambda cache: ()
    return lease(setup)


def slots_without_end(setup: Any) -> Any:
    from tutorial_project.lab.defences import lease

    defence = lease(setup)
    defence.protection.slots.many = 1_000
    return defence


def a_breaker_that_stays_open(setup: Any) -> Any:
    from tutorial_project.caching.resilience import Breaker
    from tutorial_project.lab.defences import lease

    Breaker.closed = property(lambda self: self._failures < self.after)  # type: ignore[assignment]
    return lease(setup)


FAULTS: list[tuple[Callable[[Any], Any], Callable[[Fleet], Outcome]]] = [
    (nobody_is_refused_the_lease, demands.cold),
    (a_request_refreshes_by_itself, demands.expiry),
    (the_background_keeps_its_connection, demands.expiry),
    (a_lease_that_never_lapses, demands.holder_killed),
    (a_lease_that_is_not_renewed, demands.outlived),
    (a_lease_that_is_renewed_for_ever, demands.outlived),
    (a_late_write_that_is_not_refused, demands.paused),
    (a_late_write_that_is_not_refused, demands.overtaken),
    (an_invalidation_of_the_value_alone, demands.overtaken),
    (a_flight_shared_with_those_who_come_later, demands.overtaken),
    (a_failing_refresh_that_is_not_put_off, demands.raising),
    (a_lease_that_is_not_given_back, demands.raising),
    (errors_of_the_server_that_are_raised, demands.frozen),
    (slots_without_end, demands.frozen),
    (a_breaker_that_stays_open, demands.refused),
]


def main() -> int:
    """Try each fault; how many went unnoticed."""
    unnoticed = 0
    for fault, demand in FAULTS:
        with Fleet(fault) as fleet:
            outcome = demand(fleet)
        unnoticed += outcome.meets
        print(f"{fault.__name__.replace('_', ' ')}: {outcome.demand}: {outcome.says[:150]}", flush=True)
    return unnoticed


if __name__ == "__main__":
    sys.exit(main())
