"""The scheduler: requests that are put aside and gone on with, one at a time, on a clock that it moves itself.

Each request is an actor: a greenlet, which can be left in the middle of any function and entered again. Before every
call to the cache or the database an actor stops and the scheduler decides who goes on. It decides in one of two ways:

- `Orders` (behind `explore`) takes the order it is told. Whoever tells it all orders sees everything that can happen.
- `DiscreteEvents` (behind `simulate`, in `discrete_events.py`) goes by the clock: a call takes its time, and whoever is
  due first goes on first.

The code of the actors is the shop's own, over Django's own cache class. It reaches the scheduler through three doors:
the cache (`stepped_cache.py`), its database connection (`actor_connections.py`), and `caching.runtime`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NoReturn

from greenlet import GreenletExit, getcurrent, greenlet

from ..caching import runtime
from .actor_connections import ActorConnections
from .actors import Actor, Step, entering, unwinding
from .errors import LabError

STEPS = 500  # of one order: nobody explores more
PATIENCE = 1000  # calls in `finally` blocks, when a run is ended
_HOLDING_ON: list[greenlet] = []  # if they were forgotten, greenlet would end them, and they hold on again


class Scheduler(runtime.Runtime):
    """What both ways share: the time, who is running, and what is refused."""

    def __init__(self) -> None:
        self.time = 0.0
        self.exclusive = False  # inside a block that is one step
        self.stopping, self.patience = False, PATIENCE
        self.refused: LabError | None = None
        self.hub = getcurrent()
        self.chance = Random(0)

    def now(self) -> float:
        return self.time

    def draw_from(self, seed: object) -> None:
        """Let `random` and `secrets` begin anew, from this seed."""
        random.seed(repr(seed))
        self.chance.seed(repr(seed))

    def inside(self) -> bool:
        """Whether the code that is running is an actor's."""
        return getcurrent() is not self.hub and not self.stopping

    def who(self) -> str:
        """The name of the actor that is running."""
        raise NotImplementedError

    def refuse(self, why: str) -> NoReturn:
        """End the run with this message. The actor is left where it is: it cannot catch that."""
        self.refused = LabError(why)
        if self.inside():
            self.hub.switch()
        raise self.refused

    def end(self, actor: greenlet) -> None:
        """End what an actor is in the middle of; one that holds on is left alone for good."""
        if actor:  # begun and not ended
            actor.throw(GreenletExit)
        if actor:
            _HOLDING_ON.append(actor)

    def still_stopping(self) -> bool:
        """Whether the run is being ended, so that a call in a `finally` is no point. A loop of them is left."""
        if self.stopping and getcurrent() is not self.hub:
            self.patience -= 1
            if self.patience < 0:
                self.hub.switch()
        return self.stopping

    def cache_call(self, operation: str, *keys: Any) -> None:
        """An actor is about to call the cache."""
        raise NotImplementedError

    def cache_answer(self, answer: Any) -> None:
        """What the cache answered."""

    def database_call(self, what: str, writes: bool = False, begins: bool = False) -> None:
        """An actor is about to ask the database."""


