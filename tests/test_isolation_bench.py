"""The audit on the bench: in a kernel's process, over the loaded shop, beside its real cache server."""

import asyncio

import pytest
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_page

from real_shop import fresh_lab, keys, running_lab  # noqa: F401
from tutorial_project.caching.isolation import audit
from tutorial_project.lab.bench import Lab
from tutorial_project.shop.visitor import visitor


@cache_page(60)
def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>Hello, {visitor(request)}</p>")


def test_a_mounted_page_is_audited_and_the_real_cache_keeps_what_it_held(lab: Lab) -> None:
    url = lab.mount("hello/", hello)
    lab.visit(url)
    before, held = keys(), cache._cache  # type: ignore[attr-defined]  # the Redis backend's own
    report = audit([url], users=["alice", "bob"], languages=["en"])
    assert (report.leaks, report.findings[0].view) == ([url], "test_isolation_bench.hello")
    assert keys() == before and cache._cache is held  # type: ignore[attr-defined]
    assert lab.visit(url, "bob").text == "<p>Hello, AnonymousUser</p>"


def test_the_shop_itself_leaks_nothing(lab: Lab) -> None:
    report = audit(["/", "/product/1/", "/cart/", "/dashboard/harbour-goods/"])
    assert {each.verdict for each in report.visits} == {"not cached"} and report.ok


def test_what_the_shop_keeps_in_its_selectors_leaks_nothing(lab: Lab) -> None:
    lab.keep("navigation", "sidebar_popular")
    report = audit(["/product/1/", "/cart/"], users=["alice", "bob", "clara"])
    assert ({each.verdict for each in report.visits}, report.findings) == ({"shared"}, [])


@pytest.mark.slow
def test_the_layered_shop_is_cached_and_leaks_nothing(lab: Lab) -> None:
    with lab.layered():
        report = audit(["/", "/product/42/", "/dashboard/harbour-goods/"], users=["alice", "clara", "dora"])
    verdicts = {each.url: each.verdict for each in report.visits}
    assert (report.findings, verdicts["/"]) == ([], "shared"), report
    assert "leaks" not in verdicts.values()


def test_it_runs_where_an_event_loop_runs_as_in_a_kernel(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    url = lab.mount("hello/", hello)

    async def cell() -> list[str]:
        return audit([url], users=["alice", "bob"], languages=["en"]).leaks

    assert asyncio.run(cell()) == [url]
