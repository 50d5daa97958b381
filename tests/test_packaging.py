"""What a clone must hold to install and start, and what make says where it cannot."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from conftest import ROOT, bare_environment
from tutorial_project.lab import workspace
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.patterns import imports

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NEEDS_MAKE = pytest.mark.skipif(
    os.name == "nt" or shutil.which("make") is None, reason="no make here: the README has the plain commands"
)
PINS = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()


def test_requirements_are_exact_pins_that_end_in_the_course_itself() -> None:
    assert PINS[-1] == "-e ."
    for line in filter(None, PINS[:-1]):
        assert re.match(r"[a-z0-9.-]+==[\w.]+( ;.*)?$", line), line


def test_every_direct_dependency_is_pinned_within_its_bounds() -> None:
    pinned: dict[str, list[str]] = {}
    for line in filter(None, PINS[:-1]):
        name, version = line.partition(" ;")[0].split("==")
        pinned.setdefault(name, []).append(version.strip())
    for wanted in map(Requirement, PROJECT["project"]["dependencies"]):
        assert [wanted.specifier.contains(version) for version in pinned[wanted.name]] == [True], wanted


ROOMS = {"caching": 0, "shop": 1, "lab": 2}


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_imports_upward(room: str) -> None:
    for path in (ROOT / "tutorial_project" / room).rglob("*.py"):
        for name in imports(path.read_text(encoding="utf-8"), path.relative_to(ROOT).parts[:-1]):
            parts = name.split(".")
            if parts[0] == "tutorial_project" and len(parts) > 1 and parts[1] in ROOMS:
                assert ROOMS[parts[1]] <= ROOMS[room], f"{path.relative_to(ROOT)} imports {name}"
            if room == "caching":
                known = parts[0] in {"django", "tutorial_project"} or parts[0] in sys.stdlib_module_names
                assert known, f"{path.relative_to(ROOT)} imports {name}: take-home files need Django alone"


def test_an_import_upward_would_be_seen() -> None:
    source = "from ..lab.bench import Lab\nfrom . import models\nimport redis.client\n"
    assert imports(source, ("tutorial_project", "shop")) == {
        "tutorial_project.lab.bench.Lab",
        "tutorial_project.shop.models",
        "redis.client",
    }


def test_work_is_filled_without_answers_and_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = {"cells": [{"cell_type": "code", "source": "1", "outputs": ["the answer"], "execution_count": 7}]}
    for name in ("00_one", "index"):
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(book))
    monkeypatch.setattr(workspace, "NOTEBOOKS", tmp_path)
    work = tmp_path / "work"
    assert workspace.fill(work) == ["00_one", "index"]
    assert json.loads((work / "00_one.ipynb").read_text())["cells"][0]["outputs"] == []
    assert json.loads((work / "00_one.ipynb").read_text())["cells"][0]["execution_count"] is None
    (work / "00_one.ipynb").write_text("mine")
    (work / "index.ipynb").unlink()
    assert workspace.fill(work) == ["index"]
    assert (work / "00_one.ipynb").read_text() == "mine"
    assert workspace.start_page(work) == "index.ipynb"
    (work / "index.ipynb").unlink()
    assert workspace.start_page(work) == "00_one.ipynb"
    with pytest.raises(LabError, match="no notebook '42_none'. It has: 00_one, index"):
        workspace.fresh_copy("42_none")


def test_a_work_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match="set TUTORIAL_WORK to one"):
        workspace.fill(tmp_path / "file" / "work")


def make(*arguments: str, cwd: Path, env: dict[str, str], user: str | None = None) -> subprocess.CompletedProcess[str]:
    command = ["make", *arguments]
    return subprocess.run(command, cwd=cwd, env=env, user=user, capture_output=True, text=True, check=False)


def bare_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "course"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, folder)
    return folder


def make_with_pythons(tmp_path: Path, **versions: str) -> subprocess.CompletedProcess[str]:
    """`make lab` where the PATH holds these Pythons and no others; none of them has a venv module."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("make", "sh", "touch", "rm", "head", "env"):
        (tools / name).symlink_to(str(shutil.which(name)))
    for name, version in versions.items():
        major, minor, _ = version.split(".")
        python = tools / name.replace("_", ".")
        python.write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && echo Python {version} && exit\n[ "$1" = -m ] && exit 1\n'
            f'exec {sys.executable} -c "import sys; sys.version_info = ({major}, {minor}); ${{2#import sys; }}"\n'
        )
        python.chmod(0o755)
    command, env = [str(tools / "make"), "lab"], {"PATH": str(tools), "HOME": str(tmp_path)}
    return subprocess.run(command, cwd=bare_folder(tmp_path), env=env, capture_output=True, text=True, check=False)


