"""Recorded traffic: read, sent to the shop, and summed up on the scoreboard."""

import pandas as pd
import pytest
from django.core.cache import cache
from django.db import connections

from real_shop import fresh_lab, keys, running_lab  # noqa: F401
from test_draw import Shown, display_noted  # noqa: F401
from tutorial_project.lab import replica, traffic
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.errors import LabError
from tutorial_project.shop.models import Product, Tag

COUNTED = ["page", "status", "queries", "hits", "misses", "uses"]


def trace_of(*requests: tuple[str, str, str, str]) -> pd.DataFrame:
    """A trace of (user, method, path, body), a second apart."""
    rows = [(t, user, "", "en", *rest) for t, (user, *rest) in enumerate(requests)]
    return pd.DataFrame(rows, columns=list(traffic.COLUMNS))


# Reading


def test_read_begins_where_asked_and_gives_as_many_as_asked() -> None:
    trace = traffic.read(25, "20:00")
    assert len(trace) == 25 and list(trace.index) == list(range(25))
    assert list(trace.columns) == list(traffic.COLUMNS)
    assert trace["t"].is_monotonic_increasing and trace["t"].iloc[0] >= 20 * 3600
    assert traffic.read(1, "20:00").equals(trace.head(1))
    assert not trace.isna().any().any()


def test_read_gives_the_whole_day_unless_told() -> None:
    day = traffic.read()
    assert len(day) >= 50_000
    assert len(traffic.read(start="12:00")) == (day["t"] >= 12 * 3600).sum()
    assert len(traffic.read(len(day))) == len(day)


@pytest.mark.parametrize("start", ["25:00", "9:00", "09:60", "", "nine", 9, None])
def test_a_start_that_is_no_time_is_one_line(start: str) -> None:
    with pytest.raises(LabError, match="is no time of day"):
        traffic.read(1, start)


@pytest.mark.parametrize("requests", [0, -1, 10**6])
def test_a_number_of_requests_that_cannot_be_is_one_line(requests: int) -> None:
    with pytest.raises(LabError, match="requests from 00:00 on: ask for 1 to"):
        traffic.read(requests)


# Replaying


def test_a_replay_gives_a_row_a_request_and_the_same_counts_twice(lab: Lab) -> None:
    trace = lab.traffic(25)
    lab.keep("popular_products")
    first = lab.replay(trace)
    assert first[list(traffic.COLUMNS)].equals(trace)
    assert (first["status"] < 400).all() and first["queries"].sum() > 100
    assert (first["queries"] == first["sql"].map(len)).all() and (first["sql_ms"].map(len) == first["queries"]).all()
    assert (first["on"].map(lambda on: sum(on.values())) == first["queries"]).all()
    second = lab.replay(25, start="09:00")
    assert second[COUNTED].equals(first[COUNTED])
    assert first["misses"].sum() == 1 and first["hits"].sum() == (first["page"] == "home").sum() - 1


def test_a_replay_begins_clean_whatever_was_before(lab: Lab) -> None:
    clean = lab.replay(12)
    cache.set("popular_products", "rubbish")
    Product.objects.update(price=1)
    again = lab.replay(12)
    assert keys() == [] and Product.objects.filter(price=1).count() < 10
    assert again[COUNTED].equals(clean[COUNTED])


def test_what_is_swapped_and_mounted_stays_in_a_replay(lab: Lab) -> None:
    lab.swap("popular_products", lambda: [])
    cost = lab.visit("/").queries
    run = lab.replay(trace_of(("", "GET", "/", "")))
    assert list(run["queries"]) == [cost]


def test_writes_are_sent_as_the_user_with_their_body(lab: Lab) -> None:
    run = lab.replay(
        trace_of(
            ("alice", "POST", "/cart/add/", "product=3&quantity=2"),
            ("alice", "GET", "/cart/", ""),
            ("alice", "POST", "/checkout/", ""),
        )
    )
    assert list(run["status"]) == [302, 200, 302] and list(run["page"]) == ["cart_add", "cart", "checkout"]
    assert lab.client("alice", "en").session["cart"] == {}


