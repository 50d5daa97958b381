"""A JupyterLab of the test's own: on a port of its own, ended with everything that it started."""

import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    """A port on which nobody listens at this moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def fetch(url: str) -> str:
    """The body of a page."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


@contextmanager
def started(
    command: list[str], port: int, cwd: Path, env: dict[str, str], seconds: float, base: str = "/"
) -> Iterator[float]:
    """Starts a command that serves JupyterLab at `base` and waits until it answers; gives the seconds that this took.

    Raises AssertionError, with what the command said, when it ends or stays silent for longer than `seconds`."""
    log = Path(tempfile.gettempdir()) / f"course-jupyter-{port}.log"
    begun = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=out, stderr=out, start_new_session=True)
    try:
        while True:
            try:
                fetch(f"http://127.0.0.1:{port}{base}api")
                break
            except (urllib.error.URLError, OSError):
                said = log.read_text(errors="replace")[-3000:]
                assert process.poll() is None, f"it ended with {process.returncode}:\n{said}"
                assert time.monotonic() - begun < seconds, f"no answer in {seconds} s:\n{said}"
                time.sleep(0.1)
        yield time.monotonic() - begun
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(timeout=10)
                break
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        log.unlink(missing_ok=True)
