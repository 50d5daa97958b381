# minutes: 40, 130
# mypy: disable-error-code="attr-defined, operator, no-redef, index, misc, assignment"
# %% [markdown]
# # Survive the moment in which a hot key expires
#
# {{header}}
#
# November 2024: the database of HCB, a site of Hack Club, has spikes in its load. They come from the statistics, and those are cached. That is
# the point: "We see a nasty dog piling effect when the stats cache expires". The mend keeps the figures longer, and lets everybody but
# one go on reading the old ones meanwhile (in Rails, `race_condition_ttl`)
# ([hackclub/hcb, pull request 8483](https://github.com/hackclub/hcb/pull/8483)).
#
# **You will see** a database go under every ten seconds with a hit ratio of 0.96, and the same traffic without a single request that waits.
# **You will learn** what an expiry costs, what each of four defences does about it, and where it fails.
# **You need** notebooks `06_ttl` and `08_keys_and_versions`, or to know what a TTL promises and what `explore` counts.
#
# New on the bench: `herds` finds the recomputations of each expiry in a simulation; `under_way` draws the requests that are
# under way and the queries that run.

# %%
import pandas as pd
from django.core.cache import cache
from django.http import HttpResponse
from tutorial_project.caching import runtime
from tutorial_project.lab import Origin, boot, check, draw, explore, predict, quiz, reveal, simulate, theory

lab = boot("09_stampedes")
lab

# %% [markdown]
# Two questions on notebook `07`, before anything new.

# %%
quiz("09.1")

# %%
quiz("09.2")

# %% [markdown]
# ## Ten seconds of peace, then everybody at once · minute 3
#
# The evening of a sale. Every page shows the ranking, a thousand times a second. One query for it takes 50 milliseconds. Up to ten run at
# full speed; with twenty, each takes twice as long. So the ranking is kept for ten seconds, with the line that you know from notebook
# `05`. We simulate one minute. `warmed` sends one visitor first, then the crowd; `as_replay` makes of it what the scoreboard reads.

# %%
from tutorial_project.lab.herds import as_replay, herds, under_way, warmed

TTL, RATE = 10, 1000
origin = Origin(seconds=0.05, at_once=10)


def get_or_set(_):
    return cache.get_or_set("popular_products", lambda: origin.read("ranking"), TTL)


def a_minute(read, rate=RATE, seconds=60):
    return simulate({read: warmed(rate)}, seconds=seconds, origin=origin)


unprotected = a_minute(get_or_set)
lab.scoreboard(get_or_set=as_replay(unprotected, "popular_products"))

# %% [markdown]
# A hit ratio that anybody would be glad of. The visitors are less glad: whoever waits for more than a second goes away.

# %%
predict("09.late", "Of these 60,000 requests, how many are answered too late?", ["none", "a dozen", "thousands"])

# %% [markdown]
# The same minute over time. In blue the requests that are under way, in orange the queries that run at once. The dotted line is what the
# database does at full speed. Look at what happens every ten seconds, and for how long.

# %% tags=["claim:S1", "answer"]
late = int((unprotected.requests["latency"] > 1).sum())
reveal("09.late", "thousands" if late > 1000 else "a dozen" if late else "none")
worst = herds(unprotected, apart=5)["at_once"].max()
under_way({"get_or_set": unprotected}, (0, 60), 10, f"every ten seconds a wall: up to {worst} queries at once")

# %% [markdown]
# **What just happened.** The entry ran out. The first request found nothing and began to compute. So did each one that came after, until
# somebody's result was stored. With so many queries at once, each took far longer than 50 ms, and more came meanwhile. That
# is a **stampede**: the cache is empty for a moment, in which everybody is the first one.
#
# ## What an expiry costs · minute 7
#
# How many come? $\lambda$ requests a second, and $\Delta$ seconds until the first result is stored: one, and all that arrive while it computes,
# $1 + \lambda\Delta$. If the database slows down under them, more arrive, and it is worse: `theory.herd_shared` counts that in. Beside
# the minute from above, three lower rates, each for as long as it takes for thirty thousand requests.

# %%
rates = (125, 250, 500, 1000)
runs = {rate: a_minute(get_or_set, rate, seconds=30_000 / rate) for rate in rates[:-1]} | {1000: unprotected}
found = {rate: herds(run, apart=5).iloc[1:] for rate, run in runs.items()}  # without the first visitor's

# %%
predict("09.twice", "From 500 to 1,000 requests a second: how many times the recomputations per expiry?", [2, 4, 10])

# %% [markdown]
# The axis of the recomputations grows tenfold from mark to mark. Look at which of the two predictions the measured ones follow, and
# from where on.

# %% tags=["claim:S1", "answer"]
average = {rate: herd["recomputations"].mean() for rate, herd in found.items()}
curves = {
    "measured": (rates, list(average.values())),
    "1 + λΔ": (rates, [theory.herd(rate, 0.05) for rate in rates]),
    "with a database that slows down": (rates, [theory.herd_shared(rate, 0.05, 10) for rate in rates]),
}
alt = f"{average[125]:.0f} recomputations per expiry at 125 requests a second, {average[1000]:.0f} at 1,000"
draw.lines(curves, alt, yscale="log", xlabel="requests a second", ylabel="recomputations per expiry")

# %% tags=["claim:S1", "answer"]
reveal("09.twice", min([2, 4, 10], key=lambda guess: abs(guess - average[1000] / average[500])))
off = max(abs(average[rate] / theory.herd_shared(rate, 0.05, 10) - 1) for rate in rates)
print(f"largest gap to the second prediction: {off:.0%}; less than a third: {off < 1 / 3}")
columns = {
    rate: [herd["at_once"].max(), herd["late"].sum(), f"{herd['late'].sum() / len(runs[rate].requests):.1%}"]
    for rate, herd in found.items()
}
pd.DataFrame(columns, index=["most queries at once", "answered too late", "of all requests"]).T.rename_axis(
    "requests a second"
)

