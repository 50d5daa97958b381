"""Round trips: how often the cache itself was asked, and which calls are parts of another."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.core.cache import cache, caches

from real_shop import fresh_lab, running_lab  # noqa: F401
from test_metering import calls_of
from tutorial_project.caching import atomic, leases
from tutorial_project.caching.metering import Use, counting

pytestmark = pytest.mark.usefixtures("lab")


@pytest.fixture
def packets(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what is sent to the cache server, a round trip each."""
    sent: list[int] = []
    real = redis.Connection.send_packed_command

    def send(self: Any, command: Any, *args: Any, **kwargs: Any) -> None:
        sent.append(len(command))
        real(self, command, *args, **kwargs)

    monkeypatch.setattr(redis.Connection, "send_packed_command", send)
    return sent


@pytest.mark.parametrize(
    ("call", "trips", "sent"),
    [
        (lambda: cache.get("a"), 1, 1),
        (lambda: cache.set("a", 1), 1, 1),
        (lambda: cache.add("n", 2), 1, 1),
        (lambda: cache.touch("n", 60), 1, 1),
        (lambda: cache.has_key("n"), 1, 1),
        (lambda: cache.delete("n"), 1, 1),
        (lambda: cache.get_many(["n", "b", "c"]), 1, 1),
        (lambda: cache.set_many({"a": 1, "b": 2, "c": 3}), 1, 1),
        (lambda: cache.delete_many(["a", "b"]), 1, 1),
        (lambda: cache.get_or_set("n", 1), 1, 1),
        (lambda: cache.get_or_set("new", lambda: 1), 3, 3),
        (lambda: cache.get_or_set("new", lambda: cache.get("n")), 4, 4),
        (lambda: cache.incr("n"), 1, 2),
        (lambda: cache.decr("n"), 1, 2),
        (lambda: cache.clear(), 1, 1),
    ],
)
def test_a_trip_is_a_round_trip_to_the_server_but_an_incr_is_two(
    packets: list[int], call: Callable[[], object], trips: int, sent: int
) -> None:
    cache.set("n", 1)
    packets.clear()
    with counting() as counted:
        call()
    assert (counted.trips, len(packets)) == ({"default": trips}, sent)


def test_an_atomic_step_is_one_call_and_one_round_trip(packets: list[int]) -> None:
    leases.get_or_compute("warm", lambda: "the scripts are sent", 60)
    packets.clear()
    with counting() as counted:
        for _ in range(2):
            leases.get_or_compute("product:42:detail", lambda: "soup", 60)
        atomic.acquire("product:42:lock", "a", 10)
        atomic.renew("product:42:lock", "a", 10)
        atomic.release("product:42:lock", "a")
    assert counted.operations == {"acquire": 3, "commit": 1, "renew": 1, "release": 1}
    assert (counted.trips, len(packets)) == ({"default": 6}, 6)
    assert counted.uses["product:detail"] == Use(hits=1, misses=1, bytes=2 * len(pickle.dumps("soup", 5)))


def test_trips_are_counted_by_alias_and_only_inside_the_block() -> None:
    with counting() as counted:
        caches["local"].get_many(["a", "b"])  # memory is asked for one key after the other
        cache.get_many(["a", "b"])
    cache.get("a")
    assert counted.trips == {"local": 2, "default": 1}


def test_a_call_tells_how_many_it_made_itself_and_a_computation_is_none_of_them() -> None:
    calls = calls_of(lambda: cache.get_or_set("price", lambda: 10 * cache.get("rate", 1)))
    assert [(call.operation, call.parts) for call in calls] == [
        *[("get", 0), ("get", 0), ("add", 0), ("get", 0)],
        ("get_or_set", 3),
    ]
    assert [call.parts for call in calls_of(lambda: cache.get_or_set("price", 1))] == [0, 1]
    with pytest.raises(LookupError):
        cache.get_or_set("none", lambda: [][0])
    assert [call.parts for call in calls_of(lambda: cache.get("price"))] == [0]
