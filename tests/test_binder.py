"""Binder's steps, replayed in a clean copy and an empty environment: install, postBuild, start."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT, bare_environment

NEEDS_BASH = pytest.mark.skipif(
    os.name == "nt" or shutil.which("bash") is None, reason="Binder's scripts are for bash on Linux"
)


def test_binder_asks_for_the_python_that_the_pins_are_for() -> None:
    assert (ROOT / "binder/runtime.txt").read_text() == "python-3.11\n"
    lines = (ROOT / "binder/requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["-r ../requirements.txt"]


def python_3_11() -> str:
    """The Python that Binder would use, or the one running this test where the machine has no other."""
    return sys.executable if sys.version_info[:2] == (3, 11) else shutil.which("python3.11") or sys.executable


@NEEDS_BASH
@pytest.mark.slow
def test_the_image_builds_and_starts(clone: Path, tmp_path: Path) -> None:
    env = bare_environment(tmp_path / "home")
    subprocess.run([python_3_11(), "-m", "venv", str(tmp_path / "venv")], env=env, check=True)
    env["PATH"] = f"{tmp_path / 'venv/bin'}:{env['PATH']}"

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=clone, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
        return done.stdout

    pip = ["python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    uv = Path(sys.prefix) / "bin/uv"
    if uv.exists():  # the same wheels from a cache, in seconds
        pip = [str(uv), "pip", "install", "-q", "--system-certs", "--python", str(tmp_path / "venv/bin/python")]
    run(*pip, "-r", "binder/requirements.txt")  # from the root of the repository, as repo2docker does
    assert run("python", "-c", "import tutorial_project as t; print(t.__file__)").startswith(str(clone))
    run("./binder/postBuild")
    books = {path.name for path in (clone / "notebooks").glob("*.ipynb")}
    assert {path.name for path in (clone / "work").glob("*.ipynb")} == books
    assert list((tmp_path / "home").rglob("*.sqlite3")), "the shop is not built into the image"
    settings = tmp_path / "venv/share/jupyter/lab/settings/overrides.json"
    assert json.loads(settings.read_text())["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"
    assert run("./binder/start", "echo", "two words").splitlines()[-1] == "two words"
    shutil.rmtree(tmp_path / "venv", ignore_errors=True)


@NEEDS_BASH
def test_a_failing_step_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    broken = tmp_path / "bin/python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    env = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path)}
    assert subprocess.run([str(ROOT / "binder/postBuild")], cwd=tmp_path, env=env, check=False).returncode != 0