# %% [markdown]
# The hotter the key, the worse, and not in proportion. While the database keeps up, it is $1 + \lambda\Delta$. Once the herd is much larger
# than the ten queries that it does at full speed, it grows as $e^{\lambda\Delta/10}$: from 500 to 1,000 a second, more than ten times the work.
#
# > **Keep this.** An expiry costs $1 + \lambda\Delta$ recomputations, and far more where they slow each other down. The hit ratio does not show it.
#
# ### Play with it
#
# Move the traffic. From which rate on does it hurt? (Sliders for the cost and the lifetime are in *Deeper*. Without a live notebook you
# see one setting.)

# %% tags=["knobs"]
from tutorial_project.lab.sliders import slide


def wall(traffic=500, cost=50, ttl=10):
    stand_in = Origin(seconds=cost / 1000, at_once=10)
    read = lambda _: cache.get_or_set("popular_products", lambda: stand_in.read("ranking"), ttl)  # noqa: E731
    run = simulate({read: warmed(traffic)}, seconds=30, origin=stand_in)
    most = herds(run, ttl / 2)["at_once"].max()
    under_way({f"{traffic}/s, {cost} ms, {ttl} s": run}, (0, 30), 10, f"up to {most} queries at once")


slide(wall, traffic=[50, 100, 200, 500, 800], start=500, unit="requests a second")

# %% [markdown]
# ### On real workers
#
# The same with four processes of eight threads, the shop's own `popular_products`, and 32 visitors without a pause. So that it
# takes as long on any machine, it sleeps a fifth of a second first. `noted` leaves a note of each computation on the cache server.

# %%
from tutorial_project.lab.herds import herd_sizes, noted, noted_times
from tutorial_project.shop import selectors


def slow_ranking():
    runtime.sleep(0.2)
    return selectors.popular_products()


def real(request):
    ranking = cache.get_or_set("popular_products", lambda: noted("real", slow_ranking), 1)
    return HttpResponse(ranking[0].name)


def on_workers(seconds, **views):
    urls = {name: lab.mount(f"{name}/", view) for name, view in views.items()}
    with lab.workers(4, threads=8) as pool:
        for url in urls.values():
            pool.get(url)  # warm
        asked = pool.load(urls.values(), clients=32, seconds=seconds)
    return asked, {name: herd_sizes(noted_times(name), apart=seconds / 4) for name in views}


# %% tags=["nbval-ignore-output", "answer"] why="how large a herd gets on real threads is never twice the same"
asked, sizes = on_workers(2, real=real)
print(f"recomputations: the first visitor's {sizes['real'][0]}, then per expiry {sizes['real'][1:]}")
print(
    f"of {len(asked)} requests, {(asked['queries'] > 0).sum()} sent a query; the slowest took {asked['ms'].max():.0f} ms"
)

# %% tags=["claim:S1", "answer"]
print(f"an expiry is recomputed more than once: {max(sizes['real'][1:]) > 1}")
print(
    f"whoever computed waited for it, a fifth of a second or longer: {(asked['ms'][asked['queries'] > 0] >= 200).all()}"
)

# %% [markdown]
# Real threads, so another number each time that you run it. It is at most 32: each of the 32 visitors waits for an answer before asking again.
#
# ## Not all on one day: jitter · minute 15
#
# First: many keys that expire together. A deploy has filled the cache: a thousand entries, all in one moment, all for thirty seconds, and a
# thousand requests a second that are spread over all of them. No key is hot here. `jittered(30, 0.2)` gives each of them a lifetime
# of its own, drawn evenly from 24 to 36. (`given` fills the cache before the first visitor; `keys` is how many products they ask for.)

# %%
from tutorial_project.caching.early import jittered
from tutorial_project.lab.origin import Reading

details = Origin(seconds=0.005, at_once=10)


def filled(share):
    def fill():
        for pk in range(1000):
            cache.set(f"product:{pk}:detail", Reading(pk, version=0, at=0), jittered(30, share))

    def detail(pk):
        return cache.get_or_set(f"product:{pk}:detail", lambda: details.read(pk), jittered(30, share))

    return simulate({detail: 1000.0}, seconds=40, keys=1000, origin=details, given=fill)


# %%
predict(
    "09.jitter",
    "By how much does a jitter of ±20 % lower the busiest second?",
    ["a fifth", "half", "to a sixth or less"],
)

# %% tags=["claim:S4", "answer"]
shares = {"all for 30 s": 0, "30 s ± 20 %": 0.2}
spread = {name: filled(share).recomputations for name, share in shares.items()}
per_second = {
    name: reads["began"].astype(int).value_counts().reindex(range(20, 40), fill_value=0).sort_index()
    for name, reads in spread.items()
}
peaks = {name: int(counts.max()) for name, counts in per_second.items()}
curves = {name: (counts.index.tolist(), counts.tolist()) for name, counts in per_second.items()}
alt = f"the busiest second has {peaks['all for 30 s']} recomputations without jitter, {peaks['30 s ± 20 %']} with it"
draw.lines(curves, alt, xlabel="seconds since the deploy", ylabel="recomputations a second")

# %% tags=["claim:S4", "answer"]
flat = theory.jitter_peak(1000, ttl=30, jitter=0.2)
reveal("09.jitter", "to a sixth or less" if peaks["30 s ± 20 %"] < peaks["all for 30 s"] / 5.5 else "half")
low, high = peaks["30 s ± 20 %"], peaks["all for 30 s"]
print(f"peak without it: {high} a second; all run out at one instant, and as many are recomputed as visitors come")
print(f"peak with it: {low} a second; predicted: {flat:.0f} on average; less than a third above: {low < flat * 4 / 3}")

