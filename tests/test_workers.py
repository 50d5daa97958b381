"""Worker processes over the shop: there at once, on this machine alone, over the notebook's own database and cache."""

import os
import re
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse

from real_shop import fresh_lab, running_lab  # noqa: F401
from test_reaper import eventually, runs
from tutorial_project.lab.backends import backend
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.servers import free_port, taken
from tutorial_project.lab.workers import Workers
from tutorial_project.shop.models import Tenant

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="worker processes are forked"),
    pytest.mark.slow,
]


class Seen(NamedTuple):
    """What a running pool consists of."""

    pids: list[int]  # the master's, then the workers'
    ports: list[int]
    folder: Path


def seen(pool: Workers) -> Seen:
    """What this pool consists of now; all of it is there."""
    it = Seen([pool._pid, *pool.pids], [pool.port, *pool.ports], pool.folder)
    assert all(map(runs, it.pids)) and all(map(taken, it.ports)) and it.folder.is_dir()
    return it


def left_of(it: Seen) -> list[object]:
    """What of it is still there."""
    return [*filter(runs, it.pids), *filter(taken, it.ports), *filter(Path.exists, [it.folder])]


def left_in(folder: Path) -> list[object]:
    """Pools' folders in this lab's folder, and the processes that were started with them, as masters or as workers."""
    started = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(str(folder / "workers-") in word for word in process.info["cmdline"] or []) and runs(process.pid)
    ]
    return [*folder.glob("workers-*"), *started]


def without_tokens(page: str) -> str:
    """The page without what differs each time: the tokens in its forms."""
    return re.sub(r'"\w{64}"', "", page)


@pytest.fixture(name="pool")
def two_workers(lab: Lab) -> Iterator[Workers]:
    """Two workers over the shop as it is."""
    with lab.workers(2) as running:
        yield running


def test_eight_are_there_at_once_and_gone_with_their_block(lab: Lab) -> None:
    started = time.monotonic()
    with lab.workers(8) as pool:
        took = time.monotonic() - started
        it = seen(pool)
        assert len(set(it.pids)) == 9 and len(set(it.ports)) == 9
        children = [child.pid for child in psutil.Process(pool._pid).children()]
        assert sorted(children) == sorted(pool.pids)
        assert [pool.get("/login/", worker).worker for worker in range(8)] == list(range(8))
    assert not left_of(it) and not left_in(lab.environment.folder)
    assert took < 8  # it is less than one on an idle machine; others may be working beside this


