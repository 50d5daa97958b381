"""Worker processes that cannot be started, or asked: one line that says what to do, and nothing is left of the try."""

import errno
import io
import os
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse

from real_shop import fresh_lab, running_lab  # noqa: F401
from test_workers import left_in, two_workers  # noqa: F401
from test_workers_failing import taking_at_most
from tutorial_project.lab import arrangement
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.reaper import Reaper, ReaperGone
from tutorial_project.lab.workers import Workers, writable

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="worker processes are forked")


def test_a_server_that_does_not_come_up_says_why_in_one_line(lab: Lab) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return eval, ("1 / 0",)

        def __call__(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse()

    lab.mount("trap/", Trap())
    with pytest.raises(LabError, match="did not start: ZeroDivisionError: division by zero"):
        lab.workers(2)
    assert not left_in(lab.environment.folder)


def test_a_server_that_takes_too_long_is_ended(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutorial_project.lab.workers.PATIENCE", 0.1)
    with pytest.raises(LabError, match=r"not ready within 0\.1 s: it left no message"):
        lab.workers(2)
    assert not left_in(lab.environment.folder)


def test_a_program_that_cannot_be_started_leaves_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*args: Any, **kwargs: Any) -> int:
        raise ReaperGone

    monkeypatch.setattr(lab.environment.reaper, "start", gone)
    with pytest.raises(LabError, match="Restart the kernel"):
        lab.workers(2)
    assert not left_in(lab.environment.folder)


@pytest.mark.parametrize(
    ("what", "number"), [("folder", errno.ENOENT), ("arrangement", errno.ENOSPC), ("start", errno.E2BIG)]
)
def test_a_full_disk_or_a_folder_that_is_gone_is_one_line(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str, number: int
) -> None:
    def fail(*args: Any, **kwargs: Any) -> int:
        raise OSError(number, os.strerror(number))

    if what == "folder":
        monkeypatch.setattr(lab.environment, "folder", tmp_path / "gone")
    else:
        monkeypatch.setattr(*{"arrangement": (arrangement, "save"), "start": (Reaper, "start")}[what], fail)
    with pytest.raises(LabError, match=f"cannot be started: .*{os.strerror(number)}.* restart the kernel"):
        lab.workers(1)
    assert not left_in(lab.environment.folder)


def test_a_database_that_is_gone_is_one_line_and_stays_gone(lab: Lab, tmp_path: Path) -> None:
    gone = SimpleNamespace(in_atomic_block=False, vendor="sqlite", settings_dict={"NAME": tmp_path / "ü?#.sqlite3"})
    with pytest.raises(LabError, match=r"cannot be written \(unable to open"):
        writable(gone)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"n": 0}, "1 to 16"),
        ({"n": -1}, "1 to 16"),
        ({"n": "4"}, "1 to 16"),
        ({"n": True}, "1 to 16"),
        ({"n": 2.0}, "1 to 16"),
        ({"n": 100}, "16 worker processes are the most"),
        ({"n": 1, "cache": "memcached"}, "no backend called 'memcached'.*locmem"),
        ({"n": 1, "threads": 0}, "1 to 64 threads"),
        ({"n": 1, "threads": 65}, "1 to 64 threads"),
        ({"n": 1, "port": 80}, "from 1024"),
        ({"n": 1, "port": 65536}, "to 65535"),
        ({"n": 1, "port": "8000"}, "leave it out"),
    ],
)
def test_what_cannot_be_is_one_line(lab: Lab, how: dict[str, Any], said: str) -> None:
    with pytest.raises(LabError, match=said):
        lab.workers(**how)
    assert not left_in(lab.environment.folder)


def test_a_port_that_somebody_has_is_named_and_stays_theirs(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        with pytest.raises(LabError, match="port .* is in use. Leave port="):
            lab.workers(1, port=theirs.getsockname()[1])
        assert not left_in(lab.environment.folder)
        with closing(socket.create_connection(theirs.getsockname())):
            theirs.accept()[0].close()


def test_a_second_pool_beyond_sixteen_in_all_is_refused_and_the_first_serves(lab: Lab, pool: Workers) -> None:
    with pytest.raises(LabError, match="2 worker processes run already, and 15 more"):
        lab.workers(15)
    assert pool.get("/login/").status == 200
    assert left_in(lab.environment.folder)[1:] and len(left_in(lab.environment.folder)) == 4


def test_where_nothing_can_be_forked_it_says_where_it_can(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")
    with pytest.raises(LabError, match="WSL"):
        lab.workers(1)


def test_a_database_that_somebody_else_is_writing_to_is_said_and_not_waited_for(lab: Lab) -> None:
    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with taking_at_most(5), pytest.raises(LabError, match="database is in use"):
            lab.workers(1)
        assert not left_in(lab.environment.folder)
        other.execute("ROLLBACK")
    with lab.workers(1) as pool:
        assert pool.get("/login/").status == 200


def test_in_the_middle_of_a_transaction_none_is_started(lab: Lab) -> None:
    with transaction.atomic(), pytest.raises(LabError, match=r"Leave atomic\(\) first"):
        lab.workers(1)
    assert not left_in(lab.environment.folder)


def test_a_question_that_cannot_be_is_one_line(pool: Workers) -> None:
    questions: dict[str, Callable[[], object]] = {
        "no worker 2 here": lambda: pool.get("/", 2),
        "no worker -1 here": lambda: pool.get("/", -1),
        "no worker 0 here": lambda: pool.get("/", "0"),  # type: ignore[arg-type]
        "Ask for paths": lambda: pool.get("login/"),
        "Nobody here is called 'mallory'": lambda: pool.get("/", who="mallory"),
        "no worker 7 here": lambda: pool.kill(7),
        "timeout='5': give seconds": lambda: pool.get("/", timeout="5"),  # type: ignore[arg-type]
        "language='日本': give": lambda: pool.get("/", language="日本"),
        "language='de.r.nX: 1': give": lambda: pool.get("/", language="de\r\nX: 1"),
        "data is list, and no mapping": lambda: pool.get("/", data=["a"]),  # type: ignore[arg-type]
        "data holds a file, 'b'": lambda: pool.get("/", data={"a": 1, "b": io.BytesIO()}),
        "data cannot be sent": lambda: pool.get("/", data={"a": "\ud800"}),
    }
    for said, ask in questions.items():
        with pytest.raises(LabError, match=said):
            ask()
    assert pool.get("/login/").status == 200
