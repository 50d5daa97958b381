"""The reaper: a small process that starts the servers of a notebook and ends them when the notebook is gone.

A kernel that is killed outright cleans up nothing. So it starts nothing itself: it asks this process, which holds the
other end of a pipe. When the pipe closes, however that came about, the reaper ends every server it started and removes
the folders it made. There is no moment in which a server runs and nobody knows of it.

Two parts: `Reaper`, used by the owner (a kernel, `manage.py runserver`, a test), and `main`, which runs in the process
of its own and needs nothing but the standard library until the very end.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

GRACE = 2.0  # seconds between asking a child to end and killing it
TICK = 1.0  # seconds between two looks at whether the owner is still there
WINDOWS = sys.platform == "win32"
SIGKILL = signal.SIGTERM if WINDOWS else signal.SIGKILL  # Windows has one way to end a process


class ReaperGone(Exception):
    """The reaper itself has ended: somebody killed it."""

    def __str__(self) -> str:
        return "The process that looks after this kernel's servers was killed, and they with it. Restart the kernel."


class Reaper:
    """Starts processes that do not outlive this one. Any thread may use it; a forked child may not."""

    def __init__(self) -> None:
        # A session of its own: an interrupt that a terminal sends to the owner's group does not reach it.
        own: dict[str, Any] = {"start_new_session": True}
        if WINDOWS:
            own = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}  # type: ignore[attr-defined]
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).resolve()), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **own,
        )
        self._owner = os.getpid()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._folders: list[str] = []
        atexit.register(self.close)

    @property
    def pid(self) -> int:
        """The process id of the reaper's own process."""
        return self.process.pid

    def start(self, argv: Sequence[str], env: Mapping[str, str] | None = None, log: Path | None = None) -> int:
        """Start a process and return its id. What it prints goes to the file `log`, or nowhere.

        Raises OSError where the program cannot be started.
        """
        return int(self._ask("start", argv=list(argv), env=dict(env) if env is not None else None, log=str(log or "")))

    def alive(self, pid: int) -> bool:
        """Whether a process started here still runs."""
        return bool(self._ask("alive", pid=pid))

    def stop(self, pid: int, force: bool = False) -> None:
        """End a process started here, with its children: politely, and after two seconds (or at once) by force."""
        self._ask("stop", pid=pid, force=force)

    def make_folder(self, prefix: str = "lab-") -> Path:
        """A new folder for temporary files that only this user can read, removed at the end. Raises OSError."""
        folder = str(self._ask("make_folder", prefix=prefix))
        self._folders.append(folder)
        return Path(folder)

    def remove_at_end(self, folder: Path) -> None:
        """Remove this folder or file when the owner is gone."""
        self._folders.append(str(folder))
        self._ask("remove_at_end", folder=str(folder))

    def forget_keys_at_end(self, url: str, prefix: str) -> None:
        """Delete the keys `<prefix>:…` from the cache server at `url` when the owner is gone, and no others."""
        self._ask("forget_keys_at_end", url=url, prefix=prefix)

    def drop_database_at_end(self, url: str, name: str) -> None:
        """Drop a PostgreSQL database, through a connection to `url`, when the owner is gone."""
        self._ask("drop_database_at_end", url=url, name=name)

    def close(self) -> None:
        """End it all now, and wait until it is done. A second call does nothing."""
        if os.getpid() != self._owner or self.process.stdin is None or self.process.stdin.closed:
            return
        atexit.unregister(self.close)
        with contextlib.suppress(OSError):  # the reaper may have gone before us
            self.process.stdin.close()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        for folder in self._folders:  # nothing is left here, unless the reaper was killed
            remove(folder)

    def _ask(self, what: str, **details: Any) -> Any:
        with self._lock:
            number = next(self._numbers)
            try:
                assert self.process.stdin and self.process.stdout
                self.process.stdin.write(json.dumps([number, what, details]).encode() + b"\n")
                self.process.stdin.flush()
                while line := self.process.stdout.readline():
                    answered, result, error = json.loads(line)
                    if answered < number:
                        continue  # the answer to a question that an interrupt cut short
                    if error:
                        raise OSError(error)
                    return result
            except (BrokenPipeError, ValueError, AssertionError):
                pass
        raise ReaperGone


# ---- what runs in the process of its own -------------------------------------------------------------------------


