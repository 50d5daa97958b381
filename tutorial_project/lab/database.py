"""The shop's database: loaded once for each state of `data/`, and copied for every kernel.

Loading 150,000 rows takes seconds, copying the loaded file 0.03 s. So the loaded shop is kept in the user's cache
folder, under a name made of a hash of the data, and every kernel works on a copy in its own temporary folder.
With a `DATABASE_URL` that names a PostgreSQL, the same happens there: a template database, and one copy a kernel.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tutorial_project.lab.backends import TABLE
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.reaper import Reaper

APP = "django-caching-measured"
A_MONTH = 30 * 24 * 3600  # seconds


@dataclass(frozen=True)
class Database:
    """This kernel's own copy of the shop."""

    url: str = field(repr=False)  # as in DATABASE_URL, perhaps with a password
    kind: str  # "sqlite" or "postgresql"
    where: str  # for people: the file, or the name of the database and its server
    restore: Callable[[], None]  # puts it back as it was loaded; call it with no open transaction


def cache_folder() -> Path:
    """Where loaded databases are kept between kernels: `TUTORIAL_CACHE_FOLDER`, or the user's cache folder."""
    import platformdirs

    named = os.environ.get("TUTORIAL_CACHE_FOLDER")
    return Path(named) if named else platformdirs.user_cache_path(APP, appauthor=False)


# ---- SQLite ------------------------------------------------------------------------------------------------------


def build_once(reaper: Reaper, folder: Path) -> Path:
    """The loaded shop as a closed SQLite file, built when this state of `data/` has none yet.

    It lies in the user's cache folder, or in `folder` where that cannot be written. Django must be set up.
    Two kernels may do this at once: each builds in its own folder, and the last to finish replaces a file by its twin.
    Raises LabError.
    """
    from django.conf import settings

    from tutorial_project.shop.loading import data_hash

    with clear_errors(folder):
        kept = cache_folder() / f"shop-{data_hash(settings.DATA)[:16]}.sqlite3"
        if usable(kept):
            return kept
        fresh = folder / "loaded.sqlite3"
        fresh.unlink(missing_ok=True)
        # Nobody else reads this file and nobody needs half of it: no journal on disk, no waiting for the disk.
        quick = {"init_command": "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF;"}
        with other_database({"NAME": fresh, "OPTIONS": quick}) as alias:
            fill(alias)
        with contextlib.closing(sqlite3.connect(fresh)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it
    try:
        return keep(fresh, kept, reaper)
    except OSError:  # read-only, or full: this kernel has what it needs, the next one builds again
        return fresh


def usable(path: Path) -> bool:
    """Whether the file is there and is a loaded shop. SQLite itself refuses a file that has lost its end."""
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
            wanted = f"SELECT 1 FROM shop_orderline LEFT JOIN {TABLE} ON 0 LIMIT 1"
            return bool(connection.execute(wanted).fetchone())
    except sqlite3.Error:
        return False


def keep(fresh: Path, kept: Path, reaper: Reaper) -> Path:
    """Move a new file to where the next kernel finds it, all at once; remove what nobody used for a month."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    arriving = kept.with_name(f".{secrets.token_hex(4)}.arriving")
    reaper.remove_at_end(arriving)
    try:
        shutil.copyfile(fresh, arriving)
        os.replace(arriving, kept)
    finally:
        with contextlib.suppress(OSError):
            arriving.unlink(missing_ok=True)
    fresh.unlink()
    for old in kept.parent.glob("shop-*.sqlite3"):
        with contextlib.suppress(OSError):
            if old != kept and time.time() - old.stat().st_mtime > A_MONTH:
                old.unlink()
    return kept


def copy_to(loaded: Path, target: Path) -> None:
    """Make `target` the same database as `loaded`, by SQLite's backup: it may be open, and be in use elsewhere."""
    address = f"{loaded.absolute().as_uri()}?mode=ro"
    with (
        clear_errors(target.parent),
        contextlib.closing(sqlite3.connect(address, uri=True)) as source,
        contextlib.closing(sqlite3.connect(target, timeout=20)) as copy,
    ):
        source.backup(copy)


def own_sqlite(reaper: Reaper, folder: Path) -> Database:
    """A copy of the shop in `folder`, at the address that the environment variable DATABASE_URL already names."""
    loaded, target = build_once(reaper, folder), folder / "shop.sqlite3"

    def restore() -> None:
        # Somebody may have tidied the cache folder since.
        copy_to(loaded if usable(loaded) else build_once(reaper, folder), target)

    restore()
    return Database(sqlite_url(folder), "sqlite", str(target), restore)


def sqlite_url(folder: Path) -> str:
    """The address of this kernel's copy, as in DATABASE_URL."""
    return f"sqlite:///{quote((folder / 'shop.sqlite3').as_posix())}"


# ---- PostgreSQL --------------------------------------------------------------------------------------------------


def own_postgresql(reaper: Reaper, server_url: str, name: str) -> Database:
    """A new database called `name` on the server, copied from a template that is built when it is missing.

    It is dropped when the kernel is gone. Raises LabError.
    """
    from django.conf import settings
    from django.db import connections
    from psycopg import Error, sql

    from tutorial_project.shop.loading import data_hash

    with clear_errors():
        template = f"course_shop_{data_hash(settings.DATA)[:16]}"

        def run(statement: str, *names: str) -> None:
            with postgresql(server_url) as connection:
                try:
                    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
                except Error as error:
                    reason = " ".join(str(error).split())
                    raise LabError(
                        f"DATABASE_URL: {reason}. The role needs CREATEDB and the server PostgreSQL 13 or newer;"
                        " or unset TUTORIAL_DATABASE, and the course uses SQLite."
                    ) from None

        with postgresql(server_url) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [template]).fetchone()
        if not found:
            building = f"{template}_{secrets.token_hex(4)}"
            reaper.drop_database_at_end(server_url, building)
            run("CREATE DATABASE {}", building)
            with other_database({"NAME": building}) as alias:
                fill(alias)
            # Another kernel may have built it meanwhile; then this one's is dropped at the end.
            with contextlib.suppress(Exception):
                run("ALTER DATABASE {} RENAME TO {}", building, template)
        reaper.drop_database_at_end(server_url, name)

        def restore() -> None:
            connections.close_all()
            run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
            run("CREATE DATABASE {} TEMPLATE {}", name, template)

        restore()
    return Database(postgresql_url(server_url, name), "postgresql", f"{name}, on the server at DATABASE_URL", restore)