def test_with_two_databases_every_second_page_is_read_from_the_copy(lab: Lab) -> None:
    trace = trace_of(*[("alice", "GET", "/", "")] * 2, ("", "GET", "/", ""), ("", "GET", "/search/?q=lamp", ""))
    one, two = lab.replay(trace), lab.replay(trace, databases=2)
    assert two["queries"].sum() == one["queries"].sum()
    assert [set(on) for on in two["on"]] == [{"default"}, {"replica"}, {"default"}, {"replica"}]
    assert [set(on) for on in one["on"]] == [{"default"}] * 4


def test_the_copy_shows_what_was_written_a_moment_ago(lab: Lab) -> None:
    run = lab.replay(
        trace_of(
            ("", "GET", "/", ""),
            ("alice", "POST", "/cart/add/", "product=3&quantity=2"),  # reads from the copy, and writes to the first
            ("alice", "GET", "/cart/", ""),
            ("alice", "GET", "/cart/", ""),
        ),
        databases=2,
    )
    assert "default" in run["on"][1] and set(run["on"][3]) == {"replica"}
    assert run["queries"][2] == run["queries"][3]  # a cart with a line in it costs more than an empty one
    Tag.objects.all().delete()
    with replica.reading_from("replica"):
        assert Tag.objects.count() > 0
    assert Tag.objects.count() == 0


def test_after_two_databases_one_is_used_again(lab: Lab) -> None:
    trace = trace_of(*[("", "GET", "/search/?q=lamp", "")] * 2)
    lab.replay(trace, databases=2)
    assert [set(on) for on in lab.replay(trace)["on"]] == [{"default"}] * 2
    assert Tag.objects.first()._state.db == "default"  # type: ignore[union-attr]
    assert connections["replica"].settings_dict["NAME"] != connections["default"].settings_dict["NAME"]


@pytest.mark.parametrize(
    ("trace", "said"),
    [
        (pd.DataFrame({"path": ["/"]}), "it lacks t, user, tenant, language, method, body"),
        (pd.DataFrame(columns=list(traffic.COLUMNS)), "no requests in it"),
        (None, "This is no trace"),
        ("traffic.csv", "This is no trace"),
        (0, "ask for 1 to"),
        (trace_of(("zoe", "GET", "/", "")), "a user the shop does not have: 'zoe'"),
        (
            trace_of(("alice", "GET", "/", "")).assign(user=float("nan"), body=None),
            r"no value \(NaN\) .* in user, body",
        ),
    ],
)
def test_what_is_no_trace_is_one_line(lab: Lab, trace: pd.DataFrame, said: str) -> None:
    with pytest.raises(LabError, match=said):
        lab.replay(trace)


def test_three_databases_are_one_line(lab: Lab) -> None:
    with pytest.raises(LabError, match="databases=3 is neither 1 nor 2"):
        lab.replay(1, databases=3)


# The scoreboard


def test_the_board_has_queries_per_thousand_and_the_ratio_of_all_look_ups() -> None:
    run = pd.DataFrame({"queries": [10, 0, 5], "uses": [{"menu": (0, 1)}, {"menu": (2, 0), "set": (0, 0)}, {}]})
    board = traffic.board({"before": run.head(1), "after": run})
    assert list(board.columns) == ["queries", "menu"]
    assert board.loc["before"].tolist() == [10_000, 0]
    assert board.loc["after"].round(3).tolist() == [5_000, 0.667]


def test_the_scoreboard_shows_runs_by_their_names(lab: Lab, shown: Shown) -> None:
    run = pd.DataFrame({"queries": [10], "uses": [{}]})
    lab.scoreboard(no_cache=run, first_three=run)
    assert "(no cache) to 10,000 (first three)" in shown()["text/plain"]


@pytest.mark.parametrize("other", [5, None, [1, 2], pd.DataFrame({"queries": [1]})])
def test_a_scoreboard_of_something_else_is_one_line(lab: Lab, other: pd.DataFrame) -> None:
    with pytest.raises(LabError, match="'mine' is something else"):
        lab.scoreboard(mine=other)


def test_a_scoreboard_of_nothing_is_one_line(lab: Lab) -> None:
    with pytest.raises(LabError, match="wants a run or two"):
        lab.scoreboard()
