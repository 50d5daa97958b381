"""What a hit costs through one contestant, beside a plain get of the same value. Run in a process of its own:

    python -m bench.hit_cost NAME URL PAIRS FOLDER

Prints JSON: medians in microseconds of three reads that take turns (the contestant's, a plain get through the client
that its library itself uses, and Django's RedisCache), their ratios, and how many commands the server saw for a hit.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import statistics
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

VALUE = {
    "computation": "1-1",
    "version": 1,
    "rows": [{"name": f"Product {number}", "sold": number} for number in range(20)],
}
COUNTED = 100  # hits for which the server's commands are counted
TIMES = {"cost": 0, "timeout": 600, "lease": 10, "grace": 300, "limit": 60, "patience": 30, "backoff": 5, "slots": 4}


def prepared(name: str, url: str, folder: Path) -> Any:
    """The contestant, in a process where Django is set up as it wants; its computation returns VALUE."""
    from tutorial_project.lab.fleet_worker import Setup, load

    plan = {"contestant": f"bench.contestants.{name}:Contestant", "url": url, "operation": 2.0, "path": []}

    async def acompute(key: str) -> Any:
        return VALUE

    return load(plan, folder)(Setup(url=url, compute=lambda key: VALUE, acompute=acompute, operation=2.0, **TIMES))


async def measured(contestant: Any, url: str, pairs: int) -> dict[str, Any]:
    """The figures; see the module."""
    import redis
    from django.core.cache import cache
    from django.core.cache.backends.redis import RedisCache

    django = RedisCache(url, {})
    for each in (cache, django):
        each.set("plain", VALUE, 600)
    ways = {
        "hit": lambda: contestant.get("hit"),
        "plain": (lambda: contestant.plain("hit")) if hasattr(contestant, "plain") else (lambda: cache.get("plain")),
        "django": lambda: django.get("plain"),
    }
    for way in ways.values():
        for _ in range(3):
            found = way()
            found = await found if inspect.isawaitable(found) else found
        assert found == VALUE, found
    took: dict[str, list[float]] = {name: [] for name in ways}
    for pair in range(pairs):
        order = list(ways.items())
        for name, way in order[pair % 3 :] + order[: pair % 3]:
            began = perf_counter()
            found = way()
            if inspect.isawaitable(found):
                await found
            took[name].append(perf_counter() - began)
    medians = {name: statistics.median(each) * 1e6 for name, each in took.items()}
    with redis.Redis.from_url(url) as client:
        commands = await counted(contestant, client)
    ratios = {f"times {name}": round(medians["hit"] / medians[name], 3) for name in ("plain", "django")}
    rounded = {f"{name} (us)": round(median, 1) for name, median in medians.items()}
    return rounded | ratios | {"commands": commands, "pairs": pairs}


async def counted(contestant: Any, client: Any) -> float | None:
    """How many commands the server sees for a hit; None where it does not count."""
    from redis.exceptions import RedisError

    try:
        before = client.info("stats")["total_commands_processed"]
        for _ in range(COUNTED):
            found = contestant.get("hit")
            if inspect.isawaitable(found):
                await found
        return round((client.info("stats")["total_commands_processed"] - before - 1) / COUNTED, 2)
    except RedisError:
        return None


if __name__ == "__main__":
    name, url, pairs, folder = sys.argv[1:]
    print(json.dumps(asyncio.run(measured(prepared(name, url, Path(folder)), url, int(pairs)))))