# %% [markdown]
# A thousand keys over twelve seconds, from 24 to 36: 83 a second. It costs one function call. What does it do for the ranking, which is one
# key? Its expiries move about, and each is as expensive as before: the table before exercise 9.1 has a row for it.
#
# > **Keep this.** Jitter is for many keys with one birthday. A hot key has its stampede whenever it expires.
#
# ## One fetches, the others take the old one: the lock · minute 19
#
# Now the hot key. One of the thousand is enough: `cache.add` stores only where nothing is, so one of them wins. And the others need not
# wait for it, **if the old value is still there**. So we keep it longer than it is fresh, and store beside it the time until which it is fresh.

# %%
GRACE = 60


def with_lock(_):
    ranking, fresh_until = cache.get("popular_products") or (None, 0)
    if runtime.now() < fresh_until:
        return ranking
    if cache.add("popular_products:lock", "mine", 10):  # one wins
        ranking = origin.read("ranking")
        cache.set("popular_products", (ranking, runtime.now() + TTL), TTL + GRACE)
        cache.delete("popular_products:lock")
    elif ranking is None:  # nothing old to give
        runtime.wait(lambda: cache.get("popular_products"), timeout=5)
        ranking, fresh_until = cache.get("popular_products")
    return ranking


# %%
predict("09.lock", "How many requests wait at each expiry now?", [0, 1, "about 50"])

# %% tags=["claim:S3", "answer"]
locked = a_minute(with_lock)
by_lock = herds(locked, apart=5).iloc[1:]
reveal("09.lock", int(by_lock["waited"].max()))
by_lock[["recomputations", "at_once", "waited", "late"]].agg(["min", "max"]).T

# %% [markdown]
# **What just happened.** Exactly one recomputation per expiry, and one request that waits: the one that computes. The others of that
# moment were given the previous ranking. (`at_once` counts queries; `waited` and `late` count requests that took longer than 10 ms, and
# than a second. `runtime` has the time and the sleep of production, and here those of `simulate`.)
#
# Exactly one? In this simulation each cache call takes the same time. Real ones do not. `explore` runs two readers
# in every order, from an entry that has run out.


# %%
computed: list[int] = []


def compute():
    computed.append(1)
    return origin.read("ranking")


def expired():
    computed.clear()
    cache.set("popular_products", ("the old ranking", 0), None)


def reader():
    ranking, fresh_until = cache.get("popular_products")
    if runtime.now() >= fresh_until and cache.add("popular_products:lock", "mine", 10):
        cache.set("popular_products", (compute(), runtime.now() + TTL), TTL + GRACE)
        cache.delete("popular_products:lock")


def recomputed_twice(end):
    return len(computed) > 1


# %%
predict("09.orders", "Does the lock make it one in every order?", ["in every order", "in all but a few"])

# %% tags=["claim:S3", "answer"]
naive = explore(reader, reader, given=expired, never=recomputed_twice)
reveal("09.orders", "in all but a few" if naive.bad else "in every order")
naive.figure()


# %% [markdown]
# Read it from the top: the first one looks while the entry is old, then is put aside. When it goes on, the work is done and the lock is
# free. It gets the lock and computes again: its look at the cache was before the lock. So **look again once you have it**:


# %% tags=["claim:S3", "answer"]
def looks_again():
    ranking, fresh_until = cache.get("popular_products")
    if runtime.now() >= fresh_until and cache.add("popular_products:lock", "mine", 10):
        ranking, fresh_until = cache.get("popular_products")  # the second look
        if runtime.now() >= fresh_until:
            cache.set("popular_products", (compute(), runtime.now() + TTL), TTL + GRACE)
        cache.delete("popular_products:lock")


looked_again = explore(looks_again, looks_again, given=expired, never=recomputed_twice)
pd.Series({"without a second look": str(naive), "with it": str(looked_again)}).to_frame("")

# %% [markdown]
# > **Keep this.** One computes, the others take the previous value; and whoever wins the lock looks again before computing.
#
# ## A little before time: early recomputation · minute 26
#
# A defence without any lock: recompute **before** the entry expires, while it can still be served. When? If everybody did so at 100 ms
# before, that would be a stampede 100 ms earlier. So each request draws for itself. It recomputes if
#
# $$\text{now} - \Delta \cdot \beta \cdot \ln(\text{random}) \;\ge\; \text{expiry}$$
#
# with $\Delta$ the time that it took to compute. The logarithm of a number between 0 and 1 is negative, mostly a little, seldom a lot: so
# it is as if that request's clock went fast. Near the end somebody is nearly sure to be early. $\beta$ is how eager they are.

# %%
from tutorial_project.caching.early import is_due


def early(beta=1.0, ttl=TTL):
    def read_early(_):
        ranking, expires, took = cache.get("popular_products") or (None, 0, 0)
        if ranking and not is_due(runtime.now(), expires, took, beta):
            return ranking
        began = runtime.now()
        ranking = origin.read("ranking")
        took = runtime.now() - began
        cache.set("popular_products", (ranking, runtime.now() + ttl, took), ttl)
        return ranking

    return read_early


# %%
predict(
    "09.e",
    "From 125 to 1,000 requests a second: how many times the recomputations per expiry?",
    ["about 1", "about 3", "about 8"],
)

# %% [markdown]
# Each dot is a minute with a TTL of two seconds, so some thirty expiries. Look at whether the dots rise with the traffic.

# %% tags=["claim:S2", "answer"]
swarms = {rate: herds(a_minute(early(ttl=2), rate), apart=1) for rate in rates}
means = {rate: swarm["recomputations"][1:].mean() for rate, swarm in swarms.items()}
alt = f"{means[125]:.1f} recomputations per expiry at 125 requests a second, {means[1000]:.1f} at 1,000"
predicted = {"e": (rates, [theory.early_recomputations(1.0)] * len(rates))}
draw.lines(
    {"measured": (rates, list(means.values()))},
    alt,
    predicted,
    xlabel="requests a second",
    ylabel="recomputations per expiry",
    ylim=(0, 8),
)

