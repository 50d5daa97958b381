"""Worker processes over the shop: `lab.workers(4)` starts them, and what they are asked for is counted as here.

They serve the notebook's own database and cache server, with what the notebook has mounted, swapped and kept. Gunicorn
runs them (`serving.py`): it forks a loaded shop, so that eight are there in a second, and replaces one that dies.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import sqlite3
import sys
import time
import weakref
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from django.db import connections

from . import arrangement, backends, browser, load
from .errors import LabError
from .reaper import Reaper, ReaperGone

if TYPE_CHECKING:
    import pandas as pd

    from .bench import Lab

MOST = 16  # workers at a time: more than a small machine can serve
SILENT = "it left no message; is the disk full?"
PATIENCE = 15.0  # seconds until a server must be there; it takes less than one
ROOT = Path(__file__).resolve().parents[2]
_running: weakref.WeakSet[Workers] = weakref.WeakSet()


class Workers:
    """n processes that serve the shop until the block ends, `stop()` is called, or the notebook is gone.

    Those that are not `counted` come on top of the most that a reader may start.
    """

    def __init__(
        self, lab: Lab, n: int, cache: str = "redis", threads: int = 8, port: int = 0, counted: bool = True
    ) -> None:
        check(n, threads, port, counted)
        backends.known(cache)
        writable(connections["default"])
        self.lab, self.n, self.cache = lab, n, cache
        self.folder = Path(lab.environment.folder) / f"workers-{secrets.token_hex(4)}"
        # The server ends when its folder is gone. So a pool that the notebook forgets ends too: not through the reaper,
        # as this may run in the middle of its answer; and not by a signal, as another may have the process id by now.
        self._owner = os.getpid()
        self._forgotten = weakref.finalize(self, forget, self.folder, self._owner)
        self._forgotten.atexit = False
        self._stopped = False
        self._reaper: Reaper = lab.environment.reaper
        self._pid = 0
        try:
            self.folder.mkdir(mode=0o700)
            arrangement.save(self.folder / "arrangement", *lab.arranged())
            path = [os.path.abspath(entry) for entry in sys.path]  # where the modules beside the notebook are
            plan = {"workers": n, "threads": threads, "port": port, "path": path}
            (self.folder / "plan.json").write_text(json.dumps(plan))
            command = [sys.executable, "-P", "-m", "tutorial_project.lab.serving", str(self.folder)]
            self._pid = self._reaper.start(command, env=self._variables(), log=self.folder / "log")
            self._wait()
        except ReaperGone as gone:
            self.stop()
            raise LabError(str(gone)) from None
        except OSError as problem:
            self.stop()
            raise LabError(
                f"The worker processes cannot be started: {problem}. Is the disk full? If the folder for temporary "
                "files is gone, restart the kernel."
            ) from None
        except BaseException:  # an interrupt too
            self.stop()
            raise
        if counted:
            _running.add(self)

    def _variables(self) -> dict[str, str]:
        """The environment of the workers: this kernel's servers, their cache, and nothing meant for a kernel alone."""
        ours = {**os.environ, **self.lab.environment.variables}
        if self.cache != "redis":  # that one is the project's own: its settings are to be seen at work, not ours
            ours["CACHE_SETTINGS"] = json.dumps(json.loads(ours["LAB_BACKENDS"])[self.cache])
        ours["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        for name in ("DJANGO_ALLOW_ASYNC_UNSAFE", "GUNICORN_CMD_ARGS", "SCRIPT_NAME"):
            ours.pop(name, None)
        return ours

    def _wait(self) -> None:
        """Until every worker has told its process id. Raises LabError where the server ends or takes too long."""
        deadline = time.monotonic() + PATIENCE
        while not all((self.folder / f"worker-{number}").exists() for number in range(self.n)):
            if not self._reaper.alive(self._pid):
                raise LabError(f"The worker processes did not start: {self._last_words()}")
            if time.monotonic() > deadline:
                raise LabError(f"The worker processes were not ready within {PATIENCE:g} s: {self._last_words()}")
            time.sleep(0.02)
        self.port, *self.ports = json.loads((self.folder / "ports").read_text())

    def _last_words(self) -> str:
        # What is indented is the inside of a traceback. And once there are workers, views print what they like.
        lines, serving = [], False
        for line in self.log().splitlines():
            own = re.match(r"\[\d{4}-", line)
            serving = serving or bool(own and "Booting worker" in line)
            if own if serving else line.strip() and not line.startswith(" "):
                lines.append(line)
        last = next((line for line in reversed(lines) if "rror" in line or "cannot" in line), (lines or [SILENT])[-1])
        return last.strip()[-300:]

    # What they are

    @property
    def url(self) -> str:
        """The address that all of them share; the kernel of the machine chooses who answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pids(self) -> list[int]:
        """The process id of each worker, by number. One that died is replaced, under another id."""
        return [int((self.folder / f"worker-{number}").read_text()) for number in range(self.n)]

    @property
    def running(self) -> bool:
        """Whether they still serve. It only looks."""
        try:
            return not self._stopped and self._reaper.alive(self._pid)
        except ReaperGone:
            return False

    def log(self) -> str:
        """What the server has written: starts, ends and errors of workers, and the tracebacks of requests."""
        file = self.folder / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    def __repr__(self) -> str:
        state = "stopped" if self._stopped else "running"
        return f"{self.n} worker process{'es' if self.n > 1 else ''} over the shop, cache {self.cache}: {state}"

    # Asking them

    def get(
        self,
        url: str,
        worker: int | None = None,
        who: str | None = None,
        language: str | None = None,
        data: Mapping[str, Any] | None = None,
        timeout: float = browser.TIMEOUT,
    ) -> browser.Answer:
        """Ask one worker for a page, or send it `data`: that numbered `worker` (from 0), or whoever takes it.

        Raises LabError after `timeout` seconds without a sign of life, and where the shop has no view at this address.
        """
        self._check_running()
        browser.check_paths(url)
        if worker is not None and worker not in range(self.n):
            raise LabError(f"There is no worker {worker} here: they have the numbers 0 to {self.n - 1}.")
        answer = browser.Sender(self, timeout).send(url, worker, browser.browser_of(self.lab, who, language), data)
        if not answer.status:
            raise LabError(f"{'The workers' if worker is None else f'Worker {worker}'}: {answer.error}")
        if answer.status == 404:
            load.check_mounted(url)
        return answer

    def load(self, what: pd.DataFrame | int | str | Iterable[str], **how: Any) -> pd.DataFrame:
        """Send many requests, `clients=` at a time or at a `rate=` a second; see `lab/load.py`. A row a request."""
        self._check_running()
        return load.load(self, what, **how)

    def replay(self, trace: pd.DataFrame | int, start: str = "09:00", balancer: str = "random") -> pd.DataFrame:
        """Send recorded traffic, request after request, from an empty shared cache and the shop as it was loaded.

        The same as `lab.replay`, through these processes; what they keep in their own memory stays. A row a request.
        """
        self._check_running()
        self.lab.restore_database()
        self.lab.empty_cache()
        if self.cache in ("database", "file"):  # Redis is empty by now, and a memory is each worker's own
            backends.backend(self.cache).clear()
        return self.load(self.lab.traffic(trace, start) if isinstance(trace, int) else trace, balancer=balancer)

    def kill(self, worker: int) -> None:
        """End one worker at once (SIGKILL), and wait until gunicorn has put another one in its place."""
        self._check_running()
        file = self.folder / f"worker-{worker}"
        if not file.exists():
            raise LabError(f"There is no worker {worker} here: they have the numbers 0 to {self.n - 1}.")
        before = file.read_text()
        with suppress(ProcessLookupError):  # it has just died by itself
            os.kill(int(before), signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while file.read_text() == before:
            if time.monotonic() > deadline:
                raise LabError(f"Worker {worker} was not replaced within {PATIENCE:g} s: {self._last_words()}")
            time.sleep(0.02)

    def _check_running(self) -> None:
        if self._stopped:
            raise LabError("These worker processes have been stopped. Start others with lab.workers().")
        try:
            alive = self._reaper.alive(self._pid)
        except ReaperGone as gone:
            self.stop()
            raise LabError(str(gone)) from None
        if not alive:
            words = self._last_words()
            self.stop()
            raise LabError(f"The worker processes have ended ({words}). Start others with lab.workers().")

    # Ending them

    def stop(self) -> None:
        """End them all and wait until they are gone. A second call does nothing, nor one in a fork of this process."""
        if self._stopped or os.getpid() != self._owner:
            return
        self._stopped = True
        try:
            if self._pid:
                self._reaper.stop(self._pid, force=True)  # they have nothing to lose, and a reader no time
        except ReaperGone:
            pass  # they went with it
        finally:  # also where somebody interrupts the waiting
            self._forgotten()

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def forget(folder: Path, owner: int) -> None:
    """Remove the folder of worker processes, and so end them, in the process that started them and in no fork of it."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def check(n: int, threads: int, port: int, counted: bool = True) -> None:
    """Raise LabError for what cannot be started beside those that run."""
    running = sum(pool.n for pool in _running if not pool._stopped) if counted else 0
    if not hasattr(os, "fork"):
        raise LabError(
            "Worker processes are forked, and Windows cannot fork. Run the course in WSL (the Linux inside Windows) or "
            "on Binder for the cells with lab.workers(); all others work here."
        )
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise LabError(f"lab.workers({n!r}): ask for 1 to {MOST} worker processes.")
    if n > MOST:
        raise LabError(f"lab.workers({n}): {MOST} worker processes are the most that a machine of the course serves.")
    if running + n > MOST:
        raise LabError(
            f"{running} worker process{'es run' if running > 1 else ' runs'} already, and {n} more would be over "
            f"{MOST}. End the others first: leave their `with` block, or call their stop()."
        )
    if not isinstance(threads, int) or not 1 <= threads <= 64:
        raise LabError(f"threads={threads!r}: a worker has 1 to 64 threads.")
    if not isinstance(port, int) or not (port == 0 or 1024 <= port < 65536):
        raise LabError(f"port={port!r}: leave it out, and a free one is taken, or give one from 1024 to 65535.")


def writable(connection: Any) -> None:
    """Raise LabError where somebody keeps the shop's SQLite file from being written: each worker would wait for it."""
    if connection.in_atomic_block:
        raise LabError(
            "This is the middle of a transaction, and the workers would wait for its end. Leave atomic() first."
        )
    if connection.vendor != "sqlite":
        return
    name = f"{Path(connection.settings_dict['NAME']).absolute().as_uri()}?mode=rw"  # one that is gone stays gone
    try:
        with closing(sqlite3.connect(name, timeout=2, isolation_level=None, uri=True)) as own:
            own.execute("BEGIN IMMEDIATE")
            own.execute("ROLLBACK")
    except sqlite3.Error as problem:
        if "locked" in str(problem):
            raise LabError(
                f"The shop's database is in use ({problem}): another program, or a transaction that never ended, is "
                "writing to it. End that, or restart the kernel; then start the workers again."
            ) from None
        raise LabError(
            f"The shop's database cannot be written ({problem}). Is the disk full, or the folder for temporary files "
            "gone? Mend that, and restart the kernel."
        ) from None
