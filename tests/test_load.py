"""Load: so many at once or so many a second, counted as a replay counts, the same for the same seed."""

import os
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse

from real_shop import fresh_lab, keys, running_lab  # noqa: F401
from test_traffic import trace_of
from tutorial_project.caching.metering import Counters
from tutorial_project.caching.server_timing import format_header
from tutorial_project.lab import load as module
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.browser import Answer, encoded
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.workers import Workers

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="worker processes are forked"),
    pytest.mark.slow,
]
COLUMNS = [
    *("t", "user", "tenant", "language", "method", "path", "body"),
    *("page", "status", "queries", "hits", "misses", "ms", "uses", "on"),
    *("worker", "server_ms", "sql_ms", "cache_ms", "sent", "error", "client"),
]


def views() -> dict[str, Callable[[HttpRequest], HttpResponse]]:
    """Pages by route; made here, so that they travel as a notebook's do."""

    def crowd(request: HttpRequest) -> HttpResponse:
        """Note under `crowd:<n>` that there are n at a time in here, in all processes."""
        from time import sleep

        cache.set(f"crowd:{cache.incr('inside')}", 1)
        sleep(0.03)
        cache.decr("inside")
        return HttpResponse()

    def slow(request: HttpRequest) -> HttpResponse:
        from time import sleep

        sleep(0.1)
        return HttpResponse()

    def rename(request: HttpRequest) -> HttpResponse:
        me = get_user_model()._default_manager.filter(username=request.user.get_username())
        me.update(first_name=request.POST["name"])
        return HttpResponse()

    def count(request: HttpRequest) -> HttpResponse:
        """Tells by its status how often this browser has been here before."""
        before = int(request.COOKIES.get("count", 0))
        response = HttpResponse(status=200 + before)
        response.set_cookie("count", str(before + 1))
        return response

    return {"crowd/": crowd, "slow/": slow, "rename/": rename, "count/": count}


@pytest.fixture(scope="module")
def running_pool(running_lab: Lab) -> Iterator[Workers]:  # noqa: F811
    """Two workers, with the pages above in them."""
    for route, view in views().items():
        running_lab.mount(route, view)
    with running_lab.workers(2, threads=16) as running:
        running_lab.restore()
        yield running


@pytest.fixture(name="pool")
def fresh_pool(running_pool: Workers, lab: Lab) -> Workers:
    """The same two workers, over the shop as it was loaded."""
    cache.set("inside", 0)
    return running_pool


def crowds() -> list[int]:
    """How many have been in the crowd's page at a time."""
    return sorted(int(key.split(":")[1]) for key in keys() if key.startswith("crowd:"))


# How many, and when


@pytest.mark.parametrize("clients", [1, 5])
def test_a_closed_loop_has_its_clients_there_at_a_time_and_never_more(pool: Workers, clients: int) -> None:
    run = pool.load("/crowd/", clients=clients, requests=40)
    assert crowds() == list(range(1, clients + 1))
    assert len(run) == 40 and set(run["client"]) == set(range(clients)) and (run["status"] == 200).all()
    for _, own in run.groupby("client"):  # each waits for its answer before it asks again
        assert (own["sent"].shift(-1) * 1000 >= own["sent"] * 1000 + own["ms"] - 0.1)[:-1].all()


def test_as_many_as_a_worker_has_threads_are_answered_at_a_time(lab: Lab, pool: Workers) -> None:
    for route, view in views().items():
        lab.mount(route, view)
    with lab.workers(1, threads=2) as narrow:
        cache.set("inside", 0)
        narrow.load("/crowd/", clients=6, requests=18)
    assert crowds() == [1, 2]


def test_a_closed_loop_lasts_as_long_as_told_and_asks_less_of_a_slow_server(pool: Workers) -> None:
    run = pool.load("/slow/", clients=3, seconds=0.8)
    assert 9 <= len(run) <= 24  # 3 clients, and 0.1 s a page
    assert run["sent"].between(0, 0.8).all() and run["sent"].max() > 0.5
    assert run["ms"].between(100, 2000).all() and (run["server_ms"] <= run["ms"]).all()


