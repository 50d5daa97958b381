"""The dated results of `make bench`: whole, of the contestants that stand here, their verdicts borne by their figures.

No library is needed for this: the contestants' sources are read, and what was measured lies in data/.
"""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.contest import CONTESTANTS, HERE, statements
from bench.trials import LOST, SETTINGS, outcome_of
from conftest import ROOT
from tutorial_project.lab import bench_results
from tutorial_project.lab.bench_results import DEMANDS
from tutorial_project.lab.demands_away import WATCHED
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.outcome import POLL, SLACK, Outcome

REPORT = bench_results.newest()
FLEET = REPORT["fleet"]
SUCCESSION = FLEET["lease"] + POLL + FLEET["cost"] + SLACK
AFTERWARDS = max(FLEET["backoff"], FLEET["timeout"]) + FLEET["cost"] + SLACK


def none(found: Any) -> bool:
    """Nothing was counted."""
    return found in (0, [])


def at_most(bound: float, least: float = 0) -> Callable[[Any], bool]:
    """A figure has a bound."""
    return lambda found: least <= found <= bound


# What each figure must be, wherever it stands; where a demand has a bound of its own, "demand/figure".
BOUNDS: dict[str, Callable[[Any], bool]] = {
    "errors": none,
    "no answer": none,
    "ran": none,
    "waiting": none,
    "in another language": none,
    "connections left open": none,
    "keys without a TTL": none,
    "stale": none,
    "hidden": none,
    "computations": lambda found: found == 1,
    "expiry/computations": lambda found: set(found) <= {1},
    "holder_killed/computations": at_most(2, least=1),
    "holder_killed/recovery (s)": at_most(SUCCESSION),
    "given up": bool,
    "computed again": bool,
    "refreshed": bool,
    "invalidated": bool,
    "tries": at_most(2 + WATCHED // FLEET["backoff"], least=1),
    "released (s)": at_most(FLEET["lease"] / 2),
    "raising/recovery (s)": at_most(AFTERWARDS + 0.05),  # it is rounded to a tenth
    "one key: slowest (s)": at_most(FLEET["operation"] + 2 * FLEET["cost"] + SLACK),
    "20 keys: slowest (s)": at_most(
        FLEET["operation"] + (-(-FLEET["clients"] // FLEET["slots"]) + 1) * FLEET["cost"] + SLACK
    ),
    "invalidation": lambda found: found != "nothing",
    "at once per key and process": at_most(1),
    "at once per process": at_most(FLEET["slots"]),
    "not carried through": lambda found: False,
}
# Figures that are told and not judged, or whose fault is not in their number; for these the words are believed.
TOLD = {"answers", "errors seen", "served meanwhile", "recovery (s)"}
WORDS = re.compile(r"errors, with a value there|no value for all")


def broken(demand: str, outcome: dict[str, Any]) -> list[str]:
    """The figures of an outcome that are not what the demand asks for."""
    faults = WORDS.findall(outcome["says"])
    for name, found in outcome["measured"].items():
        plain = re.sub(r"^(refresh|hung|one key|20 keys|cold, afterwards): (?!slowest)|^(stale) \(.*", r"\2", name)
        rule = BOUNDS.get(f"{demand}/{plain}") or BOUNDS.get(plain)
        if rule is None:
            assert plain in TOLD, f"{demand}: nothing is known of {name!r}"
        elif not rule(found):
            faults.append(f"{name}: {found}")
    return faults


def test_the_newest_file_is_dated_whole_and_says_what_it_stands_on() -> None:
    assert (ROOT / "data" / f"bench-{bench_results.when()}.json").is_file()
    assert set(REPORT["versions"]) == {"Python", "Django", "redis", "server"} and all(REPORT["versions"].values())
    assert REPORT["seconds"] <= 600
    for each in REPORT["contestants"]:
        assert list(each["demands"]) == list(DEMANDS), each["name"]
        assert each["hit"]["pairs"] >= 1000 and each["hit"]["hit (us)"] > 0, each["name"]
        assert each["documentation"] and each["settings"] and (each["version"] or each["id"] == bench_results.OURS)


def test_the_file_and_the_contestants_agree() -> None:
    files = {file.stem: file for file in (HERE / "contestants").glob("*.py")}
    assert set(files) == set(CONTESTANTS) and [each["id"] for each in REPORT["contestants"]] == CONTESTANTS
    for each in REPORT["contestants"]:
        assert each["statements"] == sum(statements(each["id"]).values()), f"{each['id']} has changed: make bench"
        text = files[each["id"]].read_text()
        assert len(text.splitlines()) < 80 and f'"{each["name"]}"' in text


def test_the_file_was_made_with_the_times_that_the_bench_has_now() -> None:
    other = {name: FLEET[name] for name, value in SETTINGS.items() if FLEET[name] != value}
    assert not other, f"the newest file was made with {other}, and the bench has {SETTINGS} now: make bench"


@pytest.mark.parametrize(("served", "says"), [(True, LOST), (False, "met")])
def test_an_invalidation_is_lost_only_by_who_sends_it_to_the_server(served: bool, says: str) -> None:
    def away(fleet: Any) -> Outcome:
        outcome = Outcome("frozen")
        outcome.note("invalidation", "nothing", False, LOST)
        return outcome

    found = outcome_of(away, None, served)  # type: ignore[arg-type]
    assert found["says"] == says and found["meets"] == (not broken("frozen", found))


def test_every_verdict_follows_from_its_figures() -> None:
    for each in REPORT["contestants"]:
        for demand, outcome in each["demands"].items():
            assert outcome["meets"] == (not broken(demand, outcome)), (each["name"], demand, outcome)
            assert outcome["meets"] == (outcome["says"] == "met")


@pytest.mark.parametrize("demand", list(DEMANDS))
def test_a_verdict_that_its_figures_do_not_bear_is_seen(demand: str) -> None:
    ours = copy.deepcopy(next(each for each in REPORT["contestants"] if each["id"] == bench_results.OURS))
    outcome = ours["demands"][demand]
    assert not broken(demand, outcome)
    name = next(name for name in outcome["measured"] if name.split(": ")[-1] == "errors")
    outcome["measured"][name] = 3
    assert broken(demand, outcome) == [f"{name}: 3"]


def test_ours_meets_all_and_the_pins_are_those_that_ran() -> None:
    table = bench_results.libraries()
    ours = next(each["name"] for each in REPORT["contestants"] if each["id"] == bench_results.OURS)
    assert set(table.loc[ours, list(DEMANDS.values())]) == {"met"} and table.loc[ours, "met"] == len(DEMANDS)
    pins = (HERE / "requirements.txt").read_text().lower().replace("dogpile-cache", "dogpile.cache").splitlines()
    for each in REPORT["contestants"]:
        assert not each["library"] or f"{each['library']}=={each['version']}".lower() in pins, each["library"]


def report(**changes: Any) -> dict[str, Any]:
    """A small report of two contestants."""
    outcome = {"meets": True, "says": "met", "measured": {"computations": 1}, "seconds": 1.0}
    ours: dict[str, Any] = {
        "id": "protection",
        "name": "ours",
        "library": "",
        "version": "",
        "documentation": "x",
        "settings": "y",
    }
    ours |= {"statements": 8, "statements to own": 600, "async": False, "memcached": False, "without a server": True}
    ours |= {"lua": True, "stable": False, "hit": {"times django": 1.1, "commands": 1.0}, "demands": {"cold": outcome}}
    other = copy.deepcopy(ours) | {"id": "other", "name": "other", "statements to own": 0} | changes
    return {"date": "2026-11-28", "contestants": [ours, other]}


def test_the_table_says_what_came_out() -> None:
    failed = {"meets": False, "says": "32 computations; 2 errors", "measured": {}, "seconds": 1.0}
    table = bench_results.libraries(report(demands={"cold": failed}))
    assert table.loc["ours"].to_dict() == {"1 cold": "met", "met": 1}
    assert table.loc["other"].to_dict() == {"1 cold": "32 computations", "met": 0}


def test_one_library_whole_and_a_name_that_is_nearly_right() -> None:
    whole = bench_results.about("dogpile.cache")
    assert list(whole.columns) == ["dogpile.cache"]
    assert list(whole.index[:4]) == ["library", "version", "documentation", "settings"] and len(whole) == 13
    for nearly in ("dogpile", "DogPile.Cache", "dogpile.cache "):
        with pytest.raises(LabError, match="Did you mean 'dogpile.cache'"):
            bench_results.about(nearly)
    with pytest.raises(LabError, match="No library of the table is called 'xyz'. There are: caching/stampede.py, "):
        bench_results.about("xyz")


def test_others_win_where_they_are_better_and_nowhere_else() -> None:
    wins = bench_results.wins(report(lua=False, hit={"times django": 0.5, "commands": 0.9}))
    a_hit = "a hit over a server, in times of Django's get"
    assert list(wins.what) == ["statements to own", "works without Lua", a_hit, "commands for a hit"]
    assert list(wins.who) == ["other"] * 4 and list(wins.ours) == ["600", "no", "1.1", "1"]
    in_memory = bench_results.wins(report(hit={"times django": 0.02, "commands": 0.0}))
    assert list(in_memory.what) == ["statements to own", "commands for a hit"]
    unknown = bench_results.wins(report(lua=None, hit={"failed": "it broke"}))
    assert list(unknown.what) == ["statements to own"]


def test_the_newest_of_several_files_is_read(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="make bench"):
        bench_results.newest(tmp_path)
    for date in ("2026-11-28", "2027-01-02", "2026-12-24"):
        (tmp_path / f"bench-{date}.json").write_text(json.dumps({"date": date}))
    assert bench_results.when(bench_results.newest(tmp_path)) == "2027-01-02"
