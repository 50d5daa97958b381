"""Whatever happens to worker processes, or to whoever started them: one clear line, and nothing of them is left."""

import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse

from real_shop import fresh_lab, running_lab  # noqa: F401
from test_reaper import eventually, runs
from test_workers import Seen, left_in, left_of, seen
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.errors import LabError

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="worker processes are forked"),
    pytest.mark.slow,
]
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of a killed process")
# A kernel of its own: it starts two workers, says which, and then does what it is told.
OWNER = """
import json, os, signal, sys, threading, time
from tutorial_project.lab import boot
lab = boot()
def endless(request):
    while True: pass
lab.mount("endless/", endless)
pool = lab.workers(2)
told = [pool._pid, *pool.pids], [pool.port, *pool.ports], str(pool.folder), lab.environment.reaper.pid
print(json.dumps(told), flush=True)
sys.stdin.readline()  # whoever asks has seen that they run
{then}
"""


def owner(then: str) -> tuple[subprocess.Popen[str], Seen, int]:
    """A process with two workers, what they consist of, and the id of its reaper."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER.format(then=then)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin and process.stdout
    pids, ports, folder, reaper = json.loads(process.stdout.readline())
    it = Seen(pids, ports, Path(folder))
    assert len(left_of(it)) == 7 and runs(reaper)
    print(file=process.stdin, flush=True)
    return process, it, reaper


@contextmanager
def interrupted(after: float) -> Iterator[None]:
    """The user interrupts this block after so many seconds, and it ends with that."""
    timer = threading.Timer(after, os.kill, [os.getpid(), signal.SIGINT])
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        try:
            yield
        finally:
            if timer.is_alive():  # it has ended too early: no interrupt shall end the tests
                timer.cancel()


@contextmanager
def taking_at_most(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


@pytest.fixture
def endless(lab: Lab) -> str:
    """The path of a page that is never done."""

    def endless(request: HttpRequest) -> HttpResponse:
        while True:
            pass

    return lab.mount("endless/", endless)


# Nothing is left


def test_a_block_that_raises_ends_them_and_a_second_stop_does_nothing(lab: Lab) -> None:
    with pytest.raises(ZeroDivisionError), lab.workers(2) as pool:
        it = seen(pool)
        1 / 0
    assert not left_of(it) and not left_in(lab.environment.folder)
    pool.stop()
    with pytest.raises(LabError, match="stopped"):
        pool.get("/login/")
    with pytest.raises(LabError, match="stopped"):
        pool.load("/login/", requests=1)


@pytest.mark.parametrize("seconds", [0.01, 0.15, 0.4])
def test_an_interrupt_while_they_start_leaves_nothing(lab: Lab, seconds: float) -> None:
    with interrupted(seconds), lab.workers(8):
        time.sleep(5)
    # What the reaper has just been asked to start may come up only now; it finds no folder, and ends.
    time.sleep(0.5)
    assert eventually(lambda: not left_in(lab.environment.folder))


def test_an_interrupt_before_their_id_is_known_leaves_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def start(*args: Any, **kwargs: Any) -> int:
        started.append(real(*args, **kwargs))
        assert eventually(lambda: len(list(lab.environment.folder.glob("workers-*/worker-?"))) == 2)
        raise KeyboardInterrupt

    real = lab.environment.reaper.start
    monkeypatch.setattr(lab.environment.reaper, "start", start)
    with pytest.raises(KeyboardInterrupt):
        lab.workers(2)
    assert started and eventually(lambda: not runs(started[0]) and not left_in(lab.environment.folder))


def test_an_interrupt_in_the_middle_of_a_load_ends_it_at_once(lab: Lab, endless: str) -> None:
    with lab.workers(2) as pool:
        it = seen(pool)
        with taking_at_most(3), interrupted(0.5):
            pool.load([endless, "/login/"], clients=6, seconds=30, timeout=30)
        assert not [one for one in threading.enumerate() if "visit" in one.name and one.is_alive()]
        assert pool.get("/login/", 0).status == 200
    assert eventually(lambda: not left_of(it))


def test_an_interrupt_while_they_are_stopped_leaves_nothing(lab: Lab, endless: str) -> None:
    pool = lab.workers(2)
    it = seen(pool)
    with pytest.raises(LabError):
        pool.get(endless, 0, timeout=0.2)
    with interrupted(0.2):
        pool.stop()  # the endless page takes it a second
        time.sleep(5)
    assert eventually(lambda: not left_of(it))


def test_a_pool_that_is_forgotten_ends(lab: Lab) -> None:
    pool = lab.workers(2)
    it = seen(pool)
    del pool
    gc.collect()
    assert eventually(lambda: not left_of(it))


def test_a_worker_in_an_endless_request_is_ended_too(lab: Lab, endless: str) -> None:
    with lab.workers(2) as pool:
        it = seen(pool)
        with pytest.raises(LabError, match="Worker 1: no answer within 0.3 s"), taking_at_most(2):
            pool.get(endless, 1, timeout=0.3)
        assert [pool.get("/login/", worker).status for worker in (0, 1)] == [200, 200]
        run = pool.load(endless, requests=2, balancer="round robin", timeout=0.3)
        assert list(run["status"]) == [0, 0] and run["error"].str.contains("no answer within").all()
        assert list(run["worker"]) == [0, 1] and run["ms"].between(300, 2000).all()
        with taking_at_most(4):
            pool.stop()
    assert eventually(lambda: not left_of(it), 1)


@linux_only
def test_a_master_that_is_killed_takes_its_workers_with_it_and_the_next_question_says_so(
    lab: Lab, endless: str
) -> None:
    with lab.workers(2) as pool:
        it = seen(pool)
        with pytest.raises(LabError):
            pool.get(endless, 0, timeout=0.2)  # gunicorn's own worker would go on with it
        os.kill(pool._pid, signal.SIGKILL)
        assert eventually(lambda: not [*filter(runs, it.pids)])
        with pytest.raises(LabError, match=r"have ended .* Start others with lab.workers\(\)") as raised:
            pool.get("/login/")
        assert "\n" not in str(raised.value)
        assert eventually(lambda: not left_of(it))
    with lab.workers(16) as other:  # the dead are not counted
        assert other.n == 16


@pytest.mark.parametrize(
    "then", ["time.sleep(60)", "pool.get('/endless/', 0, timeout=60)", "pool.load('/', seconds=60)"]
)
def test_an_owner_that_is_killed_leaves_nothing(then: str) -> None:
    process, it, reaper = owner(then)
    time.sleep(0.3)
    process.kill()
    process.wait()
    assert eventually(lambda: not left_of(it) and not runs(reaper))


def test_an_owner_that_just_ends_leaves_nothing() -> None:
    process, it, reaper = owner("")
    assert process.wait(10) == 0
    assert not left_of(it) and not runs(reaper)


@linux_only
def test_a_reaper_that_is_killed_takes_them_with_it_and_the_owner_says_so() -> None:
    then = """
