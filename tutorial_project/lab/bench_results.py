"""What `make bench` has found: the libraries under the seven demands, from the newest dated file of data/.

    libraries()      # a row a contestant, a column a demand: "met", or what came out
    hit_cost()       # a row a contestant: what a hit costs
    wins()           # a row for each thing in which others are better than this project's own
    when()           # the day of the run

The file is written by `make bench` (tests/bench/run.py); nothing is measured here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import LabError

if TYPE_CHECKING:
    import pandas as pd

Worth = Callable[[dict[str, Any]], Any]
DATA = Path(__file__).resolve().parents[2] / "data"
OURS = "protection"
DEMANDS = {
    "cold": "1 cold",
    "expiry": "2 expiry",
    "holder_killed": "3 killed",
    "outlived": "4 outlived",
    "paused": "5 paused",
    "overtaken": "5 overtaken",
    "raising": "6 raising",
    "frozen": "7 frozen",
    "refused": "7 refused",
}


def newest(folder: Path = DATA) -> dict[str, Any]:
    """The newest report. Raises LabError where there is none."""
    files = sorted(folder.glob("bench-*.json"))
    if not files:
        raise LabError("data/ has no bench-*.json. `make bench` writes one.")
    report: dict[str, Any] = json.loads(files[-1].read_text(encoding="utf-8"))
    return report


def when(report: dict[str, Any] | None = None) -> str:
    """The day of the run, as 2026-11-28."""
    return str((report or newest())["date"])


def libraries(report: dict[str, Any] | None = None) -> pd.DataFrame:
    """A row a contestant, a column a demand: "met", or the first thing that was missing; last, how many are met."""
    import pandas as pd

    rows = {}
    for contestant in (report or newest())["contestants"]:
        outcomes = contestant["demands"]
        row = {label: said(outcomes[name]) for name, label in DEMANDS.items() if name in outcomes}
        rows[contestant["name"]] = row | {"met": sum(outcome["meets"] for outcome in outcomes.values())}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("contestant")


def said(outcome: dict[str, Any]) -> str:
    """One demand's outcome in a few words: "met", or the first thing that was missing, without the error's text."""
    return re.sub(r" \(\w*Error.*| \(OriginFailed.*|, of at most .*", "", outcome["says"].split("; ")[0])


def hit_cost(report: dict[str, Any] | None = None) -> pd.DataFrame:
    """A row a contestant. Columns: `commands` that the server sees for a hit; the hit's median time as a multiple of a
    plain get through the library's own client, and of a get through Django's RedisCache in the same run."""
    import pandas as pd

    columns = {"commands": "commands", "times plain": "times its plain get", "times django": "times Django's get"}
    rows = {
        contestant["name"]: {label: contestant["hit"].get(name) for name, label in columns.items()}
        for contestant in (report or newest())["contestants"]
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("contestant")


def versions(report: dict[str, Any] | None = None) -> pd.DataFrame:
    """A row a contestant, with its library's version, where its recipe stands, and how it was set."""
    import pandas as pd

    columns = ["library", "version", "documentation", "settings"]
    rows = {each["name"]: {name: each[name] for name in columns} for each in (report or newest())["contestants"]}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("contestant")


def about(name: str, report: dict[str, Any] | None = None) -> pd.DataFrame:
    """One contestant whole: version, settings, what came of each demand. Raises LabError where none has this name."""
    report = report or newest()
    table = versions(report).join(libraries(report).drop(columns="met"))
    if name not in table.index:
        near = get_close_matches(name.strip().lower(), table.index, cutoff=0.4)
        said = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(table.index)}."
        raise LabError(f"No library of the table is called {name!r}. {said}")
    return table.loc[[name]].rename_axis(None).T


def wins(report: dict[str, Any] | None = None) -> pd.DataFrame:
    """A row for each thing in which others are better than ours. Columns: what, ours, better (how many), best (who)."""
    import pandas as pd

    contestants = (report or newest())["contestants"]
    ours = [each for each in contestants if each["id"] == OURS]
    rows: list[list[Any]] = []
    for what, better_is, worth in [*COMPARED, *(met(name) for name in DEMANDS)] if ours else []:
        mine = worth(ours[0])
        others = {each["name"]: worth(each) for each in contestants if each["id"] != OURS}
        better = {name: value for name, value in others.items() if is_better(value, mine, better_is)}
        if better:
            best = min(better.values()) if better_is == "less" else max(better.values())
            who = [name for name, value in better.items() if value == best]
            rows.append([what, shown(mine), shown(best), len(better), named(who)])
    return pd.DataFrame(rows, columns=["what", "ours", "best", "better", "who"])


def named(who: list[str]) -> str:
    """Some names, three at most."""
    more = f" and {len(who) - 3} more" if len(who) > 3 else ""
    return ", ".join(who[:3]) + more


def over_a_server(hit: dict[str, Any]) -> float | None:
    """What a hit costs that asks a server, in times of a get through Django's RedisCache."""
    return hit.get("times django") if hit.get("commands") else None


def is_better(value: Any, mine: Any, better_is: str) -> bool:
    """Whether a value beats ours; what was not measured does not."""
    if value is None or mine is None:
        return False
    return bool(value < mine if better_is == "less" else value > mine)


def met(demand: str) -> tuple[str, str, Worth]:
    """The comparison by one demand."""
    return f"meets {DEMANDS[demand]}", "more", lambda each: each["demands"].get(demand, {}).get("meets")


def shown(value: Any) -> str:
    """A value of the table."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}"


# What is compared, whether less or more of it is better, and what a contestant has of it (None: not measured).
COMPARED: list[tuple[str, str, Worth]] = [
    ("statements to write", "less", lambda each: each["statements"]),
    ("statements to own", "less", lambda each: each["statements to own"]),
    ("async", "more", lambda each: each["async"]),
    ("works with memcached", "more", lambda each: each["memcached"]),
    ("works without Lua", "more", lambda each: None if each["lua"] is None else not each["lua"]),
    ("works without a server", "more", lambda each: each["without a server"]),
    ("declared stable", "more", lambda each: each["stable"]),
    ("a hit over a server, in times of Django's get", "less", lambda each: over_a_server(each["hit"])),
    ("commands for a hit", "less", lambda each: each["hit"].get("commands")),
]
