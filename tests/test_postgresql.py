"""The shop on PostgreSQL: a database of each kernel's own, copied from one template and dropped at the end."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tutorial_project.lab.servers import free_port

HERE = all(map(shutil.which, ("postgres", "initdb"))) and importlib.util.find_spec("psycopg")
needs_postgresql = pytest.mark.skipif(not HERE, reason="needs postgres on the PATH and the package psycopg")
CODE = """
from tutorial_project.lab import boot
from tutorial_project.lab.errors import LabError
try:
    lab = boot()
except LabError as error:
    raise SystemExit(f"LabError: {error}")
from tutorial_project.shop.models import OrderLine, Tenant
name = Tenant.objects.get(pk=1).name
Tenant.objects.filter(pk=1).update(name="Changed")
print(Tenant.objects.get(pk=1).name == "Changed")
lab.restore_database()
print(Tenant.objects.get(pk=1).name == name, OrderLine.objects.count(), lab.client("alice").get("/").status_code)
Tenant.objects.create(name="New", slug="new")
"""


def boot(url: str, before: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DATABASE_URL": url, "TUTORIAL_DATABASE": "url"}
    return subprocess.run([sys.executable, "-c", before + CODE], env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a PostgreSQL server that exists for these tests."""
    # It refuses to run as root, who becomes somebody else for it.
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    as_user: dict[str, Any] = {"user": "postgres"} if root else {}
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        if root:
            shutil.chown(folder, "postgres")
        data = str(Path(folder) / "data")
        run: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **as_user}
        subprocess.run(["initdb", "-D", data, "-U", "course", "-A", "trust"], check=True, **run)
        options = ["-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1"]
        process = subprocess.Popen(["postgres", *options], **run)
        try:
            url = f"postgres://course@127.0.0.1:{port}/postgres"
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and not names(url):
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def names(url: str) -> list[str]:
    """The server's databases that are ours, none while it does not answer."""
    import psycopg

    try:
        with psycopg.connect(url) as connection:
            rows = connection.execute("SELECT datname FROM pg_database WHERE datname NOT LIKE 'template%'").fetchall()
            return [row[0] for row in rows]
    except psycopg.OperationalError:
        return []


@needs_postgresql
def test_each_kernel_has_a_copy_of_its_own_that_is_dropped(server: str) -> None:
    for _ in range(2):  # the second finds the template
        done = boot(server)
        assert (done.stdout, done.stderr) == ("True\nTrue 100000 200\n", "")
        mine, template = sorted(names(server), reverse=True)
        assert mine == "postgres" and template.startswith("course_shop_")


@needs_postgresql
def test_a_server_that_is_not_there_is_said_in_one_line() -> None:
    done = boot(f"postgres://course:secret@127.0.0.1:{free_port()}/x")
    assert done.stderr.startswith("LabError: DATABASE_URL: the PostgreSQL there does not let us in")
    assert "unset TUTORIAL_DATABASE" in done.stderr and "secret" not in done.stderr and done.stderr.count("\n") == 1


def test_a_missing_package_is_said_in_one_line() -> None:
    done = boot("postgres://course@127.0.0.1/x", before="import sys; sys.modules['psycopg'] = None")
    assert done.stderr.startswith("LabError: DATABASE_URL names a PostgreSQL, and the package for it is missing")
    assert done.stderr.count("\n") == 1


EXPLORE = """
from tutorial_project.lab import boot, explore
lab = boot()
from decimal import Decimal
from django.core.cache import cache
from django.db import transaction
from tutorial_project.shop.models import Product
KEY, ROWS = "product:42:price", Product.objects.filter(pk=42)
def fresh(): ROWS.update(price=Decimal("10.00"))
def price(): return ROWS.values_list("price", flat=True).get()
def reader():
    if cache.get(KEY) is None:
        cache.set(KEY, price())
def inside():
    with transaction.atomic():
        ROWS.update(price=Decimal("12.00"))
        cache.delete(KEY)
def after():
    with transaction.atomic():
        ROWS.update(price=Decimal("12.00"))
        transaction.on_commit(lambda: cache.delete(KEY))
def locks():
    with transaction.atomic():
        ROWS.select_for_update().get()
        ROWS.update(price=Decimal("9.00"))
def stale(end): return cache.get(KEY) not in (None, price())
print(explore(reader, inside, given=fresh, never=stale), "|", explore(reader, after, given=fresh, never=stale))
print(explore(inside, after, given=fresh), "|", explore(locks, inside, given=fresh), "|", explore(locks, locks))
"""


@needs_postgresql
def test_every_order_on_postgresql_is_counted_as_on_sqlite(server: str) -> None:
    environment = os.environ | {"DATABASE_URL": server, "TUTORIAL_DATABASE": "url"}
    done = subprocess.run([sys.executable, "-c", EXPLORE], env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == [
        "stale in 12 of 20 orders | stale in 3 of 20 orders",
        "bad in 0 of 5 orders | bad in 0 of 2 orders | bad in 0 of 2 orders",
    ], done.stderr
