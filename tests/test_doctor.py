"""doctor() tells what is there and what to do, before boot() and after it, whatever is broken."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tutorial_project.lab import checkup as module
from tutorial_project.lab.errors import LabError


def findings() -> dict[str, tuple[str, str]]:
    """What was found and the advice, by what was looked at."""
    return {what: (found, advice) for what, found, advice in module.examine()}


def test_on_this_machine_all_is_well_before_boot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUTORIAL_PROGRESS", str(tmp_path / "progress.json"))
    seen = findings()
    assert list(seen) == [
        *("Python", "machine", "packages", "cache server", "database"),
        *("temporary files", "loaded shop", "your notebooks", "your progress"),
    ]
    assert {what: advice for what, (_, advice) in seen.items() if advice} == {}
    assert seen["cache server"][0].startswith("boot() will take ")
    assert "nothing yet" in seen["your progress"][0]


def test_it_is_a_command_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tutorial_project.lab", "doctor"], capture_output=True, text=True, check=True
    )
    assert "cache server" in done.stdout and done.stderr == ""


def test_after_boot_it_names_what_runs_and_says_when_it_does_not() -> None:
    code = (
        "from tutorial_project.lab import boot, doctor\n"
        "lab = boot(); doctor(); e = lab.environment; print('has port', e.cache_server.port, e.folder)\n"
        "e.reaper.stop(e.cache_server.pid); doctor()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, _, after = done.stdout.partition("has port ")
    port, folder = after.splitlines()[0].split()
    assert f"{port} of 127.0.0.1" in before and f"sqlite: {folder}" in before and "All is well." in before
    assert "It does not answer: run boot()." in after and "All is well." not in after


@pytest.mark.parametrize(
    ("variables", "what", "says"),
    [
        ({"TUTORIAL_CACHE": "memcached"}, "cache server", "none of auto, redis"),
        ({"TUTORIAL_CACHE": "redis", "PATH": "/nowhere"}, "cache server", "no redis-server on the PATH"),
        ({"TUTORIAL_CACHE": "url"}, "cache server", "Set REDIS_URL"),
        ({"TUTORIAL_PROGRESS": os.devnull}, "your progress", "ends with this kernel"),
        ({"TUTORIAL_PROGRESS": f"{__file__}/below/progress.json"}, "your progress", "cannot be written"),
        ({"TUTORIAL_CACHE_FOLDER": f"{__file__}/below"}, "loaded shop", "cannot be written"),
    ],
)
def test_what_is_missing_is_said(
    variables: dict[str, str], what: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)  # another test's shop may run in this process
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert says in findings()[what][1]


def test_a_password_in_an_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTORIAL_CACHE", "url")
    monkeypatch.setenv("REDIS_URL", "redis://:secret@127.0.0.1:6379/0")
    assert "secret" not in str(findings())


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGES", ("django", "no-such-package"))
    assert "no-such-package missing: run `pip install -r requirements.txt`" in findings()["packages"][1]


def test_a_full_disk_is_advised_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 40 * 2**20}))
    assert "Make room: boot() needs" in findings()["temporary files"][1]


@pytest.mark.parametrize("error", [RuntimeError("odd"), LabError("Do this."), OSError(5, "broken")])
def test_it_never_raises(error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: Any) -> Any:
        raise error

    for name in ("location", "cache_folder", "disk_usage", "program"):
        for place in ("lab.progress_file", "lab.database", "lab.servers"):
            if hasattr(sys.modules.get(f"tutorial_project.{place}"), name):
                monkeypatch.setattr(sys.modules[f"tutorial_project.{place}"], name, broken)
    monkeypatch.setattr(module.shutil, "disk_usage", broken)
    module.doctor()
    assert (str(error) if isinstance(error, LabError) else repr(error)) in capsys.readouterr().out


def test_the_table_in_a_notebook_says_the_same_and_escapes() -> None:
    rows = [module.Finding("a", "<b>"), module.Finding("c", "", "Do this.")]
    assert "&lt;b&gt;" in module.as_html(rows) and "Do this." in module.as_html(rows)
    assert module.as_text(rows).splitlines()[0] == "ok  a  <b>" and "-> Do this." in module.as_text(rows)
