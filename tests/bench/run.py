"""`make bench`: every contestant under the seven demands and the cost of a hit, into a table and a dated file of data/.

    python -m bench.run                       # all
    python -m bench.run protection dogpile_region --demands cold expiry     # some; no file is written

Three contestants are on trial at a time, each with a cache server and processes of its own; hits are measured
afterwards, one contestant after the other, over one server. Whoever hangs is cut off, and noted as "no answer".
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

from tutorial_project.lab import bench_results
from tutorial_project.lab.fleet import Fleet
from tutorial_project.lab.fleet_processes import ROOT
from tutorial_project.lab.reaper import Reaper
from tutorial_project.lab.servers import start_cache_server

from . import trials
from .contest import CONTESTANTS, HERE, facts

PAIRS = 1200


def tried(name: str, wanted: list[str]) -> dict[str, Any]:
    """One contestant's facts and outcomes; says so when it is done."""
    began = time.monotonic()
    row = facts(name) | trials.tried(name, wanted)
    met = sum(outcome["meets"] for outcome in row["demands"].values())
    took = time.monotonic() - began
    print(f"{row['name']}: {met} of {len(row['demands'])} met, {took:.0f} s", file=sys.stderr, flush=True)
    return row


def hits(names: list[str], pairs: int) -> tuple[dict[str, dict[str, Any]], str]:
    """What a hit costs through each, one after the other over one server; and which server that was."""
    found: dict[str, dict[str, Any]] = {}
    told = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE.parent)])}
    with tempfile.TemporaryDirectory() as folder:
        reaper = Reaper()
        try:
            server = start_cache_server(reaper, Path(folder))
            for name in names:
                with server.client() as client:
                    client.flushall()
                command = [sys.executable, "-m", "bench.hit_cost", name, server.url, str(pairs), folder]
                done = subprocess.run(command, cwd=HERE.parent, env=told, capture_output=True, text=True, timeout=60)
                lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
                found[name] = json.loads(lines[-1]) if done.returncode == 0 else {"failed": lines[-1]}
            with server.client() as client:
                info: Any = client.info("server") if server.kind != "fakeredis" else {}
            version = info.get("valkey_version") or info.get("redis_version", "")
            return found, f"{server.kind} {version}".strip()
        finally:
            reaper.close()


def main(arguments: list[str]) -> int:
    """Run it, print the table, and write the file if it was all of it."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="contestant")
    parser.add_argument("--demands", nargs="*", default=[], help="cold, expiry …")
    parser.add_argument("--jobs", type=int, default=3, help="contestants at a time")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    chosen = parser.parse_args(arguments)
    names, began = chosen.names or CONTESTANTS, time.monotonic()
    with ThreadPoolExecutor(chosen.jobs) as pool:
        rows = list(pool.map(lambda name: tried(name, chosen.demands), names))
    costs, server = hits(names, chosen.pairs)
    for row in rows:
        row["hit"] = costs[row["id"]]
    report = {
        "date": datetime.date.today().isoformat(),
        "versions": versions() | {"server": server},
        "machine": {"cores": os.cpu_count(), "system": platform.system()},
        "fleet": fleet_settings(),
        "seconds": round(time.monotonic() - began),
        "contestants": rows,
    }
    print(bench_results.libraries(report).to_string())
    print(bench_results.hit_cost(report).to_string())
    print(bench_results.wins(report).to_string())
    if not chosen.names and not chosen.demands:
        file = ROOT / "data" / f"bench-{report['date']}.json"
        file.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
        print(f"Written: {file.relative_to(ROOT)}, after {report['seconds']} s")
    return 0


def versions() -> dict[str, str]:
    """Of what all contestants stand on."""
    return {"Python": platform.python_version()} | {name: metadata.version(name) for name in ("Django", "redis")}


def fleet_settings() -> dict[str, Any]:
    """How many processes and clients, and the times in seconds."""
    fleet = Fleet("bench.contestants.protection:Contestant", **trials.SETTINGS)
    names = "processes clients cost timeout lease grace limit patience backoff slots operation".split()
    return {name: getattr(fleet, name) for name in names}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
