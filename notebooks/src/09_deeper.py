# minutes: 1, 45
# mypy: disable-error-code="attr-defined, operator, no-redef, index, misc"
# %% [markdown]
# # The Deeper part of 09, to be copied
#
# {{header}}

# %%
import pandas as pd
from django.core.cache import cache
from tutorial_project.caching import runtime
from tutorial_project.caching.stampede import Protection
from tutorial_project.lab import Origin, boot, check, explore, predict, reveal, simulate

lab = boot("09_stampedes")
lab

# %% [markdown]
# ## Deeper · minute 35
#
# ### A lock that is too short · minute 55
#
# A lock must end by itself, in case its holder never comes back. So it has a number of seconds, and one day the computation takes more.
# Here a lock of one second, and a database that takes three. `defended` puts a remedy before an origin, in four processes; the
# remedies are those of the core, in `lab/defences.py`.

# %%
from tutorial_project.lab import defences
from tutorial_project.lab.defences import defended
from tutorial_project.lab.herds import warmed


def a_slow_day(defence):
    slow = Origin(seconds=3, at_once=100)
    read = defended(defence, slow, timeout=10, lease=1, grace=60, processes=4)
    return simulate({read: warmed(100)}, seconds=25, origin=slow)


# %%
predict("09.short", "A lock of 1 s, a computation of 3 s: how many recompute at an expiry?", ["1", "3", "300"])

# %% [markdown]
# Each bar is one recomputation, from its beginning to its end; the number behind a name is how many there are. Look at where each begins.

# %% tags=["claim:S5", "answer"]
from tutorial_project.lab.computing import computing

slow_days = {
    "lock": a_slow_day(defences.naive_lock),
    "lock, previous value": a_slow_day(defences.lock_with_previous),
    "lease": a_slow_day(defences.lease),
}
most = slow_days["lock"].recomputations["at_once"].max()
reveal("09.short", str(most))
computing(slow_days, 10, 6, f"a lock of 1 s lets in {most} for 3 s of work; a lease, which is renewed, 1")

# %% [markdown]
# **What just happened.** Every second the lock ran out, and the next visitor won it; rightly, as far as anybody could know. It is three and no more since the
# first one's result is there by then. And when the first is done, it deletes the lock. Its own is long gone: it is the third one's.
#
# A longer lock? Then a holder that died keeps everybody waiting for longer. A lease escapes from this choice: it is short, and **renewed** every
# third of its time by whoever is alive and at it, for `limit` seconds at most.
#
# ### A holder that comes back late · minute 60
#
# A process can be stopped in the middle: its machine was asleep, its garbage was collected, its packets were held up. It comes back after its
# lock has ended, does not know, and stores what it has. So give the lock an owner, and let the owner look before it stores:

# %%
import secrets

stand = Origin()


def looks_first():
    token = secrets.token_hex(4)
    if cache.get("ranking") is None and cache.add("ranking:lock", token, 10):
        value = stand.read("ranking")
        if cache.get("ranking:lock") == token:  # still mine?
            cache.set("ranking", value, 60)
            cache.delete("ranking:lock")


def change():
    stand.write("ranking")
    cache.delete_many(["ranking:lock", "ranking"])


def stale(end):
    kept = cache.get("ranking")
    return kept is not None and kept.version < stand.version("ranking")


# %% [markdown]
# `change` writes the row, and takes the lock away from whoever is computing from the old one. Every order of both:

# %%
predict("09.fence", "In how many of the 28 orders does the old value stay?", ["0", "2", "12"])

# %% tags=["claim:S5", "answer"]
looked = explore(looks_first, change, given=stand.restart, never=stale)
reveal("09.fence", str(looked.bad))
looked.figure()

# %% [markdown]
# Between "still mine?" and `set` there is room for everything. Whatever a program finds out about a lock is from before. So asking and storing
# must be **one step**, on the server. That is `commit`, of the parts of the lease: a script of a few lines.

# %% tags=["claim:S5", "answer"]
from tutorial_project.caching.owned import owning


def commits():
    if cache.get("ranking") is None:
        with owning("ranking:lock", 10) as lease:
            if lease:
                lease.commit(stand.read("ranking"), 60, into="ranking")


