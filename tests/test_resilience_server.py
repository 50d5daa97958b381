"""What one operation of Django's RedisCache costs while its server is frozen or gone, and after it: the resilience
module says so in its docstring, and its breaker rests on it."""
# ruff: noqa: E402

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

import small_shop  # noqa: F401  # sets Django up

# isort: split
from django.core.cache.backends.redis import RedisCache

from tutorial_project.caching import atomic
from tutorial_project.caching.resilience import Breaker, failures
from tutorial_project.lab.fleet_server import Server
from tutorial_project.lab.reaper import Reaper

TIMEOUT = 0.4  # seconds
SLACK = 0.3  # that a busy machine may add: two timeouts are still told from one
STEPS: dict[str, Callable[[Any], Any]] = {
    "get": lambda cache: cache.get("menu"),
    "set": lambda cache: cache.set("menu", "new", 60),
    "delete_many": lambda cache: cache.delete_many(["menu", "menu:lease"]),
    "acquire": lambda cache: atomic.acquire("menu:lease", "me", 10, cache=cache),
    "commit": lambda cache: atomic.commit("menu:lease", "me", "new", 60, into="menu", cache=cache),
}


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    reaper = Reaper()
    yield Server(reaper, reaper.make_folder())
    reaper.close()


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    yield running
    running.well()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was sent to a server, one entry each time."""
    packed: list[Any] = []
    send = redis.Connection.send_packed_command

    def noted(self: Any, command: Any, *arguments: Any, **more: Any) -> None:
        packed.append(command)
        send(self, command, *arguments, **more)

    monkeypatch.setattr(redis.Connection, "send_packed_command", noted)
    return packed


def cache_at(server: Server, **options: Any) -> Any:
    """Django's Redis cache, connected, with an entry; as the module says it should be set up."""
    cache = RedisCache(
        server.url, {"OPTIONS": {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT} | options}
    )
    cache.set("menu", "soup", 60)
    return cache


def fails_after(cache: Any, step: Callable[[Any], Any]) -> float:
    """Seconds until this step fails in a way that means: the server is away."""
    began = time.monotonic()
    with pytest.raises(failures(cache)):
        step(cache)
    return time.monotonic() - began


@pytest.mark.parametrize("name", STEPS)
def test_one_operation_on_a_frozen_server_takes_one_timeout_and_is_not_tried_again(
    name: str, server: Server, sent: list[Any]
) -> None:
    cache = cache_at(server)
    server.freeze()
    sent.clear()
    took = fails_after(cache, STEPS[name])
    assert len(sent) == 1 and TIMEOUT * 0.95 <= took < TIMEOUT + SLACK, took


def test_so_does_one_that_has_to_connect_first(server: Server) -> None:
    cache = RedisCache(server.url, {"OPTIONS": {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}})
    server.freeze()  # the kernel accepts the connection, and nobody answers
    assert TIMEOUT * 0.95 <= fails_after(cache, STEPS["get"]) < TIMEOUT + SLACK


def test_twice_that_where_it_is_told_to_retry(server: Server) -> None:
    cache = cache_at(server, retry_on_timeout=True)
    server.freeze()
    assert 2 * TIMEOUT * 0.95 <= fails_after(cache, STEPS["get"]) < 2 * TIMEOUT + 2 * SLACK


@pytest.mark.parametrize("name", STEPS)
def test_one_on_a_server_that_is_gone_fails_at_once(name: str, server: Server) -> None:
    cache = cache_at(server)
    server.refuse()
    assert fails_after(cache, STEPS[name]) < SLACK
    assert fails_after(cache, STEPS[name]) < SLACK


@pytest.mark.skipif(int(redis.__version__.split(".")[0]) < 8, reason="before it, there was no timeout")
def test_without_settings_it_is_the_clients_five_seconds_and_no_retry(server: Server) -> None:
    cache: Any = RedisCache(server.url, {})
    connection = cache._cache._get_connection_pool(write=False).make_connection()
    assert (connection.socket_timeout, connection.socket_connect_timeout) == (5, 5)
    assert connection.retry.get_retries() == 0


def test_nobody_is_given_the_answer_to_an_earlier_question(server: Server) -> None:
    cache = cache_at(server)
    cache.set("rates", 1.08, 60)
    server.freeze()
    fails_after(cache, STEPS["get"])
    server.thaw()  # now it answers what it was asked before
    assert cache.get("rates") == 1.08


def test_connections_that_a_restart_has_cut_are_noticed_before_they_are_used(server: Server) -> None:
    cache = cache_at(server)
    pool = cache._cache._get_connection_pool(write=True)
    idle = [pool.get_connection() for _ in range(4)]
    for connection in idle:
        pool.release(connection)
    server.refuse()
    server.back()
    for _ in range(4):
        cache.set("menu", "soup", 60)
    assert cache.get("menu") == "soup"


def test_an_open_breaker_costs_so_many_timeouts_and_one_a_pause(server: Server, sent: list[Any]) -> None:
    cache, breaker = cache_at(server), Breaker(after=2, pause=60.0)
    server.freeze()
    sent.clear()
    began = time.monotonic()
    for _ in range(50):
        if breaker.closed:
            with pytest.raises(failures(cache)) as raised:
                cache.get("menu")
            breaker.failed(raised.value)
    took = time.monotonic() - began
    assert took < 2 * TIMEOUT + 2 * SLACK and not breaker.closed
    asked = sum(b"\r\nGET\r\n" in b"".join(command) for command in sent)
    assert asked == 1  # the second try came no further than to connect
