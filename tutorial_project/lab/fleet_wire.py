"""How a fleet's orchestrator talks with its processes: a unix socket in a private folder, a JSON line at a time.

Guarantee: no call of the orchestrator's (`Wire`) waits longer than it is told to, whatever state the processes are in.
"""

from __future__ import annotations

import json
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import LabError

LONGEST = 100  # bytes of a socket's path; the system allows a few more
PATIENCE = 2.0  # seconds that a message may take to be sent
MASTER = -1  # the number of the process that forks the others


@dataclass
class Link:
    """The orchestrator's end of one process's socket."""

    socket: socket.socket
    pid: int = 0
    number: int = -2
    hello: dict[str, Any] = field(default_factory=dict)  # what it said of itself
    rest: bytes = b""


class Wire:
    """The links to all processes that live: one that ends is missing from `links` after the next `pump`."""

    def __init__(self, folder: Path, hear: Callable[[Link, dict[str, Any]], None]) -> None:
        self.links: dict[int, Link] = {}
        self.failed = ""  # why a process that has gone could not begin
        self._unnamed: list[Link] = []
        self._hear = hear
        path = folder / "control"
        if len(os.fsencode(path)) > LONGEST:
            raise LabError(f"{path} is too long a name for a socket. Set TMPDIR to a folder with a shorter one.")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)

    def workers(self) -> list[Link]:
        """The workers that live, by their numbers."""
        return sorted((link for link in self.links.values() if link.number >= 0), key=lambda link: link.number)

    def master(self) -> Link | None:
        """The process that forks the others, if it lives."""
        return next((link for link in self.links.values() if link.number == MASTER), None)

    def send(self, link: Link, **order: Any) -> None:
        """Send an order; a process that has gone meanwhile gets none, and is forgotten."""
        try:
            link.socket.settimeout(PATIENCE)
            link.socket.sendall(json.dumps(order).encode() + b"\n")
        except OSError:
            self._drop(link)

    def pump(self, timeout: float) -> None:
        """Take in what the processes say, after waiting `timeout` seconds for it at most."""
        links = [*self.links.values(), *self._unnamed]
        ready = select.select([self._listener, *(link.socket for link in links)], [], [], timeout)[0]
        if self._listener in ready:
            self._unnamed.append(Link(self._listener.accept()[0]))
        for link in links:
            if link.socket in ready:
                self._receive(link)

    def _receive(self, link: Link) -> None:
        said = b""
        with suppress(OSError):
            said = link.socket.recv(65536)
        if not said:
            self._drop(link)
            return
        *lines, link.rest = (link.rest + said).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if not link.pid:
                link.pid, link.number, link.hello = message["pid"], message["number"], message
                self.failed = message.get("failed", self.failed)
                self._unnamed.remove(link)
                self.links[link.pid] = link
            else:
                self._hear(link, message)

    def _drop(self, link: Link) -> None:
        link.socket.close()
        self.links.pop(link.pid, None)
        if link in self._unnamed:
            self._unnamed.remove(link)

    def close(self) -> None:
        """Let go of all; who listens at the other ends, ends."""
        for link in [*self.links.values(), *self._unnamed]:
            self._drop(link)
        self._listener.close()


class Control:
    """A process's end of its socket."""

    def __init__(self, folder: Path, **hello: Any) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(folder / "control"))
        self._lock = threading.Lock()
        self.say(pid=os.getpid(), **hello)

    def say(self, **message: Any) -> None:
        """Send a message; where nobody listens any more, end this process."""
        with self._lock:
            try:
                self._socket.sendall(json.dumps(message).encode() + b"\n")
            except OSError:
                os._exit(0)

    def close(self) -> None:
        """Let go of a parent's socket, in a child."""
        os.close(self._socket.detach())

    def orders(self) -> Iterator[dict[str, Any]]:
        """What the orchestrator asks for, until it is gone."""
        with suppress(OSError), self._socket.makefile("rb") as lines:
            for line in lines:
                yield json.loads(line)
