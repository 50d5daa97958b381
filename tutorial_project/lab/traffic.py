"""Traffic: the recorded day of `data/traffic.csv`, and its replay against the running shop."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pandas as pd
from django.conf import settings
from django.contrib.auth import get_user_model

from . import replica
from .errors import LabError
from .meter import Visit

if TYPE_CHECKING:
    from .bench import Lab

COLUMNS = ("t", "user", "tenant", "language", "method", "path", "body")


def read(requests: int | None = None, start: str = "00:00") -> pd.DataFrame:
    """The recorded day from `start` ("HH:MM") on: `requests` rows, or all until midnight, a row a request.

    Columns: `t` (seconds since midnight), `user` (empty: a stranger), `tenant`, `language` ("en" or "de"), `method`,
    `path`, `body` (urlencoded). Raises LabError where `start` is no time, or fewer requests than asked for follow it.
    """
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", str(start)):
        raise LabError(f'start={start!r} is no time of day: write it as "20:00".')
    hours, minutes = map(int, start.split(":"))
    trace = pd.read_csv(settings.DATA / "traffic.csv", dtype={"t": int}, keep_default_na=False)
    trace = trace[trace["t"] >= 3600 * hours + 60 * minutes].reset_index(drop=True)
    if requests is None:
        return trace
    if not 0 < requests <= len(trace):
        raise LabError(f"The recorded day has {len(trace):,} requests from {start} on: ask for 1 to {len(trace):,}.")
    return trace.head(requests)


def replay(
    lab: Lab, trace: pd.DataFrame, databases: int = 1, before: Callable[[Any], object] | None = None
) -> pd.DataFrame:
    """Send each request of `trace` to the shop, in order; see `Lab.replay` for what comes back.

    `before`, where there is one, is called with each row before it is sent. Raises LabError where it is no trace, and
    where `databases` is neither 1 nor 2.
    """
    checked(trace)
    if databases not in (1, 2):
        raise LabError(f"The bench has one database and one copy of it: databases={databases} is neither 1 nor 2.")
    lab.restore_database()
    _sign_in_everybody(lab, trace)
    lab.empty_cache()
    if databases == 2:
        replica.copy_default()
    rows = []
    for i, request in enumerate(trace.itertuples(index=False)):
        if before is not None:
            before(request)
        with replica.reading_from("replica" if databases == 2 and i % 2 else "default"):
            visit = _send(lab, request)
        if databases == 2 and request.method == "POST":
            replica.copy_default()  # what was written reaches the copy at once: no lag in this experiment
        rows.append(_row(visit))
    return pd.concat([trace.reset_index(drop=True), pd.DataFrame(rows)], axis=1)


def checked(trace: pd.DataFrame) -> pd.DataFrame:
    """`trace`, where it is one. Raises LabError where it lacks a column, or a value in one, or has no row."""
    if missing := [column for column in COLUMNS if column not in getattr(trace, "columns", ())]:
        raise LabError(f"This is no trace: it lacks {', '.join(missing)}. lab.traffic() returns one.")
    if trace.empty:
        raise LabError("This trace has no requests in it.")
    if empty := [column for column in COLUMNS if trace[column].isna().any()]:
        raise LabError(f'This trace has no value (NaN) in places, in {", ".join(empty)}: put "" there, or fillna("").')
    return trace


def check_users(users: Iterable[str]) -> None:
    """Raise LabError where one of them is nobody's name."""
    known = set(get_user_model()._default_manager.values_list("username", flat=True))
    for user in users:
        if user not in known:
            raise LabError(f"This trace names a user the shop does not have: {user!r}.")


def _sign_in_everybody(lab: Lab, trace: pd.DataFrame) -> None:
    """Sign in before the replay, so that it counts the pages and not the sessions' making."""
    signed_in = trace[trace["user"] != ""]
    everybody = sorted(set(zip(signed_in["user"], signed_in["language"], strict=True)), key=str)
    check_users(user for user, _ in everybody)
    for user, language in everybody:
        lab.client(user, language)


def _send(lab: Lab, request: Any) -> Visit:
    data = dict(parse_qsl(request.body, keep_blank_values=True)) if request.method == "POST" else None
    return lab.visit(request.path, request.user or None, request.language, data)


def _row(visit: Visit) -> dict[str, Any]:
    match = getattr(visit.response, "resolver_match", None)
    on: dict[str, int] = {}
    for statement in visit.statements:
        on[statement.alias] = on.get(statement.alias, 0) + 1
    return {
        "page": match.url_name if match else "",
        "status": visit.status,
        "queries": visit.queries,
        "hits": visit.hits,
        "misses": visit.misses,
        "ms": visit.seconds * 1000,
        "sql": visit.sql,
        "sql_ms": visit.sql_ms,
        "uses": {name: (use.hits, use.misses) for name, use in visit.uses.items()},
        "on": on,
    }


def board(runs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row a run: `queries` per 1,000 requests, and each cache use's hit ratio (nothing where it was not used)."""
    if not runs:
        raise LabError("The scoreboard wants a run or two: lab.scoreboard(before=…, after=…).")
    rows = {}
    for name, run in runs.items():
        if not {"queries", "uses"} <= set(getattr(run, "columns", ())):
            raise LabError(f"The scoreboard wants what lab.replay() returns; {name!r} is something else.")
        row: dict[str, float] = {"queries": 1000 * float(run["queries"].mean())}
        looks: dict[str, list[int]] = {}
        for uses in run["uses"]:
            for use, (hits, misses) in uses.items():
                total = looks.setdefault(use, [0, 0])
                total[0] += hits
                total[1] += misses
        row |= {use: hits / (hits + misses) for use, (hits, misses) in sorted(looks.items()) if hits + misses}
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index")