committed = explore(commits, change, given=stand.restart, never=stale)
pd.Series({"look, then set": str(looked), "commit": str(committed)}).to_frame("")

# %% [markdown]
# (Martin Kleppmann describes the same for any storage: it checks the [fencing token](https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html)
# of whoever writes. A client that checks its own lock has checked nothing.)
#
# > **Keep this.** "Is it still mine?" must be asked by whoever stores, in the same step.
#
# ### A holder that does not come back · minute 65
#
# From here on no simulation: four processes of eight clients on a cache server of their own, computations counted where they are
# made, and signals. First the lock whose author thought: it is deleted when the work is done, so what are the seconds for?


# %%
class lock_without_seconds(defences.lock_with_previous):
    def __init__(self, setup):
        super().__init__(setup)
        self.lease = None  # cache.add(…, None): for ever


# %% [markdown]
# 32 clients ask for a key that nobody has. One begins to compute. Its process gets SIGKILL, as from the out-of-memory killer, or from a deployment that
# has lost patience. 24 clients are left. (Without seconds; with one second; the lease of one second.)

# %%
predict(
    "09.killed", "Without seconds, how many of the 24 are answered in the next four?", ["none", "all but one", "all"]
)

# %% tags=["claim:S5", "answer"]
from tutorial_project.lab.trials import holder_dies

died = holder_dies(no_seconds=lock_without_seconds, one_second=defences.lock_with_previous, the_lease=defences.lease)
reveal("09.killed", {"0%": "none", "100%": "all"}[died["answered"].iloc[0]])
died

# %% [markdown]
# **What just happened.** A process that is killed runs no `finally`. Its lock without seconds stays, on the server, for everybody and for ever: no restart
# of yours mends it. With seconds, one other computes after they are over, so two in all; fewer cannot be, for the first one's work is
# lost. You would have noticed: no errors, no load, and requests that end in a gateway's timeout, all for one key.
#
# ### Seven demands · minute 70
#
# A defence has to do all of this at once, and each of them is easy alone. Four failures and two ordinary days for five defences, and
# everything for the lease: six fleets at the same time. It takes a while, most of it waiting for locks to run out. (They also disturb each
# other: what should hold and does not is tried again, alone.)

# %%
from tutorial_project.lab import trials

contestants = {
    "get_or_set": defences.plain,
    "early": defences.early,
    "stale": defences.stale,
    "lock, previous": defences.lock_with_previous,
    "lease": defences.lease,
}
lease_alone = {"lease": defences.lease}
outcomes = trials.tried((contestants, trials.MAIN), (lease_alone, trials.REST), again=trials.SOUND)

# %% [markdown]
# Each row is something that happens, each column a defence: ✓, or what went wrong this time. Which of them would a test of yours have found?

# %% tags=["nbval-ignore-output", "answer"] why="real processes: how large a herd is differs each time"
trials.told(outcomes)

# %% [markdown]
# How large a herd is differs from run to run. Whether there is one does not. (*varies*: without a lock a value that comes late may find another
# one in its place, or none. Blank: not tried here.)

# %% tags=["claim:S5", "answer"]
trials.verdicts(outcomes, varies=[("paused", name) for name in ("get_or_set", "early", "stale")])

# %% [markdown]
# Read it by columns. **get_or_set and early** have no lock: a cold key and a slow one belong to everybody. **stale** serves in the background, and in each
# process: it needs a lock between processes. **The lock** is right while all is well. Each failure finds another hole: it outlives its
# seconds, stores late, computes in the middle of a request. **And none of them** answers when the cache server hangs: that
# is the breaker's part, and the slots', which decide how many may compute without a cache.
#
# | what happens | what the lease does about it |
# |---|---|
# | a cold key, an expiry | one owner; a second look; the previous value, and the refresh in the background |
# | whoever computes is killed | it lapses, since nobody renews it; the next one computes |
# | it takes longer than the lock | renewed every third of its time, up to a limit |
# | whoever computes is stopped, or overtaken | stored by `commit` alone, which asks whose it is |
# | the computation fails | given back at once; the previous value stays, and the next try comes after a pause |
# | the cache server hangs, or is gone | a short timeout, the breaker, one computation a key and process, four in all |

# %% tags=["claim:S5", "answer"]
print("the lease does not meet:", ", ".join(trials.missing(outcomes, "lease")) or "none of what was asked")

