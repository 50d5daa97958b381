"""Load for worker processes: many requests, at once or at a rate, each with what it cost as its own header says.

Closed loop (`clients=8`): eight visitors, each waiting for an answer before asking again. When the server is slow, they
ask less often. Open loop (`rate=100`): visitors arrive at random, a hundred a second, however slow the answers are.
What a request waits because the ones before it are late counts as its latency, or the worst moments would be left out
(Schroeder, Wierman, Harchol-Balter, "Open Versus Closed: A Cautionary Tale", NSDI 2006).
Which worker answers is drawn at random with the seed, as a load balancer in front would; so one seed is one sequence
of requests.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote

import pandas as pd
from django.urls import Resolver404, ResolverMatch, resolve

from . import traffic
from .browser import TIMEOUT, Browser, Sender, browser_of, check_language, check_paths
from .errors import LabError
from .rush import together

if TYPE_CHECKING:
    from .bench import Lab
    from .workers import Workers

MOST_CLIENTS, MOST_SECONDS, MOST_REQUESTS = 64, 60.0, 100_000
BALANCERS = ("random", "round robin", "kernel")


class Order(NamedTuple):
    """A request to be sent: the row of the trace, the worker it is for, and when it is due (seconds, open loop)."""

    row: dict[str, Any]
    worker: int | None
    due: float | None


def load(
    pool: Workers,
    what: pd.DataFrame | int | str | Iterable[str],
    *,
    clients: int = 1,
    rate: float | None = None,
    requests: int | None = None,
    seconds: float | None = None,
    balancer: str = "random",
    seed: int = 1,
    timeout: float = TIMEOUT,
) -> pd.DataFrame:
    """Send requests to the workers and return a row a request, in the order in which they were due.

    `what`: a trace, or a number of requests of the recorded day, is sent in order and once. A URL or several are drawn
    from at random, for so many `requests` or `seconds`. With `rate` (a second) the loop is open, else closed with so
    many `clients`. Of an open loop `seconds` is when the last one is due; 64 at most are under way, and the load ends
    when the late ones are answered. `balancer`: "random", "round robin", or "kernel" (all on one port, the machine's
    kernel chooses).

    Columns: those of the trace; `page`, `status` (0: no answer), `queries`, `hits`, `misses`, `ms` (as the visitor saw
    it, from when it was due), `uses` (cache use: (hits, misses)), `on` (queries by database), as `lab.replay` has them;
    and `worker` (its number), `server_ms`, `sql_ms` and `cache_ms` (the worker's time, all SQL, all cache calls),
    `sent` (seconds since the start), `client`, `error`. Raises LabError.
    """
    lab = pool.lab
    check(what, clients, rate, requests, seconds, balancer)
    rows = _trace(lab, what)
    browsers = _browsers(lab, rows)
    drawn = isinstance(what, str) or not isinstance(what, pd.DataFrame | int)
    orders = _orders(rows, drawn, pool.n, rate, requests, seconds, balancer, seed)
    sender = Sender(pool, timeout)
    found = _run(sender, orders, browsers, clients if rate is None else MOST_CLIENTS, None if rate else seconds)
    if not found:
        raise LabError("No request was due in that time: raise the rate, or the seconds.")
    run = pd.DataFrame([row for _, row in sorted(found, key=lambda numbered: numbered[0])])
    if (run["status"] == 404).all():
        check_mounted(*run["path"].unique())
    return run


def check(what: Any, clients: Any, rate: Any, requests: Any, seconds: Any, balancer: Any) -> None:
    """Raise LabError for a load that cannot be."""
    if not isinstance(clients, int) or not 1 <= clients <= MOST_CLIENTS:
        raise LabError(f"clients={clients!r}: 1 to {MOST_CLIENTS} visitors can wait at a time.")
    if rate is not None and (not isinstance(rate, int | float) or not 0 < rate <= 2000):
        raise LabError(f"rate={rate!r}: give requests a second, above 0 and at most 2000.")
    if rate is not None and clients != 1:
        raise LabError("clients= is a closed loop and rate= an open one: give one of them.")
    if seconds is not None and (not isinstance(seconds, int | float) or not 0 < seconds <= MOST_SECONDS):
        raise LabError(f"seconds={seconds!r}: a load lasts up to {MOST_SECONDS:g} seconds.")
    if requests is not None and (not isinstance(requests, int) or not 1 <= requests <= MOST_REQUESTS):
        raise LabError(f"requests={requests!r}: give a whole number from 1 to {MOST_REQUESTS:,}.")
    if rate and seconds and requests is None and rate * seconds > MOST_REQUESTS:
        raise LabError(f"That would be {rate * seconds:,.0f} requests: {MOST_REQUESTS:,} at a time are the most.")
    if balancer not in BALANCERS:
        raise LabError(f"balancer={balancer!r}: it can be {', '.join(map(repr, BALANCERS))}.")
    if not isinstance(what, pd.DataFrame | int) and requests is None and seconds is None:
        raise LabError("For how long? Give requests= or seconds=.")


def _trace(lab: Lab, what: pd.DataFrame | int | str | Iterable[str]) -> list[dict[str, Any]]:
    """The rows to send: of a trace, or one for each URL. Raises LabError."""
    if isinstance(what, int):
        what = lab.traffic(what)
    if isinstance(what, pd.DataFrame):
        return traffic.checked(what).to_dict("records")
    urls = [what] if isinstance(what, str) else list(what) if isinstance(what, Iterable) else []
    check_paths(*urls)
    return [blank_row(url) for url in urls]


def blank_row(path: str) -> dict[str, Any]:
    """A stranger's request for this page, as a row of a trace."""
    return {"t": 0, "user": "", "tenant": "", "language": "", "method": "GET", "path": path, "body": ""}


def _browsers(lab: Lab, rows: list[dict[str, Any]]) -> dict[tuple[str, str], Browser]:
    """A browser for everybody in the trace who is signed in."""
    signed_in = sorted({(row["user"], row["language"]) for row in rows if row["user"]})
    traffic.check_users(user for user, _ in signed_in)
    for language in {row["language"] for row in rows}:
        check_language(language)
    return {(user, language): browser_of(lab, user, language) for user, language in signed_in}


def _orders(
    rows: list[dict[str, Any]],
    drawn: bool,
    n: int,
    rate: float | None,
    requests: int | None,
    seconds: float | None,
    balancer: str,
    seed: int,
) -> Iterator[Order]:
    """What to send, one after the other: the same for the same seed."""
    what, whom, when = (random.Random(f"{seed} {purpose}") for purpose in ("what", "whom", "when"))
    number, due = 0, 0.0
    while requests is None or number < requests:
        if not drawn and number >= len(rows):
            return
        row = what.choice(rows) if drawn else rows[number]
        due += when.expovariate(rate) if rate else 0.0
        if rate and seconds is not None and due > seconds:
            return
        worker = {"random": whom.randrange(n), "round robin": number % n, "kernel": None}[balancer]
        yield Order(row, worker, due if rate else None)
        number += 1


def _run(
    sender: Sender,
    orders: Iterator[Order],
    browsers: Mapping[tuple[str, str], Browser],
    clients: int,
    seconds: float | None,
) -> list[tuple[int, dict[str, Any]]]:
    """Let `clients` threads take order after order, until there are no more or `seconds` are over."""
    numbered, lock = enumerate(orders), threading.Lock()
    found: list[tuple[int, dict[str, Any]]] = []
    failed: list[BaseException] = []
    over, began = threading.Event(), perf_counter()

    def visit(client: int) -> None:
        try:
            while not over.is_set() and (seconds is None or perf_counter() - began < seconds):
                with lock:
                    number, order = next(numbered, (0, None))
                if order is None:
                    return
                if order.due is not None and over.wait(max(0.0, began + order.due - perf_counter())):
                    return
                at = perf_counter() - began
                found.append((number, {**_send(sender, order, browsers, at), "client": client}))
        except BaseException as error:
            failed.append(error)
            over.set()

    threads = [threading.Thread(target=visit, args=(client,), daemon=True) for client in range(clients)]
    together(threads, over, failed, sender.abort)
    return found


def _send(sender: Sender, order: Order, browsers: Mapping[tuple[str, str], Browser], at: float) -> dict[str, Any]:
    row = order.row
    browser = browsers.get((row["user"], row["language"])) or Browser(language=row["language"] or None)
    data = dict(parse_qsl(row["body"], keep_blank_values=True)) if row["method"] == "POST" else None
    answer = sender.send(row["path"], order.worker, browser, data)
    waited = at - order.due if order.due is not None else 0.0
    return {
        **row,
        "page": page_of(row["path"]),
        "status": answer.status,
        "queries": answer.queries,
        "hits": answer.hits,
        "misses": answer.misses,
        "ms": 1000 * (answer.seconds + waited),
        "uses": {name: (use.hits, use.misses) for name, use in answer.uses.items()},
        "on": {"default": answer.queries},
        "worker": answer.worker,
        "server_ms": 1000 * answer.server_seconds,
        "sql_ms": 1000 * answer.sql_seconds,
        "cache_ms": 1000 * answer.cache_seconds,
        "sent": at,
        "error": answer.error,
    }


def page_of(url: str) -> str:
    """The name of the page at this address, "" where it has none."""
    match = _match(url)
    return match.url_name or "" if match else ""


def check_mounted(*urls: str) -> None:
    """Raise LabError where none of these addresses has a view in this kernel's shop: then a 404 is no answer of its."""
    if not any(map(_match, urls)):
        raise LabError(
            f"No view of this shop answers at {urls[0]}. Was it taken out by lab.restore()? Run the cell with "
            "lab.mount(…) again, then start the workers anew."
        )


def _match(url: str) -> ResolverMatch | None:
    try:
        return resolve(unquote(re.split("[?#]", url)[0]))
    except Resolver404:
        return None
