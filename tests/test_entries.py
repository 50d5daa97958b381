"""The table of what lies in the cache."""

from typing import Any

from django.core.cache import cache

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.lab import entries
from tutorial_project.lab.bench import Lab


def test_the_table_says_what_lies_there_and_for_how_long(lab: Lab) -> None:
    cache.set("product:42:detail", "x" * 100, 600)
    cache.set("product:7:detail", 1, None)
    cache.set("brief", 1, 5)
    cache.set(f"views.decorators.cache.cache_page..GET.{'0123456789abcdef' * 2}.en.UTC", "page", 60)
    rows: list[Any] = lab.entries().values.tolist()
    assert [row[:2] for row in rows] == [
        ["brief", "brief"],
        ["product:detail", "product:42:detail"],
        ["product:detail", "product:7:detail"],
        ["page", "views.decorators.cache.cache_page..GET.012345….en.UTC"],
    ]
    assert [row[3] for row in rows[1:]] == [600, -1, 60] and rows[0][3] in (4, 5)
    assert rows[1][2] >= 100 and 0 < rows[2][2] < 10


def test_nothing_kept_is_a_table_without_rows(lab: Lab) -> None:
    assert list(lab.entries().columns) == ["use", "key", "bytes", "lives"] and len(lab.entries()) == 0


def test_the_time_left_is_rounded_up_to_the_next_ten() -> None:
    assert [entries._up(left) for left in (-1, 0, 9, 10, 11, 60, 599, 600)] == [-1, 0, 9, 10, 20, 60, 600, 600]
