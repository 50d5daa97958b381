"""A pytest plugin for `faults.py`: nbval runs no further once a cell with the tag in STOP_WHEN_RED has failed."""

import os
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    cell = getattr(item, "cell", None)
    if report.failed and cell is not None and os.environ["STOP_WHEN_RED"] in cell.metadata.get("tags", []):
        item.session.shouldstop = "the claim is red"
    return report