class Orders(Scheduler):
    """Runs actors in the order it is told: at each point, a number says which of those that can go on does."""

    def __init__(self, functions: Sequence[tuple[str, Callable[[], Any]]], preemptions: int | None = None) -> None:
        super().__init__()
        self.functions, self.preemptions = functions, preemptions
        self.actors: list[Actor] = []
        self.steps: list[Step] = []
        self.running: Actor | None = None
        self.writer: Actor | None = None  # in a transaction that has written
        self._connections: list[ActorConnections] = []  # an actor's, kept from order to order
        self._own = ActorConnections.of_this_context()

    def who(self) -> str:
        return f"'{self.running.name}'" if self.running else "An actor"

    # What the hub does

    def run(self, told: Sequence[int]) -> list[tuple[int, int]]:
        """One order: `told` is followed as far as it goes, from there on whoever is running stays.

        Returns at each point (which was chosen, of how many). Raises LabError where the actors cannot come to an end.
        """
        self.time, self.steps, self.actors, self.writer, self.exclusive = 0.0, [], [], None, False
        for name, function in self.functions:
            self._add(name, function)
        chosen: list[tuple[int, int]] = []
        interrupted, last = 0, None
        while self._settled():
            ready = [actor for actor in self.actors if actor.next and not self._blocked(actor)]
            if not ready:
                self._let_time_pass()
                continue
            if last in ready:  # first, so that an order that nobody tells interrupts nobody
                ready.sort(key=lambda actor: actor is not last)
                if self.preemptions is not None and interrupted >= self.preemptions:
                    ready = ready[:1]
            which = told[len(chosen)] if len(chosen) < len(told) else 0
            if which >= len(ready):
                raise LabError(
                    "The same order went differently the second time: an actor depends on what given() does not put "
                    "back (a row, a file, a variable), or on chance."
                )
            chosen.append((which, len(ready)))
            interrupted += which > 0 and ready[0] is last
            last = ready[which]
            self._go_on(last)
        self._own.use()
        return chosen

    def stop(self) -> None:
        """End the actors that are still in the middle of something; transactions are rolled back."""
        self.stopping = True
        for actor in self.actors:
            actor.connections.use()
            self.end(actor.greenlet)

    def close(self) -> None:
        """Close the actors' connections, and use this thread's own again."""
        self._own.use()
        for connections in self._connections:
            connections.close()

    def _add(self, name: str, function: Callable[[], Any]) -> None:
        if len(self.actors) == len(self._connections):
            self._connections.append(ActorConnections(self))
        self.actors.append(Actor(name, function, self._connections[len(self.actors)], self.hub))

    def _go_on(self, actor: Actor) -> None:
        self.running = actor
        actor.connections.use()
        actor.greenlet.switch()
        self.running = None
        if self.refused:
            raise self.refused

    def _settled(self) -> bool:
        """Let everybody run who is not before a step: no other can notice. Returns whether somebody is left."""
        moved = True
        while moved:
            moved = False
            for actor in self.actors:  # grows while it runs: whoever is spawned is started
                if not actor.ended and not actor.next and self._can_wake(actor):
                    self._go_on(actor)
                    moved = True
        return not all(actor.ended for actor in self.actors)

    def _can_wake(self, actor: Actor) -> bool:
        if actor.until is not None:
            self._own.use()
            actor.answer = bool(actor.until())
            if actor.answer:
                return True
        return actor.wakes is None or actor.wakes <= self.time

    def _blocked(self, actor: Actor) -> bool:
        """Whether it would have to wait for a transaction. It must not: the one thread would wait for itself."""
        return actor.writes and self.writer not in (None, actor)

    def _let_time_pass(self) -> None:
        """Nobody can go on: the time moves to when the first of the sleepers wakes."""
        due = [actor.wakes for actor in self.actors if not actor.ended and not actor.next and actor.wakes is not None]
        if due and min(due) < float("inf"):
            self.time = min(due)
            return
        waiting = [f"'{actor.name}' {self._waits(actor)}" for actor in self.actors if not actor.ended]
        raise LabError(f"Nobody can go on: {', '.join(waiting)}. Give the wait a timeout, or end the transaction.")

    def _waits(self, actor: Actor) -> str:
        if actor.next and self.writer:
            return f"waits for the transaction of '{self.writer.name}' before {actor.next.what}"
        return "waits for something that never comes true"

    # What actors do, through their doors

    def cache_call(self, operation: str, *keys: Any) -> None:
        self._step(" ".join([operation or entering(), *map(str, keys)]), "cache")

    def cache_answer(self, answer: Any) -> None:
        if (actor := self.running) and actor.last:
            plain = isinstance(answer, (str, int, float)) or type(answer).__name__ == "Decimal"
            text = str(answer)
            actor.last.saw = text if plain and len(text) <= 16 else "a value"

    def database_call(self, what: str, writes: bool = False, begins: bool = False) -> None:
        if not self.inside() or unwinding():
            return
        if self.exclusive:
            self.refuse(
                f"{self.who()} asks the database inside cache.exclusively(). A script on a cache server cannot."
            )
        actor = self.running
        assert actor is not None
        self._step(what, "database", writes)
        actor.just_begun = begins
        if writes and actor.connections.in_transaction(begins):
            self.writer = actor

    def transaction_ended(self) -> None:
        """An actor has committed, or rolled back."""
        if self.writer is self.running:
            self.writer = None

    def clock_step(self, seconds: float) -> None:
        """An actor moves the time."""
        self._step(f"{seconds:+g} s", "clock")
        self.time += seconds

    def _step(self, what: str, where: str, writes: bool = False) -> None:
        """A point: the actor stops here until it is chosen, and then does what it was about to do."""
        actor = self.running
        if self.still_stopping() or actor is None or unwinding():
            return
        if self.exclusive and actor.last:  # inside a block that is one step
            return
        if actor.just_begun and actor.last:  # BEGIN, and what follows it
            actor.last.what, actor.last.where, actor.just_begun = f"{actor.last.what}, {what}", where, False
            return
        if len(self.steps) >= STEPS:
            self.refuse(f"{self.who()} does not end: {STEPS} steps, the last was {what}. Does a loop wait for others?")
        actor.next, actor.writes = Step(actor.name, what, where), writes
        self._put_aside(actor)
        actor.last, actor.next = actor.next, None
        assert actor.last is not None
        self.steps.append(actor.last)

    def _put_aside(self, actor: Actor) -> None:
        self.hub.switch()
        self.running = actor

    def sleep(self, seconds: float) -> None:
        self._rest(None, seconds)

    def wait(self, until: Callable[[], bool], timeout: float) -> bool:
        return self._rest(until, timeout)

    def _rest(self, until: Callable[[], bool] | None, seconds: float) -> bool:
        actor = self.running
        if self.still_stopping() or actor is None or unwinding():
            return bool(until and until())
        if self.exclusive:
            self.refuse(f"{self.who()} sleeps inside cache.exclusively(): nobody else could go on.")
        actor.just_begun, actor.answer = False, False
        actor.until, actor.wakes = until, self.time + seconds
        self._put_aside(actor)
        actor.until = actor.wakes = None
        return actor.answer

    def spawn(self, function: Callable[[], object]) -> None:
        name = self.running.name if self.running else "given"
        self._add(f"{name}'s background", function)
