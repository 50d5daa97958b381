"""What nbval needs to compare the notebooks strictly: nobody's progress, nobody's servers, and text beside every page.

Rich text (`text/html`) is not compared, because every output carries the same content as `text/plain`, which is; the
hygiene tests hold every cell to that. With COMPARE=everything it is, and so are pictures, tracebacks and the order of
the outputs: by the rules of `build.py --check`, in the run that is made anyway.
With TUTORIAL_CACHE=fakeredis the cells listed in tests/fakeredis_exempt.toml are expected to fail, and fail the run
when they do not.
"""

import os
import sys
import tempfile
import tomllib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

TEMPORARY = tempfile.TemporaryDirectory(prefix="course-nbval-")
EXEMPT = Path(__file__).parent.parent / "tests" / "fakeredis_exempt.toml"

for name in ("TUTORIAL_DATABASE", "REDIS_URL", "RATES_URL", "DJANGO_SETTINGS_MODULE", "DJANGO_DEBUG"):
    os.environ.pop(name, None)  # boot() sets what else the settings read
os.environ["IPYTHONDIR"] = TEMPORARY.name
# Tracebacks of one line, as in the notebooks that were built: no path of this machine.
PROFILE = Path(TEMPORARY.name, "profile_default")
PROFILE.mkdir()
(PROFILE / "ipython_kernel_config.py").write_text('get_config().InteractiveShell.xmode = "Minimal"\n')
# One name for all cells would hide the source of an answer, and nobody could tell it from the untouched starter.
os.environ.pop("IPYKERNEL_CELL_NAME", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reasons = {}
    if os.environ.get("TUTORIAL_CACHE") == "fakeredis" and EXEMPT.exists():
        table = tomllib.loads(EXEMPT.read_text(encoding="utf-8"))
        reasons = {entry["cell"]: entry["reason"] for entry in table.get("exempt", [])}
    for item in items:
        cell = getattr(item, "cell", None)
        if cell is None:
            continue
        if "text/html" not in item.parent.skip_compare:  # type: ignore[union-attr]
            item.parent.skip_compare += ("text/html",)  # type: ignore[union-attr]
        if cell.get("id") in reasons:
            item.add_marker(pytest.mark.xfail(strict=True, reason=reasons[cell["id"]]))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    # Before the kernel of this notebook starts: each has a progress file of its own, empty at first.
    book = "-".join(item.path.relative_to(Path(__file__).parent).with_suffix("").parts)
    os.environ["TUTORIAL_PROGRESS"] = os.path.join(TEMPORARY.name, f"{book}.json")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    # nbval has run the cell and compared its text when the `yield` returns.
    yield
    cell = getattr(item, "cell", None)
    if os.environ.get("COMPARE") == "everything" and cell is not None:
        sys.path.insert(0, str(Path(__file__).parent / "src"))
        import build

        new, old = (
            [shown(output, build.WIDGET) for output in outputs] for outputs in (item.test_outputs, cell.outputs)
        )
        if not build.ignored(cell) and not build.same_outputs(new, old):
            raise AssertionError(f"what {item.name} shows beside its text differs:\n{new}\nis not, as built,\n{old}")


def shown(output: dict[str, Any], widget: str) -> dict[str, Any]:
    """An output without what numbers it, and without the model of a widget, which is never built in."""
    kept = {key: value for key, value in output.items() if key != "execution_count"}
    if "data" in kept:
        kept["data"] = {kind: value for kind, value in kept["data"].items() if kind != widget}
    return kept