# %% tags=["claim:S2", "answer"]
rise = means[1000] / means[125]
reveal("09.e", "about 1" if rise < 2 else "about 3" if rise < 5 else "about 8")
mean = sum(means.values()) / len(means)
print(
    f"{mean:.2f} recomputations per expiry, predicted {predicted['e'][1][0]:.2f}; within a tenth: {abs(mean / 2.72 - 1) < 0.1}"
)
worst = pd.DataFrame({rate: swarm[["at_once", "late"]][1:].max() for rate, swarm in swarms.items()})
worst.rename(index={"at_once": "most queries at once", "late": "answered too late"}).rename_axis("requests a second")

# %% [markdown]
# **What just happened.** Eight times the traffic, and the same number: more visitors draw, so the first one is earlier, and while it computes
# as many follow as before. It is about $e = 2.72$ at every rate, and for any $\beta$ it is $e^{1/\beta}$ (*Deeper* tries others). Now with our
# TTL of ten seconds. What it cannot help is a key that is not there: the last column is a cold key under the same crowd.


# %% tags=["claim:S2", "answer"]
def from_cold(read):
    return herds(simulate({read: RATE}, seconds=2, origin=origin), apart=20).iloc[0]


eager = a_minute(early())
seen = herds(eager, apart=5).iloc[1:][["recomputations", "at_once", "waited", "late"]].agg(["mean", "max"])
seen.round(1).T.assign(cold=from_cold(early()).astype(int))

# %% [markdown]
# Nobody is late, and nobody waits but those who drew the lot. The cold key has its stampede as before.
#
# > **Keep this.** Early recomputation: no lock, $e^{1/\beta}$ recomputations per expiry of a busy key, and no help for a cold one.
#
# ## Nobody waits: the lease · minute 31
#
# `caching/stampede.py`, which is made to be taken along, goes on from the lock: the second look, the previous value for `grace` seconds, and
# a lock that only its owner can release and **renews** while it works. Such a lock is called a **lease**. And one step further: even the one
# who recomputes gets the old value at once; the work runs in the background.

# %%
from tutorial_project.caching.stampede import Protection

protection = Protection(grace=GRACE)


def lease(_):
    return protection.get_or_set("popular_products", lambda: origin.read("ranking"), TTL)


# %%
predict(
    "09.lease",
    "How many requests wait at each expiry with the lease? And at a cold key?",
    ["0, and 0", "0, and 1", "0, and about 50"],
)

# %% tags=["claim:S3", "answer"]
leased = a_minute(lease)
per_expiry = herds(leased, apart=5).iloc[1:]
seen = per_expiry[["recomputations", "at_once", "waited", "late"]].agg(["min", "max"]).T.assign(cold=from_cold(lease))
reveal("09.lease", f"{seen['max']['waited']}, and {'about 50' if seen['cold']['waited'] > 30 else '1'}")
seen.astype(int)

# %% [markdown]
# One recomputation per expiry, and not one request that waits. At a cold key there is nothing to give: all wait, for one computation.
#
# > **Keep this.** The lease: one computes, in the background if there is a previous value, and nobody waits who can be given one.
#
# ### Side by side
#
# Four seconds around one expiry, the same visitors before each defence. "Lock alone" is a lock without anything old to give. Jitter moves
# its expiry, so it is only in the table. The axis grows tenfold from mark to mark, so that one query is seen beside three hundred.


# %%
def all_wait(_):
    if (ranking := cache.get("popular_products")) is None:
        if cache.add("popular_products:lock", "mine", 10):
            cache.set("popular_products", origin.read("ranking"), TTL)
            cache.delete("popular_products:lock")
        runtime.wait(lambda: cache.get("popular_products"), timeout=5)
        ranking = cache.get("popular_products")
    return ranking


def jitter(_):
    return cache.get_or_set("popular_products", lambda: origin.read("ranking"), jittered(TTL, 0.2))


side = {"get_or_set": unprotected, "lock alone": a_minute(all_wait), "lock, old value": locked}
side |= {"early": eager, "lease": leased}

# %% tags=["claim:S1", "claim:S3", "answer"]
most = {name: int(run.state["queries"][run.state["at"].between(9, 13)].max()) for name, run in side.items()}
alt = f"around one expiry: {most.pop('get_or_set')} queries at once without a defence, at most {max(most.values())} with one"
under_way(side, (9, 13), 10, alt, yscale="symlog")

# %% [markdown]
# One wall. With the lock alone the database is at peace and the visitors wait: the blue needle of the second picture. In the last three the
# expiry is a step of the orange line that lasts for 50 ms. In figures (the last three columns are those of the worst expiry):

# %% tags=["claim:S1", "claim:S2", "claim:S3", "claim:S4", "answer"]
rows = {}
for name, run in {"get_or_set": unprotected, "jitter": a_minute(jitter), **side}.items():
    expiries = herds(run, apart=5)
    between = expiries["began"].iloc[-1] - expiries["began"].iloc[1]  # from the first expiry to the last
    a_second = expiries["recomputations"].iloc[1:-1].sum() / between
    rows[name] = [f"{a_second:.2f}", *expiries[["at_once", "waited", "late"]].iloc[1:].max()]
pd.DataFrame.from_dict(rows, orient="index", columns=["recomputations/s", "queries at once", "waited", "late"])

# %% [markdown]
# Jitter is no defence for one key. The other four all are: 0.10 a second is one for each expiry, and `early` has a few. They differ in who
# waits: all, one, a few, nobody.
#
# ### Exercise 9.1 (5 minutes): a queue at the lock
#
# A colleague's lock. Under load each visitor computes, one after the other, and after an error nobody gets anything for ten
# seconds. Repair both. `compute()` takes its time and may raise; what is stored lives for 60 seconds. Visitors come to several processes.


# %% tags=["exercise"]
def ranking(compute):
    if (found := cache.get("ranking")) is not None:
        return found
    while not cache.add("ranking:lock", "taken", 10):
        runtime.sleep(0.05)
    # solution-begin
    try:
        if (found := cache.get("ranking")) is None:
            found = compute()
            cache.set("ranking", found, 60)
        return found
    finally:
        cache.delete("ranking:lock")
    # solution-end
    # starter: found = compute()
    # starter: cache.set("ranking", found, 60)
    # starter: cache.delete("ranking:lock")
    # starter: return found


