"""The processes behind a `Fleet`: one that loads the contestant and forks, and the workers whose clients ask it.

    python -m tutorial_project.lab.fleet_worker FOLDER

`FOLDER/plan.json` says whose defence is on trial and by which settings. All talk with the orchestrator (`fleet.py`)
through the socket `FOLDER/control`, a JSON line at a time, and write what came out into `FOLDER/answers`. Whoever finds
the socket closed ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import django
import redis  # so that it is loaded before the fork
from django.conf import settings
from django.core.cache.backends.redis import RedisCache  # the same
from django.db import connections
from django.db.backends.signals import connection_created
from django.utils import translation

from .fleet_origin import Journal, Origin
from .fleet_wire import Control
from .reaper import LIBC, die_with_parent

LOADED = (redis, RedisCache)
MOST_THREADS = 200  # of a process; more than its clients, as those of a round may still wait when the next begins


@dataclass(frozen=True)
class Setup:
    """What a contestant is told: where the cache server is, what to defend, and the times in seconds to configure.

    A contestant that has no such setting ignores it.
    """

    url: str
    compute: Callable[[str], Any]  # the slow origin
    acompute: Callable[[str], Any]  # the same, to be awaited
    cost: float  # a computation takes so long
    timeout: float  # a value is fresh for so long
    lease: float  # a lock holds for so long
    grace: float  # after its timeout, a value may be served for so long while somebody computes
    limit: float  # a lease is renewed for so long at most
    patience: float  # a request without a value waits for so long at most
    backoff: float  # between two tries of a refresh that fails
    slots: int  # computations at a time in a process whose cache is away
    operation: float  # a command to the cache server may take so long (Django's RedisCache is told already)


@dataclass
class Round:
    """One question to all clients: once, or again and again until `until`."""

    number: int
    keys: list[str]
    at: float  # when all begin together
    until: float
    pause: float  # seconds between two questions of a client
    language: str | None
    clients: int
    over: threading.Event


class Worker:
    """One process of the fleet: a contestant and the clients that ask it, in threads, or as tasks of one event loop."""

    def __init__(self, folder: Path, number: int, plan: dict[str, Any], make: Callable[[Setup], Any]) -> None:
        self.number = number
        self.opened: list[tuple[threading.Thread, Any]] = []
        connection_created.connect(self._note_connection)
        self.origin, self.journal = Origin(folder), Journal(folder / "answers")
        told = {name: plan[name] for name in Setup.__dataclass_fields__ if name in plan}
        self.contestant = make(Setup(compute=self.origin.compute, acompute=self.origin.acompute, **told))
        self.rounds: dict[int, Round] = {}
        self.pool = ThreadPoolExecutor(MOST_THREADS)
        self.loop: asyncio.AbstractEventLoop | None = None
        if inspect.iscoroutinefunction(self.contestant.get):
            self.loop = asyncio.new_event_loop()
            threading.Thread(target=self.loop.run_forever, daemon=True).start()
        limits = {name: getattr(self.contestant, name, None) for name in ("limit", "slots")}
        told = {name: value for name, value in limits.items() if isinstance(value, int | float)}
        self.control = Control(folder, number=number, about=getattr(self.contestant, "about", None), **told)

    def serve(self) -> None:
        """Do what the orchestrator asks for, until it is gone."""
        for order in self.control.orders():
            getattr(self, f"do_{order.pop('do')}")(**order)

    # What it can be asked for

    def do_ask(self, **details: Any) -> None:
        """Let clients ask, each in a thread or task of its own."""
        round_ = self.rounds[details["number"]] = Round(over=threading.Event(), **details)
        for client in range(round_.clients):
            if self.loop:
                asyncio.run_coroutine_threadsafe(self._aclient(round_, client), self.loop)
            else:
                self.pool.submit(self._client, round_, client)

    def do_stop(self, number: int) -> None:
        """Let the clients of a round ask no more."""
        if number in self.rounds:
            self.rounds[number].over.set()

    def do_invalidate(self, number: int, key: str) -> None:
        """Invalidate a key as the contestant recommends, and say when that returned, or what it raised."""

        async def awaited() -> None:
            await self.contestant.invalidate(key)

        def invalidate() -> None:
            error = None
            try:
                if self.loop and inspect.iscoroutinefunction(self.contestant.invalidate):
                    asyncio.run_coroutine_threadsafe(awaited(), self.loop).result()
                else:
                    self.contestant.invalidate(key)
            except BaseException as problem:
                error = _named(problem)
            self.control.say(round=number, client=0, returned=time.monotonic(), error=error)

        self.pool.submit(invalidate)

    def do_look(self, number: int) -> None:
        """Say how many database connections are open whose thread has ended: nobody will close them."""
        left = sum(not thread.is_alive() and wrapper.connection is not None for thread, wrapper in self.opened)
        self.control.say(round=number, client=0, left_open=left, threads=threading.active_count())

    # The clients

    def _client(self, round_: Round, client: int) -> None:
        time.sleep(max(0, round_.at - time.monotonic()))
        for key in self._keys(round_, client):
            asked, before = time.monotonic(), self.origin.ran_by_me()
            value = error = None
            try:
                with _speaking(round_.language):
                    value = self.contestant.get(key)
            except BaseException as problem:
                error = _named(problem)
            self._note(round_, client, key, asked, value, error, self.origin.ran_by_me() - before)
            connections.close_all()  # as Django does at the end of a request
            round_.over.wait(round_.pause)
        self.control.say(round=round_.number, client=client)

    async def _aclient(self, round_: Round, client: int) -> None:
        await asyncio.sleep(max(0, round_.at - time.monotonic()))
        for key in self._keys(round_, client):
            asked, before = time.monotonic(), self.origin.ran_by_me()
            value = error = None
            try:
                with _speaking(round_.language):
                    value = await self.contestant.get(key)
            except BaseException as problem:
                error = _named(problem)
            self._note(round_, client, key, asked, value, error, self.origin.ran_by_me() - before)
            await asyncio.sleep(round_.pause)
        self.control.say(round=round_.number, client=client)

    def _keys(self, round_: Round, client: int) -> Iterator[str]:
        """The keys that a client asks for, in turn: at least one, and on until the round is over."""
        place = self.number * round_.clients + client
        while True:
            yield round_.keys[place % len(round_.keys)]
            place += 1
            if round_.over.is_set() or time.monotonic() >= round_.until:
                return

    def _note(
        self, round_: Round, client: int, key: str, asked: float, value: Any, error: str | None, ran: int
    ) -> None:
        found = value if isinstance(value, dict) and "computation" in value else {}
        if error is None and not found:
            error = f"NoValue: {value!r:.80}"
        who = {"round": round_.number, "key": key, "process": self.number, "pid": os.getpid(), "client": client}
        times = {"asked": asked, "answered": time.monotonic()}
        said = {name: found.get(name) for name in ("computation", "version")}
        self.journal.add(**who, **times, **said, error=error, ran=ran)

    def _note_connection(self, connection: Any, **_: Any) -> None:
        self.opened.append((threading.current_thread(), connection))


def _speaking(language: str | None) -> AbstractContextManager[None]:
    return translation.override(language) if language else contextlib.nullcontext()


def _named(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {problem}"[:300]


def load(plan: dict[str, Any], folder: Path) -> Callable[[Setup], Any]:
    """Set Django up for the contestant, and return the function that makes one. Raises what the contestant raises.

    A module that needs other settings has a function `django_settings(url)` that returns them, as a dict.
    """
    sys.path += [entry for entry in plan["path"] if entry not in sys.path]
    name, _, function = plan["contestant"].partition(":")
    options = {"socket_timeout": plan["operation"], "socket_connect_timeout": plan["operation"]}
    cache = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": plan["url"], "OPTIONS": options}
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "origin.sqlite3")}
    chosen = {"CACHES": {"default": cache}, "DATABASES": {"default": database}, "USE_TZ": True, "SECRET_KEY": "none"}
    if name:
        more = getattr(import_module(name), "django_settings", None)
        chosen |= more(plan["url"]) if more else {}
    settings.configure(**chosen)
    django.setup()
    if name:
        return getattr(import_module(name), function)
    from .arrangement import loaded

    return loaded(folder / "contestant")


def fork(folder: Path, number: int, plan: dict[str, Any], make: Callable[[Setup], Any], control: Control) -> None:
    """Start one worker; in it, this never returns."""
    master = os.getpid()
    if os.fork():
        return
    try:
        if LIBC:
            die_with_parent(master)()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control.close()
        try:
            worker = Worker(folder, number, plan, make)
        except Exception as problem:
            Control(folder, number=number, failed=_named(problem))
            raise
        worker.serve()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def main(folder: Path) -> None:
    """Load the contestant when told where the server is, and fork a worker whenever one is wanted."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are collected by the system
    plan, make = json.loads((folder / "plan.json").read_text()), None
    control = Control(folder, number=-1)
    for order in control.orders():
        if order["do"] == "load":
            plan["url"], error = order["url"], None
            try:
                make = load(plan, folder)
            except Exception as problem:
                traceback.print_exc()
                error = _named(problem)
            control.say(loaded=error is None, error=error)
        elif make:
            fork(folder, order["number"], plan, make, control)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
