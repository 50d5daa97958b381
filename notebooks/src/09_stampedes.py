# minutes: 35, 90
# mypy: disable-error-code="attr-defined, operator, no-redef, index, misc"
# %% [markdown]
# # Survive the moment in which a hot key expires
#
# {{header}}
#
# November 2024: the database of HCB, the accounts of Hack Club, has peaks, and they come by the clock. Its page of statistics is
# cached. Somebody finds "a nasty dog piling effect when the stats cache expires". The mend keeps the figures longer, and goes on showing the
# old ones while somebody fetches new ones
# ([hackclub/hcb, pull request 8483](https://github.com/hackclub/hcb/pull/8483)). Where are the other requests meanwhile? There.
#
# **You will see** a database go under every ten seconds with a hit ratio of 0.95, and the same traffic without a single request that waits.
# **You will learn** what an expiry costs, what each of four defences does about it, and what each of them does not.
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
# The evening of a sale. Every page shows the ranking, a thousand times a second. To compute it takes the database 50 milliseconds, and it
# computes up to ten such queries at full speed; any more share that speed. So it is kept, for ten seconds, with the
# line that you know from notebook `05`. A minute of it, on the clock of `simulate` (`warmed`: one visitor comes first, then the crowd).

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
predict("09.late", "Of these 59,000 requests, how many are answered too late?", ["none", "a dozen", "thousands"])

# %% [markdown]
# The same minute over time. In blue the requests that are under way, in red the queries that run at once. The dotted line is what the
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
# ## What an expiry costs · minute 6
#
# How many come? $\lambda$ requests a second, and $\Delta$ seconds until the first result is stored: one, and all that arrive while it computes,
# $1 + \lambda\Delta$. If the database slows down under them, more arrive, and it is worse: `theory.herd_shared` counts that in.

# %%
rates = (125, 250, 500, 1000)
runs = {rate: a_minute(get_or_set, rate, seconds=120) for rate in rates}
found = {rate: herds(run, apart=5).iloc[1:] for rate, run in runs.items()}  # without the first visitor's

# %%
predict("09.twice", "From 500 to 1,000 requests a second: how many times the recomputations per expiry?", [2, 4, 10])

# %% [markdown]
# The axis of the recomputations grows tenfold from mark to mark. Look at which of the two predictions the measured ones follow, and
# from where on.

# %% tags=["claim:S1", "answer"]
per_expiry = {rate: herd["recomputations"].mean() for rate, herd in found.items()}
curves = {
    "measured": (rates, list(per_expiry.values())),
    "1 + λΔ": (rates, [theory.herd(rate, 0.05) for rate in rates]),
    "with a database that slows down": (rates, [theory.herd_shared(rate, 0.05, 10) for rate in rates]),
}
alt = f"{per_expiry[125]:.0f} recomputations per expiry at 125 requests a second, {per_expiry[1000]:.0f} at 1,000"
draw.lines(curves, alt, yscale="log", xlabel="requests a second", ylabel="recomputations per expiry")

# %% tags=["claim:S1", "answer"]
reveal("09.twice", min([2, 4, 10], key=lambda guess: abs(guess - per_expiry[1000] / per_expiry[500])))
off = max(abs(per_expiry[rate] / theory.herd_shared(rate, 0.05, 10) - 1) for rate in rates)
print(f"never further than a third from what is predicted: {off < 1 / 3}")
columns = {rate: [herd["at_once"].max(), herd["late"].sum(), f"{herd['late'].sum() / len(runs[rate].requests):.1%}"] for rate, herd in found.items()}
pd.DataFrame(columns, index=["most queries at once", "answered too late", "of all requests"]).T.rename_axis("requests a second")

# %% [markdown]
# The hotter the key, the worse, and not in proportion. While the database keeps up, it is $1 + \lambda\Delta$. Once the herd is larger than
# what the database does at once, it grows as $e^{\lambda\Delta/10}$: twice the traffic, more than ten times the work.
#
# > **Keep this.** An expiry costs $1 + \lambda\Delta$ recomputations, and far more where they slow each other down. The hit ratio does not show it.
#
# ### Play with it
#
# Traffic, cost and lifetime, a slider each; the other two stay as they are. Does a longer TTL make the wall lower?

# %% tags=["knobs"]
from tutorial_project.lab.sliders import slide


def wall(traffic=500, cost=50, ttl=10):
    stand_in = Origin(seconds=cost / 1000, at_once=10)
    read = lambda _: cache.get_or_set("popular_products", lambda: stand_in.read("ranking"), ttl)  # noqa: E731
    run = simulate({read: warmed(traffic)}, seconds=30, origin=stand_in)
    most = herds(run, ttl / 2)["at_once"].max()
    under_way({f"{traffic}/s, {cost} ms, {ttl} s": run}, (0, 30), 10, f"up to {most} queries at once")


slide(wall, traffic=[50, 100, 200, 500, 800], start=500, unit="requests a second")
slide(wall, cost=[5, 10, 20, 50, 80], start=50, unit="ms")
slide(wall, ttl=[3, 5, 10, 20], start=10, unit="s")

# %% [markdown]
# A longer TTL makes walls rarer, not lower.
#
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


def on_workers(view, name):
    url = lab.mount(f"{name}/", view)
    with lab.workers(4, threads=8) as pool:
        pool.get(url)  # warm
        asked = pool.load(url, clients=32, seconds=2.5)
    return asked, herd_sizes(noted_times(name), apart=0.5)


# %% tags=["nbval-ignore-output", "answer"] why="how large a herd gets on real threads is never twice the same"
asked, sizes = on_workers(real, "real")
print(f"recomputations: the first visitor's {sizes[0]}, then per expiry {sizes[1:]}")
print(f"of {len(asked)} requests, {(asked['ms'] > 150).sum()} took longer than 150 ms")

# %% tags=["claim:S1", "answer"]
print(f"each expiry is recomputed more than once: {min(sizes[1:]) > 1}")
print(f"requests that take longer than 150 ms: {(asked['ms'] > 150).sum() > 1}, and all are answered: {(asked['status'] == 200).all()}")