# %%
check("9.1", ranking)

# %% [markdown]
# <details><summary>Hint 1</summary>Whoever leaves the loop has the lock. What may have happened while they waited for it?</details>
# <details><summary>Hint 2</summary>Look into the cache again, and compute only if there is still nothing. And which line is never reached when <code>compute()</code> raises?</details>
# <details><summary>Hint 3</summary><code>try: … finally: cache.delete("ranking:lock")</code>, with the second <code>cache.get</code> inside.</details>
# <details><summary>What you should see</summary>"9.1 Right", with one computation for twenty visitors, and the number of orders in which two are safe.</details>

# %% [markdown]
# ### Two questions

# %%
quiz("09.3")

# %%
quiz("09.4")

# %% [markdown]
# ## Recap · minute 38
#
# The minute of the sale again, before and after.

# %% tags=["answer"]
lab.scoreboard(get_or_set=as_replay(unprotected, "popular_products"), lease=as_replay(leased, "popular_products"))

# %% [markdown]
# The left side could only rise by a twentieth. It was on the right, and in the seconds after an expiry, that the sale was lost.
#
# | | jitter | lock, previous value | early | lease |
# |---|---|---|---|---|
# | when | many keys, stored together | a hot key that may be a little old | a hot key, and no lock to be had | a hot key for which nobody should wait |
# | cost | a word | a second key; one request waits | $e^{1/\beta}$ recomputations; who makes one waits | a second key; a module to take along |
# | how it fails (the rest in *Deeper*) | one hot key | no second look | a cold key | a cold key waits, for one |
# | lines | `jittered(600)` | `cache.add(lock, …, 10)`, and look again | `is_due(…)` | `Protection(grace=60)`, `.get_or_set(key, f, 600)` |
#
# **Tomorrow at work** (10 minutes): take your busiest cached value. How long does it take to compute, and how often a second is it asked for at
# the peak? Work out $1 + \lambda\Delta$. How many queries does your database do at full speed? If the first is a few times the second, that
# expiry is your next outage.

# %% [markdown] tags=["instructor"]
# **For the instructor.** 40 minutes: three for the questions, four for the wall, eight for the count and the workers, four for jitter, seven
# for the lock, five for early recomputation, seven for the lease with exercise 9.1 and the questions. The rest at home.
#
# *Likely misconceptions.* "The hit ratio is 0.96, so the database is fine": it is not asked evenly. "A longer TTL helps": walls get rarer.
# "Jitter helps": not one key. "The lock makes it one": in 26 of 34 orders. "Early recomputation makes it one": $e$.
#
# *For discussion.* Which of your values may be served a little after its time, and which may not (a price in the cart, a permission)? What
# would you show in place of the latter while everybody waits?

# %% [markdown]
# ## Deeper · minute 40
#
# For other evenings. It goes on with what the core has defined: after a restart, run the core first (a minute).
#
# ### Break it: a hundred connections
#
# Until now the database took as many queries as came. Yours takes a hundred connections, if it is PostgreSQL and nobody has said otherwise,
# and refuses any more. And somebody has made the ranking fresher: two seconds. The same crowd, for half a minute.

# %%
from django.db import OperationalError


def refused(_):
    def compute():
        if origin.queries >= 100:
            raise OperationalError("sorry, too many clients already")
        return origin.read("ranking")

    return cache.get_or_set("popular_products", compute, 2)


# %%
predict("09.refused", "Of 30,000 requests, how many get an error?", ["none", "a hundred", "thousands"])

# %% tags=["claim:S1", "answer"]
run = simulate({refused: warmed(RATE)}, seconds=30, origin=origin)
errors = int((run.requests["error"] != "").sum())
reveal("09.refused", "thousands" if errors > 1000 else "a hundred" if errors else "none")
bursts = len(herds(run, apart=1)) - 1
alt = f"{bursts} times in half a minute the database is at its hundred connections, and {errors:,} requests fail"
under_way({"two seconds, a hundred connections": run}, (0, 30), 10, alt)
busy = (run.recomputations["ended"] - run.recomputations["began"]).sum() / 30
print(f"connections in use: {busy:.0f} on average; hit ratio of those that were answered: {run.hit_ratio:.2f}")
print(f"answered too late: {(run.requests['latency'] > 1).sum()}")

# %% [markdown]
# The limit cuts the wall off at a hundred. So the database stays fast and nobody is late, and whoever came too many has an error. You would
# have noticed by the errors, and looked in vain: each burst is over before anybody looks, the hit ratio is 0.95, and on average there are
# plenty of connections. Two graphs show it: the connections in use, by the second; and how often the same query runs at once. The
# period of both is a TTL and the time until the first result is there.
#
# ### Play with the wall · minute 43
#
# Cost and lifetime, a slider each; the traffic stays at 500 requests a second. What does a longer TTL change?

# %% tags=["knobs"]
slide(wall, cost=[5, 10, 20, 50, 80], start=20, unit="ms")
slide(wall, ttl=[3, 5, 10, 20], start=5, unit="s")

# %% [markdown]
# A longer TTL makes walls rarer. Their heights vary by chance: the five walls of the first figure have one setting, and differ too.
#
# ### Early recomputation and the lease on real workers · minute 45
#
# Four processes, eight threads each, and 32 visitors who ask for one of two pages, for a little over two seconds. To compute takes a fifth
# of a second, an entry is fresh for two.

# %%
from tutorial_project.caching import early as xfetch

of_this_process: dict[str, Protection] = {}


def slow(name):
    def compute():
        runtime.sleep(0.2)
        return "the ranking"

    return noted(name, compute)


def real_early(request):
    return HttpResponse(xfetch.get_or_set("early", lambda: slow("real_early"), 2))


def real_lease(request):
    protection = of_this_process.setdefault("protection", Protection(grace=GRACE))
    return HttpResponse(protection.get_or_set("lease", lambda: slow("real_lease"), 2))


