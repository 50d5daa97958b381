"""The cache server of a fleet: its own, so that it may be frozen, and taken away."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import redis

from . import servers
from .errors import LabError
from .reaper import Reaper


class Server:
    """A cache server of the kind that `TUTORIAL_CACHE` names; of the first kind that starts, if it names none."""

    def __init__(self, reaper: Reaper, folder: Path) -> None:
        self._reaper = reaper
        self._server = start(reaper, folder)
        self.url, self.kind = self._server.url, self._server.kind
        self._frozen = self._refusing = False

    def freeze(self) -> float:
        """SIGSTOP it: connections are accepted, and nothing is answered. Returns when."""
        assert self._server.pid
        self._frozen, at = True, time.monotonic()
        os.kill(self._server.pid, signal.SIGSTOP)
        return at

    def thaw(self) -> float:
        """SIGCONT it: it goes on, and first does what it was sent meanwhile. Returns when."""
        assert self._server.pid
        os.kill(self._server.pid, signal.SIGCONT)
        self._frozen = False
        return time.monotonic()

    def refuse(self) -> float:
        """SIGKILL it: connections are refused. Returns when."""
        assert self._server.pid
        self._refusing = True
        self._reaper.stop(self._server.pid, force=True)
        self._frozen = False
        return time.monotonic()

    def back(self) -> float:
        """Start it again at the same address, empty. Returns when it answered."""
        servers.start_again(self._reaper, self._server)
        self._refusing = False
        return time.monotonic()

    def well(self) -> None:
        """Whatever was done to it, let it run, and empty it."""
        if self._frozen:
            self.thaw()
        if self._refusing or not self._server.answers():
            self.back()
        with self._server.client() as client:
            client.flushall()

    def endless(self) -> list[str]:
        """The keys that will stay for ever, as they stand on the server."""
        with self._server.client() as client:
            return sorted(key.decode(errors="replace") for key in client.scan_iter(count=1000) if client.ttl(key) == -1)

    def client(self) -> redis.Redis:
        """A redis-py client for a look at it."""
        return self._server.client()

    def end(self) -> None:
        """End it at once, frozen or not."""
        if self._server.pid and not self._refusing:
            self._reaper.stop(self._server.pid, force=True)


def start(reaper: Reaper, folder: Path) -> servers.CacheServer:
    """A server of our own, also where `TUTORIAL_CACHE=url` has the notebook use somebody's. Raises LabError."""
    wanted = os.environ.get("TUTORIAL_CACHE", "").strip().lower()
    if wanted != "url":
        return servers.start_cache_server(reaper, folder)
    for kind in servers.KINDS:
        with suppress(LabError):
            return servers.launch(reaper, folder, kind, servers.program(kind))
    raise LabError("No cache server could be started. doctor() tells more.")
