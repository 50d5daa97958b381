"""The leak matrix, and what it is made of: who reads another's page, what the cache has learned, what it keeps."""

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.views.decorators.cache import cache_control, cache_page, never_cache
from django.views.decorators.vary import vary_on_cookie, vary_on_headers

from real_shop import fresh_lab, keys, running_lab  # noqa: F401
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.leaks import (
    DECORATORS,
    MADE,
    MIDDLEWARE,
    UNDER_THE_PAIR,
    decorated,
    greeted_as_another,
    leaks,
    learned,
    matrix,
    pages_kept,
    plain,
    site_wide,
    stored,
    templated,
)
from tutorial_project.shop import views

KEPT = cache_page(60)


def test_readers_of_another_s_page_are_named(lab: Lab) -> None:
    assert leaks(lab, lab.mount("a/", KEPT(plain))) == ["alice", "bob", "stranger (en)"]
    assert leaks(lab, lab.mount("b/", KEPT(vary_on_cookie(plain)))) == []
    assert leaks(lab, lab.mount("c/", plain)) == []


def test_a_leak_that_needs_the_right_one_to_come_first_is_found(lab: Lab) -> None:
    def only_for_bob(request: HttpRequest) -> HttpResponse:
        response = plain(request)
        if request.user.username != "bob":
            response["Cache-Control"] = "private"
        return response

    url = lab.mount("a/", KEPT(only_for_bob))
    assert leaks(lab, url, [("alice", None), ("bob", None)]) == ["alice"]
    assert leaks(lab, url, [("bob", None), ("alice", None)]) == ["alice"]


def test_what_the_cache_has_learned(lab: Lab) -> None:
    assert learned() == []
    lab.visit(lab.mount("a/", KEPT(plain)))
    assert learned() == [[]]
    lab.visit(lab.mount("b/", KEPT(vary_on_headers("X-B", "X-A")(plain))))
    assert learned() == [["HTTP_X_A", "HTTP_X_B"]]


def test_pages_are_counted_without_the_lists_of_what_they_vary_on(lab: Lab) -> None:
    url = lab.mount("a/", KEPT(vary_on_headers("X-A")(plain)))
    for value in ("1", "2", "2"):
        lab.client().get(url, headers={"x-a": value})
    assert pages_kept() == 2 and len(learned()) == 1


@pytest.mark.parametrize(
    ("view", "method", "kept"),
    [
        (plain, "get", True),
        (plain, "head", True),
        (plain, "post", False),
        (never_cache(plain), "get", False),
        (cache_control(private=True)(plain), "get", False),
        (lambda request: HttpResponse(status=404), "get", False),
    ],
)
def test_what_is_stored(lab: Lab, view: object, method: str, kept: bool) -> None:
    before = lab.arranged()
    assert stored(lab, view, method) is kept  # type: ignore[arg-type]
    assert lab.arranged() == before and keys() == []


def test_headers_reach_the_view_that_may_be_stored(lab: Lab) -> None:
    def only_dark(request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=200 if request.headers.get("X-Theme") == "dark" else 404)

    assert stored(lab, only_dark, x_theme="dark") and not stored(lab, only_dark)


def test_the_outermost_decorator_stands_first(lab: Lab) -> None:
    made: list[str] = []

    def noting(name: str) -> object:
        return lambda view: lambda request: made.append(name) or view(request)  # type: ignore[func-returns-value]

    decorated(plain, [noting("outer"), noting("inner")])(lab.visit("/").response.wsgi_request)  # type: ignore[list-item]
    assert made == ["outer", "inner"]


def test_the_pair_is_around_the_site_for_one_block_and_for_browsers_that_were_there_before(lab: Lab) -> None:
    url, before = lab.mount("a/", plain), list(settings.MIDDLEWARE)
    lab.client("alice").get(url)
    with site_wide():
        lab.client("alice").get(url)
        assert learned() == [["HTTP_COOKIE"]]
    lab.empty_cache()
    lab.client("alice").get(url)
    assert learned() == [] and settings.MIDDLEWARE == before


def test_any_middleware_reaches_known_browsers(lab: Lab) -> None:
    lab.client("alice").get("/search/")
    with override_settings(MIDDLEWARE=["django.middleware.http.ConditionalGetMiddleware", *settings.MIDDLEWARE]):
        assert "ETag" in lab.client("alice").get("/search/")
    assert "ETag" not in lab.client("alice").get("/search/")


def test_a_stranger_sends_no_cookie_header_and_others_do(lab: Lab) -> None:
    assert "HTTP_COOKIE" not in lab.visit("/").response.wsgi_request.META
    assert "sessionid=" in lab.visit("/", "alice").response.wsgi_request.META["HTTP_COOKIE"]
    assert "HTTP_COOKIE" not in lab.xray("/").response.wsgi_request.META


def test_the_matrix(lab: Lab) -> None:
    table = matrix(lab)
    assert len(table) == len(DECORATORS) + len(MIDDLEWARE) + len(UNDER_THE_PAIR)
    assert set(DECORATORS) < set(table.index)
    leaking = [name for name, verdict in table["HttpResponse"].items() if verdict.startswith("leaks")]
    assert leaking == [
        "cache_page",
        "vary_on_cookie, cache_page",
        "never_cache, cache_page",
        "cache_control(private), cache_page",
        "login_required, cache_page",
        "cache_page, login_required",
        "pair: Fetch first, Update last",
        "pair: both first",
        "pair: both last",
        "pair, and cache_page(key_prefix=…)",
    ]
    rendered_later = [name for name, verdict in table["TemplateResponse"].items() if verdict.startswith("leaks")]
    assert set(leaking) - set(rendered_later) == {
        "vary_on_cookie, cache_page",
        "never_cache, cache_page",
        "cache_control(private), cache_page",
    }
    assert (table[MADE] == 8).equals(table["HttpResponse"] == "not kept")
    assert keys() == [] and lab.visit("/tried/").status == 404


def test_both_views_say_the_same(lab: Lab) -> None:
    for who, language in (("alice", None), (None, "de")):
        one, other = (lab.visit(lab.mount(f"{view.__name__}/", view), who, language) for view in (plain, templated))
        assert one.text == other.text == f"{who or 'stranger'} in {language or 'en'}"


def test_greetings_by_another_s_name_are_counted_by_name(lab: Lab) -> None:
    visits = lab.traffic(600, start="13:05").query("path == '/'").head(8)
    assert greeted_as_another(lab, visits) == {}
    lab.mount("", KEPT(views.home))
    found = greeted_as_another(lab, visits)
    assert set(found) == {"Rosa", "Lena"} and found.total() <= 6