# %% tags=["nbval-ignore-output", "answer"] why="real threads: with early recomputation another number each time"
asked, sizes = on_workers(2.6, real_early=real_early, real_lease=real_lease)
for name, herd in sizes.items():
    print(f"{name}: the first visitor's {herd[0]}, then per expiry {herd[1:]}")

# %% tags=["claim:S2", "claim:S3", "answer"]
print(f"with the lease {max(sizes['real_lease'])} recomputation per expiry at most")
print(f"with early recomputation fewer than three in four of the 32 visitors: {max(sizes['real_early']) < 24}")

# %% [markdown]
# The lease: one, for all four processes. Early recomputation: another number each time that you run it, $e$ on a long average and not less
# than one.
#
# ### How eager? · minute 49
#
# What $\beta$ buys and costs, at a thousand requests a second and a TTL of two seconds, over some thirty expiries. The **lead** is how long before its
# end an entry begins to be recomputed. Theory says $\beta\Delta(\ln \lambda\beta\Delta + 0.577)$.

# %% tags=["claim:S2", "answer"]
eager_swarms = {beta: herds(a_minute(early(beta, ttl=2)), apart=1) for beta in (0.7, 2.0)}
eagerness: dict[float, list[str]] = {}
for beta, swarm in sorted((eager_swarms | {1.0: swarms[RATE]}).items()):
    expiry = (swarm["began"] + swarm["lasted"]).shift() + 2
    lead, alone = (expiry - swarm["began"])[1:], (swarm["recomputations"][1:] == 1).mean()
    eagerness[beta] = [
        f"{swarm['recomputations'][1:].mean():.2f} ({theory.early_recomputations(beta):.2f})",
        f"{alone:.2f} ({theory.early_alone(beta):.2f})",
        f"{1000 * lead.mean():.0f} ms ({1000 * theory.early_lead(1000, 0.05, beta):.0f} ms)",
    ]
columns = ["recomputations (predicted)", "exactly one (predicted)", "lead (predicted)"]
pd.DataFrame.from_dict(eagerness, orient="index", columns=columns).rename_axis("β")

# %% [markdown]
# A larger $\beta$ makes it nearly one, and earlier. It cannot be one.
#
# ### When it never stops · minute 53
#
# With $\beta = 1$ the lead is 224 ms here, on paper. What if the entry does not live that long? The crowd, and five lifetimes. (In virtual
# time: Django's Redis backend keeps whole seconds, and there a query of some seconds and a TTL of as many are the same case.)

# %%
predict(
    "09.never",
    "A TTL of 0.2 s, a lead of 0.22 s: how many queries run at any moment?",
    ["none, mostly", "about 2", "all ten"],
)

# %% tags=["claim:S2", "answer"]
endless = {}
for ttl in (5, 1, 0.5, 0.3, 0.2):
    reads = simulate({early(ttl=ttl): warmed(RATE)}, seconds=10, origin=origin).recomputations
    running = (reads["ended"] - reads["began"]).sum() / 10
    endless[f"{ttl:g} s"] = [f"{len(reads) / 10:.1f}", f"{2.72 / ttl:.1f}", f"{running:.2f}"]
reveal("09.never", "about 2" if 1 < running < 4 else "all ten" if running > 4 else "none, mostly")
pd.DataFrame.from_dict(
    endless, orient="index", columns=["recomputations a second", "if they were e per TTL", "queries running"]
)

# %% [markdown]
# The shorter the life, the more often it is too many: the lead is a larger and larger part of it. Below the lead there is always somebody who
# thinks that it is nearly over, and on average two queries run. So: early recomputation for what lives many times as long as its lead.
#
# ### A Δ that is not true · minute 56
#
# Where does $\Delta$ come from? It was measured. Here is a cold start under the crowd, with a TTL of ten seconds. Look at the second five seconds: nothing has expired yet.

# %% tags=["claim:S2", "answer"]
reads = simulate({early(): RATE}, seconds=40, origin=origin).recomputations
slowest = (reads["ended"] - reads["began"]).max()
print(f"the longest recomputation took {slowest:.1f} s; begun in each five seconds:")
(reads["began"] // 5 * 5).astype(int).value_counts().reindex(range(0, 40, 5), fill_value=0).to_frame("recomputations").T

# %% [markdown]
# What the first visitors measured was not the query but the crowd: seconds in place of 50 ms. So the next ones believe that they
# must begin seconds before the end, and many do. It heals, for those measure again. Take $\Delta$ from a quiet hour and keep it as a setting, or
# start from a warm cache (`12_warming`).

# %% [markdown]
# ### A lock that is too short · minute 59
#
# A lock must end by itself, in case its holder never comes back. So it has a number of seconds, and one day the computation takes more.
# Here a lock of one second, and a database that takes three. `defended` puts a remedy before an origin, in four processes; the
# remedies are those of the core, in `lab/defences.py`.

# %%
from tutorial_project.lab import defences
from tutorial_project.lab.defences import defended


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
# ### A holder that comes back late · minute 63
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


def stays_old(end):
    kept = cache.get("ranking")
    return kept is not None and kept.version < stand.version("ranking")


# %% [markdown]
# `change` writes the row, and takes the lock away from whoever is computing from the old one: for them it is as if the lock had ended. Every
# order of both:

# %%
predict("09.fence", "In how many of the 28 orders does the old value stay?", ["0", "2", "12"])

# %% tags=["claim:S5", "answer"]
looked = explore(looks_first, change, given=stand.restart, never=stays_old)
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


def does_not_look():
    if cache.get("ranking") is None and cache.add("ranking:lock", "mine", 10):
        cache.set("ranking", stand.read("ranking"), 60)
        cache.delete("ranking:lock")


orders = {"set": does_not_look, "look, then set": looks_first, "commit": commits}
tried = {name: explore(actor, change, given=stand.restart, never=stays_old) for name, actor in orders.items()}
pd.Series({name: str(found) for name, found in tried.items()}).to_frame("")

# %% [markdown]
# The look has not helped at all. (Martin Kleppmann describes the mend for any storage: each holder of a lock gets a growing number, a
# [fencing token](https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html), and the storage refuses a write with an old one.)
#
# > **Keep this.** "Is it still mine?" must be asked by whoever stores, in the same step.
#
# ### A holder that does not come back · minute 70
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
    "09.killed",
    "Without seconds, how many of the 24 are answered in the next three seconds?",
    ["none", "all but one", "all"],
)

