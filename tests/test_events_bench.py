"""What notebook 07 measures with: signals that are heard, pages and prices that are stale, a process that dies."""

from decimal import Decimal

import pytest
from django.db.models.signals import post_save

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.lab import killed
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.hearing import hearing
from tutorial_project.lab.stale_pages import a_day, about_changes, price_on, stale_pages, stale_reads
from tutorial_project.shop import kept
from tutorial_project.shop.models import Product


def test_every_signal_is_heard_with_who_answers(lab: Lab) -> None:
    def answer(**_: object) -> None: ...

    post_save.connect(answer, sender=Product)
    try:
        with hearing() as heard:
            product = Product.objects.get(pk=42)
            product.save()
            product.tags.add(40)
            Product.objects.filter(pk=42).update(price=1)
    finally:
        post_save.disconnect(answer, sender=Product)
    assert [str(one) for one in heard] == [
        "pre_save Product",
        "post_save Product",
        "m2m_changed Product_tags pre_add",
        "m2m_changed Product_tags post_add",
    ]
    assert heard[0].receivers == () and heard[1].receivers[0].endswith("answer")


def test_nothing_is_heard_after_the_block_and_of_other_apps(lab: Lab) -> None:
    with hearing("auth") as heard:
        Product.objects.get(pk=42).save()
    Product.objects.get(pk=42).save()
    assert heard == []


def test_a_stale_page_is_found_and_a_fresh_one_is_not(lab: Lab) -> None:
    with lab.layered():
        paths = ["/product/42/", "/product/43/"]
        for path in paths:
            lab.visit(path, "alice")
        Product.objects.filter(pk=42).update(price=Decimal("1.00"))
        assert stale_pages(lab, paths, "alice") == ["/product/42/"]
        assert stale_pages(lab, paths, "alice") == []


def test_prices_that_are_shown_are_held_against_the_database(lab: Lab) -> None:
    noon = about_changes(lab.traffic(None, "12:20"), minutes=10)
    assert set(noon["method"]) == {"GET", "POST"} and noon["path"].str.contains("price").any()
    with lab.layered():
        old = stale_reads(lab, noon)
    with lab.layered(events=True):
        fresh = stale_reads(lab, noon)
    assert old["stale"].any() and not fresh["stale"].any()
    assert (fresh["shown"] == fresh["true"]).all() and (fresh["shown"] != "").all()


def test_a_day_of_visits_is_stale_for_the_ttl_at_most_and_not_at_all_where_it_is_told(lab: Lab) -> None:
    day = about_changes(lab.traffic(None, "00:00"))
    visits, hits, stale, behind = a_day(day, ttl=600)
    assert visits == (day["method"] == "GET").sum() and 0 < hits < 1
    assert stale > 0 and 0 < behind < 600
    assert a_day(day, ttl=600, delete=True)[2:] == (0, 0)


def test_a_price_is_read_off_a_page_in_either_language(lab: Lab) -> None:
    Product.objects.filter(pk=42).update(price=Decimal("1234.50"))
    assert {price_on(lab.visit("/product/42/", None, language).text) for language in ("en", "de")} == {"1234.50"}
    assert price_on("no price") == ""


def test_a_process_dies_between_its_commit_and_its_callbacks(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in lab.environment.variables.items():
        monkeypatch.setenv(name, value)
    kept.product_detail(42)
    assert killed.killed_after_commit(42, Decimal("3.00")).startswith("killed")
    assert Product.objects.get(pk=42).price == Decimal("3.00")
    assert kept.product_detail(42)["product"].price != Decimal("3.00")


def test_one_that_does_not_come_that_far_says_why(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in lab.environment.variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(LabError, match="DoesNotExist"):
        killed.killed_after_commit(987654, Decimal("3.00"))
