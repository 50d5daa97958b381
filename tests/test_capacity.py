"""The queue in front of the databases: against what is known of it, and of the work that is put in."""

import pandas as pd
import pytest

from tutorial_project.lab.capacity import ARRIVALS, highest_rate, kind, latencies, percentile, work_ms
from tutorial_project.lab.errors import LabError

WORK = [10.0] * 9 + [60.0]  # 15 ms on average


def run(*requests: tuple[list[str], list[float]]) -> pd.DataFrame:
    return pd.DataFrame({"sql": [sql for sql, _ in requests], "sql_ms": [ms for _, ms in requests]})


def test_an_idle_database_takes_as_long_as_the_work() -> None:
    found = latencies([10.0], rate=0.001)
    assert len(found) == ARRIVALS and max(found) == pytest.approx(10.0)


def test_waiting_agrees_with_the_closed_form_for_one_server() -> None:
    # M/D/1: the mean wait is ρ ÷ (2 (1 - ρ)) times the work. At ρ = 0.5, half of it.
    found = latencies([10.0], rate=50)
    assert sum(found) / len(found) == pytest.approx(15.0, rel=0.05)


def test_latencies_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    assert latencies(WORK, 40) == latencies(WORK, 40) != latencies(WORK, 40, seed=2)


def test_a_second_database_is_worth_more_than_twice_the_rate_and_no_more_than_the_waiting_allows() -> None:
    one, two = highest_rate(WORK, 150), highest_rate(WORK, 150, databases=2)
    assert 1.5 * one < two < 4 * one
    assert one < 1000 / 15 and two < 2000 / 15
    assert highest_rate([ms / 2 for ms in WORK], 150) > 2 * one


def test_the_highest_rate_keeps_the_bound_and_a_higher_one_does_not() -> None:
    rate = highest_rate(WORK, 150)
    assert percentile(latencies(WORK, rate), 0.95) <= 150 < percentile(latencies(WORK, rate * 1.02), 0.95)


def test_a_bound_below_the_work_itself_allows_no_rate() -> None:
    assert highest_rate([10.0], 9.0) < 0.01


@pytest.mark.parametrize(("work", "rate", "databases"), [([], 1, 1), ([1.0], 0, 1), ([1.0], -1, 1), ([1.0], 1, 0)])
def test_a_queue_that_cannot_be_is_one_line(work: list[float], rate: float, databases: int) -> None:
    with pytest.raises(LabError, match="A queue needs some measured work"):
        latencies(work, rate, databases)


def test_percentile() -> None:
    assert [percentile([3, 1, 2, 4], share) for share in (0, 0.5, 0.95, 1)] == [1, 3, 4, 4]


def test_a_statement_costs_the_median_of_its_kind_whatever_its_values() -> None:
    prices = run((["SELECT 1 FROM a", "SELECT 2 FROM a"], [10.0, 20.0]), (["SELECT 'it''s' FROM a"], [90.0]))
    assert work_ms(prices, prices)[1] == work_ms(run((["SELECT 7 FROM a"], [5000.0])), prices)[0]
    mixed = run((["SELECT 7 FROM a", "SELECT 8 FROM a"], [1.0, 1.0]), ([], []))
    one = work_ms(run((["SELECT 7 FROM a"], [1.0])), prices)[0]
    assert work_ms(mixed, prices) == [2 * one, 0]


def test_kind_takes_values_out_and_leaves_names() -> None:
    assert kind("SELECT a1 FROM t2 WHERE x = 'it''s 5' AND y > 3.5 LIMIT 20") == (
        "SELECT a1 FROM t2 WHERE x = ? AND y > ? LIMIT ?"
    )