# %% tags=["claim:S5", "answer"]
from tutorial_project.lab.trials import holder_dies

died = holder_dies(no_seconds=lock_without_seconds, one_second=defences.lock_with_previous, the_lease=defences.lease)
reveal("09.killed", "none" if died is None else died["answered"].iloc[0])
died

# %% [markdown]
# **What just happened.** A process that is killed runs no `finally`. Its lock without seconds stays, on the server, for everybody and for ever: no restart
# of yours mends it. With seconds, one other computes after they are over, so two in all; fewer cannot be, for the first one's work is
# lost. You would have noticed: no errors, no load, and requests that end in a gateway's timeout, all for one key.
#
# ### Seven demands · minute 74
#
# A defence has to do all of this at once, and each of them is easy alone. Four failures and two ordinary days for five defences, and
# everything for the lease: six fleets at the same time. It takes half a minute, most of it waiting for locks to run out. (They disturb each
# other: what should hold for the lease or the lock, and does not, is tried again, alone.)
#
# Two parts of the lease have not been seen yet. Its **breaker** asks a cache server that does not answer only once in a while. Its
# **slots** say how many computations a process may run while there is no cache.

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
# Each row is something that happens, with the number of its demand (the fifth and the seventh have two), each column a defence: ✓, or
# what went wrong this time. Look at the two ordinary days first, then at the rest.

# %% tags=["nbval-ignore-output", "answer"] why="real processes: how large a herd is differs each time"
trials.told(outcomes)  # in this run

# %% [markdown]
# How large a herd is differs from run to run. Whether there is one does not. (*varies*: without a lock a value that comes late may find another
# one in its place, or none. Blank: not tried here.)

# %% tags=["claim:S5", "answer"]
trials.verdicts(outcomes, varies=[("paused", name) for name in ("get_or_set", "early", "stale")])

# %% [markdown]
# Read it by columns. **get_or_set and early** have no lock: a cold key and a slow one belong to everybody. **stale** computes an expiry once in
# each process and in the background; a cold key is everybody's. **The lock** computes once on both ordinary days, though within a request,
# and survives a killed holder. It fails when the work takes longer than it, and when its holder comes back late. **And none of them**
# answers when the cache server hangs: that is what the breaker and the slots are for.
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
# > **Keep this.** A defence against a stampede is tried by killing things: the holder, the clock, the server. A quiet day tells it from a plain
# > lock by nothing but who waits.
#
# ### What a hit costs · minute 84
#
# All this is for the moment of an expiry. What do the other 999 requests pay? Round trips first:

# %% tags=["answer"]
from tutorial_project.caching.generations import Namespace

product = Namespace("product", 42)
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
# trip. The time, over a thousand rounds of the three in turn:

# %%
from statistics import median
from time import perf_counter


def seconds(read):
    started = perf_counter()
    read()
    return perf_counter() - started


rounds = [[seconds(read) for read in ways.values()] for _ in range(1000)]
bare, by_the_lease, under_generation = map(median, zip(*rounds, strict=True))

# %% tags=["nbval-ignore-output", "answer"] why="milliseconds"
print(
    f"a plain get {1e6 * bare:.0f} µs; the lease {by_the_lease / bare:.2f} times that; under a generation {under_generation / bare:.2f}"
)

# %% tags=["answer"]
print(f"the lease costs less than half a get more: {by_the_lease < 1.5 * bare}")

# %% [markdown]
# ### What the lease cannot do · minute 88
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


def kept_old(end):
    kept = by_lease["changing"].get_or_set("ranking", lambda: stand.read("ranking"), 60)
    return kept.version < stand.version("ranking")


# %% tags=["claim:S5", "answer"]
by_way = [explore(reads, way, given=stand.restart, never=kept_old) for way in (deletes, invalidates)]
pd.Series(map(str, by_way), ["cache.delete", "invalidate"]).to_frame("")

# %% [markdown]
# **It cannot know that a clock has jumped.** If the server's clock jumps past the lease, or whoever has it is stopped for longer than it lasts, it is over,
# and another one computes too. What then comes late is refused, so the price is work and not truth. (`clock(11)` is an actor that moves the clock by
# 11 seconds at any moment; the lease is one of ten. With three actors, all orders with at most two interruptions are tried.)

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
print("and a change:", tally(reads, invalidates, clock(11), never=kept_old))

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
# With a visitor every second it is the `timeout`. With a gap in the traffic it is longer by the gap, up to `timeout + grace`, and the visitor who
# reads it then begins the refresh. So `grace` is a promise like a TTL: choose it by how old an answer may be.
#
# ### What others have built · minute 96
#
# There are libraries for this. `make bench` installs them beside the course, asks each as its own documentation recommends, and puts all of them under the
# same demands and the same four processes. That takes minutes, so its result is kept in `data/`, with its day; here is the last one.

# %%
from tutorial_project.lab import bench_results

pd.set_option("display.max_colwidth", 160)
libraries = bench_results.libraries()
print(f"{len(libraries)} contestants, {bench_results.when()}")

# %% [markdown]
# A row a library and way to use it, a column a demand: ✓ where it was met. Look for the emptiest columns.

# %% tags=["answer"]
met = libraries.drop(columns="met").map(lambda came_out: "✓" if came_out == "met" else "")
met.assign(met=libraries["met"], version=bench_results.versions()["version"])

