"""Notebook 02: its exercises and its questions."""

import inspect
import time
from collections import Counter
from collections.abc import Callable
from random import random
from typing import TYPE_CHECKING, Any

import pandas as pd
from django.contrib.sessions.backends.cache import SessionStore
from django.core.cache import cache, caches
from django.http import HttpRequest, HttpResponse
from redis.exceptions import ResponseError

from ..entries import entries
from ..errors import LabError
from ..exercises import Wrong, attempt, exercise, expect_type
from ..load import blank_row
from ..meter import listening, metered
from ..quizzes import QUIZZES, Quiz

if TYPE_CHECKING:
    from ..bench import Lab

# 2.1: what the learner is given to repair
FORGETS = """
def count_view(pk):
    views = cache.get(f"views:{pk}", 0)
    cache.set(f"views:{pk}", views + 1, None)
"""
# One product after the other, so that its visitors come at once: the first visit is a race of its own.
PRODUCTS, VISITS, CLIENTS = range(101, 126), 8, 8


@exercise("2.1", "the counter that forgets", seconds=20, starter=FORGETS, commits=True)  # the workers read the database
def forgets(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "count_view")
    calls = count_alone(answer)
    sent = len(PRODUCTS) * VISITS
    counted = count_together(answer, lab)
    if counted != sent:
        raise Wrong(f"right for one process; of {sent} visits through two, {counted} were counted. {_why_lost(calls)}")
    return f"{sent} visits through two processes, {CLIENTS} at a time: {counted} counted, and none expires."


def count_alone(answer: Callable[..., Any]) -> Counter[str]:
    """Call it in this process, and raise Wrong unless each visit is counted. Returns the cache calls of a later one."""
    for pk, wanted in ((41, 1), (41, 2), (42, 1), (41, 3)):
        try:
            with metered() as reading:
                attempt(answer, pk)
        except ValueError as error:
            if wanted > 1 or "not found" not in str(error):
                raise
            raise Wrong("the first visit is a ValueError: incr needs an entry. add makes one where none is.") from None
        if (key := f"views:{pk}") not in (kept := entries()):
            raise Wrong(f"after a visit the cache server holds no {key!r}: {_where_else(key)}")
        if (found := cache.get(key)) != wanted:
            why = {wanted - 1: "What counts it up?", 2: "Does add store 1? Let it start at 0."}.get(found, "")
            raise Wrong(f"after visit {wanted} of product {pk}, {key!r} is {found!r}, expected {wanted}. {why}".strip())
        if (left := kept[key]) != -1:
            raise Wrong(f"{key!r} lives {lifetime(left)}. For ever is the timeout None, given where the entry is made.")
    return reading.operations


def lifetime(left: float) -> str:
    """How long an entry with so many seconds left lives, in words."""
    if left in (-1, float("inf")):
        return "for ever"
    return f"for {round(left, 1):g} seconds" + (" (without a timeout Django takes 300)" if 290 < left <= 300 else "")


def _where_else(key: str) -> str:
    if key in caches["local"]:
        return 'it is in caches["local"], this process\'s own memory. Each process would count apart: use cache.'
    if kept := entries():
        return f"what it holds is called {', '.join(map(repr, sorted(kept)[:2]))}."
    return "it is counted in this process's own memory, or not at all. Each process has its own: use Django's cache."


def count_together(answer: Callable[..., Any], lab: "Lab") -> int:
    """How many visits were counted, of as many as are sent to worker processes. Raises Wrong where one fails."""

    def page(request: HttpRequest, pk: int) -> HttpResponse:
        # A pause after each cache call, as a busy machine makes it: whoever may come in between does.
        with listening(lambda event: time.sleep(random() / 100)):
            answer(pk)
        return HttpResponse(status=204)

    lab.mount("try/<int:pk>/", page)
    trace = pd.DataFrame([blank_row(f"/try/{pk}/") for pk in PRODUCTS for _ in range(VISITS)])
    try:
        pool = lab.workers(2)
    except LabError:
        if not _holds_a_lock(answer):
            raise
        raise Wrong(
            "right for one process. But count_view uses a lock, and a lock cannot go to another process: each would "
            "have its own, and two still read the same number. incr is one step in the cache server, and needs none."
        ) from None
    with pool:
        visits = pool.load(trace, clients=CLIENTS, balancer="round robin")
    if failed := visits["error"][visits["status"] != 204].to_list():
        raise Wrong(f"{len(failed)} of {len(visits)} visits failed in the workers, the first with: {failed[0]}.")
    return sum(cache.get_many([f"views:{pk}" for pk in PRODUCTS]).values())