os.kill(lab.environment.reaper.pid, signal.SIGKILL)
for ask in (lambda: pool.get("/"), lambda: lab.workers(1)):
    try:
        ask()
    except Exception as problem:
        print(type(problem).__name__, problem, flush=True)
pool.stop()
print("stopped", flush=True)
sys.stdin.readline()
"""
    process, it, reaper = owner(then)
    assert process.stdout and process.stdin
    said = [process.stdout.readline() for _ in range(3)]
    assert all(line.startswith("LabError") and "Restart the kernel" in line for line in said[:2]), said
    assert said[2] == "stopped\n"
    assert eventually(lambda: not left_of(it) and not runs(reaper))
    assert not left_in(it.folder.parent)
    process.stdin.close()
    process.wait(10)


# What goes wrong while they run


def test_a_view_that_raises_is_a_500_that_names_the_exception(lab: Lab) -> None:
    def crash(request: HttpRequest) -> HttpResponse:
        print("error: printed", flush=True)
        raise ValueError(f"{request.GET['said']}\r\nX-Forged: 1\x00")

    lab.mount("crash/", crash)
    with lab.workers(1) as pool:
        answer = pool.get("/crash/?said=öh")
        assert answer.status == 500 and answer.error.startswith("ValueError: ?h X-Forged: 1")
        assert "X-Forged" not in answer.headers and ("error", answer.error) in answer.rows()
        assert answer.worker == 0 and answer.server_seconds > 0
        assert "Traceback" in pool.log() and "in crash" in pool.log()
        assert "error: printed" in pool.log()
        assert re.match(r"\[\d{4}-.*Booting", pool._last_words())  # neither has ended a server
        run = pool.load(["/crash/?said=a", "/login/"], requests=12)
        assert set(zip(run["status"], run["error"].str[:10], strict=True)) == {(500, "ValueError"), (200, "")}
        assert pool.get("/login/").error == ""


def test_clients_that_say_nothing_or_half_of_it_stop_nobody(lab: Lab) -> None:
    with ExitStack() as open_ones, lab.workers(2) as pool:
        it = seen(pool)
        for said in (b"", b"GET /login/ HTTP/1.1\r\nHost: 127", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"):
            for port in (pool.ports[0], pool.port):
                client = open_ones.enter_context(socket.create_connection(("127.0.0.1", port)))
                client.sendall(said)
        time.sleep(0.2)
        with taking_at_most(4):
            assert {pool.get("/login/", worker).status for worker in (0, 1, None) * 3} == {200}
        with taking_at_most(3.5):
            pool.stop()
        assert eventually(lambda: not left_of(it), 1)


def test_a_worker_killed_in_the_middle_of_a_load_costs_what_it_was_answering(lab: Lab) -> None:
    with lab.workers(2) as pool:
        before = pool.pids[0]
        timer = threading.Timer(0.5, pool.kill, [0])
        timer.start()
        run = pool.load("/login/", clients=4, seconds=2.5, balancer="round robin")
        timer.join()
        assert pool.pids[0] != before
        failed = run[run["status"] != 200]
        assert len(failed) <= 6 and (failed["worker"] == 0).all() and (failed["status"] == 0).all()
        assert {0, 1} == set(run[run["sent"] > 1.5]["worker"])
