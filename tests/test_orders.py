"""Every strategy of the bench in every order: how many end with an old price in the cache."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.db import connections, transaction

from real_shop import fresh_lab, keys, running_lab  # noqa: F401
from tutorial_project.lab import orders
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.orders import STRATEGIES, Strategy

COUNTS = {
    "no deletion, a TTL alone": (2, 4),
    "delete, then write": (6, 10),
    "write, then delete": (1, 10),
    "delete in the transaction": (12, 20),
    "delete on commit": (3, 20),
    "delete before, and on commit": (6, 35),
    "on commit, and 2 s later": (0, 20),
    "that, and a reader of 5 s": (3, 10),
    "set in the transaction": (10, 18),  # a reader that finds what was set has one step, and not three
    "that, rolled back": (6, 18),
    "that, with the old price kept": (4, 4),  # the reader has one step
    "set on commit": (3, 20),
    "set on commit, readers add": (0, 20),
    "two writers set on commit": (2, 8),  # the second waits for the first one's commit: 8 of the 20 orders exist
    "on commit, and readers lock": (0, 14),  # while one holds the lock, the other waits
    "generation, in the transaction": (2, 35),
    "generation read late": (4, 56),
    "generation on commit": (0, 35),
    "lease, delete on commit": (0, 20),
}


@pytest.fixture(autouse=True)
def restored(lab: Lab) -> Iterator[None]:
    """These write, and commit."""
    yield
    connections.close_all()
    lab.restore_database()


def named(name: str) -> Strategy:
    """The strategy of that name."""
    return next(strategy for strategy in STRATEGIES if strategy.name == name)


def test_every_strategy_is_counted() -> None:
    assert [strategy.name for strategy in STRATEGIES] == list(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_so_many_orders_end_stale(name: str, lab: Lab) -> None:
    found = named(name).explore()
    assert ((found.bad, found.orders), found.complete) == (COUNTS[name], True), str(found)
    assert named(name).sound is (found.bad == 0)


def test_nothing_of_it_is_left(lab: Lab) -> None:
    named("delete on commit").explore()
    assert keys() == [] and cache.get(orders.KEY) is None
    assert not transaction.get_connection().in_atomic_block


def test_on_commit_is_broken_by_a_reader_that_looked_before_and_stores_after(lab: Lab) -> None:
    found = named("delete on commit").explore()
    what = [(step.actor, step.what.split()[0]) for step in found.shortest]
    assert what.index(("reader", "SELECT")) < what.index(("delete on commit", "COMMIT"))
    assert what[-2:] == [("delete on commit", "delete"), ("reader", "set")]


def test_a_deletion_in_the_transaction_is_undone_by_whoever_reads_before_the_commit(lab: Lab) -> None:
    frame = named("delete in the transaction").explore().frame
    late = frame[frame["order"].str.endswith("delete inside delete inside delete inside")]
    assert len(late) == 1 and not late["bad"].any(), "a reader that was there first is cleared"
    assert frame["bad"].sum() == 12


def test_the_table_has_a_row_for_each(lab: Lab) -> None:
    table = orders.table(STRATEGIES[1:4])
    assert table["stale"].to_list() == ["6 of 10", "1 of 10", "12 of 20"]
    assert table["share"].to_list() == [0.6, 0.1, 0.6] and all(table.iloc[:, 2])