def postgresql(url: str) -> Any:
    """A connection to the server at `url`, each statement a transaction of its own. Raises LabError."""
    try:
        import psycopg
    except ImportError:
        raise LabError(
            "DATABASE_URL names a PostgreSQL, and the package for it is missing: `pip install 'psycopg[binary]'`."
            " Or unset TUTORIAL_DATABASE, and the course uses SQLite."
        ) from None
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=5)
    except psycopg.Error as error:
        raise LabError(
            f"DATABASE_URL: the PostgreSQL there does not let us in ({' '.join(str(error).split())})."
            " Mend it, or unset TUTORIAL_DATABASE, and the course uses SQLite."
        ) from None


def postgresql_url(server_url: str, name: str) -> str:
    """The same server, another database."""
    from urllib.parse import urlsplit

    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


# ---- Both --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def other_database(changes: dict[str, Any]) -> Iterator[str]:
    """The alias of a connection like the default one but for `changes`, closed and forgotten afterwards."""
    from django.db import connections

    alias = "being_loaded"
    connections.settings[alias] = {**connections.settings["default"], **changes}
    try:
        yield alias
    finally:
        connections[alias].close()
        del connections[alias], connections.settings[alias]


def fill(alias: str) -> None:
    """Make the tables of the empty database behind `alias` and load `data/` into them."""
    from django.conf import settings
    from django.core.management import call_command

    from tutorial_project.shop.loading import load

    call_command("migrate", database=alias, verbosity=0, interactive=False)
    call_command("createcachetable", TABLE, database=alias, verbosity=0)
    load(settings.DATA, using=alias)


@contextlib.contextmanager
def clear_errors(folder: Path | None = None) -> Iterator[None]:
    """Let what a disk, the data or the database complains of come out as one LabError."""
    from django.db import Error

    from tutorial_project.shop.loading import LoadError

    try:
        yield
    except (LoadError, Error, sqlite3.Error, OSError) as error:
        room = ""
        if folder and folder.exists():
            free = shutil.disk_usage(folder).free / 2**20
            room = f" {folder} has {free:,.0f} MB free, and 60 are needed: make room, or set TMPDIR to another folder."
        raise LabError(f"The shop's database could not be made: {error}.{room}") from error
