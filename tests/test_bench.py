"""The lab: pages, changes for one lesson and their end, starting anew."""

import pytest
from django.core.cache import cache
from django.db import transaction
from django.http import HttpResponse, StreamingHttpResponse
from django.utils import translation

from real_shop import fresh_lab, keys, running_lab  # noqa: F401
from tutorial_project.lab.bench import Lab, current
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.exercises import EXERCISES, Exercise
from tutorial_project.lab.judging import check
from tutorial_project.shop import selectors
from tutorial_project.shop.models import Tag, Tenant


def empty_menu() -> list[object]:
    return []


def hello(request: object) -> HttpResponse:
    return HttpResponse("hello")


def test_a_visit_counts_its_queries_and_prints_them(lab: Lab) -> None:
    visit = lab.visit("/")
    assert visit.status == 200 and "<h1" in visit.text
    assert visit.queries == len(visit.sql) == len(visit.sql_ms) >= 10
    assert visit.seconds > sum(visit.sql_ms) / 1000 > 0
    assert repr(visit).splitlines()[:2] == ["status       200", f"SQL queries  {visit.queries}"]
    assert f'<td style="text-align: left">{visit.queries}</td>' in visit._repr_html_()


def test_a_visit_as_somebody_in_a_language(lab: Lab) -> None:
    assert "Hello, Alice" in lab.visit("/", "alice").text
    assert "Hello" not in lab.visit("/").text
    assert 'lang="de"' in lab.visit("/", language="de").text
    assert translation.get_language() == "en"


def test_a_visit_that_sends_data(lab: Lab) -> None:
    assert lab.visit("/cart/add/", "alice", data={"product": 1, "quantity": 3}).status == 302
    assert lab.client("alice").session["cart"] == {"1": 3}
    assert lab.visit("/cart/add/").status == 405


def test_a_browser_is_kept_for_each_user_and_a_stranger_is_always_new(lab: Lab) -> None:
    assert lab.client("alice") is lab.client("alice")
    assert lab.client("alice") is not lab.client("alice", "de")
    assert lab.client() is not lab.client()


def test_an_unknown_user_is_one_line(lab: Lab) -> None:
    with pytest.raises(LabError, match="Nobody here is called 'zoe'"):
        lab.visit("/", "zoe")


def test_the_text_of_a_streamed_page_can_be_read_twice(lab: Lab) -> None:
    visit = lab.visit(lab.mount("stream/", lambda request: StreamingHttpResponse(iter(["a", "ü"]))))
    assert visit.text == visit.text == "aü"


def test_the_card_says_what_is_loaded(lab: Lab) -> None:
    assert "12 stores, 1,200 products, 100,000 order lines" in repr(lab)
    assert "12 stores" in lab._repr_html_()
    assert current() is lab


def test_meter_counts_its_block_alone(lab: Lab) -> None:
    Tag.objects.count()
    with lab.meter() as reading:
        Tag.objects.count()
        cache.get("menu")
    Tag.objects.count()
    assert (reading.queries, reading.hits, reading.misses) == (1, 0, 1)
    assert repr(reading) == "SQL queries  1\ncache: menu  0 hits, 1 misses\ncache calls  1 get"


# Changing the shop


def test_mount_and_restore(lab: Lab) -> None:
    cache.set("old", 1)
    url = lab.mount("mine/", hello)
    assert (url, lab.visit(url).text, keys()) == ("/mine/", "hello", [])
    assert lab.mount("/mine/", lambda request: HttpResponse("newer")) == url
    assert lab.visit(url).text == "newer"
    lab.restore()
    assert lab.visit(url).status == 404


def test_swap_and_restore(lab: Lab) -> None:
    original = selectors.navigation
    cache.set("old", 1)
    lab.swap("navigation", empty_menu)
    lab.swap("navigation", lambda: empty_menu())
    assert keys() == [] and selectors.navigation() == []
    cost = lab.visit("/").queries
    cache.set("old", 1)
    lab.restore()
    assert selectors.navigation is original and keys() == []
    assert lab.visit("/").queries > cost


def test_swap_of_an_exercise_that_nobody_has_begun_changes_nothing(lab: Lab) -> None:
    original = selectors.navigation

    def navigation() -> object:
        return ...

    cache.set("old", 1)
    lab.swap("navigation", navigation)
    lab.keep(navigation)
    assert selectors.navigation is original and keys() == ["old"]


