"""Every order in which a few actors can take their steps: `explore(reader, writer, never=stale)`.

The orders form a tree: at each point, who goes on. It is walked depth first without remembering states: an order is run
from the start, up to a choice that has not been taken yet (Godefroid, "Model checking for programming languages using
VeriSoft", POPL 1997). Bounding how often an actor is interrupted keeps most of the faults and few of the orders
(Musuvathi, Qadeer, "Iterative context bounding", PLDI 2007).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

from django.core.cache.backends.locmem import LocMemCache
from django.db import connections

from ..caching import runtime
from ..caching.time_limit import TimeUp, within
from . import sequence, stepped_cache, virtual_time
from .actors import Step
from .errors import LabError
from .scheduler import Orders

if TYPE_CHECKING:
    import pandas as pd

SECONDS = 5.0  # of real time for one order
Function = Callable[[], Any]


@dataclass
class End:
    """How one order ended: what each actor returned or raised, by name, and the steps in order."""

    returned: dict[str, Any]
    raised: dict[str, Exception]
    steps: list[Step]


@dataclass
class Found:
    """What the orders of an `explore` came to. It prints as one line: "stale in 12 of 20 orders"."""

    word: str
    actors: list[str]
    rows: list[tuple[tuple[str, ...], int, bool]] = field(default_factory=list)
    bad: int = 0
    bound: str = ""
    shortest: list[Step] = field(default_factory=list)

    @property
    def orders(self) -> int:
        """How many orders were run."""
        return len(self.rows)

    @property
    def complete(self) -> bool:
        """Whether these were all orders there are."""
        return not self.bound

    @property
    def frame(self) -> pd.DataFrame:
        """A row an order: `order` (who took each step), `steps`, `changes` (of actor), `bad`."""
        import pandas as pd

        rows = [(" ".join(order), len(order), changes, bad) for order, changes, bad in self.rows]
        return pd.DataFrame(rows, columns=["order", "steps", "changes", "bad"])

    @property
    def wrong(self) -> int:
        """The step of the shortest bad order (from 1) from which on every order ends badly; 0: there is no good one."""
        taken = tuple(step.actor for step in self.shortest)
        good = [order for order, _, bad in self.rows if not bad]
        return next((n for n in range(len(taken) + 1) if all(order[:n] != taken[:n] for order in good)), 0)

    def table(self) -> pd.DataFrame:
        """The steps of the shortest bad order: `step`, `actor`, `what`, `saw` (what the cache answered)."""
        return sequence.table(self.shortest)

    def figure(self) -> None:
        """Draw the shortest bad order as a sequence diagram. Raises LabError where none was bad."""
        sequence.sequence(self.shortest, self.actors, str(self), self.word, self.wrong)

    def __str__(self) -> str:
        if self.bound.startswith("the first"):
            return f"{self.word} in {self.bad:,} of {self.bound}"
        orders = f"{self.orders:,} order{'s' * (self.orders != 1)}"
        return f"{self.word} in {self.bad:,} of {orders}{' of ' * bool(self.bound)}{self.bound}"

    __repr__ = __str__


def explore(
    *actors: Function,
    given: Function | None = None,
    never: Callable[[End], Any] | None = None,
    schedules: int = 100_000,
    preemptions: int | None = None,
    may_raise: type[Exception] | tuple[type[Exception], ...] = (),
) -> Found:
    """Run the actors in every order in which their steps can follow each other, and count those that end badly.

    A step is a cache call, an SQL statement, a COMMIT or a ROLLBACK, with the code after it up to the next; each actor
    is a function without arguments and has a database connection of its own. `given()` puts the database and the cache
    into their first state before each order; the cache starts empty. `never(end)` says whether an order ended badly: it
    gets an `End`, may look into cache and database, and its name is the word in the report.
    At most `schedules` orders are run, and none in which an actor that could have gone on is interrupted more than
    `preemptions` times; the result says so. Time is virtual: it stands still unless everybody sleeps, or `clock` moves
    it.

    Returns a `Found`. Raises LabError where an actor raises (other than `may_raise`), does not end, really sleeps or
    starts a thread, and where the actors wait for each other.
    """
    if not actors or not all(map(callable, actors)):
        raise LabError(
            "explore() takes functions without arguments: explore(reader, writer, …), not explore(reader(), …)."
        )
    if any(connections[alias].in_atomic_block for alias in connections.settings):
        raise LabError("explore() inside a transaction: its actors could never write. Leave atomic() first.")
    functions = list(zip(_names(actors), actors, strict=True))
    found = Found(_word(never), [name for name, _ in functions])
    orders = Orders(functions, preemptions)
    with ExitStack() as stack:
        stack.enter_context(virtual_time.in_force(orders))
        caches = stack.enter_context(stepped_cache.in_place(orders))
        stack.callback(_stopped, orders)
        _walk(orders, caches, found, given, never, schedules, may_raise)
    return found


def clock(seconds: float) -> Function:
    """An actor that moves the virtual time forward by `seconds`, in one step."""

    def clock() -> None:
        scheduler = runtime.current()
        if not isinstance(scheduler, Orders):
            raise LabError("clock() is an actor of explore(): nothing else has a clock that it could move.")
        scheduler.clock_step(seconds)

    return clock


def _walk(
    orders: Orders,
    caches: list[stepped_cache.SteppedCache],
    found: Found,
    given: Function | None,
    never: Callable[[End], Any] | None,
    schedules: int,
    may_raise: type[Exception] | tuple[type[Exception], ...],
) -> None:
    told: list[int] = []
    best: tuple[int, int] | None = None
    if orders.preemptions is not None:
        found.bound = f"at most {orders.preemptions} preemption{'s' * (orders.preemptions != 1)}"
    while True:
        for cache in caches:
            LocMemCache.clear(cache)
        orders.draw_from(0)  # the same chance in each
        if given:
            given()
        chosen = _run(orders, told)
        end = _end(orders, may_raise)
        bad = bool(never and never(end))
        changes = sum(one.actor != other.actor for one, other in zip(end.steps, end.steps[1:], strict=False))
        found.rows.append((tuple(step.actor for step in end.steps), changes, bad))
        found.bad += bad
        if bad and (best is None or (len(end.steps), changes) < best):
            best, found.shortest = (len(end.steps), changes), end.steps
        while chosen and chosen[-1][0] + 1 == chosen[-1][1]:
            chosen.pop()
        if not chosen:
            return
        if found.orders == schedules:
            more = f" of {found.bound}" if found.bound else ""
            found.bound = f"the first {schedules:,} orders{more}"
            return
        told = [which for which, _ in chosen]
        told[-1] += 1


def _run(orders: Orders, told: list[int]) -> list[tuple[int, int]]:
    began = monotonic()  # the real one: imported by name
    try:
        return within(SECONDS, lambda: orders.run(told))
    except TimeUp:
        if monotonic() - began < SECONDS:  # somebody else's limit, around this
            raise
        last = f"after '{orders.steps[-1].what}'" if orders.steps else "before its first step"
        raise LabError(
            f"{orders.who()} did not come to its next step in {SECONDS:g} s, {last}: it loops, or waits for a lock "
            "that another actor holds. Wait with caching.runtime.wait instead."
        ) from None


def _end(orders: Orders, may_raise: type[Exception] | tuple[type[Exception], ...]) -> End:
    for actor in orders.actors:
        if actor.raised is not None and not isinstance(actor.raised, may_raise):
            kind = type(actor.raised).__name__
            raise LabError(
                f"'{actor.name}' raised {kind}: {actor.raised} (after {len(orders.steps)} steps). "
                f"If that may be, say so: explore(…, may_raise={kind})."
            ) from actor.raised
    returned = {actor.name: actor.returned for actor in orders.actors if actor.raised is None}
    raised = {actor.name: actor.raised for actor in orders.actors if actor.raised is not None}
    return End(returned, raised, orders.steps)


def _stopped(orders: Orders) -> None:
    with suppress(TimeUp):
        within(2.0, orders.stop)
    with virtual_time.undisturbed():
        orders.close()


def _names(functions: tuple[Function, ...]) -> list[str]:
    """The functions' names; the second of a name is "reader 2"."""
    seen: Counter[str] = Counter()
    names = []
    for function in functions:
        name = getattr(function, "__name__", type(function).__name__)
        name = "actor" if name == "<lambda>" else name.replace("_", " ")
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return names


def _word(never: Callable[..., Any] | None) -> str:
    name = getattr(never, "__name__", "bad")
    return "bad" if name == "<lambda>" else name.replace("_", " ")
