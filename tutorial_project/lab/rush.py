"""Several visitors at once, for a moment: threads that ask the running shop for one page as fast as it answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any

import pandas as pd
from django.db import connections
from django.test import Client

from .errors import LabError

MOST_VISITORS, MOST_SECONDS = 32, 30.0


def rush(url: str, visitors: int = 4, seconds: float = 1.0) -> pd.DataFrame:
    """Let `visitors` strangers ask for `url` again and again for `seconds`; a row a request.

    Columns: `visitor` (0, 1, …), `t` (seconds since the rush began), `ms`, `status`. A closed loop: each visitor waits
    for the answer before asking again. Raises LabError for more than 32 visitors or 30 seconds.
    """
    if not (1 <= visitors <= MOST_VISITORS and 0 < seconds <= MOST_SECONDS):
        raise LabError(f"A rush has 1 to {MOST_VISITORS} visitors and lasts at most {MOST_SECONDS:g} seconds.")
    rows: list[dict[str, Any]] = []
    failed: list[BaseException] = []
    gate, over = threading.Barrier(visitors), threading.Event()
    threads = [
        threading.Thread(target=_visit, args=(n, url, seconds, gate, over, rows, failed)) for n in range(visitors)
    ]
    together(threads, over, failed)
    return pd.DataFrame(rows, columns=["visitor", "t", "ms", "status"])


def together(
    threads: list[threading.Thread],
    over: threading.Event,
    failed: list[BaseException],
    abort: Callable[[], object] = lambda: None,
) -> None:
    """Run the threads to their end, and raise the first of what `failed` in them.

    Interrupted, it sets `over` for them and calls `abort` until they have ended: nobody goes on asking.
    """
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        over.set()
        for thread in threads:
            while thread.is_alive():
                abort()  # again: it may have been about to ask
                thread.join(0.05)
    if failed:
        raise failed[0]


def _visit(
    visitor: int,
    url: str,
    seconds: float,
    gate: threading.Barrier,
    over: threading.Event,
    rows: list[Any],
    failed: list[BaseException],
) -> None:
    try:
        browser = Client()
        gate.wait(timeout=10)
        began = perf_counter()
        while (asked := perf_counter()) - began < seconds and not over.is_set():
            status = browser.get(url).status_code
            taken = (perf_counter() - asked) * 1000
            rows.append({"visitor": visitor, "t": asked - began, "ms": taken, "status": status})
    except BaseException as error:
        failed.append(error)
    finally:
        connections.close_all()