def _holds_a_lock(answer: Any) -> bool:
    try:
        used = inspect.getclosurevars(inspect.unwrap(answer))
    except (TypeError, ValueError):  # no function of Python's, or a ring of wrappers
        return False
    values = [*used.globals.values(), *used.nonlocals.values(), *(getattr(answer, "__defaults__", None) or ())]
    return any(hasattr(value, "acquire") and hasattr(value, "release") for value in values)


def _why_lost(calls: Counter[str]) -> str:
    if calls["incr"]:
        return "incr loses none: it is the first visit, made twice at once. add stores only where nothing is."
    if calls["set"] and calls["get"] + calls["get_many"]:
        return "Between one's get and set another reads the same number. incr is one step in the cache server."
    return "Does each process count in a memory of its own? incr counts in the cache server."


# 2.2


class Computed:
    """A `compute` that notes how often it is called. Of this module, so that a cache can store it, by mistake."""

    def __init__(self, value: Any) -> None:
        self.value, self.calls = value, 0

    def __call__(self) -> Any:
        self.calls += 1
        return self.value


@exercise("2.2", "a front of your own", seconds=15)
def own_front(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "fronted")
    key, price, began = "price:1", Computed(89), time.time()
    read(answer, key, price, 89)
    judge_shared(key)
    judge_local(answer, key, price, began, time.time())
    trips = round_trips(answer, key, price, 89, reads=49)
    if price.calls > 1:
        raise Wrong(f"50 reads called compute {price.calls} times. It is called where nobody has the value, once.")
    if trips and time.time() - began < 1:  # later, a read may ask again
        raise Wrong(f'in one second 49 more reads made {trips} round trips to Redis. Look into caches["local"] first.')
    judge_change(answer, key, price)
    judge_nothing(answer, 0, "Is it tested by `if value` or `or`?")
    judge_nothing(answer, None, "Is it tested by `is None`? get(key) gives None for no entry, too.")
    return "50 reads computed it once, and the first alone asked Redis. A change was seen after a second."


def read(answer: Callable[..., Any], key: str, compute: Computed, *wanted: Any) -> Any:
    """What fronted(key, compute) gives. Raises Wrong where that is none of `wanted`."""
    if isinstance(found := attempt(answer, key, compute), Computed):
        raise Wrong("fronted gives compute itself, and not what it computes. Call it, or let get_or_set call it.")
    if found not in wanted:
        why = " Is a return missing?" if found is None else ""
        raise Wrong(f"fronted({key!r}, …) gives {found!r}, expected {wanted[0]!r}.{why}")
    return found


def round_trips(answer: Callable[..., Any], key: str, compute: Computed, wanted: Any, reads: int = 1) -> int:
    """How many round trips to Redis so many reads make."""
    with metered() as reading:
        for _ in range(reads):
            read(answer, key, compute, wanted)
    return reading.trips["default"]


def judge_shared(key: str) -> None:
    """Raise Wrong unless Redis holds `key` for ten minutes."""
    if key not in (kept := entries()):
        where = f"what it holds is called {', '.join(map(repr, sorted(kept)))}" if kept else "it holds nothing"
        raise Wrong(f"after a read Redis has no {key!r} ({where}): every other process computes it again.")
    if not 590 <= kept[key] <= 600:
        raise Wrong(f"in Redis {key!r} lives {lifetime(kept[key])}, and should for 600.")


def judge_local(answer: Callable[..., Any], key: str, price: Computed, began: float, ended: float) -> None:
    """Raise Wrong unless what was stored in the front between `began` and `ended` lives there for one second."""
    expiries = list(caches["local"]._expire_info.values())  # type: ignore[attr-defined]  # LocMemCache's own
    if not expiries:
        if round_trips(answer, key, price, 89):
            raise Wrong('after a read caches["local"] is empty, and the next asks Redis again. Store it there too.')
        raise Wrong('it is kept, and not in caches["local"]: a memory of your own has no end, of time or of size.')
    longest = max(float("inf") if expiry is None else expiry for expiry in expiries)
    if longest - ended > 1.01:
        raise Wrong(f'in caches["local"] it lives {lifetime(longest - ended)}, and may be old so long. Expected is 1.')
    if longest - began < 0.99:
        raise Wrong('in caches["local"] it lives for less than a second. Its timeout is 1.')


