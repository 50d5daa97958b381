"""The survey of the shop's selectors: what is asked, asked again, and answered anew."""

import pytest

from real_shop import fresh_lab, running_lab  # noqa: F401
from test_traffic import trace_of
from tutorial_project.lab import survey
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.errors import LabError
from tutorial_project.shop import selectors


def test_every_selector_is_known() -> None:
    found = set(survey.SELECTORS)
    assert {"navigation", "popular_products", "dashboard_stats", "cart_lines", "search_products"} < found
    assert not [name for name in found if name.startswith("_") or name in ("TruncDate", "Count")]


def test_calls_repeats_and_changes(lab: Lab) -> None:
    product = "/product/1/"
    table = lab.survey(
        trace_of(
            ("", "GET", "/", ""),
            ("", "GET", product, ""),
            ("alice", "POST", product + "review/", "rating=1&text=dull"),
            ("", "GET", product, ""),
            ("", "GET", product, ""),
            ("", "GET", "/product/2/", ""),
        )
    )
    counted = table[["calls", "repeats", "changes"]].apply(tuple, axis=1)
    assert counted["product_reviews"] == (4, 2, 1)
    assert counted["related_products"] == (4, 2, 0)
    assert counted["best_of_category"] == (8, 0, 0)
    assert counted["popular_products"] == (1, 0, 0)
    assert table.loc["best_of_category", "queries"] == 1.0
    assert "search_products" not in table.index
    assert (table["ms"] >= 0).all() and table["score"].is_monotonic_decreasing
    score = table["ms"] * table["repeats"] / (1 + table["changes"])
    assert (table["score"] - score).abs().max() < 1e-9


def test_the_selectors_are_the_shops_own_again_even_after_an_error(lab: Lab) -> None:
    before = {name: getattr(selectors, name) for name in survey.SELECTORS}
    assert "navigation" in before  # or an earlier survey left its own in place
    lab.survey(trace_of(("", "GET", "/", "")))
    with pytest.raises(LabError):
        lab.survey(trace_of(("zoe", "GET", "/", "")))
    assert {name: getattr(selectors, name) for name in survey.SELECTORS} == before


def test_a_trace_that_asks_nothing_gives_an_empty_table(lab: Lab) -> None:
    table = lab.survey(trace_of(("", "POST", "/currency/", "currency=USD")))
    assert list(table.index) == [] and "score" in table.columns
