"""`manage.py take` puts a pattern into somebody's project: it works there without the course, or nothing is written."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from conftest import ROOT
from test_postgresql import needs_postgresql, server  # noqa: F401
from tutorial_project.lab import take_home
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.patterns import LICENCE, commands, files, first_line, imports, modules, patterns

MANAGE = ROOT / "tutorial_project/manage.py"
FAULTS = tomllib.loads((ROOT / "tests/patterns/faults.toml").read_text(encoding="utf-8"))["fault"]
# Without this the course could be imported there, as everything can that is installed beside Django.
NO_COURSE = "\nimport sys\n\nsys.modules['tutorial_project'] = None\n"


def run(*words: object, cwd: Path, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    """Run Python there as somebody does who has neither the course's settings nor a server or a database of it."""
    nothing = {"DATABASE_URL": "sqlite:////nowhere/x", "REDIS_URL": "redis://127.0.0.1:1/0"}
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DJANGO_SETTINGS_MODULE")}
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=env | nothing, capture_output=True, text=True, check=False, **kwargs)


def start_project(folder: Path) -> Path:
    """An empty Django project, as `startproject` makes it, in which the course cannot be imported."""
    folder.mkdir()
    assert run("-m", "django", "startproject", "project", ".", cwd=folder).returncode == 0
    with open(folder / "project/settings.py", "a", encoding="utf-8") as settings:
        settings.write(NO_COURSE)
    return folder


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with what is in it, and every folder."""
    found = (path for path in sorted(folder.rglob("*")) if "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in found}


def labels(told: str) -> list[str]:
    """The tests that `take` says to run, in its last line."""
    python, manage, test, *found = told.splitlines()[-1].split()
    assert (python, manage, test) == ("python", "manage.py", "test")
    return found


@pytest.fixture(scope="module")
def empty_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return start_project(tmp_path_factory.mktemp("reader") / "empty")


@pytest.fixture
def project(empty_project: Path, tmp_path: Path) -> Path:
    """An empty Django project of this test's own."""
    return Path(shutil.copytree(empty_project, tmp_path / "site"))


