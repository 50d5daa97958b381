"""Calls at moments of real time: kept to, or done again."""

import time

import pytest
from django.core.cache import cache

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.lab import on_time as module
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.on_time import on_time


def test_each_call_comes_at_its_moment() -> None:
    started = time.monotonic()
    at = on_time([0, 0.1, 0.3], lambda: time.monotonic() - started, before=lambda: None)
    assert all(0 <= found - wanted < 0.5 for found, wanted in zip(at, [0, 0.1, 0.3], strict=True))


def test_a_run_that_was_late_is_done_again_from_the_start() -> None:
    pauses, begun = iter([0.0, 0.2, 0.0, 0.0]), []

    def call() -> str:
        time.sleep(next(pauses))
        return "answer"

    assert on_time([0, 0.05], call, before=lambda: begun.append(1), late=0.15) == ["answer", "answer"]
    assert len(begun) == 2


def test_a_machine_that_is_always_late_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TRIES", 2)
    with pytest.raises(LabError, match=r"more than 0.01 s late in 2 runs: close something"):
        on_time([0], lambda: time.sleep(0.05), before=lambda: None, late=0.01)


def test_an_entry_of_one_second_on_the_real_server(lab: Lab) -> None:
    def computed() -> bool:
        hit = cache.get("note") is not None
        cache.get_or_set("note", "here", 1)
        return not hit

    assert on_time([0, 0.7, 1.3], computed, before=lab.empty_cache) == [True, False, True]
