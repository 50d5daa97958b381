"""The portable tests run here under pytest as they run in a reader's project under `manage.py test`.

They are for any Django project, so nothing of the course but `caching/` may be named in them: see `test_take.py`.
"""
# ruff: noqa: E402

from __future__ import annotations

import os
from collections.abc import Iterator

import django
import pytest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tutorial_project.settings")
django.setup()

# isort: split
from django.test.utils import setup_databases, teardown_databases


@pytest.fixture(scope="module", autouse=True)
def empty_database() -> Iterator[None]:
    """A migrated database in memory with no row in it, as Django's test runner makes one."""
    replaced = setup_databases(verbosity=0, interactive=False)
    yield
    teardown_databases(replaced, verbosity=0)