def judge_change(answer: Callable[..., Any], key: str, price: Computed) -> None:
    """Raise Wrong unless what another process stores in Redis is seen a second later, and then put in front."""
    cache.set(key, 79, 600)
    for _ in range(2):
        time.sleep(0.55)
        found = read(answer, key, price, 79, 89)
    if price.calls > 1:
        raise Wrong("a second later it is computed again, though Redis has it. Is compute called before it is asked?")
    if found != 79:
        raise Wrong("1.1 seconds after another process stored 79 in Redis, it gives 89. Does a hit store it anew?")
    caches["local"].clear()
    if round_trips(answer, key, price, 79, reads=50) >= 50:  # fewer: a second may end meanwhile
        why = "Store in front what you read, too, not only what you computed."
        raise Wrong(f"Redis had it already, and each of 50 reads asked Redis. {why}")


def judge_nothing(answer: Callable[..., Any], value: Any, test: str) -> None:
    """Raise Wrong where `value`, 0 or None, is taken for no value."""
    key, compute, began = f"stock:{value}", Computed(value), time.time()
    read(answer, key, compute, value)
    trips = round_trips(answer, key, compute, value)
    again = f"{value!r} is a value too, and"
    help = f"{test} Make missing = object() and ask get(key, missing): no stored value `is missing`."
    if compute.calls == 1 and trips and time.time() - began < 1:
        raise Wrong(f'{again} with it in caches["local"] Redis is asked again. {help}')
    caches["local"].clear()
    read(answer, key, compute, value)
    if compute.calls > 1:
        raise Wrong(f"{again} three reads computed it {compute.calls} times. {help}")


# 2.3


@exercise("2.3", "only the products", seconds=10)
def only_products(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "forget_products")
    pks = list(range(1, 31))
    gone = [f"product:{pk}:detail" for pk in pks]
    others = [*(f"product:{pk}:detail" for pk in (31, 100, 310)), "product:1:reviews", "product:1", "1", "popular"]
    cache.set_many(dict.fromkeys([*gone, *others], "kept"), 600)
    clara = SessionStore()
    clara["who"] = "clara"
    clara.save()
    with metered() as reading:
        forget(answer, pks)
    if SessionStore(clara.session_key).load() != {"who": "clara"}:
        raise Wrong("clara is signed out: her session is an entry of the same cache. Name what should go, and no more.")
    left = entries()
    if lost := [key for key in others if key not in left]:
        raise Wrong(f"{', '.join(map(repr, lost))} should have stayed: the keys to delete are product:<pk>:detail.")
    if still := [key for key in gone if key in left]:
        if cache.get(still[0]) is None:
            raise Wrong(f"{still[0]!r} is there, and holds None: that is a value too. Delete the entry.")
        raise Wrong(f"{len(still)} of {len(gone)} entries, such as {still[-1]!r}, are still there. Which were deleted?")
    if (trips := reading.trips["default"]) > 1:
        raise Wrong(f"the right ones went, in {trips} round trips. delete_many takes all keys, and makes one.")
    forget(answer, [])  # a night without changes
    return f"{len(gone)} entries went in one round trip, {len(others)} others stayed, and clara is signed in."


def forget(answer: Callable[..., Any], pks: list[int]) -> None:
    """Call it with `pks`. Raises Wrong for two mistakes that are exceptions."""
    try:
        attempt(answer, pks)
    except AttributeError as error:
        if error.name != "delete_pattern":
            raise
        raise Wrong("Django's backend has no delete_pattern (django-redis has). Name the keys: delete_many.") from None
    except ResponseError:
        if pks:
            raise
        raise Wrong("right, but pks may be empty: Redis refuses a DEL without keys. Give delete_many a list.") from None


QUIZZES["02.1"] = Quiz(
    "Eight workers keep products in local memory. One product is asked for a thousand times within its entry's "
    "lifetime. How many times is it computed?",
    [
        ("Once: the first request stores it", "In its own process's memory alone. The other seven cannot look there: "
         "each finds nothing when it is first asked."),
        ("Up to eight times", "Once in each worker that is asked for it. With a cache server, the first of them would "
         "have computed it for all."),
        ("A thousand times: local memory is not a cache", "It is one, for its own process: a worker that is asked "
         "again answers from memory, faster than any server."),
    ],
    right=1,
)  # fmt: skip
QUIZZES["02.2"] = Quiz(
    "Four workers keep a price in local memory for ten minutes. The view that changes it deletes the key. Who still "
    "reads the old price, and what tells you?",
    [
        ("Nobody: the key was deleted", "In the memory of the process that ran the view. The other three have entries "
         "of their own under that key, and no delete reaches them."),
        ("Everybody, until a warning is logged", "The process that deleted it reads the new price at once. And nobody "
         "logs anything: to each process its own entry is a hit like any other."),
        ("Whoever is answered by one of the other three; nothing tells you", "For up to ten minutes, with status 200 "
         "and no log line. A reload may show the new price, and the next one the old."),
    ],
    right=2,
)  # fmt: skip