@pytest.fixture(scope="module")
def taken(empty_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with every pattern in its package `patterns`."""
    folder = Path(shutil.copytree(empty_project, tmp_path_factory.mktemp("taken") / "site"))
    for pattern in patterns():
        take_home.take(pattern, str(folder / "patterns"))
    return folder


# What a pattern consists of


def test_every_module_of_the_room_is_a_pattern_or_comes_along_with_one() -> None:
    there = {path.stem for path in (ROOT / "tutorial_project/caching").glob("*.py")} - {"__init__"}
    assert {name for pattern in patterns() for name in modules(pattern)} == there
    assert all(first_line(ROOT / f"tutorial_project/caching/{name}.py") for name in there)


def test_every_command_that_does_not_need_the_shop_comes_along_with_a_pattern() -> None:
    room = ("tutorial_project", "shop", "management", "commands")
    named = {path: imports(path.read_text(encoding="utf-8"), room) for path in ROOT.joinpath(*room).glob("[!_]*.py")}
    needs_shop = {path for path, names in named.items() if any("tutorial_project.shop" in name for name in names)}
    assert {path for pattern in patterns() for path in commands(pattern)} == set(named) - needs_shop


def test_what_a_pattern_brings_is_found_in_its_imports() -> None:
    assert list(files("server_timing")) == [
        *("instrumentation.py", "metering.py", "server_timing.py", "weighing.py"),
        *("tests/test_metering.py", "tests/test_server_timing.py", "__init__.py", "tests/__init__.py", LICENCE),
    ]
    assert modules("front") == ["front"]


@pytest.mark.parametrize("pattern", patterns())
def test_what_lands_needs_python_and_django_alone_and_says_where_it_is_from(pattern: str) -> None:
    for name, text in files(pattern).items():
        if name.endswith(".py") and not name.endswith("__init__.py"):
            depth = name.count("/") + 1
            tree = ast.parse(text)
            relative = [node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
            assert set(relative) <= {depth}, f"{name} reaches out of its package"
            known = {*sys.stdlib_module_names, "django", "asgiref", "here"}  # asgiref comes with Django
            assert {full.split(".")[0] for full in imports(text, ("here",) * depth)} <= known, name
            assert ast.get_docstring(tree) and "tutorial_project" not in text, name
            assert text.splitlines()[0] == f'# From "Django Caching, Measured". MIT licence: see {LICENCE}.'


def test_the_licence_that_lands_is_the_mit_text_and_names_whose_it_is() -> None:
    text = files("front")[LICENCE]
    assert text.startswith("MIT License\n\nDjango Caching, Measured\nCopyright (c) ")
    assert text.endswith("OTHER DEALINGS IN THE\nSOFTWARE.\n") and "Creative Commons" not in text


TOY = {
    "LICENSE": (ROOT / "LICENSE").read_text(encoding="utf-8"),
    "tutorial_project/caching/lease.py": (
        '"""A lease."""\nfrom .steps import step\n\n\ndef act():\n    from . import late\n'
    ),
    "tutorial_project/caching/steps.py": (
        '"""Steps."""\nstep = 7\n\n\ndef back():\n    from tutorial_project.caching.lease import act\n'
    ),
    "tutorial_project/caching/late.py": '"""Late."""\n',
    "tutorial_project/caching/other.py": '"""Another pattern."""\n',
    "tutorial_project/caching/lease_command.py": (
        '"""In a command of yours:\n\nfrom tutorial_project.caching.lease_command import Command\n"""\n'
        "from django.core.management.base import BaseCommand\n\nfrom .steps import step\n\n\n"
        "class Command(BaseCommand):\n    def handle(self, **options):\n        self.stdout.write(str(step))\n"
    ),
    "tests/patterns/test_lease.py": '"""Tests."""\nfrom tutorial_project.caching import steps\n',
    "tests/patterns/test_other.py": '"""Tests."""\n',
    "tests/patterns/test_shop.py": '"""Tests of what is no pattern."""\n',
    "tutorial_project/shop/management/commands/__init__.py": "",
    "tutorial_project/shop/management/commands/leases.py": (
        "from tutorial_project.caching.lease_command import Command as Command\n"
    ),
    "tutorial_project/shop/management/commands/with_shop.py": (
        "from tutorial_project.caching.steps import step\nfrom tutorial_project.shop import models\n"
    ),
    "tutorial_project/shop/management/commands/without.py": "import django\n",
    "tutorial_project/shop/management/commands/more.py": "from tutorial_project.caching import other, steps\n",
}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A course of one pattern of three modules and a command, and another pattern."""
    for name, text in TOY.items():
        (tmp_path / "toy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "toy" / name).write_text(text, encoding="utf-8")
    return tmp_path / "toy"


def test_a_command_comes_along_where_it_needs_the_pattern_and_nothing_else(toy: Path, project: Path) -> None:
    assert patterns(toy) == {"lease": "A lease.", "other": "Another pattern."}
    landing = files("lease", "some.leases", toy)
    assert [name for name in landing if "__init__" not in name] == [
        *(
            "late.py",
            "lease.py",
            "lease_command.py",
            "steps.py",
            "management/commands/leases.py",
            "tests/test_lease.py",
            LICENCE,
        )
    ]
    assert "\nfrom .. import steps\n" in landing["tests/test_lease.py"]
    assert "\n    from .lease import act\n" in landing["steps.py"]
    assert "\nfrom ...lease_command import Command as" in landing["management/commands/leases.py"]
    assert "yours:\n\nfrom some.leases.lease_command import Command\n" in landing["lease_command.py"]
    place = take_home.place_at(str(project / "leases"))
    take_home.write({place.folder / name: text for name, text in landing.items()})
    with open(project / "project/settings.py", "a", encoding="utf-8") as settings:
        settings.write("\nINSTALLED_APPS.append('leases')\n")
    done = run("manage.py", "leases", cwd=project)
    assert done.stdout == "7\n", done.stderr
    told = take_home.told(place, list(landing), list(landing))
    assert "\nFor manage.py leases, add 'leases' to INSTALLED_APPS.\n" in told


def test_a_course_without_its_tests_says_so(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="from a whole checkout"):
        patterns(tmp_path)


# In a reader's project


def test_the_course_cannot_be_imported_there(empty_project: Path) -> None:
    said = run("manage.py", "shell", "-c", "import tutorial_project", cwd=empty_project).stderr
    assert "import of tutorial_project halted" in said


@pytest.mark.parametrize("pattern", patterns())
def test_each_pattern_alone_passes_its_tests_in_an_empty_project(project: Path, pattern: str) -> None:
    done = run(MANAGE, "take", pattern, "patterns", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(name for name, content in snapshot(project / "patterns").items() if content is not None) == sorted(
        files(pattern)
    )
    assert f"in {project}:" in done.stdout and f"patterns.tests.test_{pattern}" in labels(done.stdout)
    tested = run("manage.py", "test", *labels(done.stdout), cwd=project)
    assert tested.returncode == 0 and "\nOK\n" in tested.stderr, tested.stderr


@pytest.mark.slow
def test_all_of_them_pass_together_with_their_commands_and_after_a_move(taken: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(taken, tmp_path / "site"))
    (folder / "patterns").rename(folder / "kept")
    with open(folder / "project/settings.py", "a", encoding="utf-8") as settings:
        settings.write("\nINSTALLED_APPS.append('kept')\n")
    tested = run("-W", "error::ResourceWarning", "manage.py", "test", cwd=folder)
    count = sum((folder / f"kept/tests/test_{name}.py").read_text().count("    def test_") for name in patterns())
    assert tested.returncode == 0 and f"Found {count} test(s)." in tested.stdout, tested.stderr
    for path in folder.glob("kept/management/commands/[!_]*.py"):
        assert "usage:" in run("manage.py", "help", path.stem, cwd=folder).stdout


@pytest.mark.slow
@pytest.mark.parametrize("is_package", [True, False])
def test_the_command_that_is_told_runs_the_tests_of_a_deeper_folder(project: Path, is_package: bool) -> None:
    (project / "apps").mkdir()
    if is_package:
        (project / "apps/__init__.py").touch()
    told = take_home.take("server_timing", str(project / "apps/caching"))
    assert labels(told) == ["apps.caching.tests.test_metering", "apps.caching.tests.test_server_timing"]
    tested = run("manage.py", "test", *labels(told), cwd=project)
    assert tested.returncode == 0 and "\nOK\n" in tested.stderr, tested.stderr


@pytest.mark.slow
@needs_postgresql
def test_they_pass_on_postgresql_too(taken: Path, tmp_path: Path, server: str) -> None:  # noqa: F811
    folder, address = Path(shutil.copytree(taken, tmp_path / "site")), urlsplit(server)
    database = {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": address.username}
    with open(folder / "project/settings.py", "a", encoding="utf-8") as settings:
        settings.write(f"\nDATABASES = {{'default': {database | {'HOST': address.hostname, 'PORT': address.port}}}}\n")
    tested = run("-W", "error", "manage.py", "test", cwd=folder)
    assert tested.returncode == 0 and "\nOK\n" in tested.stderr, tested.stderr


def pattern_testing(module: str) -> str:
    """The pattern whose tests are to see a fault of this module: its own, or the first that brings it."""
    return module if module in patterns() else next(name for name in patterns() if module in modules(name))


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault['module']}: {fault['name']}")
def test_a_broken_pattern_fails_its_tests_there(taken: Path, fault: dict[str, str]) -> None:
    path = taken / f"patterns/{fault['module']}.py"
    whole = path.read_text(encoding="utf-8")
    assert whole.count(fault["old"]) == 1, f"{fault['old']!r} stands {whole.count(fault['old'])} times in {path.name}"
    try:
        path.write_text(whole.replace(fault["old"], fault["new"]), encoding="utf-8")
        tested = run("manage.py", "test", f"patterns.tests.test_{pattern_testing(fault['module'])}", cwd=taken)
    finally:
        path.write_text(whole, encoding="utf-8")
    assert tested.returncode == 1 and "FAILED (" in tested.stderr, tested.stderr


def test_every_pattern_has_a_fault() -> None:
    assert {fault["module"] for fault in FAULTS} >= set(patterns())


def test_twice_changes_nothing_and_one_pattern_adds_to_another(project: Path) -> None:
    folder = project / "patterns"
    take_home.take("front", str(folder))
    (folder / "__init__.py").write_text("# ours\n")
    before = snapshot(folder)
    told = take_home.take("front", str(folder))
    assert snapshot(folder) == before and told.count("(there already)") == len(files("front"))
    take_home.take("metering", str(folder))
    after = snapshot(folder)
    assert {name: after[name] for name in before} == before and "tests/test_metering.py" in after
    (folder / "front.py").write_bytes((folder / "front.py").read_bytes().replace(b"\n", b"\r\n"))
    take_home.take("front", str(folder))


def test_outside_a_project_it_says_what_comes_next(tmp_path: Path) -> None:
    told = take_home.take("front", str(tmp_path / "caching"))
    assert "To run the tests, once the folder is in a Django project, beside its manage.py:" in told
    assert labels(told) == ["caching.tests.test_front"]


def test_a_folder_that_is_there_and_empty_is_fine_and_a_home_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "caching").mkdir()
    take_home.take("front", "~/caching")
    assert (tmp_path / "caching/front.py").is_file()
