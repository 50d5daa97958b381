"""A protected hit costs one round trip and next to nothing more; with a generation, a second one."""

import os
from typing import Any

import pytest
import redis
from django.core.cache import cache

from measure_hit_cost import hits, ratio
from real_shop import fresh_lab, running_lab  # noqa: F401

pytestmark = pytest.mark.usefixtures("lab")

TRIPS = {
    "plain get": 1,
    "protected": 1,
    "protected, refreshed early": 1,
    "protected, with a generation": 2,
    "a generation alone": 2,
    "a stamp alone": 1,
}


@pytest.mark.parametrize("name", TRIPS)
def test_a_hit_makes_so_many_round_trips(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ways = hits()
    assert ways.keys() == TRIPS.keys()
    sent: list[Any] = []
    real = redis.Connection.send_packed_command

    def send(self: Any, command: Any, *args: Any, **kwargs: Any) -> None:
        sent.append(command)
        real(self, command, *args, **kwargs)

    monkeypatch.setattr(redis.Connection, "send_packed_command", send)
    ways[name]()
    assert len(sent) == TRIPS[name]


@pytest.mark.skipif(os.environ.get("TUTORIAL_CACHE") == "fakeredis", reason="a ratio to a server written in Python")
def test_a_protected_hit_takes_a_tenth_longer_than_a_plain_one_at_most() -> None:
    ways = hits()
    found = []
    for _ in range(5):  # of a machine that does other things meanwhile; one undisturbed run tells
        found.append(ratio(ways["plain get"], ways["protected"], pairs=1000))
        if found[-1] <= 1.1:
            return
    raise AssertionError(f"a protected hit took {found} times as long as a plain one")


def test_the_ratio_tells_one_from_two() -> None:
    one = hits()["plain get"]
    two = ratio(one, lambda: (cache.get("a"), cache.get("b")), pairs=300)
    assert two > 1.3, two
