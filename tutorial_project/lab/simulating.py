"""A run of caching code in virtual time: `simulate({read: 5.0, change: 0.1}, seconds=3600, origin=origin)`.

An hour of requests takes about a second, and the same seed gives the same figures on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Any

from django.db import connections
from greenlet import getcurrent

from ..caching.time_limit import TimeUp, within
from . import stepped_cache, virtual_time
from .arrivals import Bursts, arrivals
from .discrete_events import DiscreteEvents, Stream
from .errors import LabError
from .origin import Origin, Reading

if TYPE_CHECKING:
    import pandas as pd

LIMIT = 120.0  # seconds of real time for one run
MOST = 3_000_000  # requests in one run

_REQUESTS = "stream key arrived latency hit version age stale behind error".split()


@dataclass(repr=False)
class Run:
    """What a simulation did. The frames are made when they are first asked for."""

    rows: list[tuple[Any, ...]]
    origin: Origin

    @cached_property
    def requests(self) -> pd.DataFrame:
        """A row a request, in order of arrival.

        `stream` (the function's name), `key`, `arrived` and `latency` (s), `hit` (answered with a `Reading` and read
        nothing from the origin), `version` of what it answered, `age` (s, since the query began that read it), `stale`
        (a newer version was there when it answered), `behind` (s, since the first newer one was written; 0 if fresh)
        and `error` (the exception's name, or ""). Where the answer is no `Reading`, version, age, stale and behind are
        missing.
        """
        import pandas as pd

        frame = pd.DataFrame(self.rows, columns=_REQUESTS)
        return frame.astype({"version": "Int64", "stale": "boolean", "age": float, "behind": float, "hit": bool})

    @cached_property
    def recomputations(self) -> pd.DataFrame:
        """A row a read of the origin: `stream`, `key`, `began`, `ended` (s), `at_once` (how many ran then, with it)."""
        import pandas as pd

        return pd.DataFrame(self.origin_reads, columns=["stream", "key", "began", "ended", "at_once"])

    @cached_property
    def state(self) -> pd.DataFrame:
        """A row a change: `at` (s), `requests` under way, `queries` at once."""
        import pandas as pd

        return pd.DataFrame(self.changes, columns=["at", "requests", "queries"])

    @property
    def hit_ratio(self) -> float:
        """The share of hits among the requests that answered with a `Reading`; nan where none did."""
        return _share([row[4] for row in self.rows if row[5] is not None])

    @property
    def stale(self) -> float:
        """The share of stale answers among the requests that answered with a `Reading`; nan where none did."""
        return _share([row[7] for row in self.rows if row[5] is not None])

    def __post_init__(self) -> None:
        self.origin_reads, self.changes = self.origin.reads, self.origin.changed  # of this run: the next has its own

    def __repr__(self) -> str:
        return (
            f"{len(self.rows):,} requests, hit ratio {self.hit_ratio:.3f}, stale {self.stale:.3f}, "
            f"{len(self.origin_reads):,} recomputations"
        )


def simulate(
    streams: Mapping[Callable[[Any], Any], Any],
    seconds: float = 3600.0,
    *,
    keys: int = 1,
    skew: float = 0.0,
    origin: Origin | None = None,
    cache_latency: float = 0.0005,
    seed: int = 1,
    given: Callable[[], Any] | None = None,
) -> Run:
    """Let requests arrive for `seconds` of virtual time, and serve each by the function of its stream.

    `streams` maps a function of one argument, the key's number, to its arrivals: a rate a second (Poisson),
    `bursts(…)`, times in ascending order, or (time, key) pairs. Keys are drawn from 0 up to `keys`, in proportion to
    1 / (k + 1) ** skew. The functions use `django.core.cache.cache`, here a LocMemCache on the virtual clock whose
    calls take `cache_latency` seconds each, `origin.read` and `origin.write`, and `caching.runtime`. `given()` runs
    before the first request.

    Returns a `Run`. Raises LabError for arrivals it cannot read, for more requests than it can hold, and where a
    request sleeps for real, starts a thread or does not end.
    """
    origin = origin or Origin()
    _checked(streams, seconds, keys)
    events = DiscreteEvents(cache_latency)
    origin.restart(events)
    rows: list[tuple[Any, ...]] = []
    began = monotonic()  # the real one: imported by name
    try:
        with ExitStack() as stack:
            stack.enter_context(virtual_time.in_force(events))
            stack.enter_context(stepped_cache.in_place(events))
            for alias in connections.settings:
                stack.enter_context(connections[alias].execute_wrapper(_no_transaction(events)))
            stack.callback(_stopped, events)
            events.draw_from(seed)
            if given:
                given()
            for index, (function, of) in enumerate(streams.items()):
                name = getattr(function, "__name__", type(function).__name__)
                times = arrivals(of, seconds, keys, skew, f"{seed} {index}", name)
                Stream(events, name, times, _server(function, name, rows, origin, events))
            within(LIMIT, lambda: events.run(seconds))
    except TimeUp:
        if monotonic() - began < LIMIT:  # somebody else's limit, around this
            raise
        raise LabError(
            f"The simulation took more than {LIMIT:g} s and stood at {events.time:,.1f} of {seconds:,.0f} s: "
            "a request loops without waiting, or fewer seconds will do."
        ) from None
    finally:
        origin.ended()
    return Run(rows, origin)


def _server(
    function: Callable[[Any], Any], name: str, rows: list[tuple[Any, ...]], origin: Origin, events: DiscreteEvents
) -> Callable[[Any], None]:
    """What serves one request of a stream and writes its row down."""
    state = origin.changed

    def serve(key: Any) -> None:
        worker: Any = getcurrent()
        arrived = events.time
        place = len(rows)
        rows.append(())  # in order of arrival; a row is written when it is whole, as a tuple: cheap to keep
        if place >= MOST:
            events.refuse(f"More than {MOST:,} requests: fewer seconds or a lower rate will do.")
        origin.requests += 1
        state.append((arrived, origin.requests, origin.queries))
        answer, failed = None, ""
        try:
            answer = function(key)
        except Exception as error:
            failed = type(error).__name__
        now = events.time
        if type(answer) is Reading:
            behind = origin.behind(answer, now)
            hit, version, age = worker.reads == 0, answer.version, now - answer.at
            rows[place] = name, key, arrived, now - arrived, hit, version, age, behind > 0, behind, failed
        else:
            rows[place] = name, key, arrived, now - arrived, False, None, None, None, None, failed
        origin.requests -= 1
        state.append((now, origin.requests, origin.queries))

    return serve


def _no_transaction(events: DiscreteEvents) -> Callable[..., Any]:
    def call(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if sql.startswith(("BEGIN", "SAVEPOINT")) and events.inside():
            events.refuse(f"{events.who()} begins a transaction. simulate() has its Origin; explore() runs the ORM.")
        return execute(sql, *rest)

    return call


def _checked(streams: Any, seconds: float, keys: int) -> None:
    if not isinstance(streams, Mapping) or not streams or not all(map(callable, streams)):
        raise LabError("simulate() takes {function: its arrivals, …}, as in simulate({read: 5.0, change: 0.1}).")
    if not 0 < seconds < float("inf") or not isinstance(keys, int) or keys < 1:
        raise LabError(f"simulate({seconds=}, {keys=}): seconds are above 0, keys a whole number from 1 up.")
    rates = [of.rate if isinstance(of, Bursts) else of for of in streams.values()]
    expected = sum(rate * seconds for rate in rates if isinstance(rate, (int, float)))
    if expected > MOST:
        raise LabError(
            f"About {expected:,.0f} requests, and {MOST:,} are the most: fewer seconds or a lower rate will do."
        )


def _stopped(events: DiscreteEvents) -> None:
    with suppress(TimeUp):
        within(2.0, events.stop)


def _share(values: list[bool]) -> float:
    return sum(values) / len(values) if values else float("nan")
