"""`manage.py runserver` shows the shop and takes along what it started; other commands say what is missing."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener, urlopen

import pytest

from test_reaper import eventually
from tutorial_project.lab.servers import free_port

ROOT = Path(__file__).resolve().parent.parent
MANAGE = [sys.executable, str(ROOT / "tutorial_project" / "manage.py")]


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=10) as response:
            return bool(response.status == 200)
    except (URLError, ConnectionError):
        return False


def listens(url: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(url.rstrip("/").rpartition(":")[2])), timeout=5).close()
        return True
    except OSError:
        return False


@contextmanager
def runserver(*flags: str, cwd: Path = ROOT) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The process, its address, and the line it printed first."""
    port = free_port()
    process = subprocess.Popen(
        [*MANAGE, "runserver", f"127.0.0.1:{port}", *flags],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert eventually(lambda: answers(f"http://127.0.0.1:{port}/"), 30)
        yield process, f"http://127.0.0.1:{port}/", line
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def folder_of(line: str) -> Path:
    match = re.search(r"database is (\S+)/shop.sqlite3", line)
    assert match, line
    return Path(match[1])


@pytest.mark.skipif(os.name == "nt", reason="ends processes by signals")
def test_runserver_shows_the_shop_and_lets_people_in(tmp_path: Path) -> None:
    with runserver(cwd=tmp_path) as (process, url, line):
        password = line.split()[-1]
        for who in ("alice", "dora", "admin"):
            browser = build_opener(HTTPCookieProcessor(CookieJar()))
            page = browser.open(f"{url}login/").read().decode()
            token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
            assert token
            form = {"username": who, "password": password, "csrfmiddlewaretoken": token[1]}
            assert browser.open(f"{url}login/", urlencode(form).encode()).url == url
        with urlopen(url) as home:
            sheet = re.search(r'href="(/static/[^"]+\.css)"', home.read().decode())
        assert sheet and answers(url.rstrip("/") + sheet[1])
        folder = folder_of(line)
        assert folder.exists()
        os.killpg(process.pid, signal.SIGINT)
        process.wait(10)
        assert eventually(lambda: not folder.exists()) and not answers(url)


@pytest.mark.skipif(os.name == "nt", reason="ends processes by signals")
@pytest.mark.parametrize("flags", [(), ("--noreload",)])
def test_a_runserver_killed_outright_leaves_nothing(flags: tuple[str, ...]) -> None:
    with runserver(*flags) as (process, url, line):
        process.kill()
        process.wait()
        assert eventually(lambda: not folder_of(line).exists() and not listens(url))


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (
            ["shell", "-v0", "-c", "from django.core.cache import cache; cache.get('a')"],
            "The cache server does not work",
        ),
        (
            ["shell", "-v0", "-c", "from tutorial_project.shop.models import Tag; len(Tag.objects.all())"],
            "The database",
        ),
        (["runserver"], "TUTORIAL_CACHE is 'no'"),
    ],
)
def test_what_a_command_lacks_is_said_in_one_line(command: list[str], says: str) -> None:
    environment = os.environ | {"DATABASE_URL": "sqlite:////dev/null/x", "TUTORIAL_CACHE": "no"}
    environment["REDIS_URL"] = f"redis://127.0.0.1:{free_port()}/0"
    if command == ["runserver"]:
        del environment["REDIS_URL"]
    done = subprocess.run([*MANAGE, *command], capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and done.stderr.startswith(says) and done.stderr.count("\n") == 1, done.stderr


def test_a_command_that_needs_neither_works(tmp_path: Path) -> None:
    done = subprocess.run([*MANAGE, "check"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "no issues" in done.stdout


@pytest.mark.slow
def test_audit_cache_starts_what_it_needs_where_nothing_is_named(tmp_path: Path) -> None:
    named = ("DATABASE_URL", "REDIS_URL")
    environment = {name: value for name, value in os.environ.items() if name not in named}
    command = [*MANAGE, "audit_cache", "/", "/cart/", "/product/1/"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "3 pages read by alice, en;" in done.stdout and "No page puts anything into a cache." in done.stdout
