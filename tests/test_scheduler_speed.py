"""The engine is quick enough for a lesson, and at least as quick as SimPy at the same work."""

from __future__ import annotations

import pytest

import small_shop  # noqa: F401  # sets Django up

# isort: split
from measure_scheduler import Speeds, arrivals, by_engine, by_simpy, compared, orders_a_second, same

ENOUGH = 10_000  # requests a second


@pytest.mark.slow
@pytest.mark.parametrize("keys", [1, 100])
def test_at_least_as_fast_as_simpy(keys: int):
    """By the processor's time, run after run in turns; a machine that is disturbed for a whole try gets two more."""
    tries: list[Speeds] = []
    while len(tries) < 3 and not any(speeds.ratio >= 1 and speeds.engine >= ENOUGH for speeds in tries):
        tries.append(compared(5_000, keys, pairs=9))
    best = max(tries, key=lambda speeds: speeds.ratio)
    assert best.ratio >= 1, f"{best}"
    fastest = max(speeds.engine for speeds in tries)
    if fastest < ENOUGH and max(speeds.simpy for speeds in tries) < ENOUGH:
        pytest.skip(f"this machine is too slow, or too busy, to tell: SimPy and the engine below {ENOUGH:,} a second")
    assert fastest >= ENOUGH, f"{best}"


@pytest.mark.parametrize("keys", [1, 100])
def test_both_see_the_same(keys: int):
    """Or the comparison would be of two different things."""
    asked = arrivals(3_000, keys)
    engine, simpy = by_engine(asked), by_simpy(asked)
    same(engine, simpy)
    assert 0.5 < engine.requests["hit"].mean() < 1 and engine.state["queries"].max() > 4, "an origin that is shared"
    with pytest.raises(AssertionError):
        same(engine, by_simpy(arrivals(3_000, keys, seed=2)))


def test_orders_are_explored_quickly_enough():
    """A thousand and a half in a few seconds, so that a cell can wait for them."""
    orders, speed = orders_a_second(over_the_orm=False)
    assert orders > 1_000 and speed > 50
