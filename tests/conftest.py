"""What every test starts from: an environment in which nobody's settings, servers or progress can be met."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOREIGN = (
    "DATABASE_URL REDIS_URL RATES_URL CACHE_SETTINGS DJANGO_SETTINGS_MODULE DJANGO_DEBUG "
    "TUTORIAL_CACHE TUTORIAL_DATABASE TUTORIAL_WORK"
)

# A shell without job control starts what it puts in the background deaf to interrupts, and so would be all we start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_temporary = tempfile.TemporaryDirectory(prefix="course-tests-")
for _name in FOREIGN.split():
    os.environ.pop(_name, None)
os.environ["TUTORIAL_PROGRESS"] = os.path.join(_temporary.name, "progress.json")
os.environ["IPYTHONDIR"] = _temporary.name


def course_files() -> list[str]:
    """The files that a clone would have, as they are in this checkout, by their paths from its root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive, or no git
        skipped = {".git", ".venv", "work", "build", "__pycache__"}
        paths = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        return [str(path) for path in paths if not skipped & set(path.parts)]
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def copy_course(target: Path) -> Path:
    """A copy in `target` of what a clone of this checkout would hold; returns `target`."""
    for name in course_files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # somebody's temporary file, gone again
            shutil.copy2(ROOT / name, target / name)
    return target


def bare_environment(home: Path) -> dict[str, str]:
    """The environment of somebody who has just logged in for the first time: an empty HOME and little else.

    uv's cache of downloads is kept, so that a test does not fetch the whole tree again."""
    home.mkdir(parents=True, exist_ok=True)
    path = os.environ.get("COURSE_TEST_PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    cache = os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")
    kept = {name: os.environ[name] for name in ("HTTPS_PROXY", "https_proxy", "SSL_CERT_FILE") if name in os.environ}
    return {"HOME": str(home), "PATH": path, "UV_CACHE_DIR": cache, "LANG": "C.UTF-8", **kept}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A clean copy of the course, removed afterwards: with its packages it takes half a gigabyte."""
    folder = tmp_path_factory.mktemp("clone")
    yield copy_course(folder)
    shutil.rmtree(folder, ignore_errors=True)