def told(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What was said on stderr, but for make's own line."""
    return [line for line in done.stderr.splitlines() if not line.startswith(("make", str(shutil.which("make"))))]


@NEEDS_MAKE
def test_an_old_python_gets_one_clear_line(tmp_path: Path) -> None:
    done = make_with_pythons(tmp_path, python3="3.10.13")
    assert done.returncode != 0 and done.stdout == ""
    lines = [line for line in told(done) if "***" not in line]
    assert len(lines) == 1 and "needs Python 3.11 or newer, and found Python 3.10.13" in lines[0]


@NEEDS_MAKE
def test_a_newer_python_beside_an_old_one_is_found(tmp_path: Path) -> None:
    done = make_with_pythons(tmp_path, python3="3.10.13", python3_12="3.12.1", python3_11="3.11.7")
    assert "Making .venv with Python 3.12.1." in done.stdout
    assert any("apt install python3-venv" in line for line in told(done))


@NEEDS_MAKE
def test_a_read_only_checkout_gets_one_clear_line(tmp_path: Path) -> None:
    folder = bare_folder(tmp_path)
    folder.chmod(0o555)
    user = None
    if os.geteuid() == 0:  # root writes anywhere
        user = "nobody"
        for parent in [tmp_path, *tmp_path.parents][:4]:
            if parent.stat().st_uid == 0 and str(parent).count("/") > 1:
                parent.chmod(0o755)
    done = make("lab", cwd=folder, env=bare_environment(tmp_path / "home"), user=user)
    assert done.returncode != 0 and told(done) == [
        "This folder cannot be written to, and the course installs itself into it: copy it to a folder of yours."
    ]


@NEEDS_MAKE
def test_a_course_without_notebooks_passes(tmp_path: Path) -> None:
    folder = bare_folder(tmp_path)
    (folder / "notebooks/src").mkdir(parents=True)
    for name in ("build.py", "editions.py"):
        shutil.copy(ROOT / "notebooks/src" / name, folder / "notebooks/src")
    (folder / "venv").symlink_to(sys.prefix)
    done = make("notebooks", "drift", "-o", "venv/.installed", "VENV=venv", cwd=folder, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert "No notebook is built yet." in done.stdout and "0 notebooks are as their sources say." in done.stdout


@NEEDS_MAKE
@pytest.mark.parametrize("script", [".ci/run", "binder/postBuild", "binder/start"])
def test_scripts_are_executable_and_their_shell_accepts_them(script: str) -> None:
    path = ROOT / script
    assert os.access(path, os.X_OK)
    shell = path.read_text().splitlines()[0].removeprefix("#!")
    assert subprocess.run([shell, "-n", str(path)], check=False).returncode == 0


def test_the_readme_names_what_there_is() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"`make (\w+)", readme)
    makefile = (ROOT / "Makefile").read_text()
    assert targets and all(re.search(rf"^{name}:", makefile, re.MULTILINE) for name in targets)
    for link in re.findall(r"\]\((?!http|#)([^)]+)\)", readme):
        assert (ROOT / link).exists(), f"the README links {link}, which is not there"
