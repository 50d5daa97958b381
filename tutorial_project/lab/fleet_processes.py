"""The processes of a fleet: started, signalled, started afresh, and ended, whatever state they are in."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .errors import LabError
from .fleet_log import Log
from .fleet_origin import State
from .fleet_server import Server
from .fleet_wire import Link, Wire
from .reaper import Reaper, ReaperGone

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 15.0  # seconds until the workers must be there; it takes less than one
TICK = 0.01  # seconds between two looks of `until`
MOST_PROCESSES, MOST_CLIENTS = 16, 64


@dataclass
class Round:
    """A question to all clients, and which of them have come to its end."""

    number: int
    at: float  # when they begin; CLOCK_MONOTONIC, seconds
    asked: set[tuple[int, int]]  # process id and number of each client
    done: set[tuple[int, int]] = field(default_factory=set)
    said: dict[str, Any] = field(default_factory=dict)  # what the last message held


class Processes:
    """A cache server, and worker processes over it that have a contestant loaded. Times in seconds."""

    def __init__(
        self,
        contestant: str | Callable[[Any], Any],
        processes: int = 4,
        clients: int = 8,
        *,
        cost: float = 0.3,
        timeout: float = 1.0,
        lease: float = 1.0,
        grace: float = 30.0,
        limit: float = 4.0,
        patience: float = 10.0,
        backoff: float = 1.0,
        slots: int = 4,
        operation: float = 0.25,
    ) -> None:
        if not hasattr(os, "fork"):
            raise LabError("A fleet is forked, and Windows cannot fork. Run this cell in WSL or on Binder.")
        if not (1 <= processes <= MOST_PROCESSES and 1 <= clients <= MOST_CLIENTS):
            raise LabError(f"A fleet has 1 to {MOST_PROCESSES} processes of 1 to {MOST_CLIENTS} clients.")
        if isinstance(contestant, str) and not re.fullmatch(r"[\w.]+:\w+", contestant):
            raise LabError(f"A contestant is named 'module:function', not {contestant!r}.")
        self.name = contestant if isinstance(contestant, str) else contestant.__name__
        self.contestant, self.processes, self.clients = contestant, processes, clients
        self.cost, self.timeout, self.lease, self.grace, self.limit = cost, timeout, lease, grace, limit
        self.patience, self.backoff, self.slots, self.operation = patience, backoff, slots, operation
        self.state, self.running, self.stopped = State(cost), False, False
        self.paused: set[int] = set()
        self._rounds: dict[int, Round] = {}
        self._numbers = count(1)

    # Beginning and end

    def __enter__(self) -> Self:
        try:
            self._reaper = Reaper()
        except OSError as problem:
            raise LabError(f"No process can be started here: {problem}.") from None
        try:
            self._start()
        except OSError as problem:
            self.close()
            raise LabError(f"The fleet cannot be started: {problem}. Is the disk full?") from None
        except BaseException:  # an interrupt too
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes, whatever state they are in, and remove the folder. A second call does nothing."""
        self.running = False
        with suppress(AttributeError):
            self._wire.close()
        with suppress(AttributeError, ReaperGone):
            self._reaper.stop(self._master, force=True)  # with its group, stopped or not: no politeness is waited for
        with suppress(AttributeError, ReaperGone):
            self.server.end()
        self._reaper.close()

    def _start(self) -> None:
        self.folder = self._reaper.make_folder("fleet-")
        self._wire, self.log = Wire(self.folder, self._hear), Log(self.folder)
        named = isinstance(self.contestant, str)
        if not named:
            (self.folder / "contestant").write_bytes(_packed(self.contestant))
        times = "cost timeout lease grace limit patience backoff slots operation clients".split()
        plan = {name: getattr(self, name) for name in times} | {"contestant": self.contestant if named else ""}
        plan["path"] = [os.path.abspath(entry) for entry in sys.path]  # where modules beside the notebook are
        (self.folder / "plan.json").write_text(json.dumps(plan))
        command = [sys.executable, "-P", "-m", "tutorial_project.lab.fleet_worker", str(self.folder)]
        self._master = self._reaper.start(command, env=_variables(), log=self.folder / "log")
        self.server = Server(self._reaper, self.folder)  # while the other process imports Django
        master = self._wait_for(self._wire.master)
        self._wire.send(master, do="load", url=self.server.url)
        self._wait_for(lambda: "loaded" in master.hello)
        if not master.hello["loaded"]:
            raise LabError(f"The contestant {self.name} cannot be loaded: {master.hello['error']}")
        self.running = True
        self.afresh()

    def afresh(self) -> None:
        """New workers, an empty server, an empty log, and the origin as it was at the beginning. Raises LabError."""
        try:
            self._afresh()
        except ReaperGone:
            raise LabError("The process that looks after this fleet was killed, and the fleet with it.") from None

    def _afresh(self) -> None:
        for pid in self.pids:
            self._signal(pid, signal.SIGKILL)
        self._wait_for(lambda: not self.pids)
        self.paused.clear()
        self._rounds.clear()
        self.server.well()
        self.log.empty()
        self.tell(cost=self.cost, version=1, failing=[], hanging=[], database=False)
        master = self._wait_for(self._wire.master)
        for number in range(self.processes):
            self._wire.send(master, do="fork", number=number)
        self._wait_for(lambda: len(self.pids) == self.processes or self._wire.failed)
        if self._wire.failed:
            raise LabError(f"The contestant {self.name} does not start: {self._wire.failed}")

    def __repr__(self) -> str:
        state = f"running, cache server {self.server.kind}" if self.running else "not running"
        return f"{self.processes} processes of {self.clients} clients under {self.name}: {state}"

    # What the origin and the processes are told

    def tell(self, **what: Any) -> None:
        """Tell the origin, from now on: `cost` (seconds), `failing` and `hanging` (keys), `database`; see `State`."""
        self.state = replace(self.state, **what)
        self.state.save(self.folder)

    def write(self) -> int:
        """Change the row: what begins to compute from now on reads a new version. Returns that."""
        self.tell(version=self.state.version + 1)
        return self.state.version

    def kill(self, pid: int) -> float:
        """SIGKILL this worker, and wait until it is gone. Returns when the signal was sent."""
        at = time.monotonic()
        self._signal(pid, signal.SIGKILL)
        self._wait_for(lambda: pid not in self._wire.links)
        return at

    def pause(self, pid: int) -> None:
        """SIGSTOP this worker: none of its threads goes on."""
        self._signal(pid, signal.SIGSTOP)
        self.paused.add(pid)

    def go_on(self, pid: int) -> None:
        """SIGCONT a paused worker."""
        self._signal(pid, signal.SIGCONT)
        self.paused.discard(pid)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that live, by their numbers. Raises LabError where the fleet does not run."""
        if not self.running:
            raise LabError("This fleet does not run. It lives in its block: with Fleet(...) as fleet: ...")
        self._wire.pump(0)
        return [link.pid for link in self._wire.workers()]

    @property
    def about(self) -> dict[str, Any]:
        """What the contestant says of itself: `about`, and `limit` (seconds) and `slots` if it has them."""
        return next((link.hello for link in self._wire.workers()), {})

    def holder(self, key: str, limit: float = 5.0, besides: Sequence[int] = ()) -> int | None:
        """The id of a living process that is computing this key, of the last to begin; None if none does in `limit`."""

        def computing() -> int | None:
            running = [each.pid for each in self.log.of(key) if not each.how and each.pid in self._wire.links]
            return next((pid for pid in reversed(running) if pid not in besides), None)

        return self.until(computing, limit)

    def silent(self, round_: Round) -> set[tuple[int, int]]:
        """The clients that have not come to the round's end, of processes that live and are not paused."""
        self._wire.pump(0)
        return {who for who in round_.asked - round_.done if who[0] in self._wire.links and who[0] not in self.paused}

    def stop(self) -> None:
        """Let whatever waits for this fleet in another thread raise LabError, so that its block ends and closes it."""
        self.stopped = True

    def until(self, condition: Callable[[], Any], limit: float) -> Any:
        """Wait until the condition holds, for `limit` seconds at most. Returns what it said last."""
        deadline = time.monotonic() + limit
        while True:
            if self.stopped:
                raise LabError("This fleet was stopped.")
            self._wire.pump(0)
            self.log.read()
            if (said := condition()) or time.monotonic() > deadline:
                return said
            self._wire.pump(TICK)

    def _wait_for(self, condition: Callable[[], Any]) -> Any:
        """The same for what must come. Raises LabError where it does not, with the last that the processes wrote."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if said := self.until(condition, 0.5):
                return said
            if not self._reaper.alive(self._master):
                break
        lines = (self.folder / "log").read_text(errors="replace").strip().splitlines()
        raise LabError(f"The fleet's processes do not answer ({lines[-1] if lines else 'they say nothing'}).")

    def _request(self, pid: int, limit: float, **order: Any) -> dict[str, Any]:
        """Ask one process for something that is no question to its clients. What it said; {} if nothing in time."""
        round_ = Round(next(self._numbers), 0.0, {(pid, 0)})
        self._rounds[round_.number] = round_
        if pid in self._wire.links:
            self._wire.send(self._wire.links[pid], number=round_.number, **order)
        self.until(lambda: not self.silent(round_), limit)
        return round_.said

    def _hear(self, link: Link, message: dict[str, Any]) -> None:
        if "loaded" in message:
            link.hello |= message
        elif round_ := self._rounds.get(message["round"]):
            round_.done.add((link.pid, message["client"]))
            round_.said = message

    def _signal(self, pid: int, number: int) -> None:
        """Signal a worker of this fleet, and nobody else who may have its process id by now."""
        self._wire.pump(0)
        if pid in self._wire.links:
            os.kill(pid, number)


def _packed(contestant: Any) -> bytes:
    from .arrangement import dumped  # with cloudpickle, which others do without

    try:
        return dumped(contestant)
    except Exception as problem:
        raise LabError(
            f"The contestant cannot go to another process: {type(problem).__name__}: {problem}. Does it use the lab, a "
            "lock or an open file? Make these where it is made, in each process."
        ) from None


def _variables() -> dict[str, str]:
    """The environment of the processes: this one's, without what is meant for a kernel or for the shop."""
    ours = dict(os.environ)
    for name in ("DJANGO_ALLOW_ASYNC_UNSAFE", "DJANGO_SETTINGS_MODULE", "CACHE_SETTINGS"):
        ours.pop(name, None)
    ours["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return ours
