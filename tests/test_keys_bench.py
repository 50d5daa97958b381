"""What notebook 08 has on the bench: questions through the cache, a crowd of entries, readable generations."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.core.cache import cache

from real_shop import fresh_lab, keys, running_lab  # noqa: F401
from tutorial_project.caching.generations import Namespace
from tutorial_project.caching.keys import key
from tutorial_project.lab import collisions, crowd, kept_evening, servers, small_server
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.exploring import Found
from tutorial_project.lab.generation_names import readable
from tutorial_project.lab.scheduler import Step

# Questions through the cache


def test_a_question_that_shares_a_key_gets_the_other_ones_answer(lab: Lab) -> None:
    asked = collisions.ask_all(
        lambda pk, code: f"label:{pk}", lambda pk, code: (pk, code), [(1, "en"), (1, "de"), (2, "de")]
    )
    assert list(asked.columns) == ["question", "key", "hit", "got", "right"]
    assert asked["right"].tolist() == [True, False, True] and asked["hit"].tolist() == [False, True, False]
    assert asked["got"].tolist() == [(1, "en"), (1, "en"), (2, "de")] and keys() == ["label:1", "label:2"]


def test_an_answer_is_kept_whatever_it_is(lab: Lab) -> None:
    asked = collisions.ask_all(lambda n: f"none:{n}", lambda n: None, [(1,), (1,)])
    assert asked["hit"].tolist() == [False, True] and asked["right"].all()


def test_no_question_is_refused(lab: Lab) -> None:
    with pytest.raises(LabError, match="no question"):
        collisions.ask_all(str, str, [])


def test_random_pairs_are_different_and_the_same_in_every_run() -> None:
    pairs = collisions.random_parts(300)
    assert len(set(pairs)) == 300 and pairs == collisions.random_parts(300) != collisions.random_parts(300, seed=2)
    joined = {":".join(pair) for pair in pairs}
    assert len(joined) < 290 and len({key("search", *pair) for pair in pairs}) == 300


# A crowd


def test_a_crowd_is_as_large_as_it_says_and_django_finds_it(lab: Lab) -> None:
    assert crowd.crowd(2_345) == 2_345 == len(keys())
    assert cache.get("other:2344:detail") == 1 and cache.get("other:2345:detail") is None
    lab.empty_cache()
    assert crowd.crowd(0) == 0 and keys() == []


@pytest.mark.parametrize("entries", [-1, 1.5, "many"])
def test_a_crowd_of_no_whole_number_is_refused(lab: Lab, entries: int) -> None:
    with pytest.raises(LabError, match="whole number"):
        crowd.crowd(entries)


def test_fakeredis_gets_a_tenth(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, largest in (("redis", 100_000), ("valkey", 100_000), ("fakeredis", 10_000)):
        monkeypatch.setattr(lab.environment, "cache_server", SimpleNamespace(kind=kind))
        assert crowd.sizes() == (largest // 100, largest // 10, largest)


# Readable generations

OLD, NEW = "fJPsK22gRnY", "VYqJ-_Bd6Ik"


def order(*steps: tuple[str, str]) -> Found:
    return Found("stale", ["reader"], bad=1, shortest=[Step("reader", what, "cache", saw) for what, saw in steps])


def test_generations_are_called_by_the_order_in_which_they_are_seen() -> None:
    found = order(
        ("get product:42:generation=", OLD),
        (f"get product:42:generation={OLD}:price", "nothing"),
        ("get product:42:generation=", NEW),
        (f"set product:42:generation={NEW}:price", OLD + "!"),
    )
    assert [(step.what, step.saw) for step in readable(found).shortest] == [
        ("get product:42:generation=", "<first>"),
        ("get product:42:generation=<first>:price", "nothing"),
        ("get product:42:generation=", "<second>"),
        ("set product:42:generation=<second>:price", "<first>!"),
    ]
    assert found.shortest[0].saw == OLD and str(readable(found)) == str(found)


def test_an_order_without_generations_stays_what_it_is() -> None:
    found = order(("get price", "nothing"), ("SELECT shop_product", ""))
    assert readable(found).shortest == found.shortest and readable(order()).shortest == []


def test_more_generations_than_there_are_names_are_refused() -> None:
    with pytest.raises(LabError, match="more than 5"):
        readable(order(*((f"get p:generation={'a' * 10}{n}:price", "") for n in range(6))))


# A full server


@pytest.mark.slow
def test_a_full_server_throws_out_what_is_out_of_reach_and_is_gone_afterwards(lab: Lab) -> None:
    evicted = small_server.evicted_by_lru(rounds=1)
    assert evicted is not None and evicted.entries > 50 and evicted.in_reach * 10 < evicted.entries
    with small_server.small_server() as (small, client):
        small.set("here", 1)
        assert keys() == [] and client.ping()
        port = client.connection_pool.connection_kwargs["port"]
    assert not servers.taken(port)


def test_a_machine_without_a_real_server_has_no_answer(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(kind: str) -> tuple[list[str], str]:
        raise LabError(f"no {kind}")

    monkeypatch.setattr(servers, "program", none)
    assert small_server.evicted_by_lru() is None
    with pytest.raises(LabError, match="memory limit: no redis; no valkey"), small_server.small_server():
        pass


# An evening, with answers kept


def test_whoever_hears_of_changes_hears_nothing_after_a_replay_that_is_interrupted(lab: Lab) -> None:
    heard: list[str] = []

    def on_save(sender: type, **kwargs: object) -> None:
        heard.append(sender.__name__)
        raise KeyboardInterrupt

    evening = lab.traffic(5000, "20:00").query('path.str.contains("/price/")').head(1)
    with pytest.raises(KeyboardInterrupt):
        kept_evening.replay_kept(evening, lambda entity, what, ask: ask(), on_save)
    assert heard == ["Product"]
    kept_evening.replay_kept(evening, lambda entity, what, ask: ask())
    assert heard == ["Product"]


def test_an_evening_keeps_five_answers_and_counts_no_generation(lab: Lab) -> None:
    def by_generation(entity: tuple[object, ...], what: str, ask: Callable[[], object]) -> object:
        return Namespace(*entity).get_or_set(what, ask, 600)

    day = lab.traffic(5000, "20:00")
    replayed = kept_evening.replay_kept(day[day["path"].isin(["/", "/product/918/"])].head(4), by_generation)
    uses = {use for each in replayed["uses"] for use in each}
    assert {"navigation", "permission_set", "catalogue:popular_products", "product:product_detail"} <= uses
    assert not uses & {"product", "catalogue"}
