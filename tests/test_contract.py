"""The freshness contract, executed: every entry has its row, every row its entries, and each its readers alone."""

from collections.abc import Callable
from typing import Any

import pytest

from real_shop import fresh_lab, keys, running_lab  # noqa: F401

# isort: split
from django.contrib.auth.models import AnonymousUser, User
from django.core.cache import cache

from tutorial_project.lab.bench import Lab
from tutorial_project.lab.layered_shop import held_against
from tutorial_project.shop import contract, kept
from tutorial_project.shop.models import Product, Tenant


def broken(lab: Lab, requests: int = 20) -> list[str]:
    return held_against(lab, lab.traffic(requests, "09:00"))[1]


def test_the_layered_shop_keeps_its_contract(lab: Lab) -> None:
    with lab.layered():
        table, breaches = held_against(lab, lab.traffic(120, "09:00"))
    assert breaches == []
    assert list(table.index) == [row.value for row in contract.CONTRACT]
    assert (table["stored"] > 0).all() and (table["served"] > 0).all() and table["in time"].all()
    assert table["readers"]["the home page"] == 1  # strangers alone
    assert table["readers"]["a store's figures"] == 2  # dora and emil, each their own
    assert table["readers"]["the menu"] >= 7


def answers_wrongly(name: str, wrong: Callable[..., Any]) -> Callable[..., Any]:
    wrong.__name__ = name
    return wrong


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            answers_wrongly("permission_set", lambda user: cache.get_or_set("user:1:permissions", frozenset, 60)),
            r"bob was served from 'user:1:permissions': that is for its user",
        ),
        (
            answers_wrongly("dashboard_stats", lambda pk: cache.get_or_set("tenant:1:dashboard_stats", _stats, 60)),
            r"emil was served from 'tenant:1:dashboard_stats': that is for staff of its store",
        ),
        (
            answers_wrongly("product_reviews", lambda pk: cache.get_or_set(f"product:{pk}:reviews", list, 60)),
            r"'product:42:reviews' is an entry of 0 rows",
        ),
        (answers_wrongly("permission_set", lambda user: frozenset()), "nothing stores 'a permission set'"),
    ],
)
def test_a_shop_that_breaks_it_is_told_where(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, wrong: Callable[..., Any], says: str
) -> None:
    monkeypatch.setattr(kept, wrong.__name__, wrong, raising=False)  # what the layered home page asks
    with lab.layered():
        lab.keep(wrong)
        said = broken(lab)
    assert any(says in line for line in said), said


def _stats() -> dict[str, Any]:
    return kept.ask_dashboard_stats(1)


def test_an_entry_that_lives_longer_than_its_row_says_is_seen(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def navigation() -> Any:
        return cache.get_or_set("navigation", list, None)

    monkeypatch.setattr(kept, "navigation", navigation)
    with lab.layered():
        table, _ = held_against(lab, lab.traffic(5, "09:00"))
    assert list(table[~table["in time"]].index) == ["the menu"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("popular_products", "the ranking"),
        ("product:42:detail", "a product's details"),
        ("tenant:7:dashboard_stats", "a store's figures"),
        ("user:7:permissions", "a permission set"),
        ("rate:USD", "an exchange rate"),
        (f"template.cache.sidebar_popular.{'0' * 32}", "the sidebar"),
    ],
)
def test_a_key_is_an_entry_of_one_row(key: str, value: str) -> None:
    assert contract.row_of(key).value == value


@pytest.mark.parametrize(
    "key",
    ["", "popular", "popular_products:de", "product:x:detail", "user:7:permissions:all", "rate:usd", "navigation\n"],
)
def test_a_key_of_no_row_is_refused(key: str) -> None:
    with pytest.raises(LookupError, match="0 rows"):
        contract.row_of(key)


def test_two_rows_for_one_key_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "CONTRACT", contract.CONTRACT * 2)
    with pytest.raises(LookupError, match="2 rows"):
        contract.row_of("navigation")


def test_who_may_see_what(lab: Lab) -> None:
    stranger, alice, dora, emil = AnonymousUser(), *(User.objects.get(username=n) for n in ("alice", "dora", "emil"))
    page = f"views.decorators.cache.cache_page.strangers.GET.{'0' * 32}.{'1' * 32}.en.UTC"
    figures = f"tenant:{dora.customer.tenant_id}:dashboard_stats"
    for key, readers in {
        page: [stranger],
        "navigation": [stranger, alice, dora, emil],
        f"user:{alice.pk}:permissions": [alice],
        figures: [dora],
    }.items():
        assert [who for who in (stranger, alice, dora, emil) if not contract.broken_by(key, who)] == readers


def test_a_row_is_stale_for_its_own_seconds_on_top_of_those_of_what_it_is_made_from() -> None:
    stale = {row.value: (row.stale_for(), row.stale_for(events=True)) for row in contract.CONTRACT}
    assert stale["the menu"] == (600, 0)
    assert stale["the best of each shelf"] == (1200, 0)  # made from the kept menu
    assert stale["the home page"] == (1800, 600)  # no event reaches a page
    assert stale["an exchange rate"] == (3600, 3600)
    keys = {row.key for row in contract.CONTRACT}
    assert all(set(row.made_of) <= keys and row.until for row in contract.CONTRACT)


def test_a_kept_value_is_held_against_the_truth(lab: Lab) -> None:
    dora = User.objects.get(username="dora")
    kept.product_detail(42), kept.category_products("lamps"), kept.category_stats("lamps"), kept.navigation()
    kept.popular_products(), kept.permission_set(dora), kept.dashboard_stats(1), kept.exchange_rate("USD")
    found = {key: contract.same(cache.get(key), contract.truth(key)) for key in keys()}
    assert len(found) == len([row for row in contract.CONTRACT if row.ask]) and all(found.values()), found
    Product.objects.filter(pk=42).update(price=1)
    assert not contract.same(cache.get("product:42:detail"), contract.truth("product:42:detail"))
    assert contract.same(kept.product_detail(41), contract.truth("product:41:detail"))
    assert contract.truth("product:999999:detail") == contract.GONE


def test_a_page_or_a_fragment_has_no_truth_of_its_own() -> None:
    with pytest.raises(LookupError, match="the sidebar is drawn"):
        contract.truth(f"template.cache.sidebar_popular.{'0' * 32}")


def test_two_rows_show_the_same_where_all_that_was_loaded_is_the_same() -> None:
    a, b = Product(pk=1, price=1), Product(pk=1, price=2)
    assert a == b and not contract.same(a, b) and not contract.same([{"x": a}], [{"x": b}])
    b.price, b.tenant = a.price, Tenant(pk=1, name="there")  # loaded with it
    assert not contract.same(a, b)
    assert contract.same({"x": (1, "ab")}, {"x": [1, "ab"]}) and not contract.same("ab", ["a", "b"])
