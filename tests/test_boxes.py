"""A page as boxes: which fragments a request rebuilt, which came from the cache, and what is drawn of that."""

from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.template import engines

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.lab import boxes, draw
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.boxes import LIVE, REBUILT, SERVED, Box

NESTED = (
    "{% load cache i18n %}{% get_current_language as LC %}live {% cache 60 outer LC version %}"
    "{% for n in numbers %}{% cache 60 inner n.0 n.1 %}{{ n.0 }}{% endcache %}{% endfor %}{% endcache %}"
    "{% cache 60 beside nobody %}x{% endcache %}"
)


class Page:
    """A page of two numbers, each with a version of its own."""

    def __init__(self) -> None:
        self.versions = {1: "a", 2: "b"}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        context = {"numbers": list(self.versions.items()), "version": "".join(self.versions.values())}
        return HttpResponse(engines["django"].from_string(NESTED).render(context, request))


@pytest.fixture
def page(lab: Lab) -> Page:
    page = Page()
    lab.mount("nested/", page)
    return page


def test_a_cold_page_is_rebuilt_from_the_outside_in(lab: Lab, page: Page) -> None:
    cold = lab.boxes("/nested/")
    assert str(cold).splitlines() == [
        "/nested/: live",
        "  outer en ab: rebuilt",
        "    inner 1 a: rebuilt",
        "    inner 2 b: rebuilt",
        "  beside '': rebuilt",
    ]
    assert cold.rebuilt == ["outer en ab", "inner 1 a", "inner 2 b", "beside ''"] and cold.served == []
    assert cold.text == "live 12x"


def test_a_warm_fragment_is_one_box_whatever_is_in_it(lab: Lab, page: Page) -> None:
    lab.boxes("/nested/")
    warm = lab.boxes("/nested/")
    assert warm.rebuilt == [] and warm.served == ["outer en ab", "beside ''"]


def test_a_new_version_rebuilds_what_holds_it_and_nothing_beside_it(lab: Lab, page: Page) -> None:
    lab.boxes("/nested/")
    page.versions[2] = "c"
    edited = lab.boxes("/nested/")
    assert edited.rebuilt == ["outer en ac", "inner 2 c"] and edited.served == ["inner 1 a", "beside ''"]


def test_each_reader_and_language_has_a_page_of_its_own(lab: Lab, page: Page) -> None:
    lab.boxes("/nested/", language="en")
    assert lab.boxes("/nested/", "clara").rebuilt == ["outer de ab"]
    assert "Hello, Alice" in lab.boxes("/", "alice").text


def test_other_entries_that_a_fragment_reads_do_not_tell_how_it_came(lab: Lab) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        cache.set("text", "kept", 60)
        source = "{% load cache %}{% cache 60 odd text %}{{ text }}{% endcache %}"
        return HttpResponse(engines["django"].from_string(source).render({"text": lambda: cache.get("text")}, request))

    lab.mount("odd/", view)
    assert [lab.boxes("/odd/").rebuilt, lab.boxes("/odd/").served] == [["odd kept"], ["odd kept"]]


def test_a_page_without_fragments_is_live_and_a_fragment_in_another_cache_is_seen(lab: Lab) -> None:
    assert str(lab.boxes("/cart/")) == "/cart/: live"
    source = '{% load cache %}{% cache 60 near using="local" %}x{% endcache %}'
    lab.mount("near/", lambda request: HttpResponse(engines["django"].from_string(source).render({}, request)))
    assert [lab.boxes("/near/").rebuilt, lab.boxes("/near/").served] == [["near"], ["near"]]


def test_moments_are_versions_and_long_values_are_cut() -> None:
    from datetime import UTC, datetime

    said = [boxes._said(value) for value in (datetime.now(UTC), "1764281234.5", 42, "", None, "x" * 30)]
    assert said == ["version", "version", "42", "''", "None", "x" * 23 + "…"]


def test_the_figure_shows_every_box_and_says_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(draw, "show", lambda fig, alt, data: shown.append((fig, alt, data)))
    cards = [Box(f"card {n}", REBUILT if n == 2 else SERVED) for n in range(6)]
    drawn = boxes.Boxes(Box("/shelf/", LIVE, [Box("shelf", REBUILT, cards)]))
    drawn.figure()
    [(fig, alt, data)] = shown
    assert alt == "2 rebuilt: shelf, card 2; 5 from the cache; the rest of the page is live"
    assert data == str(drawn) and data.count("\n") == 7
    rectangles = [patch for patch in fig.axes[0].patches if patch.get_edgecolor()[3]]  # without the rims
    assert len(rectangles) == 8
    for outer, inner in zip(rectangles[:2], rectangles[1:3], strict=True):  # each lies in the one before
        (left, top), (x, y) = outer.get_xy(), inner.get_xy()
        assert left < x and x + inner.get_width() < left + outer.get_width()
        assert top < y and y + inner.get_height() < top + outer.get_height()
    fills = {patch.get_hatch() for patch in rectangles}
    assert "//" in fills and len({patch.get_facecolor() for patch in rectangles}) == 3
    legend = {text.get_text(): patch for text, patch in zip(*_legend(fig.axes[0]), strict=True)}
    for state, box in ((LIVE, rectangles[0]), (REBUILT, rectangles[1]), (SERVED, rectangles[2])):
        assert _look(legend[state]) == _look(box)


def _legend(ax: Any) -> tuple[list[Any], list[Any]]:
    legend = ax.get_legend()
    return legend.get_texts(), legend.get_patches()


def _look(patch: Any) -> tuple[Any, ...]:
    dashes = patch._unscaled_dash_pattern  # the copy in a legend has the dashes, and not the name of their style
    return patch.get_facecolor(), patch.get_hatch(), dashes, patch.get_edgecolor()
