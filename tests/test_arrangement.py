"""What a notebook arranged answers in its workers: mounted, kept and swapped; and what cannot travel says so."""

import importlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.http import HttpRequest, HttpResponse

from real_shop import fresh_lab, keys, running_lab  # noqa: F401
from tutorial_project.lab import arrangement
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.errors import LabError
from tutorial_project.shop import selectors

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="worker processes are forked")
# The cells of a notebook: names of its own, a list that grows, a class, and functions that use them and each other.
CELLS = """
from django.conf import settings
from django.core.cache import cache, caches
from django.db import connections
from django.http import HttpResponse
from tutorial_project.shop import selectors

seen = []
local, database = caches["local"], connections["default"]

class Page:
    def __init__(self, title):
        self.title = title

page = Page("first")

def remember(request):
    seen.append(request.path)
    cache.set("seen", len(seen))
    return HttpResponse(f"{page.title} {len(seen)} {cache.get('seen')} {settings.LANGUAGE_CODE}")

def count(request):
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM shop_tenant")
        local.set("count", cursor.fetchone()[0])
        return HttpResponse(f"{len(seen)} {caches['local'].get('count')}")

def navigation(language="en"):
    seen.append("navigation")
    return []
"""


def notebook() -> dict[str, Any]:
    """The names of a notebook in which those cells have run."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(CELLS, names)
    return names


@forks
def test_a_notebooks_functions_answer_and_share_its_names_and_each_worker_has_its_own(lab: Lab) -> None:
    names = notebook()
    for name in ("remember", "count"):
        lab.mount(f"{name}/", names[name])
    names["seen"].append("before")
    caches["local"].set("count", "ours")
    with lab.workers(2) as pool:
        names["page"].title = "second"
        assert pool.get("/remember/", 0).text == "first 2 2 en"
        assert pool.get("/count/", 0).text == "2 12"  # another view, the same list
        assert pool.get("/count/", 1).text == "1 12"  # another process, another list
        assert cache.get("seen") == 2  # the cache is everybody's
        assert pool.get("/remember/", 1).text == "first 2 2 en"
    assert names["seen"] == ["before"] and caches["local"].get("count") == "ours"


@forks
def test_a_module_that_lies_beside_the_notebook_is_found_by_the_workers(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["from django.http import HttpResponse", "def greet(request):", "    return HttpResponse('from beside')"]
    (tmp_path / "lies_beside.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    lab.mount("beside/", importlib.import_module("lies_beside").greet)
    with lab.workers(1) as pool:
        assert pool.get("/beside/").text == "from beside"


@forks
def test_what_was_swapped_and_kept_answers_in_the_workers_until_it_is_restored(lab: Lab) -> None:
    names = notebook()
    lab.swap("navigation", names["navigation"])
    lab.keep("popular_products")
    lab.mount("count/", names["count"])
    with lab.workers(1) as pool:
        first, second = pool.get("/"), pool.get("/")
        assert (first.misses, first.hits) == (1, 0) and (second.misses, second.hits) == (0, 1)
        assert second.queries < first.queries and keys() == ["popular_products"]
        assert first.queries < lab.visit("/").queries + 2
        assert pool.get("/count/").text.split()[0] == "2"
        lab.restore()
        assert pool.get("/count/").status == 200  # they are as they were started
    with lab.workers(1) as pool:
        with pytest.raises(LabError, match=r"No view .* at /count/\. Was it taken out by lab.restore\(\)\?"):
            pool.get("/count/")
        assert pool.get("/").uses == {}


@forks
def test_a_view_mounted_later_comes_first_in_the_workers_too(lab: Lab) -> None:
    def one(request: HttpRequest) -> HttpResponse:
        return HttpResponse("one")

    def two(request: HttpRequest, slug: str = "") -> HttpResponse:
        return HttpResponse(f"two {slug}")

    lab.mount("same/", one)
    lab.mount("same/", two)
    lab.mount("below/<slug:slug>/", two)
    lab.mount("login/", one)
    with lab.workers(1) as pool:
        for url in ("/same/", "/below/x/", "/login/"):
            assert pool.get(url).text == lab.visit(url).text, url


@forks
def test_a_class_based_view_and_a_decorated_one_travel(lab: Lab) -> None:
    from django.views import View
    from django.views.decorators.cache import cache_page

    class Greeting(View):
        word = "hello"

        def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse(self.word)

    lab.mount("greeting/", Greeting.as_view(word="hi"))
    lab.mount("cached/", cache_page(60)(Greeting.as_view()))
    with lab.workers(2) as pool:
        assert pool.get("/greeting/").text == "hi"
        assert pool.get("/cached/", 0).text == pool.get("/cached/", 1).text == "hello"
        assert pool.get("/cached/", 1).uses["page"].hits == 2  # its headers and itself, stored by the other


def uses(something: Any) -> Callable[[HttpRequest], HttpResponse]:
    """A view that uses it."""

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(repr(something))

    return view


@pytest.mark.parametrize("what", ["lock", "lab", "reaper", "open file", "generator", "part of the lab"])
def test_what_cannot_travel_is_one_line_that_names_the_view(lab: Lab, tmp_path: Path, what: str) -> None:
    with (tmp_path / "file").open("w") as opened:
        things: dict[str, Any] = {
            **{"lock": threading.Lock(), "lab": lab, "reaper": lab.environment.reaper, "open file": opened},
            **{"generator": (i for i in "ab"), "part of the lab": {"one": [lab.environment]}},
        }
        view = uses(things[what])
        with pytest.raises(LabError, match=r"the view at 'it/' cannot go to another process: .*Does it use") as raised:
            arrangement.save(tmp_path / "saved", [("fine/", uses(1)), ("it/", view)], {})
        assert "\n" not in str(raised.value) and not (tmp_path / "saved").exists()
        with pytest.raises(LabError, match="^navigation cannot go"):
            arrangement.save(tmp_path / "saved", [], {"navigation": view})


@forks
def test_workers_for_what_cannot_travel_are_not_started(lab: Lab) -> None:
    lab.mount("it/", uses(lab))
    with pytest.raises(LabError, match="the view at 'it/' cannot go"):
        lab.workers(1)
    assert not list(lab.environment.folder.glob("workers-*"))


def test_what_stands_in_djangos_modules_goes_by_the_name_of_its_own(tmp_path: Path) -> None:
    arrangement.save(tmp_path / "saved", [("remember/", notebook()["remember"])], {})
    saved = (tmp_path / "saved").read_bytes()
    assert b"django.core.cache:cache" in saved and b"django.conf:settings" in saved
    arrangement.save(tmp_path / "saved", [("count/", notebook()["count"])], {})
    assert b"django.core.cache:caches[local]" in (tmp_path / "saved").read_bytes()
    assert b"tutorial_project.lab" not in saved  # a worker would load all of the bench for it


def test_loading_puts_it_into_the_process_it_is_loaded_in(lab: Lab, tmp_path: Path) -> None:
    names = notebook()
    arrangement.save(tmp_path / "saved", [("count/", names["count"])], {"navigation": names["navigation"]})
    with lab.arrangement_kept():
        from tutorial_project import urls

        before, own = list(urls.urlpatterns), selectors.navigation
        try:
            arrangement.load(tmp_path / "saved")
            assert lab.visit("/count/").text == "0 12"
            assert selectors.navigation is not own and selectors.navigation is not names["navigation"]
        finally:
            urls.urlpatterns[:] = before
            selectors.navigation = own
