"""`make lab` in a clean copy with an empty HOME: JupyterLab answers, and the second run installs nothing."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT, bare_environment
from jupyter_process import fetch, free_port, started

COLD_SECONDS, WARM_SECONDS = 180, 10


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="no make here: the README has the plain commands")
def test_make_lab_opens_the_course(clone: Path, tmp_path: Path, record_property) -> None:
    env = bare_environment(tmp_path / "home")
    port = free_port()
    flags = f"ARGS=--no-browser --port {port} --ServerApp.token=open-sesame"
    with started(["make", "lab", flags], port, clone, env, COLD_SECONDS) as cold:
        books = {path.name for path in (clone / "notebooks").glob("*.ipynb")}
        assert {path.name for path in (clone / "work").glob("*.ipynb")} == books
        assert "<title>JupyterLab</title>" in fetch(f"http://127.0.0.1:{port}/lab?token=open-sesame")
        with socket.socket() as other, pytest.raises(OSError):
            other.settimeout(1)
            other.connect((own_address(), port))
    installed = stamp(clone)
    with started(["make", "lab", flags], port, clone, env, WARM_SECONDS) as warm:
        assert stamp(clone) == installed, "the second run installed something"
    record_property("cold", round(cold, 1))
    record_property("warm", round(warm, 1))
    print(f"make lab answered after {cold:.1f} s the first time, {warm:.1f} s the second")


def stamp(clone: Path) -> tuple[int, int]:
    return (clone / ".venv/.installed").stat().st_mtime_ns, len(list((clone / ".venv/bin").iterdir()))


def own_address() -> str:
    """This machine's address to others, or one on which nobody answers."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.connect(("192.0.2.1", 9))  # sends nothing
            return str(one.getsockname()[0])
    except OSError:
        return "192.0.2.1"


def command(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tutorial_project.lab", *arguments],
        cwd=ROOT,
        env={**os.environ, "HOME": env.get("TUTORIAL_WORK", "/dev/null/nowhere"), **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_says_how_it_is_used() -> None:
    assert command("--help").stdout.startswith("The course's command")
    wrong = command("opne")
    assert wrong.returncode == 2 and "usage:" in wrong.stderr


def test_fill_says_what_it_did_and_a_bad_folder_is_one_line(tmp_path: Path) -> None:
    first = command("fill", TUTORIAL_WORK=str(tmp_path / "work"))
    assert first.returncode == 0 and first.stdout.startswith(str(tmp_path / "work"))
    assert "nothing to add" in command("fill", TUTORIAL_WORK=str(tmp_path / "work")).stdout
    (tmp_path / "file").touch()
    refused = command("open", TUTORIAL_WORK=str(tmp_path / "file"))
    assert refused.returncode == 1 and len(refused.stderr.splitlines()) == 1
    assert "set TUTORIAL_WORK to one" in refused.stderr


def test_doctor_answers_without_a_notebook(tmp_path: Path) -> None:
    told = command("doctor", TUTORIAL_WORK=str(tmp_path), TUTORIAL_PROGRESS=str(tmp_path / "progress.json"))
    assert told.returncode == 0 and "Python" in told.stdout, told.stderr