# %% [markdown]
# > **Keep this.** A defence against a stampede is tried by killing it: the holder, the clock, the server. What passes on a quiet day are all of them.
#
# ### What a hit costs · minute 76
#
# All this is for the moment of an expiry. What do the other 999 requests pay? Round trips first:

# %% tags=["answer"]
from tutorial_project.caching.generations import Namespace

protection, product = Protection(), Namespace("product", 42)
ways = {
    "cache.get": lambda: cache.get("bare"),
    "the lease": lambda: protection.get_or_set("leased", dict, 60),
    "the lease, under a generation": lambda: protection.get_or_set(product.key("detail"), dict, 60),
}
cache.set("bare", {}, 60)
trips = {}
for name, read in ways.items():
    read()
    with lab.meter() as reading:
        read()
    trips[name] = reading.trips["default"]
trips

# %% [markdown]
# One, as for a plain `get`: the entry carries all that must be known. A generation (notebook `08`) is a second key that must be read before, so a second
# trip. The time, over a thousand pairs in turn:

# %%
from statistics import median
from time import perf_counter


def seconds(read):
    started = perf_counter()
    read()
    return perf_counter() - started


rounds = [[seconds(read) for read in ways.values()] for _ in range(1000)]
bare, leased, under_generation = map(median, zip(*rounds, strict=True))

# %% tags=["nbval-ignore-output", "answer"] why="milliseconds"
print(
    f"a plain get {1e6 * bare:.0f} µs; the lease {leased / bare:.2f} times that; under a generation {under_generation / bare:.2f}"
)

# %% tags=["answer"]
print(f"the lease costs less than half a get more: {leased < 1.5 * bare}")

# %% [markdown]
# ### What the lease cannot do · minute 79
#
# **It cannot see a plain `cache.delete`.** That takes the value, and not the lease of whoever is computing from the old row. Two processes, one that reads and one that
# changes, in every order:

# %%
by_lease = {"reading": Protection(), "changing": Protection()}


def reads():
    by_lease["reading"].get_or_set("ranking", lambda: stand.read("ranking"), 60)


def deletes():
    stand.write("ranking")
    cache.delete("ranking")


def invalidates():
    stand.write("ranking")
    by_lease["changing"].invalidate("ranking")


def stale(end):
    kept = by_lease["changing"].get_or_set("ranking", lambda: stand.read("ranking"), 60)
    return kept.version < stand.version("ranking")


# %% tags=["claim:S5", "answer"]
by_way = [explore(reads, way, given=stand.restart, never=stale) for way in (deletes, invalidates)]
pd.Series(map(str, by_way), ["cache.delete", "invalidate"]).to_frame("")

# %% [markdown]
# **It cannot know that a clock has jumped.** If the server's clock jumps past the lease, or whoever has it is stopped for longer than it lasts, it is over,
# and another one computes too. What then comes late is refused, so the price is work and not truth:

# %% tags=["claim:S5", "answer"]
from tutorial_project.lab import clock


def reads_too():
    by_lease["changing"].get_or_set("ranking", lambda: stand.read("ranking"), 60)


def computed_twice(end):
    return sum(step.what == "read ranking" for step in end.steps) > 1


def tally(*actors, never):
    return str(explore(*actors, given=stand.restart, never=never, preemptions=2))


print("undisturbed: ", tally(reads, reads_too, never=computed_twice))
print("clock jumps: ", tally(reads, reads_too, clock(11), never=computed_twice))
print("and a change:", tally(reads, invalidates, clock(11), never=stale))

# %% [markdown]
# **It cannot tell a server that is away.** An invalidation that does not arrive raises, so that somebody hears of it:

# %% tags=["claim:S5", "answer"]
from django.core.cache.backends.redis import RedisCache
from tutorial_project.caching.resilience import InvalidationLost

nobody = RedisCache("redis://127.0.0.1:1", {"OPTIONS": {"socket_connect_timeout": 0.25}})
try:
    Protection(cache=nobody).invalidate("ranking")
except InvalidationLost as lost:
    print(lost)

# %% [markdown]
# What the server has is then served as if nothing had happened, and the bound is the one of notebook `06`. In virtual time: fresh for 10 seconds, kept for 60
# more, a change at second 1 of which the cache never hears. With a visitor a second, and with one who comes late:

# %% tags=["claim:S5", "answer"]
unheard = Origin(seconds=0.05)


def served_old(visits):
    read = defended(defences.lease, unheard, timeout=10, grace=60)
    requests = simulate({read: visits, unheard.write: [(1, 0)]}, 100, origin=unheard).requests
    return f"{requests['behind'].max():.0f} s"


{"a visitor each second": served_old(range(100)), "one at 0 and one at 69": served_old([0, 69])}

# %% [markdown]
# With traffic it is the `timeout`; without, `timeout + grace`, and the one visitor who reads it last begins the refresh. So `grace` is a promise like a TTL: choose it by how old an answer may be.
#
# ### What others have built · minute 83
#
# There are libraries for this. `make bench` installs them beside the course, asks each as its own documentation recommends, and puts all of them under the
# same demands and the same four processes. That takes minutes, so its result is kept in `data/`, with its day; here is the last one.

# %%
from tutorial_project.lab import bench_results

pd.set_option("display.max_colwidth", 160)
libraries = bench_results.libraries()
print(f"{len(libraries)} contestants, {bench_results.when()}, {bench_results.newest()['versions']}")

# %% [markdown]
# A row a library, a column a demand: ✓ where it was met. Look for the emptiest columns.

# %% tags=["answer"]
libraries.drop(columns="met").map(lambda came_out: "✓" if came_out == "met" else "").assign(met=libraries["met"])

# %% [markdown]
# **A cold key** is computed once by whatever has a lock between processes. **An expiry without waiting** needs the previous value and a background.
# From *overtaken* on one row alone has a ✓: that what is overtaken is not handed out, that failures are spaced, that a hanging server hinders nobody and a lost
# invalidation is told, hardly anybody promises. Most of these answer another question, which is to save work, and answer it well.
#
# ### Play with it
#
# What came out for yours, and how it was set? The names are in the table above.

# %% tags=["knobs"]
library = "dogpile.cache"

print(bench_results.versions().loc[library].to_string())
libraries.loc[[library]].T

# %% [markdown]
# A table made by the author of one of its rows deserves another one: where are the others better?

# %% tags=["answer"]
bench_results.wins()

# %% [markdown]
# That is most of what matters on an ordinary day. The lease is hundreds of statements that **you** would own, it is young, speaks only to Redis and Valkey, and blocks
# a thread where an `async` view would not. Values that are cheap, or asked for by one process, need none of it: `get_or_set`, and jitter for many keys.
# If you have a library, keep it, and ask it the questions of this table; if one answer frightens you, take that one part along.
#
# ### Exercise 9.3 (10 minutes): a report that survives
#
# The night's report takes up to half a minute. Write `report(compute)`: what is kept under `"report"`, for 60 seconds. One computes, the others wait for it
# (`runtime.sleep(0.1)`, and look again). It must survive: a computation that takes 25 seconds is still the only one; one that never ends is given up
# within two minutes; one that raises lets the next begin at once; and what was read before `forget()` is not stored after it.


# %% tags=["exercise"]
def forget():
    cache.delete_many(["report:lease", "report"])  # after a change; this is given


def report(compute):
    # solution-begin
    while (value := cache.get("report")) is None:
        with owning("report:lease", 10) as lease:
            if lease:
                value = cache.get("report")  # the second look
                if value is None:
                    value = compute()
                    lease.commit(value, 60, into="report")
                return value
        runtime.sleep(0.1)
    return value
    # solution-end
    # starter: return ...


# %%
check("9.3", report)

# %% [markdown]
# <details><summary>Hint 1</summary><code>owning("report:lease", 10)</code> is renewed while its block runs, for a minute at most, and given back when the block is left, however it is left.</details>
# <details><summary>Hint 2</summary>A loop: what is kept; else the lease, if it is free; else sleep and look again. And a second look once you have it.</details>
# <details><summary>Hint 3</summary>Inside the block: <code>value = compute()</code>, then <code>lease.commit(value, 60, into="report")</code>. What it refuses, you may still return to this visitor.</details>
# <details><summary>What you should see</summary>"9.3 Right", with 1 computation for 50 visitors, and stale in 0 orders.</details>
