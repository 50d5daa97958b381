"""A fleet of real processes: asked, counted, signalled; and nothing is left of it, however it ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.core.cache import cache

from tutorial_project.lab.errors import LabError
from tutorial_project.lab.fleet import Fleet
from tutorial_project.lab.fleet_log import Computation, most_at_once
from tutorial_project.lab.fleet_origin import State

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a fleet is forked")
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Two processes with four clients each over `Protection`."""
    with Fleet("fleet_contestants:Protected", 2, 4, cost=0.2, timeout=60) as fleet:
        yield fleet


@pytest.fixture
def small(fleet: Fleet) -> Fleet:
    fleet.afresh()
    return fleet


def test_all_clients_ask_together_and_the_origin_counts(small: Fleet) -> None:
    small.tell(cost=1)
    answers = small.ask("key")
    assert sorted(zip(answers["process"], answers["client"], strict=True)) == [(p, c) for p in (0, 1) for c in range(4)]
    assert answers["error"].isna().all() and (answers["version"] == 1).all() and answers["waited"].all()
    computations = small.computations
    assert len(computations) == 1 and answers["ran"].sum() == 1
    assert set(answers["computation"]) == {computations["computation"][0]}
    assert 1 <= computations["ended"][0] - computations["began"][0]
    assert not small.ask("key")["waited"].any() and len(small.computations) == 1


def test_an_unprotected_herd_computes_as_often_as_it_asks() -> None:
    with Fleet("fleet_contestants:Plain", 4, 8, cost=1) as fleet:
        answers = fleet.ask("key")
        assert len(answers) == 32 and len(fleet.computations) == answers["ran"].sum() > 16


def test_clients_can_be_tasks_of_an_event_loop() -> None:
    with Fleet("fleet_contestants:Awaited", 2, 4, cost=0.5) as fleet:
        answers = fleet.ask("key")
        assert len(fleet.computations) == answers["ran"].sum() == 8  # none of them has stored before the last has asked
        assert fleet.invalidate("key").error is None
        assert set(fleet.ask("key")["computation"]).isdisjoint(answers["computation"])


def test_a_class_of_the_notebook_can_be_the_contestant() -> None:
    class Mine:
        def __init__(self, setup: Any) -> None:
            self.setup = setup

        def get(self, key: str) -> Any:
            return cache.get_or_set(key, lambda: self.setup.compute(key), 60)

    with Fleet(Mine, 2, 1, cost=0.5) as fleet:
        assert len(fleet.ask("key")) == len(fleet.computations) == 2
        with fleet.server.client() as client:
            assert client.keys() == [b":1:key"]


def test_a_contestant_that_cannot_travel_is_refused_in_one_line() -> None:
    lock = threading.Lock()
    with pytest.raises(LabError, match="cannot go to another process"), Fleet(lambda setup: lock, 1, 1):
        pass


def test_the_origin_is_told_from_outside(small: Fleet) -> None:
    small.tell(failing=["bad"], cost=0.01)
    assert small.write() == 2
    answers = small.ask("bad", "good", clients=1, pids=small.pids)
    assert answers.set_index("key")["version"].to_dict()["good"] == 2
    assert "OriginFailed" in answers.set_index("key")["error"].to_dict()["bad"]
    assert dict(zip(small.computations["key"], small.computations["how"], strict=True)) == {
        "bad": "raised",
        "good": "ended",
    }


def test_one_version_of_a_key_can_hang(small: Fleet) -> None:
    small.tell(hanging=["key@1"], cost=0.01)
    round_ = small.begin("key")
    assert small.holder("key") in small.pids
    small.write()
    assert small.invalidate("key").error is None
    assert set(small.ask("key")["version"]) == {2}
    small.tell(hanging=[])
    assert len(small.finish(round_)) == 8


def test_the_holder_can_be_killed_in_the_middle(small: Fleet) -> None:
    small.tell(cost=30)
    round_ = small.begin("key")
    holder = small.holder("key")
    assert holder
    small.tell(cost=0.1)
    small.kill(holder)
    assert holder not in small.pids
    assert {answer.pid for answer in small.finish(round_)} == set(small.pids)
    first, second = small.log.of("key")
    assert (first.pid, first.how) == (holder, "") and (second.pid, second.how) == (small.pids[0], "ended")
    small.afresh()
    assert len(small.pids) == 2 and not small.log.computations


def test_a_paused_process_is_not_waited_for_and_answers_later(small: Fleet) -> None:
    still, awake = small.pids
    small.pause(still)
    round_ = small.begin("key")
    assert {answer.pid for answer in small.finish(round_, 5)} == {awake}
    small.go_on(still)
    assert small.until(lambda: len(small.answers_of(round_)) == 8, 5)


def test_the_server_can_be_frozen_and_taken_away(small: Fleet) -> None:
    small.ask("key")
    small.server.freeze()
    assert "InvalidationLost" in (small.invalidate("key").error or "")
    assert len(small.ask("key")) == 8
    small.server.thaw()
    small.server.refuse()
    assert "InvalidationLost" in (small.invalidate("key").error or "")
    small.server.back()
    with small.server.client() as client:
        assert client.dbsize() == 0
        client.set("for ever", 1)
        client.set("for a while", 1, ex=9)
    assert small.server.endless() == ["for ever"]
    small.server.freeze()
    small.afresh()  # whatever was done to it
    assert small.server.endless() == [] and len(small.ask("key")) == 8