def main(owner: int) -> None:
    """Serve the owner's requests until its end of the pipe closes; then end every child and remove every folder."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    if not WINDOWS:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if LIBC:
        LIBC.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: a child's own children, when it dies, are this process's to collect
    children: dict[int, subprocess.Popen[bytes]] = {}
    at_end: list[Callable[[], object]] = []

    def start(argv: list[str], env: dict[str, str] | None, log: str) -> int:
        with open(log or os.devnull, "ab") as output:
            child = subprocess.Popen(
                argv,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=not WINDOWS,
                preexec_fn=die_with_parent(os.getpid()) if LIBC else None,
            )
        children[child.pid] = child
        return child.pid

    def make_folder(prefix: str) -> str:
        folder = tempfile.mkdtemp(prefix=prefix)
        at_end.append(lambda: remove(folder))
        return folder

    answers: dict[str, Callable[..., Any]] = {
        "start": start,
        "alive": lambda pid: pid in children and children[pid].poll() is None,
        "stop": lambda pid, force: end([children.pop(pid)], polite=not force) if pid in children else None,
        "make_folder": make_folder,
        "remove_at_end": lambda folder: at_end.append(lambda: remove(folder)),
        "forget_keys_at_end": lambda url, prefix: at_end.append(lambda: forget_keys(url, prefix)),
        "drop_database_at_end": lambda url, name: at_end.append(lambda: drop_database(url, name)),
    }
    try:
        for line in requests(owner):
            number, what, details = json.loads(line)
            try:
                reply = [number, answers[what](**details), None]
            except (OSError, subprocess.SubprocessError) as problem:
                reply = [number, None, str(problem)]
            sys.stdout.write(json.dumps(reply) + "\n")
            sys.stdout.flush()
    except (BrokenPipeError, KeyboardInterrupt):
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for promise in (lambda: end(list(children.values())), *at_end):
            try:
                promise()
            except Exception:  # whatever failed, the rest must still be cleared away
                continue
        # Its standard output may be a closed pipe: leave without flushing it again.
        os._exit(0)


def requests(owner: int) -> Iterator[bytes]:
    """The owner's lines, until the pipe closes or the owner has died while a child it forked keeps the pipe open."""
    if WINDOWS:
        yield from sys.stdin.buffer
        return
    rest = b""
    while os.getppid() == owner:
        if not select.select([0], [], [], TICK)[0]:
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def end(children: list[subprocess.Popen[bytes]], polite: bool = True) -> None:
    """Ask these processes to end, wait two seconds at most, and kill what is left of them and of their own children."""
    # Of a child that died by itself, Linux has ended the children; elsewhere they may still run.
    running = [child for child in children if child.poll() is None or not LIBC]
    for signal_number in (signal.SIGTERM, SIGKILL) if polite else (SIGKILL,):
        for child in running:
            try:
                if WINDOWS:
                    child.terminate()
                else:
                    os.killpg(child.pid, signal_number)
            except OSError:
                continue
        for child in running:
            try:
                child.wait(GRACE)
            except subprocess.TimeoutExpired:
                continue
    if not WINDOWS:
        for child in children:
            wait_for_group(child.pid)


def wait_for_group(group: int) -> None:
    """Wait until a killed process group is gone, a second at most, and collect the dead, who would stay as zombies."""
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        try:
            if LIBC:
                if os.waitpid(-group, os.WNOHANG)[0]:
                    continue
            else:
                os.killpg(group, 0)  # they are not this process's children: it can only ask whether there are any
        except OSError:
            return
        time.sleep(0.002)


def remove(folder: str) -> None:
    """Remove a folder with all it holds, or a file. What is already gone is no error."""
    if os.path.isdir(folder):
        shutil.rmtree(folder, ignore_errors=True)
    elif os.path.exists(folder):
        os.unlink(folder)


def forget_keys(url: str, prefix: str) -> int:
    """Delete the keys `<prefix>:…` from the cache server at `url`; the number of keys deleted."""
    import redis

    client = redis.Redis.from_url(url, socket_connect_timeout=GRACE, socket_timeout=GRACE)
    escaped = "".join(f"\\{letter}" if letter in "*?[]^\\" else letter for letter in prefix)
    return sum(client.delete(key) for key in client.scan_iter(f"{escaped}:*", count=1000))


def drop_database(url: str, name: str) -> None:
    """Drop the PostgreSQL database `name`, whoever is still connected to it."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            psycopg.sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(psycopg.sql.Identifier(name))
        )


LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent: int) -> Callable[[], None]:
    """What a child runs before its program: asks Linux to end it when `parent` is killed."""

    def before_exec() -> None:
        assert LIBC
        LIBC.prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG
        if os.getppid() != parent:  # killed in between
            os._exit(1)

    return before_exec


if __name__ == "__main__":
    main(int(sys.argv[1]))
