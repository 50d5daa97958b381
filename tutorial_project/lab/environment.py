"""What a running shop needs around it: a folder, a cache server, a database, and the outside service it calls.

`boot()` starts one for a notebook, `manage.py runserver` one for a browser. Nothing of it outlives the process.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tutorial_project.lab import backends, database, servers
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.reaper import Reaper, ReaperGone

SETTINGS = "tutorial_project.settings"


@dataclass
class Environment:
    """All that was started for one process, and what its environment variables were before."""

    folder: Path
    reaper: Reaper
    cache_server: servers.CacheServer
    rates_url: str
    variables: dict[str, str] = field(repr=False)  # what the settings read; one of them is the secret key
    before: dict[str, str | None] = field(repr=False)
    database: database.Database = field(init=False)

    def restore_database(self) -> None:
        """Put the shop back as it was loaded. Close this process's connections first."""
        self.database.restore()

    def revive(self) -> str:
        """Start again what has died; one line that tells what it was, "" if all is well. Raises LabError."""
        try:
            if servers.revive(self.reaper, self.cache_server):
                return "The cache server had gone away. It runs again, empty, at the same address."
        except ReaperGone as gone:
            raise LabError(str(gone)) from None
        return ""

    def close(self) -> None:
        """End the servers, remove the folder, and put the environment variables back."""
        with contextlib.suppress(Exception):
            from django.db import connections

            connections.close_all()  # Windows removes no file that is open
        self.reaper.close()
        for name, value in self.before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def start() -> Environment:
    """Start the servers, set the environment variables that the settings read, set Django up and copy the database.

    Takes about a second, and some more when the database is not built yet. Raises LabError; then nothing is left.
    """
    try:
        reaper = Reaper()
    except OSError as error:
        raise LabError(f"No process can be started here: {error}.") from None
    try:
        return start_with(reaper)
    except ReaperGone:
        reaper.close()
        raise LabError("The process that looks after this kernel's servers was killed. Run boot() again.") from None
    except BaseException:  # an interrupt too
        reaper.close()
        raise


def start_with(reaper: Reaper) -> Environment:
    """The same, with a reaper that the caller closes when this fails."""
    try:
        folder = reaper.make_folder()
    except OSError as error:
        raise LabError(
            f"There is no folder for temporary files: {error}. Set TMPDIR to one that can be written."
        ) from None
    try:
        (folder / "writable").write_bytes(bytes(4096))
    except OSError as error:
        raise LabError(f"The folder for temporary files cannot be used: {error}. Set TMPDIR to another one.") from None
    # Somebody else's project may have set DATABASE_URL: it is taken only when that is asked for.
    given = os.environ.get("DATABASE_URL", "") if os.environ.get("TUTORIAL_DATABASE") == "url" else ""
    own_name = f"course_lab_{secrets.token_hex(6)}"
    on_postgresql = given.startswith(("postgres://", "postgresql://"))
    if on_postgresql:
        database.postgresql(given).close()  # before anything else is started: it is the likeliest to fail
    with ThreadPoolExecutor(2) as pool:
        cache = pool.submit(servers.start_cache_server, reaper, folder, os.environ.get("REDIS_URL", ""))
        rates = pool.submit(servers.start_rates_api, reaper, folder)
        import django  # while the servers start

        cache_server, rates_url = cache.result(), rates.result()
    entries = backends.entries(cache_server, folder)
    variables = {
        "DATABASE_URL": database.postgresql_url(given, own_name) if on_postgresql else database.sqlite_url(folder),
        "REDIS_URL": cache_server.url,
        "CACHE_SETTINGS": json.dumps({} if cache_server.owned else entries["redis"]),
        "LAB_BACKENDS": json.dumps(entries),
        "RATES_URL": rates_url,
        "SECRET_KEY": secrets.token_urlsafe(50),
        "DJANGO_SETTINGS_MODULE": SETTINGS,
    }
    environment = Environment(
        folder, reaper, cache_server, rates_url, variables, {name: os.environ.get(name) for name in variables}
    )
    os.environ.update(variables)
    try:
        django.setup()
        if on_postgresql:
            environment.database = database.own_postgresql(reaper, given, own_name)
        else:
            environment.database = database.own_sqlite(reaper, folder)
    except BaseException:
        environment.close()
        raise
    return environment