def test_whoever_does_not_answer_does_not_hold_up_the_fleet() -> None:
    with Fleet("fleet_contestants:Silent", 1, 2) as fleet:
        round_ = fleet.begin("key")
        assert fleet.finish(round_, 0.3) == [] and len(fleet.silent(round_)) == 2
        fleet.afresh()


def test_two_fleets_do_not_meet() -> None:
    with Fleet("fleet_contestants:Plain", 1, 1, cost=0.01) as one, Fleet("fleet_contestants:Plain", 1, 1) as other:
        assert one.ask("key")["computation"][0] != other.ask("key")["computation"][0]
        assert one.server.url != other.server.url


@pytest.mark.parametrize(
    ("contestant", "says"),
    [
        ("fleet_contestants:Refusing", "does not start: ValueError: there is no library here"),
        ("fleet_contestants:missing", "cannot be loaded: AttributeError"),
        ("no.such.module:lease", "cannot be loaded: ModuleNotFoundError"),
        ("rm -rf", "'module:function'"),
    ],
)
def test_a_contestant_that_is_none_is_refused_in_one_line(contestant: str, says: str) -> None:
    with pytest.raises(LabError, match=says), Fleet(contestant, 1, 1):
        pass


@pytest.mark.parametrize(("processes", "clients"), [(0, 1), (17, 1), (1, 0), (1, 65)])
def test_a_fleet_has_a_size(processes: int, clients: int) -> None:
    with pytest.raises(LabError, match="1 to 16 processes of 1 to 64 clients"):
        Fleet("fleet_contestants:Plain", processes, clients)


def test_a_fleet_lives_in_its_block() -> None:
    fleet = Fleet("fleet_contestants:Plain", 1, 1)
    with pytest.raises(LabError, match="does not run"):
        fleet.ask("key")
    with fleet:
        assert len(fleet.ask("key")) == 1 and "running" in repr(fleet)
    with pytest.raises(LabError, match="does not run"):
        fleet.ask("key")
    fleet.close()
    with fleet:  # and can begin again
        assert len(fleet.ask("key")) == 1


def test_most_at_once_counts_what_was_killed() -> None:
    def ran(began: float, ended: float = float("nan")) -> Computation:
        return Computation("", "key", 1, 1, 1, None, began, ended)

    assert most_at_once([ran(0, 1), ran(1, 2), ran(3, 4)]) == 1
    assert most_at_once([ran(0), ran(1, 2)]) == 2
    assert most_at_once([]) == 0


# ---- Nothing is left -----------------------------------------------------------------------------------------------


def left(folder: Path) -> tuple[list[psutil.Process], list[Path]]:
    """The processes that name this folder for temporary files, and what lies in it."""
    processes = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and str(folder) in " ".join(process.cmdline()):
                processes.append(process)
        except psutil.Error:
            continue
    return processes, list(folder.iterdir())


def eventually_nothing(folder: Path) -> bool:
    deadline = time.monotonic() + 20
    while any(left(folder)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


OWNER = """
import time
from tutorial_project.lab.fleet import Fleet
with Fleet("fleet_contestants:Locked", 2, 2, cost=30) as fleet:
    fleet.begin("key")
    fleet.pause(fleet.holder("key"))
    {then}
    print("ready", flush=True)
    fleet.until(lambda: False, 60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("then", ["fleet.server.freeze()", "fleet.server.refuse()"])
def test_nothing_is_left_when_the_owner_is_ended_in_the_middle(number: int, then: str, tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER.format(then=then)],
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert owner.stdout and owner.stdout.readline() == b"ready\n"
    processes, files = left(tmp_path)
    assert len(processes) >= 3 and files  # the loaded process and its workers, one of them stopped; a server
    owner.send_signal(number)
    owner.wait(20)
    owner.stdout.close()
    assert eventually_nothing(tmp_path), left(tmp_path)


def test_nothing_is_left_when_the_reaper_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with Fleet("fleet_contestants:Plain", 2, 2, cost=30) as fleet:
        round_ = fleet.begin("key")
        assert fleet.holder("key")
        fleet._reaper.process.kill()
        assert all(answer.error for answer in fleet.finish(round_, 10))
        with pytest.raises(LabError, match="was killed"):
            fleet.afresh()
    assert eventually_nothing(tmp_path), left(tmp_path)


def test_nothing_is_left_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(State, "save", full)
    with pytest.raises(LabError, match="No space left on device.*disk full"), Fleet("fleet_contestants:Plain", 1, 1):
        pass
    assert eventually_nothing(tmp_path), left(tmp_path)


def test_nothing_is_left_when_an_interrupt_falls_into_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Fleet, "afresh", interrupted)
    with pytest.raises(KeyboardInterrupt), Fleet("fleet_contestants:Plain", 1, 1):
        pass
    assert eventually_nothing(tmp_path), left(tmp_path)
