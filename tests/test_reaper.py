"""Whatever becomes of an owner, nothing that its reaper started or made is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tutorial_project.lab import reaper as module
from tutorial_project.lab.reaper import Reaper, ReaperGone

pytestmark = pytest.mark.skipif(os.name == "nt", reason="ends processes by signals")
SLEEPER = [sys.executable, "-I", "-c", "import time; time.sleep(60)"]
STUBBORN = [
    *(sys.executable, "-I", "-c"),
    "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "open(sys.argv[1], 'w').close(); time.sleep(60)",
]
# An owner that starts a child, makes a folder, says which, and then does what it is told.
OWNER = """
import sys, time, os
from tutorial_project.lab.reaper import Reaper
reaper = Reaper()
folder = reaper.make_folder()
child = reaper.start([sys.executable, "-I", "-c", "import time; time.sleep(60)"])
print(reaper.pid, child, folder, flush=True)
sys.stdin.readline()  # whoever asks has seen that they run
{then}
"""


def runs(pid: int) -> bool:
    """Whether a process of this id runs; one that has ended and waits to be collected does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether the condition comes true in that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def reaper() -> Iterator[Reaper]:
    reaper = Reaper()
    yield reaper
    reaper.close()


def owner(then: str) -> tuple[subprocess.Popen[str], int, int, Path]:
    """A process that owns a reaper: itself, the reaper's id, a child's id and a folder."""
    command = [sys.executable, "-c", OWNER.format(then=then)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    reaper, child, folder = process.stdout.readline().split()
    assert runs(int(reaper)) and runs(int(child)) and Path(folder).is_dir()
    print(file=process.stdin, flush=True)
    return process, int(reaper), int(child), Path(folder)


def test_a_child_lives_until_it_is_stopped(reaper: Reaper) -> None:
    child = reaper.start(SLEEPER)
    assert reaper.alive(child) and runs(child)
    reaper.stop(child)
    assert not reaper.alive(child) and not runs(child)


def test_a_child_that_ends_by_itself_is_not_alive(reaper: Reaper) -> None:
    child = reaper.start([sys.executable, "-I", "-c", ""])
    assert eventually(lambda: not reaper.alive(child))


def test_what_a_child_prints_goes_to_its_log(reaper: Reaper, tmp_path: Path) -> None:
    child = reaper.start([sys.executable, "-I", "-c", "print('hello')"], log=tmp_path / "log")
    assert eventually(lambda: not reaper.alive(child))
    assert (tmp_path / "log").read_text() == "hello\n"


def test_a_program_that_does_not_exist_is_an_error_and_no_more(reaper: Reaper) -> None:
    with pytest.raises(OSError, match="no-such-program"):
        reaper.start(["no-such-program"])
    assert reaper.alive(reaper.start(SLEEPER))


def test_closing_ends_the_children_and_removes_the_folders(tmp_path: Path) -> None:
    reaper = Reaper()
    child, folder = reaper.start(SLEEPER), reaper.make_folder()
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").touch()
    reaper.remove_at_end(other)
    assert folder.stat().st_mode & 0o777 == 0o700
    reaper.close()
    reaper.close()
    assert not runs(child) and not runs(reaper.pid) and not folder.exists() and not other.exists()


def test_a_child_that_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    reaper = Reaper()
    child = reaper.start([*STUBBORN, str(tmp_path / "ready")])
    assert eventually((tmp_path / "ready").exists)
    reaper.close()
    assert not runs(child)


def with_a_child(then: str, note: Path) -> list[str]:
    """A program that starts a child, writes its process id to `note`, and then does what it is told."""
    start = f"import subprocess, sys, time; other = subprocess.Popen({SLEEPER!r}); "
    return [*SLEEPER[:3], f"{start}open({str(note)!r}, 'w').write(str(other.pid)); {then}"]


def noted(note: Path) -> int:
    assert eventually(lambda: note.exists() and bool(note.read_text()))
    return int(note.read_text())


def test_a_childs_own_children_end_with_it_and_no_zombie_stays(reaper: Reaper, tmp_path: Path) -> None:
    child = reaper.start(with_a_child("time.sleep(60)", tmp_path / "note"))
    grandchild = noted(tmp_path / "note")
    reaper.stop(child, force=True)
    assert not runs(child) and not runs(grandchild)
    if sys.platform == "linux":  # elsewhere it is the system's first process that collects them
        assert not psutil.pid_exists(child) and not psutil.pid_exists(grandchild)


def test_where_no_parent_takes_its_children_along_those_of_a_dead_one_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIBC", None)
    child = subprocess.Popen(with_a_child("", tmp_path / "note"), start_new_session=True)
    child.wait()
    assert runs(noted(tmp_path / "note"))
    module.end([child], polite=False)
    assert not runs(noted(tmp_path / "note"))


@pytest.mark.parametrize("how", [getattr(signal, "SIGKILL", signal.SIGTERM), signal.SIGTERM])
def test_nothing_outlives_an_owner_that_is_killed(how: signal.Signals) -> None:
    process, reaper, child, folder = owner("time.sleep(60)")
    process.send_signal(how)
    process.wait()
    assert eventually(lambda: not runs(child) and not runs(reaper) and not folder.exists())


def test_nothing_outlives_an_owner_whose_forked_child_keeps_the_pipe_open() -> None:
    process, reaper, child, folder = owner("other = os.fork() or time.sleep(60)\nprint(other, flush=True)\nos._exit(9)")
    assert process.stdout
    fork = int(process.stdout.readline())
    process.wait()
    try:
        assert runs(fork)
        assert eventually(lambda: not runs(child) and not runs(reaper) and not folder.exists())
    finally:
        os.kill(fork, getattr(signal, "SIGKILL", signal.SIGTERM))


def test_an_owner_that_just_ends_leaves_nothing() -> None:
    process, reaper, child, folder = owner("")
    process.wait()
    assert not runs(child) and not runs(reaper) and not folder.exists()


def test_a_forked_child_that_ends_takes_nothing_with_it() -> None:
    process, reaper, child, folder = owner(
        "if os.fork() == 0: sys.exit()\nos.wait()\nprint('waited', flush=True)\ninput()"
    )
    assert process.stdout and process.stdout.readline() == "waited\n"
    assert runs(child) and folder.exists()
    process.kill()
    process.wait()
    assert eventually(lambda: not runs(reaper))


def test_an_interrupt_of_the_owners_group_does_not_reach_the_children() -> None:
    then = "try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print(reaper.alive(child), flush=True)"
    process, *_ = owner(f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{then}")
    assert process.stdout and os.getpgid(process.pid) == os.getpgid(0)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "True\n"
    process.wait()


def test_child_and_reaper_have_sessions_of_their_own(reaper: Reaper) -> None:
    child = reaper.start(SLEEPER)
    assert len({os.getsid(0), os.getsid(reaper.pid), os.getsid(child)}) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of a process that was killed")
def test_children_do_not_outlive_a_reaper_that_is_killed() -> None:
    reaper = Reaper()
    child, folder = reaper.start(SLEEPER), reaper.make_folder()
    os.kill(reaper.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    assert eventually(lambda: not runs(child))
    with pytest.raises(ReaperGone):
        reaper.alive(child)
    reaper.close()
    assert not folder.exists()


def test_an_answer_that_an_interrupt_cut_short_is_not_taken_for_the_next_one(
    reaper: Reaper, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = reaper.start(SLEEPER)
    assert reaper.process.stdin
    reaper.process.stdin.write(b'[0, "alive", {"pid": -1}]\n')  # asked, and never waited for
    reaper.process.stdin.flush()
    assert reaper.alive(child)
