"""The strict comparison itself, on a toy: what it lets through and what not, and what fakeredis is excused from."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import build
from conftest import ROOT

pytestmark = pytest.mark.slow
SOURCE = """\
# %% [markdown]
# # Toy

# %%
import os
os.environ.get("TUTORIAL_CACHE", "a real server")

# %%
os.path.basename(os.environ["TUTORIAL_PROGRESS"]) != "mine.json", os.environ.get("REDIS_URL")

# %%
from IPython.display import display
import time
display({"text/plain": "a table", "text/html": f"<b>{time.time()}</b>"}, raw=True)
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("course")
    (folder / "notebooks/src").mkdir(parents=True)
    (folder / "tests").mkdir()
    (folder / "notebooks/src/00_toy.py").write_text(SOURCE, encoding="utf-8")
    shutil.copy(ROOT / "notebooks/conftest.py", folder / "notebooks")
    for name in ("build.py", "editions.py"):
        shutil.copy(ROOT / "notebooks/src" / name, folder / "notebooks/src")
    assert build.main(["--notebooks", str(folder / "notebooks")]) == 0
    return folder


def nbval(course: Path, exempt: list[str], **env: str) -> str:
    """The last line of a strict run over the learner's edition, with these cells exempt under fakeredis."""
    entries = [f'[[exempt]]\nnotebook = "00_toy"\ncell = "{cell}"\nreason = "a toy"\n' for cell in exempt]
    (course / "tests/fakeredis_exempt.toml").write_text("\n".join(entries))
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-q", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(course), "notebooks/00_toy.ipynb"]
    foreign = {"REDIS_URL": "redis://somebody.else:6379/0", "TUTORIAL_PROGRESS": "mine.json"}
    done = subprocess.run(
        command, cwd=course, env={**os.environ, **foreign, **env}, capture_output=True, text=True, check=False
    )
    return done.stdout.strip().splitlines()[-1].partition(" in ")[0]


def cell_ids(course: Path) -> list[str]:
    cells = nbformat.read(course / "notebooks/00_toy.ipynb", as_version=4).cells
    return [cell.id for cell in cells if cell.cell_type == "code"]


def test_a_strict_run_compares_text_in_a_clean_environment(course: Path) -> None:
    assert nbval(course, []) == "3 passed"


def test_fakeredis_is_excused_from_the_listed_cells_and_no_other(course: Path) -> None:
    differs, same, _ = cell_ids(course)
    assert nbval(course, [], TUTORIAL_CACHE="fakeredis") == "1 failed, 2 passed"
    assert nbval(course, [differs], TUTORIAL_CACHE="fakeredis") == "2 passed, 1 xfailed"
    assert nbval(course, [differs, same], TUTORIAL_CACHE="fakeredis") == "1 failed, 1 passed, 1 xfailed"
    assert nbval(course, [differs]) == "3 passed"


def test_a_page_of_other_bytes_passes_unless_everything_is_compared(course: Path) -> None:
    assert nbval(course, []) == "3 passed"
    assert nbval(course, [], COMPARE="everything") == "1 failed, 2 passed"