def test_an_open_loop_keeps_its_rate_however_slow_the_answers_are(pool: Workers) -> None:
    run = pool.load("/slow/", rate=60, seconds=1.5, seed=3)
    assert 60 <= len(run) <= 120  # a closed loop of one would send 15; about 90 are due
    assert run["sent"].is_monotonic_increasing or run["sent"].diff().min() > -0.05
    due = run["sent"].diff().dropna()
    assert 0.4 < due.std() / due.mean() < 1.6  # they come at random, not like clockwork
    again = pool.load("/login/", rate=60, seconds=1.5, seed=3)
    assert len(again) == len(run)


def test_what_a_request_of_an_open_loop_waits_for_its_turn_is_latency(
    pool: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_CLIENTS", 2)  # so that requests wait on this side, as they would in the kernel
    run = pool.load("/slow/", rate=40, requests=30)
    # Two at a time and 0.1 s each: 30 take 1.5 s, and by 0.75 s all are due.
    assert run["sent"].max() > 1.3
    assert run["ms"].max() > 400 > 300 > run["server_ms"].max()
    assert run["ms"].tail(10).mean() > run["ms"].head(5).mean() + 200


# What, and whom


def test_one_seed_is_one_run_and_another_seed_another(pool: Workers) -> None:
    urls = ["/login/", "/login/?a", "/login/?b"]

    def sent(**how: Any) -> list[Any]:
        run = pool.load(urls, requests=40, **how)
        return list(run[["path", "worker"]].itertuples(index=False, name=None))

    one = sent(seed=1)
    assert one == sent(seed=1, clients=6) == sent(seed=1, rate=400)
    assert {path for path, _ in one} == set(urls) and {worker for _, worker in one} == {0, 1}
    other = sent(seed=2)
    assert [path for path, _ in other] != [path for path, _ in one]
    assert [worker for _, worker in other] != [worker for _, worker in one]


def test_the_balancers(pool: Workers) -> None:
    workers = {
        balancer: list(pool.load("/login/", requests=40, clients=4, balancer=balancer)["worker"])
        for balancer in module.BALANCERS
    }
    assert workers["round robin"] == [0, 1] * 20
    assert workers["random"] != workers["round robin"] and 8 <= sum(workers["random"]) <= 32
    assert set(workers["kernel"]) <= {0, 1}


def test_a_trace_is_sent_once_in_order_and_counted_as_a_replay_counts_it(lab: Lab) -> None:
    trace = lab.traffic(30, "20:00")
    lab.keep("navigation", "popular_products", "product_reviews")
    with lab.workers(1) as single:
        lab.restore_database()
        lab.empty_cache()
        theirs = single.load(trace)
    assert list(theirs.columns) == COLUMNS and "POST" in set(trace["method"])
    ours = lab.replay(trace)
    columns = [*trace.columns, "page", "status", "queries", "hits", "misses", "uses", "on"]
    assert theirs[columns].to_dict("records") == ours[columns].to_dict("records")
    assert theirs["sent"].is_monotonic_increasing and set(theirs["client"]) == {0} and set(theirs["error"]) == {""}
    assert (theirs["sql_ms"] + theirs["cache_ms"] < theirs["server_ms"]).all() and (theirs["cache_ms"] > 0).any()
    lab.scoreboard(workers=theirs, here=ours)


def test_a_number_is_the_recorded_days_first_requests(lab: Lab, pool: Workers) -> None:
    run = pool.load(12, clients=3)
    assert list(run["path"]) == list(lab.traffic(12)["path"])


def test_what_is_posted_passes_csrf_as_the_user_it_is_from(pool: Workers) -> None:
    User = get_user_model()
    trace = trace_of(("alice", "POST", "/rename/", "name=A%26b"), ("bob", "POST", "/rename/", "name=B&x="))
    run = pool.load(trace, clients=2)
    assert list(run["status"]) == [200, 200]
    assert [User._default_manager.get(username=name).first_name for name in ("alice", "bob")] == ["A&b", "B"]


def test_cookies_that_an_answer_sets_are_sent_with_their_owners_next_request(pool: Workers) -> None:
    trace = trace_of(*[("alice", "GET", "/count/", "")] * 3, ("bob", "GET", "/count/", ""))
    assert list(pool.load(trace, balancer="round robin")["status"]) == [200, 201, 202, 200]
    browser = module.Browser(language="de")
    browser.keep(["a=1; Path=/", "b=2; HttpOnly"])
    browser.keep(["a=3", 'c="x\\054 y"'])  # in quotes, and back in them
    sent = {"Connection": "close", "Cookie": 'a=3; b=2; c="x\\054 y"', "Accept-Language": "de"}
    assert browser.headers(posting=False) == sent
    assert module.Browser(SimpleCookie({"c": "x, y"})).cookies == {"c": '"x\\054 y"'}


def test_a_worker_that_has_replaced_another_is_known_by_its_number() -> None:
    pool: Any = SimpleNamespace(pids=[1, 2], port=9)
    sender, answer = module.Sender(pool), Answer(headers={"Server-Timing": format_header(Counters(), 0.1)})
    pool.pids = [1, os.getpid()]  # who wrote that header
    sender._count(answer)
    assert answer.worker == 1
    assert "UnicodeEncodeError" in sender.send("/\ud800", None, module.Browser()).error


def test_a_form_is_sent_field_after_field() -> None:
    assert encoded({"a": [1, "ä"], "b": "x y"}) == "a=1&a=%C3%A4&b=x+y"


def test_a_view_that_was_taken_out_is_said_and_a_product_that_is_none_is_a_404(pool: Workers) -> None:
    with pytest.raises(LabError, match=r"No view of this shop answers at /nowhere/\. .*lab\.mount"):
        pool.load("/nowhere/", requests=3)
    assert set(pool.load(["/nowhere/", "/login/"], requests=12)["status"]) == {404, 200}
    assert set(pool.load("/product/99999/?a=1", requests=2)["status"]) == {404}


def test_a_page_is_named_by_its_address() -> None:
    assert [module.page_of(url) for url in ("/", "/product/7/?a=1", "/nowhere/")] == ["home", "product", ""]


# What cannot be


@pytest.mark.parametrize(
    ("what", "how", "said"),
    [
        ("/", {"requests": 1, "clients": 0}, "1 to 64 visitors"),
        ("/", {"requests": 1, "clients": 65}, "1 to 64 visitors"),
        ("/", {"requests": 1, "clients": 1.5}, "1 to 64 visitors"),
        ("/", {"requests": 1, "rate": 0}, "above 0"),
        ("/", {"requests": 1, "rate": -5}, "above 0"),
        ("/", {"requests": 1, "rate": 1e9}, "at most 2000"),
        ("/", {"requests": 1, "rate": float("nan")}, "above 0"),
        ("/", {"requests": 1, "rate": 10, "clients": 2}, "give one of them"),
        ("/", {"seconds": 0}, "up to 60 seconds"),
        ("/", {"seconds": 61}, "up to 60 seconds"),
        ("/", {"seconds": "1"}, "up to 60 seconds"),
        ("/", {"requests": 0}, "whole number from 1"),
        ("/", {"requests": 2.5}, "whole number from 1"),
        ("/", {"requests": 1, "balancer": "fair"}, "'round robin'"),
        ("/", {}, "Give requests= or seconds="),
        ([], {"requests": 1}, "Ask for paths"),
        (None, {"requests": 1}, "Ask for paths"),
        ("login/", {"requests": 1}, "Ask for paths"),
        (["/", "http://example.org/"], {"requests": 1}, "Ask for paths"),
        (["/", 5], {"requests": 1}, "Ask for paths"),
        (0, {}, "ask for 1 to"),
        (pd.DataFrame({"path": ["/"]}), {}, "no trace"),
        (trace_of(("mallory", "GET", "/", "")), {}, "'mallory'"),
        (trace_of(("", "GET", "/", "")).assign(language="日本"), {}, "give a language code"),
        (trace_of(("", "GET", "/", "")).assign(user=None), {}, "no value .NaN. .* in user"),
        ("/", {"rate": 2000, "seconds": 60}, "120,000 requests: 100,000"),
        ("/", {"requests": 100_001}, "whole number from 1 to 100,000"),
        *(("/", {"requests": 1, "timeout": timeout}, "above 0 and at most 60") for timeout in (-1, 0, "5", None, 61)),
        ("/\ud800", {"requests": 1}, "Ask for paths"),
        ("/", {"rate": 0.001, "seconds": 0.01}, "raise the rate"),
    ],
)
def test_a_load_that_cannot_be_is_one_line_and_nothing_is_sent(
    pool: Workers, monkeypatch: pytest.MonkeyPatch, what: Any, how: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr(module.Sender, "send", None)
    with pytest.raises(LabError, match=said):
        pool.load(what, **how)
