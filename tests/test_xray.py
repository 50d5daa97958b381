"""The x-ray of one request: what is in it, in which order, and that nothing of it stays."""

import re

import pytest
from django.core.cache import cache
from django.core.handlers import base
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified, StreamingHttpResponse
from django.http.response import ResponseHeaders
from django.utils import translation
from django.utils.module_loading import import_string
from django.views.decorators.cache import cache_page
from django.views.decorators.vary import vary_on_cookie, vary_on_headers

from real_shop import fresh_lab, running_lab  # noqa: F401
from test_draw import Shown, display_noted  # noqa: F401
from tutorial_project.lab import draw
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.leaks import site_wide
from tutorial_project.lab.xray import STORED, Xray, _beside, summarised
from tutorial_project.shop.models import Tag


def import_in_django() -> object:
    """What Django imports its middleware with: the x-ray puts its own in this place, for a moment."""
    return vars(base)["import_string"]


def page(request: HttpRequest) -> HttpResponse:
    cache.get_or_set("tags", lambda: list(Tag.objects.all()[:1]))
    return HttpResponse("page")


def test_the_steps_stand_in_order_each_below_what_it_happened_in(lab: Lab) -> None:
    url = lab.mount("mine/", page)
    lines = repr(lab.xray(url)).splitlines()
    assert lines[0] == "GET /mine/ -> 200"
    assert lines[1] == "  ServerTimingMiddleware" and lines[2] == "    SecurityMiddleware"
    assert [line.strip() for line in lines[-3:]] == [
        "view  page",
        "cache get_or_set tags miss",
        "SQL   SELECT … FROM shop_tag",
    ]
    depths = [len(line) - len(line.lstrip()) for line in lines]
    assert depths == sorted(depths) and depths[-1] == depths[-2] == depths[-3] + 2
    again = repr(lab.xray(url)).splitlines()
    assert again[-1].strip() == "cache get_or_set tags hit"


def test_times_nest_as_the_steps_do(lab: Lab) -> None:
    xray = lab.xray("/")
    outer = xray.steps[0]
    assert all(outer.started <= step.started <= step.ended <= outer.ended for step in xray.steps)
    assert xray.seconds == outer.ended > 0


def test_it_sees_the_queries_of_an_ordinary_visit_as_the_same_visitor(lab: Lab) -> None:
    lab.visit("/", "alice")
    for who, language in (("alice", None), (None, "de")):
        xray, visit = lab.xray("/", who, language), lab.visit("/", who, language)
        assert sum(step.kind == "sql" for step in xray.steps) == visit.queries
        assert ("Hello, Alice" in xray.response.text) == (who == "alice")
        assert ('lang="de"' in xray.response.text) == (language == "de")


def test_it_leaves_nothing_behind(lab: Lab) -> None:
    before = import_in_django(), translation.get_language(), lab.visit("/").queries
    lab.xray("/", language="de")
    assert (import_in_django(), translation.get_language(), lab.visit("/").queries) == before
    assert import_in_django() is import_string


def test_a_page_that_crashes_raises_and_leaves_nothing_behind_either(lab: Lab) -> None:
    def crash(request: HttpRequest) -> HttpResponse:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lab.xray(lab.mount("crash/", crash))
    assert import_in_django() is import_string
    assert lab.xray("/").response.status_code == 200


@pytest.mark.parametrize(("url", "status"), [("/cart/add/", 405), ("/nowhere/", 404), ("/checkout/", 302)])
def test_pages_that_refuse(lab: Lab, url: str, status: int, shown: Shown) -> None:
    xray = lab.xray(url)
    assert repr(xray).startswith(f"GET {url} -> {status}")
    xray.figure()
    assert f"GET {url} -> {status}" in shown()["text/plain"]


@pytest.mark.parametrize("answer", [HttpResponseNotModified, lambda: StreamingHttpResponse(iter(["a", "b"]))])
def test_not_modified_and_streams(lab: Lab, answer: type, shown: Shown) -> None:
    xray = lab.xray(lab.mount("odd/", lambda request: answer()))
    xray.figure()
    assert "view  " in shown()["text/plain"]


def test_the_figure_says_the_counts_and_holds_times_only_when_asked(lab: Lab, shown: Shown) -> None:
    xray = lab.xray(lab.mount("mine/", page))
    xray.figure()
    ordered = shown()
    assert "10 middleware around the view, 1 cache calls, 1 queries" in ordered["text/plain"]
    assert ordered["text/plain"].endswith(repr(xray))
    xray.figure(times=True)
    timed = shown()
    assert timed["text/plain"] == "Figure: 10 middleware around the view, 1 cache calls, 1 queries\n/mine/"
    assert timed["image/png"] != ordered["image/png"]


def test_long_hashes_are_shortened_so_that_two_runs_print_the_same(lab: Lab) -> None:
    def hashed(request: HttpRequest) -> HttpResponse:
        cache.get("page." + "0f" * 16)
        return HttpResponse()

    assert "cache get page.0f0f0f… miss" in repr(lab.xray(lab.mount("hashed/", hashed)))


@pytest.mark.parametrize(
    ("sql", "short"),
    [
        ('SELECT "a"."x", "a"."y" FROM "a" INNER JOIN "b" ON (1) WHERE 1', "SELECT … FROM a JOIN b"),
        ('SELECT SUM("a"."x")\n FROM "a"', "SELECT … FROM a (an aggregate)"),
        ('UPDATE "a" SET "x" = 1', "UPDATE a SET x = 1"),
    ],
)
def test_a_statement_on_one_line(sql: str, short: str) -> None:
    assert summarised(sql) == short
    assert len(summarised("INSERT " + "x" * 200)) == 76 and re.search("…$", summarised("INSERT " + "x" * 200))