@pytest.mark.parametrize("change", ["swap", "keep"])
def test_a_selector_that_does_not_exist_is_one_line(lab: Lab, change: str) -> None:
    with pytest.raises(LabError, match="no selector called 'menu'"):
        lab.swap("menu", empty_menu) if change == "swap" else lab.keep("menu")


def test_keep_keeps_the_answers_by_their_arguments(lab: Lab) -> None:
    lab.keep("popular_products", "best_of_category", "permission_set")
    bought = lab.visit("/").text.split('id="popular"')[1]
    lab.empty_cache()
    first, second = lab.visit("/", "alice"), lab.visit("/", "alice")
    assert second.text.split('id="popular"')[1] == bought and second.queries < first.queries
    assert second.uses["best_of_category"].hits == 8 and second.misses == 0
    lab.visit("/", "bob")
    stored = keys()
    assert "popular_products" in stored
    assert sum(key.startswith("best_of_category:") for key in stored) == 8
    assert sum(key.startswith("permission_set:") for key in stored) == 2
    lab.keep("popular_products", seconds=5)  # again: not an entry of an entry
    assert lab.visit("/").operations["get_or_set"] == 1 + 8 + 1


def test_keep_of_a_function_lets_it_answer(lab: Lab) -> None:
    def navigation() -> object:
        return cache.get_or_set("menu", list, 60)

    lab.keep(navigation)
    lab.visit("/")
    assert keys() == ["menu"]


def test_arrangement_kept_ends_what_began_in_it_and_no_more(lab: Lab) -> None:
    original = selectors.navigation
    lab.mount("mine/", hello)
    lab.swap("navigation", empty_menu)
    with lab.arrangement_kept():
        lab.swap("navigation", lambda: [1])
        lab.swap("new_products", empty_menu)
        lab.mount("other/", hello)
        assert lab.visit("/other/").status == 200
    assert selectors.navigation is empty_menu and selectors.new_products is not empty_menu
    assert lab.visit("/mine/").status == 200 and lab.visit("/other/").status == 404
    lab.restore()
    assert selectors.navigation is original and lab.visit("/mine/").status == 404


def test_arrangement_kept_outlives_a_restore_and_an_error_inside(lab: Lab) -> None:
    original = selectors.navigation
    lab.mount("mine/", hello)
    lab.swap("navigation", empty_menu)
    with pytest.raises(LookupError), lab.arrangement_kept():
        lab.restore()
        raise LookupError
    assert selectors.navigation is empty_menu and lab.visit("/mine/").status == 200
    lab.restore()
    assert selectors.navigation is original


@pytest.mark.parametrize("commits", [False, True])
def test_a_check_leaves_what_was_swapped_and_mounted_before_it(
    lab: Lab, commits: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.mount("mine/", hello)
    lab.swap("navigation", empty_menu)

    def judge(answer: str, lab: Lab) -> None:
        lab.swap("new_products", empty_menu)
        assert lab.visit(lab.mount(answer, hello)).text == "hello"

    monkeypatch.setitem(EXERCISES, "x.1", Exercise("x.1", "", judge, 5, "", commits))
    check("x.1", "theirs/")
    assert capsys.readouterr().out == "x.1 Right.\n"
    assert selectors.navigation is empty_menu and selectors.new_products is not empty_menu
    assert lab.visit("/mine/").status == 200 and lab.visit("/theirs/").status == 404


# Starting anew


def test_empty_cache(lab: Lab) -> None:
    cache.set("a", 1)
    lab.empty_cache()
    assert cache.get("a") is None


def test_empty_cache_leaves_the_entries_of_others_on_a_server_that_is_not_ours(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab.environment.cache_server, "owned", False)
    monkeypatch.setattr(lab.environment.cache_server, "prefix", "ours")
    with lab.environment.cache_server.client() as server:
        server.set("theirs", 1)
        server.set("ours:1:a", 1)
        lab.empty_cache()
        assert server.keys("*") == [b"theirs"]
        server.delete("theirs")


def test_restore_database(lab: Lab) -> None:
    alice = lab.client("alice")
    Tenant.objects.filter(pk=1).update(name="Changed")
    lab.restore_database()
    assert Tenant.objects.get(pk=1).name != "Changed"
    assert lab.client("alice") is not alice
    assert lab.visit("/", "alice").status == 200


def test_restore_database_in_a_transaction_is_one_line_and_harmless(lab: Lab) -> None:
    with transaction.atomic():
        with pytest.raises(LabError, match="in the middle of a transaction"):
            lab.restore_database()
        assert Tenant.objects.count() == 12
