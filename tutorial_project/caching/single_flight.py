"""One computation at a time for each key, in one process: whoever asks meanwhile waits for it.

    flights = SingleFlight()                                # one for the whole process, in a module
    value = flights.run("rates", fetch_rates)

Guarantee: a value, or an error, is shared only with those who asked BEFORE its computation began. Whoever asks while it
runs waits for its end; then one of them computes anew, for all of them. So nobody is given what was read before they
asked: an invalidation that came before them is respected without being told to anybody.
Limit: one process, and nothing is kept: five processes compute five times. What is shared is one object, as
`functools.cache` shares one: do not change it. Whoever waits looks every `runtime.PAUSE` seconds. A computation that
asks for its own key would wait for itself: that is a RuntimeError.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from contextvars import ContextVar, Token
from itertools import count
from typing import Any, TypeVar, cast
from weakref import WeakValueDictionary, ref

from . import runtime

Value = TypeVar("Value")
Place = tuple[int, Any, Hashable]
_working_on: ContextVar[tuple[Flight, ...]] = ContextVar("working_on", default=())  # whose blocks this code is in


class Flight:
    """A computation under way for a key: others wait for it. Used as a block, it is over when the block is left."""

    def __init__(self, flights: SingleFlight, place: Place) -> None:
        self._flights, self._place = flights, place
        self._began = -1  # the number that was drawn when the computation began
        self._value: Any = None
        self._error: Exception | None = None
        self._outer: Token[tuple[Flight, ...]]
        self.over = self.dropped = False
        self.next: Flight | None = None  # the last that was begun after it, for those who waited for it
        self.earlier: list[ref[Flight]] = []  # those before it that somebody still has: waits for, or hangs in

    def begin(self) -> None:
        """What is computed from now on is for everybody who has asked up to now."""
        self._began = self._flights.ask()

    def end(self, value: Value) -> Value:
        """It is over, with this value."""
        self._value = value
        self._finish()
        return value

    def leave(self) -> None:
        """It is over, with nothing to share: one of those who wait goes on."""
        self._began = -1
        self._finish()

    def wait(self, timeout: float) -> bool:
        """Wait until it is over, or dropped, for `timeout` seconds at most. Returns whether it is."""
        return runtime.wait(lambda: self.over or self.dropped, timeout)

    def serves(self, asked: int) -> bool:
        """Whether its outcome is for who drew this number: it is over, and was begun later."""
        return self.over and self._began > asked

    def result(self) -> Any:
        """Its value. Raises what the computation has raised."""
        if self._error:
            raise self._error
        return self._value

    def _finish(self) -> None:
        self.over = True  # last: whoever sees it, sees the outcome
        self._flights.drop(self._place[2], self)

    def __enter__(self) -> Flight:
        self._outer = _working_on.set((*_working_on.get(), self))
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        _working_on.reset(self._outer)
        if self.over:
            return
        if isinstance(error, Exception) and self._began >= 0:
            self._error = error
            self._finish()
        else:  # nothing was computed, or it was interrupted: that is nobody else's
            self.leave()


class SingleFlight:
    """The flights of a process, by key."""

    def __init__(self) -> None:
        self._numbers = count()
        self._lock = threading.Lock()  # held for a look into the dictionary, never while anybody waits
        self._flights: dict[Place, Flight] = {}
        # Over or not; it is forgotten when nobody waits for it any more.
        self._latest: WeakValueDictionary[Place, Flight] = WeakValueDictionary()

    def ask(self) -> int:
        """A number higher than all before it: who asks, and what is begun, come in this order."""
        return next(self._numbers)

    def run(self, key: Hashable, compute: Callable[[], Value], patience: float = 30.0) -> Value:
        """compute(), or what another thread's compute(), begun after this call, has come to.

        Raises what it raised; TimeoutError after waiting for one computation for `patience` seconds.
        """
        asked, flight = self.ask(), None
        while True:
            flight, mine = self.join(key, flight)
            if mine:
                with flight:
                    flight.begin()
                    return flight.end(compute())
            if not flight.wait(patience):
                raise TimeoutError(f"{key!r} has been computed by another thread for {patience:g} seconds.")
            if flight.serves(asked):
                return cast(Value, flight.result())

    def join(self, key: Hashable, after: Flight | None = None) -> tuple[Flight, bool]:
        """The flight for this key, and whether it is yours: then nobody else was at it, and you have to end it.

        Who has waited for one (`after`) is given the next, even where it is over by now. Raises RuntimeError where this
        thread is itself in the middle of it.
        """
        place = _place(key)
        with self._lock:
            flight = after.next if after and after.next else self._flights.get(place)
            if flight is None:
                flight = self._flights[place] = Flight(self, place)
                if before := self._latest.get(place):
                    flight.earlier = [each for each in (*before.earlier, ref(before)) if each()]
                for each in flight.earlier:  # not a chain: one that hangs would keep all that came after it
                    if before := each():
                        before.next = flight
                self._latest[place] = flight
                return flight, True
        if flight in _working_on.get():
            raise RuntimeError(f"The computation of {key!r} asks for {key!r}: it would wait for itself.")
        return flight, False

    def drop(self, key: Hashable, flight: Flight | None = None) -> None:
        """Whoever asks from now on begins anew, as do those who wait for the flight (only this one, if it is given)."""
        place = _place(key)
        with self._lock:
            found = self._flights.get(place)
            if found and flight in (None, found):
                del self._flights[place]
                found.dropped = True

    def in_background(self, key: Hashable, function: Callable[[], object]) -> None:
        """Run function() in the background, unless there is a flight for this key."""
        flight, mine = self.join(key)
        if not mine:
            return

        def work() -> None:
            with flight:
                function()

        try:
            runtime.spawn(work)
        except BaseException:  # there is no thread to be had
            flight.leave()
            raise


def _place(key: Hashable) -> Place:
    """Where a flight is noted: one of another process (before a fork), or on another bench's clock, never ends here."""
    return os.getpid(), runtime.current(), key