def test_nobody_else_can_reach_them(pool: Workers) -> None:
    listening = {
        connection.laddr
        for pid in [pool._pid, *pool.pids]
        for connection in psutil.Process(pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert sorted(listening) == sorted(("127.0.0.1", port) for port in (pool.port, *pool.ports))
    assert pool.url == f"http://127.0.0.1:{pool.port}"
    assert pool.folder.stat().st_mode & 0o777 == 0o700


def test_their_database_is_the_notebooks(lab: Lab) -> None:
    def rename(request: HttpRequest) -> HttpResponse:
        before = Tenant.objects.get(pk=1).name
        Tenant.objects.filter(pk=1).update(name="theirs")
        return HttpResponse(before)

    lab.mount("rename/", rename)
    with lab.workers(2) as pool:
        Tenant.objects.filter(pk=1).update(name="ours")
        assert pool.get("/rename/", 0).text == "ours"
        assert Tenant.objects.get(pk=1).name == "theirs"
        assert pool.get("/rename/", 1).text == "theirs"


def test_their_cache_server_is_the_notebooks(lab: Lab) -> None:
    def swap(request: HttpRequest) -> HttpResponse:
        before = cache.get("whose")
        cache.set("whose", "theirs")
        return HttpResponse(before)

    lab.mount("swap/", swap)
    with lab.workers(2) as pool:
        cache.set("whose", "ours")
        assert pool.get("/swap/", 0).text == "ours"
        assert cache.get("whose") == "theirs"
        assert pool.get("/swap/", 1).text == "theirs"


def test_an_answer_tells_what_it_cost_as_a_visit_does(lab: Lab, pool: Workers) -> None:
    visit, answer = lab.visit("/product/1/"), pool.get("/product/1/", 1)
    assert (answer.status, answer.worker, answer.error) == (200, 1, "")
    assert answer.queries == visit.queries > 0
    assert without_tokens(answer.text) == without_tokens(visit.text)
    assert "text/html" in answer.headers["Content-Type"]
    assert 0 < answer.server_seconds < answer.seconds and 0 < answer.sql_seconds < answer.server_seconds
    assert answer.rows()[:2] == [("status", "200"), ("SQL queries", str(visit.queries))]
    assert pool.get("/product/99999/", 0).status == 404


def test_whoever_takes_it_says_who_it_was(pool: Workers) -> None:
    assert pool.get("/login/").worker in (0, 1)


def test_somebody_who_is_signed_in_is_so_in_every_worker_and_asks_in_their_language(lab: Lab, pool: Workers) -> None:
    lab.visit("/cart/add/", who="alice", data={"product": 1, "quantity": 2})
    ours, strangers = (without_tokens(lab.visit("/cart/", who=who).text) for who in ("alice", None))
    assert ours != strangers
    for worker in (0, 1):
        assert without_tokens(pool.get("/cart/", worker, who="alice").text) == ours
        assert without_tokens(pool.get("/cart/", worker).text) == strangers
    for language in ("en", "de"):
        assert pool.get("/", 0, language=language).headers["Content-Language"] == language


def test_what_is_sent_passes_csrf_and_is_written_once(lab: Lab) -> None:
    def rename(request: HttpRequest) -> HttpResponse:
        me = get_user_model()._default_manager.filter(username=request.user.get_username())
        me.update(first_name=request.POST["name"])
        return HttpResponse(request.method)

    lab.mount("rename/", rename)
    with lab.workers(2) as pool:
        assert pool.get("/rename/", 1, who="alice", data={"name": "Ä & b"}).text == "POST"
        assert get_user_model()._default_manager.get(username="alice").first_name == "Ä & b"
        connection = HTTPConnection("127.0.0.1", pool.ports[0])
        connection.request("POST", "/rename/", "name=forged", {"Content-Type": "application/x-www-form-urlencoded"})
        assert connection.getresponse().status == 403
        connection.close()


def test_a_replay_starts_from_the_shop_as_loaded_and_equals_the_labs(lab: Lab) -> None:
    lab.keep("popular_products", "navigation")
    with lab.workers(1) as kept:
        Tenant.objects.filter(pk=1).update(name="changed")
        cache.set("rest", 1)
        theirs = kept.replay(15)
        assert Tenant.objects.get(pk=1).name != "changed" and cache.get("rest") is None
    ours = lab.replay(15)
    columns = ["t", "user", "path", "page", "status", "queries", "hits", "misses", "uses", "on"]
    assert theirs[columns].to_dict("records") == ours[columns].to_dict("records")
    assert theirs["hits"].sum() > 0 < theirs["misses"].sum() and set(theirs["worker"]) == {0}
    backend("file").set("rest", 1)
    with lab.workers(1, cache="file") as filed:
        filed.replay(1)
    assert backend("file").get("rest") is None


def test_a_port_that_is_asked_for_is_taken_and_free_again_at_once(lab: Lab) -> None:
    port = free_port()
    for _ in range(2):
        with lab.workers(1, port=port) as pool:
            assert pool.url == f"http://127.0.0.1:{port}" and pool.get("/login/").status == 200


def test_two_pools_stand_side_by_side_and_end_by_themselves(lab: Lab) -> None:
    with lab.workers(1) as one, lab.workers(2, cache="locmem") as two:
        assert not set(seen(one).pids) & set(seen(two).pids)
        if not (child := os.fork()):  # a fork of the notebook ends none of them
            one.stop()
            one._forgotten()
            os._exit(0)
        os.waitpid(child, 0)
        assert one.get("/login/").status == 200 and one.folder.exists()
        workers = one.pids
        one.stop()
        assert sys.platform != "linux" or not any(map(psutil.pid_exists, workers))  # and no zombies
        assert two.get("/login/").status == 200
        assert (str(one), str(two)) == (
            "1 worker process over the shop, cache redis: stopped",
            "2 worker processes over the shop, cache locmem: running",
        )


def test_a_worker_that_is_killed_is_replaced_with_an_empty_memory_and_the_others_keep_theirs(lab: Lab) -> None:
    memory: list[int] = []

    def remember(request: HttpRequest) -> HttpResponse:
        memory.append(1)
        return HttpResponse(str(len(memory)))

    lab.mount("remember/", remember)
    with lab.workers(2) as pool:
        assert [pool.get("/remember/", worker).text for worker in (0, 0, 1, 1)] == ["1", "2", "1", "2"]
        (old, other), ports = pool.pids, list(pool.ports)
        pool.kill(0)
        assert not runs(old) and pool.pids[0] != old and pool.pids[1] == other and pool.ports == ports
        assert [pool.get("/remember/", worker).text for worker in (0, 1)] == ["1", "3"]
        assert pool.get("/remember/", 0).worker == 0
        os.kill(pool.pids[1], 9)  # by somebody else
        assert eventually(lambda: pool.pids[1] != other)
        assert [pool.get("/remember/", worker).text for worker in (0, 1)] == ["3", "1"]
        assert memory == []