# %% [markdown]
# **A cold key** is computed once where there is a lock between processes that holds until the value is there. **An expiry without
# waiting** needs the previous value and a background, and that is not enough for exactly one. In five of the nine columns one row alone has a ✓: that work may
# outlast its lock, that what is overtaken is not handed out, that failures are spaced, that a server which hangs hinders nobody. Those are
# questions that most of these libraries were not built for. (Django's ✓ under *paused* is luck: see *varies* above.)
#
# ### Play with it
#
# What came out for yours, and how was it set? The names are in the table above. ("Computed in another language": a refresh in the
# background has forgotten its visitor's. "Tries": of a computation that fails. "Stale": given after an invalidation.)

# %% tags=["knobs"]
library = "dogpile.cache"

bench_results.about(library)

# %% [markdown]
# A table made by the author of one of its rows deserves another one: where are the others better? (`better` is how many, `who` the best of them.)

# %% tags=["answer"]
bench_results.wins()

# %% [markdown]
# That is most of what matters on an ordinary day. The lease is hundreds of statements that **you** would own, it is young, holds between processes on Redis and Valkey alone, and
# blocks a thread where an `async` view would not. Values that are cheap, or seldom asked for, need none of it: `get_or_set`, and jitter for many keys.
# If you have a library, keep it, and ask it the questions of this table; if one answer frightens you, take that one part along.

# %% [markdown]
# ### Exercise 9.2 (15 minutes): the previous value meanwhile
#
# Write `ranking(compute)`. The value is fresh for 10 seconds. For 60 more it may be given, and whoever finds it then is given it **at
# once**, while one refresh runs in the background (`runtime.spawn(function)`). If there is nothing at all, one computes and the
# others wait (`runtime.wait(until, timeout)`). `compute()` takes 50 ms and may raise. Use the cache alone: visitors come to several processes.


# %% tags=["exercise"]
def ranking(compute):
    # solution-begin
    def refresh():
        try:
            value = compute()
            cache.set("ranking", (value, runtime.now() + 10), 70)
            return value
        finally:
            cache.delete("ranking:lock")

    value, fresh_until = cache.get("ranking") or (None, 0)
    if runtime.now() < fresh_until:
        return value
    if cache.add("ranking:lock", "taken", 10):
        value, fresh_until = cache.get("ranking") or (None, 0)  # the second look
        if value is None:
            return refresh()
        runtime.spawn(refresh) if runtime.now() >= fresh_until else cache.delete("ranking:lock")
    elif value is None and runtime.wait(lambda: cache.get("ranking"), 5):
        value, fresh_until = cache.get("ranking")
    return value
    # solution-end
    # starter: return ...


# %%
check("9.2", ranking)

# %% [markdown]
# <details><summary>Hint 1</summary>Store a pair: the value, and until when it is fresh. Its timeout is 70, so that it outlives that.</details>
# <details><summary>Hint 2</summary>Three cases: fresh; old; nothing. <code>cache.add("ranking:lock", "taken", 10)</code> says in the last two whether it is you who computes.</details>
# <details><summary>Hint 3</summary>Put the computing, storing and giving back of the lock (<code>try: … finally: …</code>) into an inner function. Spawn it if there is an old value,
# call it if there is none. And after the lock is won, look again.</details>
# <details><summary>What you should see</summary>"9.2 Right", with 1 for the cold key, 1 per expiry, and nobody who waited.</details>

# %% [markdown]
# ### Exercise 9.3 (15 minutes): a report that survives
#
# The night's report takes up to half a minute. Write `report(compute)`: what is kept under `"report"`, for 60 seconds. One computes, the others wait for it
# (`runtime.sleep(0.1)`, and look again). It must survive: a computation that takes 25 seconds is still the only one; one whose process is
# killed is begun anew within 15 seconds; one that never ends is given up within two minutes; one that raises lets the next begin at
# once; and what was read before `forget()` is not stored after it.


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

# %% [markdown]
# ### In production
#
# - Settings: a lease of some seconds, for it is renewed; its `limit` longer than the slowest normal computation; `grace` as long as an old value does no harm; a timeout on the cache client's socket, without
#   which a frozen server holds every request (redis-py 8 has 5 seconds by default, older versions none).
# - Monitoring: the same query at once more often than a handful of times; connections in use by the second, not by the minute; how long a
#   recomputation takes against its lease; how many answers are past their time.
# - Limits: a value that must never be old, such as a permission or the price in the cart, has no previous value to give: all wait for
#   one computation. And a plain `cache.delete` is a cold key: use the library's own invalidation.
# - Which library: the tables above say. `manage.py take stampede PATH` copies the lease with its parts and its tests into a project of yours.
#
# ### Further reading
#
# - Vattani, Chierichetti and Lowenstein, [Optimal probabilistic cache stampede prevention](https://doi.org/10.14778/2757807.2757813) (PVLDB 8(8), 2015): early recomputation, and why its
#   exponential distribution is the best.
# - Nishtala and others, [Scaling Memcache at Facebook](https://www.usenix.org/conference/nsdi13/technical-sessions/presentation/nishtala) (NSDI 2013): leases, against stampedes and against stale values at once.
# - Facebook, September 2010, [more details on today's outage](https://docs.microsoft.com/en-us/archive/blogs/architectsrule/facebook-more-details-on-todays-outage): every client sees a bad value in the cache and asks the
#   databases, "hundreds of thousands of queries a second"; two and a half hours.
# - regluit, [issue 1265](https://github.com/Gluejar/regluit/issues/1265): a Django site, an endpoint whose every request needs the same keys, and fifty visitors at once.
# - django_compressor, [issue 24](https://github.com/mintchaos/django_compressor/issues/24): a lock that waits, and what if its holder fails: a site that stands for five minutes; the advice is the old value.
# - getsentry, [pull request 16249](https://github.com/getsentry/sentry/pull/16249): a reviewer sees that all keys are rounded to the same five minutes, and asks for an offset.

# %% [markdown]
# **Next:** `10_users_and_tenants` asks whose value it is that you are given. How far you are: `progress()`.