# What the page cache knows


def greet(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"Hello, {request.user}")


def marked(xray: Xray) -> list[str]:
    """The lines that are marked, without their hashes and their indent, in order."""
    lines = [re.sub(r"[.\w]+…\S*", "…", line.strip()) for line in repr(xray).splitlines()]
    return [line for line in lines if STORED in line or line.startswith("+ Vary")]


def test_a_decorated_view_is_stored_before_the_middleware_says_what_it_varies_on(lab: Lab, shown: Shown) -> None:
    url = lab.mount("mine/", cache_page(60)(greet))
    xray = lab.xray(url, "alice")
    assert marked(xray) == [f"cache set …  {STORED}", "+ Vary: Accept-Language", "+ Vary: Cookie"]
    assert xray.varied() == ("", "Accept-Language, Cookie")
    xray.figure()
    assert "stored before anything was in Vary, above it Vary: Accept-Language, Cookie is" in shown()["text/plain"]


def test_each_growth_of_vary_stands_inside_the_middleware_that_makes_it(lab: Lab) -> None:
    lines = repr(lab.xray(lab.mount("mine/", cache_page(60)(greet)), "alice")).splitlines()
    indent = {line.strip(): len(line) - len(line.lstrip()) for line in lines}
    assert indent["+ Vary: Cookie"] == indent["SessionMiddleware"] + 2
    assert indent["+ Vary: Accept-Language"] == indent["LocaleMiddleware"] + 2
    assert lines.index(next(line for line in lines if STORED in line)) < len(lines) - 2


def test_a_decorator_inside_says_it_in_time(lab: Lab) -> None:
    xray = lab.xray(lab.mount("mine/", cache_page(60)(vary_on_cookie(greet))), "alice")
    assert marked(xray) == ["+ Vary: Cookie", f"cache set …  {STORED}", "+ Vary: Accept-Language"]
    assert xray.varied() == ("Cookie", "Accept-Language")


def test_the_site_wide_pair_stores_above_both(lab: Lab, shown: Shown) -> None:
    with site_wide():
        xray = lab.xray(lab.mount("mine/", greet), "alice")
    assert marked(xray) == ["+ Vary: Accept-Language", "+ Vary: Cookie", f"cache set …  {STORED}"]
    xray.figure()
    assert "stored when Vary named Accept-Language, Cookie\n" in shown()["text/plain"]


def test_a_hit_stores_nothing_and_a_page_that_is_not_kept_neither(lab: Lab) -> None:
    url = lab.mount("mine/", cache_page(60)(greet))
    lab.xray(url, "alice")
    assert not any(step.stores for step in lab.xray(url, "alice").steps)
    xray = lab.xray(lab.mount("other/", greet), "alice")
    assert marked(xray) == [] and xray.varied() == ("", "")


def test_a_header_that_says_the_same_again_has_not_grown(lab: Lab) -> None:
    def twice(request: HttpRequest) -> HttpResponse:
        response = HttpResponse(headers={"Vary": "X-Region"})
        response["Vary"] = "x-region"
        response["Vary"] = "X-Region, X-Store"
        return response

    lines = marked(lab.xray(lab.mount("mine/", cache_page(60)(twice))))
    assert lines == ["+ Vary: X-Region", "+ Vary: X-Store", f"cache set …  {STORED}", "+ Vary: Accept-Language"]


def test_nothing_watches_the_headers_afterwards(lab: Lab) -> None:
    before = vars(ResponseHeaders)["__setitem__"]
    lab.xray("/")
    assert vars(ResponseHeaders)["__setitem__"] is before


def test_the_figure_puts_each_growth_on_the_bar_of_its_middleware(lab: Lab) -> None:
    xray = lab.xray(lab.mount("mine/", cache_page(60)(vary_on_headers("X-Region")(greet))), "alice")
    bars = xray._spans(times=False)
    found = [(step.label, xray._grown_in(step, bars)) for step in xray.steps if step.kind == "vary"]
    assert [(label, bar and bar[0].label) for label, bar in found] == [
        ("X-Region", None),  # a decorator
        ("Accept-Language", "LocaleMiddleware"),
        ("Cookie", "SessionMiddleware"),
    ]


def test_a_label_that_does_not_fit_stands_beside_its_bar() -> None:
    fig, (ax,) = draw.figure(6, 2)
    ax.set(xlim=(0, 10))
    short, long = (ax.text(0, 0, "XFrameOptionsMiddleware", color="white") for _ in range(2))
    _beside(ax, [(short, 1.0), (long, 9.0)])
    assert (short.get_position()[0], long.get_position()[0]) == (1.0, 0)
    assert short.get_color() != "white" == long.get_color()


def test_the_legend_names_what_was_drawn(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[list[str]] = []
    monkeypatch.setattr(
        draw, "show", lambda fig, alt, data: shown.append([t.get_text() for t in fig.axes[0].get_legend().get_texts()])
    )
    with site_wide():
        lab.xray(lab.mount("mine/", greet)).figure()
    lab.xray(lab.mount("other/", lambda request: HttpResponse("page"))).figure()
    assert shown == [["middleware", "view", "cache", "vary"], ["middleware", "view"]]
