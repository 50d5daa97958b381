# minutes: 40, 106
# mypy: disable-error-code="union-attr, index"
# %% [markdown]
# # Choose how old an answer may be
#
# {{header}}
#
# March 2023: in the back office of a shop somebody changes a price, looks at it, and sees the old one. The shop software "is caching
# prices for 30 seconds", the report finds, and nothing tells the cache of a change
# ([medusa, issue 3503](https://github.com/medusajs/medusa/issues/3503)). Half a minute is a short time, and it was long enough.
#
# **You will see** one curve on which every lifetime of an entry is a dot, and a page show what was true 20 minutes ago.
# **You will learn** to predict hits and stale answers before you deploy, and to promise how old an answer is at most.
# **You need** notebooks `02_backends` and `05_low_level`, or to know what a hit ratio is and what `get_or_set` does.
#
# New on the bench: `simulate` runs caching code against traffic on a clock of its own, hours in a second; `recorded_time` puts the
# shop itself on such a clock (as long as it does, local memory stands in for the cache server).

# %%
import pandas as pd
from django.core.cache import cache
from django.http import HttpResponse
from django.template import engines
from django.views.decorators.cache import cache_page
from IPython.display import display
from tutorial_project.lab import Origin, bursts, boot, check, draw, predict, quiz, reveal, simulate, theory

lab = boot("06_ttl")
lab

# %% [markdown]
# Two questions on notebook `04`, before anything new.

# %%
quiz("06.1")

# %%
quiz("06.2")

# %% [markdown]
# ## Half an hour is not two seconds · minute 4
#
# Half an hour of requests by strangers, and four values that are kept for a minute. `replay` sends them one after the other, in a second
# or two, so nothing that was stored ever runs out. `replay_at_pace` first sets a clock to each request's own time.

# %%
from tutorial_project.lab.recorded_time import recorded_time, replay_at_pace

KEPT = ("navigation", "popular_products", "product_detail", "category_products")

morning = lab.traffic(1200, "09:00").query("user == ''").iloc[::12]  # one request in twelve: a smaller shop
lab.keep(*KEPT, seconds=60)
at_once, a_minute = lab.replay(morning), replay_at_pace(morning)
lab.scoreboard(all_at_once=at_once, at_its_own_pace=a_minute)

# %% [markdown]
# The second group is the honest one: at its own pace even the menu, which every page shows, is often computed anew. How long an entry
# lives, its **TTL** (time to live), decides how much of the traffic it serves. So why not for ever?
#
# ## Never, always, and in between · minute 6
#
# The recorded day from nine to six: every visit of a product's page, every change of a price by staff, and every change of anything
# (a cart, an order, a review).

# %%
day = lab.traffic(start="09:00").query("t < 18 * 3600")
day = day.assign(t=day["t"] - 9 * 3600, product=day["path"].str.extract(r"^/product/(\d+)/", expand=False))
visits = day[(day["method"] == "GET") & day["product"].notna()]
opened = visits[["t", "product"]].values.tolist()
priced = day[day["path"].str.endswith("/price/")][["t", "product"]].values.tolist()
changed = day[day["method"] == "POST"]["t"].tolist()
len(opened), len(priced), len(changed)

# %% [markdown]
# `simulate` takes functions and when they are called: here when the recording says so. `Origin` stands for the database: it knows
# how often each row was changed, so that an answer can be held against the truth. The cache is Django's own.


# %%
def keeping(seconds, cleared=()):
    origin = Origin(seconds=0)

    def open_page(pk):
        return cache.get_or_set(f"product:{pk}:detail", lambda: origin.read(pk), seconds)

    def clear(_):
        cache.clear()

    return simulate({open_page: opened, origin.write: priced, clear: cleared}, seconds=9 * 3600, origin=origin)


# %%
guesses = ["one in a thousand", "one in fifty", "one in five"]
predict(
    "06.never",
    "Kept for ever, and no change is ever told: how many of the answers of these nine hours are wrong?",
    guesses,
)

# %% tags=["claim:I1", "answer"]
policies = {"for ever": None, "an hour": 3600, "ten minutes": 600, "a minute": 60, "not at all": 0}
runs = {name: keeping(seconds) for name, seconds in policies.items()}
runs["for ever, and all is cleared at any change"] = keeping(None, cleared=changed)
seen = {name: [f"{run.hit_ratio:.2f}", int(run.requests["stale"].sum())] for name, run in runs.items()}
pd.DataFrame.from_dict(seen, orient="index", columns=["hit ratio", f"wrong of {len(opened):,} answers"])

# %% tags=["answer"]
share = runs["for ever"].stale
reveal("06.never", guesses[0] if share < 0.01 else guesses[1] if share < 0.1 else guesses[2])

# %% [markdown]
# **What just happened.** Storing was the easy part. At one end are a hit ratio of 0.86 and every fifth answer wrong; at the other
# nothing is wrong, and almost nothing is found. In between lies a dial, in seconds, that needs to know nothing of any change. (Deleting
# only what has changed is a third way. It needs to know what that is: notebook `07_events`.)
#
# > **Keep this.** Never invalidating is wrong, invalidating everything is useless. A TTL is the dial between them.
#
# ## What a lifetime promises · minute 10
#
# An entry that lives for one second, asked for seven times in three. Before you run it: at which of the seven is it computed?

# %%
MOMENTS = [0, 0.4, 0.7, 1.4, 1.8, 2.1, 2.8]
origin = Origin(seconds=0)


def one_second(pk):
    return cache.get_or_set(f"product:{pk}:detail", lambda: origin.read(pk), 1)


# %% [markdown]
# First on the clock of `simulate`, with a cache that answers at once (`cache_latency=0`). Then in three seconds of your life, through the
# shop's cache server: `on_time` makes each call at its moment. An answer's `at` says when its row was read, so another `at` is another
# computation.

# %% tags=["claim:T1", "answer"]
from tutorial_project.lab.on_time import on_time

virtual = simulate({one_second: MOMENTS}, seconds=4, origin=origin, cache_latency=0).requests
read_at = pd.Series(on_time(MOMENTS, lambda: one_second(0).at, before=lab.empty_cache))
computed = {"on the virtual clock": ~virtual["hit"], "on the real server": read_at != read_at.shift()}
pd.DataFrame(computed).replace({True: "computed", False: "found"}).set_axis(MOMENTS).T

# %% [markdown]
# Both rows are the same, so the virtual clock can be trusted with what follows, for TTLs in whole seconds (less than one: *Deeper*). The
# life begins when the entry is stored, and hits do not lengthen it. It ends after a second, **and then nothing happens** until
# somebody asks. That request computes.
#
# How old is what people read? Now a query takes two seconds, the entry lives for sixty, and it is asked for once a second, for six hours.
# Each answer says how long ago its row was read. (`at_once=100`: the database takes a hundred queries at full speed.)

# %%
predict("06.age", "The oldest answer that anybody gets is how old?", ["58 s", "60 s", "62 s"])

# %% tags=["claim:T2", "answer"]
slow = Origin(seconds=2, at_once=100)


def one_minute(pk):
    return cache.get_or_set(f"product:{pk}:detail", lambda: slow.read(pk), 60)


ages = simulate({one_minute: 1.0}, seconds=6 * 3600, origin=slow).requests["age"]
reveal("06.age", f"{ages.max():.0f} s")
beyond = int((ages > 60).sum())
print(f"{len(ages):,} answers, {beyond} older than the TTL, older than TTL + 2 s: {int((ages > 62.01).sum())}")

# %% [markdown]
# An answer can be older than its TTL. The row was read when the query began; the sixty seconds began when its answer was stored, two
# seconds later. (*Deeper* draws the ages of all of them.)
#
# > **Keep this.** A TTL of T promises: no answer is older than T plus the time from reading the source to storing.
#
# ## Hits against stale answers: one curve · minute 14
#
# Now both sides of the dial at once, for one entry: read $\lambda = 0.2$ times a second, every five seconds, and changed
# $\mu = 1/120$ times, every two minutes. Both at random. What can be said on paper?
#
# $$h = \frac{\lambda T}{1 + \lambda T} \qquad\qquad \text{stale} = h \cdot \Big(1 - \frac{1 - e^{-\mu T}}{\mu T}\Big)$$
#
# The left one is from notebook `02`: a miss, then $\lambda T$ hits. The right one is the share of **all** answers that are stale, misses
# too; *Deeper* derives it. `theory` has both.

# %%
READS, WRITES, PRODUCTS = 0.2, 1 / 120, 50


def measured(ttl, writes=WRITES, hours=1.0):
    origin = Origin(seconds=0)

    def read(pk):
        return cache.get_or_set(f"product:{pk}:detail", lambda: origin.read(pk), ttl)

    run = simulate(
        {read: READS * PRODUCTS, origin.write: writes * PRODUCTS}, 3600 * hours, keys=PRODUCTS, origin=origin
    )
    return run.hit_ratio, run.stale


# %% [markdown]
# At a TTL of 60 seconds, 0.92 of the requests are hits, and 0.20 of the answers are stale. You let it live four times as long. The hits
# become 0.98.

# %%
predict("06.four", "And the stale answers?", ["about 0.21", "about 0.25", "more than 0.5"])

# %% [markdown]
# Each dot is an hour of traffic on fifty such products. Look at where the line bends, and what the dots beyond the bend have gained.

# %% tags=["claim:T3", "answer"]
from tutorial_project.lab.tradeoff import tradeoff

dots = {ttl: measured(ttl) for ttl in (1, 5, 15, 60, 240, 900)}
tradeoff(READS, WRITES, dots)

# %% tags=["claim:T3", "answer"]
stale = dots[240][1]
reveal("06.four", "more than 0.5" if stale > 0.5 else "about 0.25" if stale > 0.23 else "about 0.21")
hits_off = max(abs(hits / theory.hit_ratio(READS, ttl) - 1) for ttl, (hits, _) in dots.items())
stale_off = max(abs(stale - theory.stale_share(READS, WRITES, ttl)) for ttl, (_, stale) in dots.items())
print(f"hit ratio: largest relative error {hits_off:.1%}, below 3 %: {hits_off < 0.03}")
print(f"share of stale answers: never off by more than 0.02: {stale_off < 0.02}")
print("queries for 1,000 reads:", {ttl: round(1000 * (1 - hits)) for ttl, (hits, _) in dots.items()})

# %% [markdown]
# **What just happened.** Left of the bend a longer life buys hits. Once $\lambda T$ is about ten, here at 50 seconds, the hit ratio is
# 10/11, and there are hardly any hits left to gain. Queries go on falling, as the last line shows: from 60 to 240 to about a quarter.
# The price is the share of stale answers. How fast it grows depends on how many reads there are for each change, $\lambda/\mu$: here 24. If
# it is too much for you, stop earlier; exercise 6.2 finds the place.
#
# > **Keep this.** Past ten times the pause between two reads, the hit ratio hardly grows. The queries still fall with 1/T; whether
# > that is worth it, the changes say.
#
# One merit of a TTL is not on the curve: whoever changes the data has to tell nobody. *Deeper* changes a price in three ways, and the
# TTL heals all three. That is why a TTL belongs on every entry, also where events delete it (notebook `07`).
#
# ### Play with it
#
# The slider moves the TTL. Without a live notebook you see the dot at 60 seconds; the figure above has six of them.

# %% tags=["knobs"]
from tutorial_project.lab.sliders import slide


def dot(ttl):
    tradeoff(
        READS, WRITES, {ttl: measured(ttl)}, alt=f"the dot of a TTL of {ttl} s on the curve of hits and stale answers"
    )


slide(dot, ttl=[1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 900], start=60, unit="s")

# %% [markdown]
# ## Layers add up · minute 23
#
# A fragment that lives for 600 seconds, on two pages that live for 600 seconds. The fragment says when its data was read. Somebody
# opens one page at second 0 and the other at 599.

# %%
SHELF = engines["django"].from_string("{% load cache %}{% cache 600 shelf %}{{ now }}{% endcache %}")


@cache_page(600)
def page(request, name):
    return HttpResponse(SHELF.render({"now": clock.now}, request))


lab.mount("stacked/<name>/", page)

# %%
predict(
    "06.stack", "Both live for 600 s. How old is the oldest thing that a page shows, in round numbers?", [600, 1200]
)

# %% tags=["claim:T4", "answer"]
opened_at: list[list[str]] = []
with recorded_time() as clock:
    for at, url in [(0, "/stacked/one/"), (599, "/stacked/two/"), (1198, "/stacked/two/"), (1199, "/stacked/two/")]:
        clock.at(at)
        read = float(lab.visit(url).text)
        opened_at.append([url, str(at), f"{read:.0f}", f"{at - read:,.0f} s"])
reveal("06.stack", 1200 if max(float(row[3][:-2].replace(",", "")) for row in opened_at) > 1100 else 600)
pd.DataFrame(opened_at, columns=["page", "opened at", "shows data of", "so old"])

# %% [markdown]
# **What just happened.** The second page was built from a fragment in its last second, and lived for ten minutes of its own. No layer knows
# how old the thing is that it is given. What lies below the fragment would add its own.
#
# > **Keep this.** The promise of a page is the sum of the TTLs on the longest way to it, not the longest TTL.
#
# ## A promise, executed · minute 27
#
# Notebook `05` showed the shop's freshness contract: each kind of entry, its key, who may see it. It also says how old what an entry
# shows may be (*Deeper* prints it all). Is that kept? `executed` sends half an hour of visits to the layered shop on a clock, and after
# every fifth or so a change: a price, a review, a cart, an order. It follows every value from the database into the entries made from it.
#
# The columns: how often an entry was `served`; how often it was `wrong`, another value than the database's (`drawn` is HTML, and not
# compared); the `oldest` data served, and the age `promised`, in seconds; how often that was `broken`.

# %% tags=["claim:I2", "answer"]
from tutorial_project.lab.freshness import busy, executed

with lab.layered():
    kept_promises, broken = executed(busy(minutes=30))
print("broken:", broken)
kept_promises

# %% [markdown]
# Wrong answers are not a breach: they are the price, and it has a limit. No row is over its promise. The home page lives for 600
# seconds and has shown data that was older; its promise counts three layers.
#
# > **Keep this.** For every value that you keep, write down when it stops being correct, and run what you wrote.
#
# ### Exercise 6.1 (5 minutes): the price that never lets go
#
# "What is asked for often should not run out", somebody thought. A price that was changed yesterday is still the old one, for the
# products that sell best. Repair `price_of`: no price is shown for more than 60 seconds after it has changed, however often it is asked
# for, and the database is asked once a minute at most.

# %% tags=["exercise"]
from tutorial_project.shop.models import Product


def price_of(pk):
    # solution-begin
    return cache.get_or_set(f"price:{pk}", lambda: Product.objects.get(pk=pk).price, 60)
    # solution-end
    # starter: key = f"price:{pk}"
    # starter: if (price := cache.get(key)) is None:
    # starter:     price = Product.objects.get(pk=pk).price
    # starter:     cache.set(key, price, 60)
    # starter: cache.touch(key, 60)
    # starter: return price


# %%
check("6.1", price_of)

# %% [markdown]
# <details><summary>Hint 1</summary>When does the life of the entry end, if somebody asks every ten seconds?</details>
# <details><summary>Hint 2</summary><code>touch</code> sets the time that is left anew. Storing the same value again would do so too.</details>
# <details><summary>Hint 3</summary><code>cache.get_or_set(key, function, 60)</code> stores on a miss alone, and renews nothing.</details>
# <details><summary>What you should see</summary>"6.1 Right": wrong for less than a minute, asked eleven times in ten minutes.</details>

# %% [markdown]
# ### Two questions

# %%
quiz("06.3")

# %%
quiz("06.4")

# %% [markdown]
# ## Recap · minute 38
#
# The scoreboard from the start, at the pace of the recording, with three lifetimes:

# %% tags=["answer"]
lab.keep(*KEPT, seconds=600)
ten_minutes = replay_at_pace(morning)
lab.keep(*KEPT, seconds=86_400)
lab.scoreboard(a_minute=a_minute, ten_minutes=ten_minutes, a_day=replay_at_pace(morning))

# %% [markdown]
# The menu, asked for on every page, gains little after ten minutes. A single product is found after a day no more often than after
# ten minutes: in this small slice hardly anybody comes back to the same one. One TTL does not fit all four.
#
# | TTL | when | cost | how it fails | lines |
# |---|---|---|---|---|
# | fixed | always, as default and as safety net | answers as old as T plus a query | too long: old prices; too short: no hits | `cache.get_or_set(key, f, 60)` |
# | until the next change | the change comes by the clock | you must know the clock | the change comes early | `timeout=seconds_left` |
# | sliding | sessions; nothing that is true elsewhere | a write on every hit | what is in demand never runs out | `cache.touch(key, 60)` |
# | none | what never changes, or is deleted at each change | every change must be told | one change is not | `timeout=None` |
#
# **Tomorrow at work** (10 minutes): take the five entries with the longest TTL in your code. Write beside each when it stops being correct,
# who would notice, and what lies on the way to the reader: fragment, page, CDN. Add up.

# %% [markdown] tags=["instructor"]
# **For the instructor.** 40 minutes: six for the questions and the scoreboard, four for the extremes, four for what a TTL promises, nine for
# the curve, four for the layers, eleven for the contract, exercise 6.1 and the questions, two for the recap.
#
# *Likely misconceptions.* "After the TTL the cache fetches it anew": nothing happens until somebody asks, and whoever does, waits.
# "A TTL of 60 means that answers are a minute old": half of that on average, and a little more at most. "A longer TTL
# is always worth it": right of the bend it saves queries that are few already, and the age grows all the same.
#
# *For discussion.* For which values on your own pages is a wrong answer for ten minutes no problem, and for which is it one after a second?
# Whose decision is that? (The contract has a column that no programmer can fill in alone.)

# %% [markdown]
# ## Deeper · minute 40
#
# It goes on with what the core has defined: after a restart, run the core first.
#
# ### Break it: everything at once · minute 40
#
# A deploy has emptied the cache, and a script has filled it again, all of it in one moment, with one TTL. A hundred products, each asked for
# every five seconds, for half an hour. Look at when the database is asked. (`Reading` is what `origin.read` gives: row, version, and when
# it was read. `given` fills the cache before the first visitor.)

# %%
from tutorial_project.lab.origin import Reading

filled = Origin(seconds=0)


def product(pk):
    return cache.get_or_set(f"product:{pk}:detail", lambda: filled.read(pk), 600)


def fill():
    cache.set_many({f"product:{pk}:detail": Reading(pk, version=0, at=0) for pk in range(100)}, 600)


def counted(values, step, alt, **labels):  # a bar for each `step` seconds
    counts = values.floordiv(step).mul(step).astype(int).value_counts().sort_index()
    figure, (ax,) = draw.figure()
    ax.bar(counts.index, counts, width=step, align="edge", color=draw.BLUE, edgecolor="white")
    ax.set(**labels)
    draw.title(ax, alt)
    draw.show(figure, alt, " ".join(f"({at}, {count})" for at, count in counts.items()))


# %% tags=["answer"]
run = simulate({product: 20.0}, seconds=1800, keys=100, origin=filled, given=fill)
began = run.recomputations["began"]
busy_ones = began.floordiv(30).nunique()
alt = f"{len(began)} queries in half an hour, in {busy_ones} of 60 half minutes"
counted(began, 30, alt, xlabel="seconds", ylabel="queries in 30 s", xlim=(0, 1800))
print(f"hit ratio of the half hour: {run.hit_ratio:.3f}; half minutes without a query: {60 - busy_ones} of 60")

# %% [markdown]
# The hit ratio of that half hour is excellent. You would have noticed it as a comb in the graph of the database: a peak ten minutes
# after the deploy, twenty minutes after it, and so on. Notebook `09_stampedes` spreads the lifetimes, and measures how flat it gets.
#
# ### How old is what people read? · minute 44
#
# The core found the oldest answer of an entry that lives for 60 seconds, with a query that takes two. Here are the ages of all of them. Where
# would you expect most?

# %% tags=["claim:T2", "answer"]
later = (ages // 2 * 2)[(ages >= 4) & (ages < 62)].value_counts()
alt = f"{later.min()} to {later.max()} answers of every age from 4 to 62 s, none older"
counted(ages, 2, alt, xlabel="age in seconds", ylabel="answers, for each 2 s", xlim=(0, 70))

# %% [markdown]
# From 4 to 62 seconds every age is about as likely as any other: a hit falls anywhere in the life of the entry. The first bar holds the
# misses as well. No answer is younger than two seconds, which is what the query takes.
#
# ### A life that every hit lengthens · minute 47
#
# Exercise 6.1 had a **sliding** TTL. It has its own formula: a request is a hit if the one before it was less than $T$ ago, $1 - e^{-\lambda T}$.
# Beside the fixed one, for half an hour, on twenty products that are each read as often as those of the curve:


# %%
def ages_of(ttl, sliding):
    origin = Origin(seconds=0)

    def read(pk):
        key = f"product:{pk}:detail"
        row = cache.get_or_set(key, lambda: origin.read(pk), ttl)
        if sliding:
            cache.touch(key, ttl)
        return row

    return simulate({read: READS * 20}, seconds=1800, keys=20, origin=origin)


# %%
predict(
    "06.slide",
    "A sliding TTL of 60 s, read every 5 s, for half an hour: how old is the oldest answer?",
    ["60 s", "10 minutes", "half an hour"],
)

# %% tags=["answer"]
lives: dict[str, list[object]] = {}
for ttl in (5, 20, 60):
    fixed, slid = ages_of(ttl, sliding=False), ages_of(ttl, sliding=True)
    predicted = theory.hit_ratio(READS, ttl), theory.hit_ratio_sliding(READS, ttl)
    lives[f"{ttl} s"] = [*(f"{run.hit_ratio:.2f} ({p:.2f})" for run, p in zip((fixed, slid), predicted, strict=True))]
    lives[f"{ttl} s"] += [f"{run.requests['age'].max():,.0f} s" for run in (fixed, slid)]
reveal("06.slide", "half an hour" if slid.requests["age"].max() > 1500 else "10 minutes")
columns = ["fixed: hit ratio (predicted)", "sliding: hit ratio (predicted)", "fixed: oldest", "sliding: oldest"]
pd.DataFrame.from_dict(lives, orient="index", columns=columns)

# %% [markdown]
# More hits, most in the middle (0.80 becomes 0.98), and no limit to the age: the more an entry is in demand, the longer it is wrong. A
# sliding life is right for what is true because it is stored, such as a session. If you need a long life for what is popular and a
# limit to the age, store the end of the life with the value.
#
# ### Where the curve turns · minute 52
#
# The right formula of the core: an entry of age $a$ is out of date with probability $1 - e^{-\mu a}$, for that is how likely a change
# has come since. Hits fall on all ages up to $T$ alike, so take the mean of that over $a$; misses are fresh, so multiply by $h$.
#
# The curve of the core had 24 reads for each change. Here are values that are read as often, and hardly ever change: once a day. Four
# hours, and three lifetimes:

# %% tags=["claim:T3", "answer"]
once_a_day = {ttl: measured(ttl, writes=1 / 86_400, hours=4) for ttl in (50, 600, 3600)}
rare = {f"{ttl} s": [f"{h:.3f}", f"{s:.3f}", round(1000 * (1 - h), 1)] for ttl, (h, s) in once_a_day.items()}
pd.DataFrame.from_dict(rare, orient="index", columns=["hit ratio", "stale", "queries for 1,000 reads"])

# %% [markdown]
# Past ten times the pause between two reads, as before, hits hardly grow. But an hour costs a hundredth of the answers, and saves nearly
# all of the queries that were left: here it is worth it. The curve is flat for long where reads per change are many.
#
# Both formulas are for **one** entry, with its own $\lambda$. A use has many. The recorded day again, two of its TTLs beside two predictions:
# the use's whole $\lambda$ in the formula, and the formula for each product, its mean weighted by reads.

# %% tags=["claim:T3", "answer"]
reads_of = visits["product"].value_counts()
uses: dict[str, list[str]] = {}
for name, ttl in (("a minute", 60), ("ten minutes", 600)):
    each = sum(n * theory.hit_ratio(n / 32_400, ttl) for n in reads_of) / len(visits)
    uses[name] = [f"{h:.2f}" for h in (runs[name].hit_ratio, theory.hit_ratio(len(visits) / 32_400, ttl), each)]
pd.DataFrame.from_dict(uses, orient="index", columns=["measured", "from the whole λ", "mean over the products"])

# %% [markdown]
# The whole $\lambda$ says nothing about the use. Its visits are spread over hundreds of products, and most of those are seldom read.
#
# ### Changes that come evenly, at random, in bursts · minute 58
#
# The curve had changes at random. The same rate of changes can come in another rhythm: evenly, one every two minutes (an import that runs
# by the clock), or in bursts, ten at a time every twenty minutes (somebody edits, then goes home). TTL and rates stay the same. The last
# column of the table: of all stale answers, for how long the worst had been out of date.


# %%
def in_rhythm(changes, ttl=60):
    origin = Origin(seconds=0)

    def read(pk):
        return cache.get_or_set(f"product:{pk}:detail", lambda: origin.read(pk), ttl)

    return simulate({read: READS * PRODUCTS, origin.write: changes}, seconds=3600, keys=PRODUCTS, origin=origin)


evenly = sorted((120 * n + 120 * pk / PRODUCTS, pk) for n in range(30) for pk in range(PRODUCTS))
rhythms = {
    "evenly": evenly,
    "at random": WRITES * PRODUCTS,
    "in bursts": bursts(WRITES * PRODUCTS, every=1200, length=10),
}

# %%
predict(
    "06.rhythm",
    "TTL, reads and changes an hour are the same. Which rhythm has the fewest stale answers?",
    list(rhythms),
)

# %% tags=["claim:T3", "answer"]
by_rhythm = {name: in_rhythm(changes) for name, changes in rhythms.items()}
predicted = {
    "evenly": theory.stale_share_regular(READS, WRITES, 60),
    "at random": theory.stale_share(READS, WRITES, 60),
}
rhythm: dict[str, list[object]] = {}
for name, run in by_rhythm.items():
    said = f"{predicted[name]:.2f}" if name in predicted else ""
    rhythm[name] = [f"{run.hit_ratio:.2f}", f"{run.stale:.2f}", said, f"{run.requests['behind'].max():.0f} s"]
reveal("06.rhythm", min(by_rhythm, key=lambda name: by_rhythm[name].stale))
pd.DataFrame.from_dict(rhythm, orient="index", columns=["hit ratio", "stale", "predicted", "out of date for at most"])

# %% [markdown]
# Nothing about the cache has changed, and the share of stale answers went from 0.23 to 0.04. Ten edits in ten seconds outdate an entry
# once. Even changes are the worst case: no rhythm that is independent of the reads makes more answers stale. So if you know the rate
# alone, plan with the formula for even changes; exercise 6.2 plans with the other one, for there the changes are known to be random.
#
# And what nobody can do with the other two: if you **know** the clock, let the entry end when the next change comes. Exercise 6.3 does,
# with no stale answer at all.
#
# ### What needs no event · minute 64
#
# Whoever changes the data has to tell nobody. Here is the shop's own `product_detail`, kept for 60 seconds, on the real database, and
# three ways to change a price. Two of them send no signal that a program could hear (notebook `07` shows it).

# %%
from django.db import connection
from tutorial_project.shop import kept

ways = {
    "save()": lambda: Product(pk=42, price=1).save(update_fields=["price"]),
    "update()": lambda: Product.objects.filter(pk=42).update(price=1),
    "raw SQL": lambda: connection.cursor().execute("UPDATE shop_product SET price = 1 WHERE id = 42"),
}


# %% tags=["claim:T3", "answer"]
def shown_after(change):
    lab.restore_database()
    with recorded_time() as clock:
        kept.product_detail(42)
        change()
        prices = []
        for second in (0, 59, 60):
            clock.at(second)
            prices.append(str(kept.product_detail(42)["product"].price))
        return prices


pd.DataFrame(
    {name: shown_after(change) for name, change in ways.items()}, index=["at once", "59 s later", "60 s later"]
).T

# %% [markdown]
# All three are healed alike, by nobody.
#
# ### A promise that is broken · minute 67
#
# The contract of the core, with the columns that this notebook is about: when an entry stops being correct, and for how many seconds
# it may be shown all the same. `stale_for` adds up the layers that the row is made of.

# %%
from tutorial_project.shop.contract import CONTRACT

with pd.option_context("display.max_colwidth", None):
    promises = [[row.layer, row.until, row.seconds, row.stale_for()] for row in CONTRACT]
    display(
        pd.DataFrame(
            promises,
            [row.value for row in CONTRACT],
            ["layer", "stops being correct when", "TTL", "stale for, at most"],
        )
    )

# %% [markdown]
# Now somebody lengthens one TTL, because of the hit ratio, and forgets the contract. The visits are those of one page.

# %%
from django.shortcuts import render
from tutorial_project.shop import views


def product_detail(pk):
    return cache.get_or_set(f"product:{pk}:detail", lambda: kept.ask_product_detail(pk), 600)  # promised: 60


def product_page(request, pk):
    return render(request, "shop/product.html", views.product_context(request, pk, product_detail, kept.exchange_rate))


# %% tags=["claim:I2", "answer"]
with lab.layered():
    lab.mount("product/<int:pk>/", product_page)
    _, not_kept = executed(busy(minutes=30).query("path == '/product/747/'"))
print([line for line in not_kept if "detail" in line])

# %% [markdown]
# (The list also names the rows that this page never served. We print what concerns the details.) The shop is as before, one number is
# not, and the promise is broken. A test that runs your contract finds that on the day on which somebody changes a TTL.
#
# ### Which timeout is which · minute 73
#
# Five timeouts on the shop's cache server, and what is left of each a moment later (-1: for ever).

# %% tags=["answer"]
lab.empty_cache()
cache.set("no_timeout", "kept")
for timeout in (None, 0, 0.5, 1.9):
    cache.set(f"timeout={timeout}", "kept", timeout)
left = lab.entries().set_index("key")["lives"]
{
    key: int(left[key]) if key in left else "not kept"
    for key in ("no_timeout", *(f"timeout={t}" for t in (None, 0, 0.5, 1.9)))
}

# %% [markdown]
# Without a timeout Django takes 300 seconds (`TIMEOUT` in `CACHES`). `None` is for ever, 0 is not at all. Django's Redis backend cuts to whole
# seconds: half a second is none, which turns "keep it for a moment" into "never keep it", without a word.
#
# ### A clock that jumps · minute 76
#
# Local memory asks the clock of its machine. An entry of 60 seconds, and somebody sets that clock back by an hour:

# %% tags=["answer"]
with recorded_time(start=7200) as clock:
    cache.set("offer", "ends in a minute", 60)
    clock.now -= 3600
    clock.forward(3000)
    print("3,000 seconds after it was stored:", cache.get("offer"))

# %% [markdown]
# A clock is set back by the time service that corrects it, by hand, or when a virtual machine is restored from a snapshot. In Redis it is
# the server's clock that counts: it can jump as well, but it is one for all workers. A TTL is as good as the clock that measures it.
#
# ### What a browser adds · minute 78
#
# `cache_page` also tells the browser how long to keep the page. The stacked page from before, built at second 0, fetched by a browser
# at 0 and by another one at 590:

# %% tags=["answer"]
headed: dict[str, list[object]] = {}
lab.mount("stacked/<name>/", page)
with recorded_time() as clock:
    for at in (0, 590):
        clock.at(at)
        headers = lab.visit("/stacked/one/").response.headers
        headed[f"fetched at {at} s"] = [headers["Cache-Control"], headers.get("Age", "not sent")]
pd.DataFrame.from_dict(headed, orient="index", columns=["Cache-Control", "Age"])

# %% [markdown]
# The second browser is told that the page may be kept for 600 seconds and is 590 old: it has ten left. Through `Age`, the page and the
# browser do not add up. The layers inside the page have no such header. For as long as the page is fresh, a browser need not ask your
# server, so it does not hear of what you delete there: for what must be taken back at once, `max-age` is the wrong promise.

# %% [markdown]
# ### Exercise 6.2 (10 minutes): the longest lifetime that keeps the promise · minute 81
#
# "At most five answers in a hundred may be stale." Write `ttl_for(reads, writes, stale)`: the longest TTL, in seconds, at which the share of
# stale answers is at most `stale`, for a value that is read `reads` times and changed `writes` times a second, at random. Whole seconds
# are too coarse: the share must be right to a hundredth of itself. No lifetime is over a day. `theory.stale_share(reads, writes, ttl)` gives the share.

# %% tags=["exercise"]
from tutorial_project.lab import theory


def ttl_for(reads, writes, stale):
    # solution-begin
    low, high = 0.0, 86_400.0
    for _ in range(60):
        middle = (low + high) / 2
        if theory.stale_share(reads, writes, middle) <= stale:
            low = middle
        else:
            high = middle
    return low
    # solution-end
    # starter: return ...  # seconds


# %%
check("6.2", ttl_for)

# %% [markdown]
# <details><summary>Hint 1</summary>The longer the TTL, the more answers are stale: the share only ever grows with it. So you can search.</details>
# <details><summary>Hint 2</summary>Halve the range: is the share in the middle small enough? Then the answer lies in the upper half.</details>
# <details><summary>Hint 3</summary>Start with <code>low, high = 0, 86_400</code>, go round sixty times, give back <code>low</code>.</details>
# <details><summary>What you should see</summary>"6.2 Right", with four lifetimes between seven seconds and two and a half minutes.</details>

# %% [markdown]
# ### Exercise 6.3 (10 minutes): until the next list · minute 92
#
# A wholesaler publishes a new price list at every full hour. Write `price_list(now, ask)`: the list that is in force at `now`, in whole seconds since
# midnight. `ask()` fetches it, slowly. It is kept in the cache; no list of an earlier hour is given, not for a second, and each hour's
# list is asked for once at most.


# %% tags=["exercise"]
def price_list(now, ask):
    # solution-begin
    return cache.get_or_set("price_list", ask, 3600 - now % 3600)
    # solution-end
    # starter: return ...  # how long does this hour's list stay right?


# %%
check("6.3", price_list)

# %% [markdown]
# <details><summary>Hint 1</summary>Any fixed TTL is wrong: at a quarter to, the list stays right for fifteen minutes.</details>
# <details><summary>Hint 2</summary><code>now % 3600</code> are the seconds since the last full hour. How many are left until the next one?</details>
# <details><summary>Hint 3</summary><code>cache.get_or_set("price_list", ask, seconds_left)</code>; at a full hour 3600 seconds are left, not 0.</details>
# <details><summary>What you should see</summary>"6.3 Right", with five hours and five lists.</details>
#
# ### In production · minute 102
#
# - Settings: give every entry a TTL of its own, in a named constant beside the reason for it. `TIMEOUT` in `CACHES` is for those that were
#   forgotten, `CACHE_MIDDLEWARE_SECONDS` for pages.
# - Limits: a TTL is a promise to the reader, not a way to save memory. For memory the server has a limit and a policy (`14_distributed`).
# - Monitoring: by use, the hit ratio beside the mean of $\lambda T/(1 + \lambda T)$ over its entries, weighted by reads. Far below it,
#   something other than time ends the entries; far above it, something renews them.
# - Which library: none for this. What stores the end of a life with the value, and serves it a little longer while it is computed anew, comes
#   in `09_stampedes`.
#
# ### Further reading · minute 105
#
# - medusa, [pull request 3553](https://github.com/medusajs/medusa/pull/3553): the mend of the incident above, which deletes on change.
# - WebEssentials, [issue 4](https://github.com/madskristensen/WebEssentials.AspNetCore.OutputCaching/issues/4): a sliding lifetime that keeps a blog's
#   front page for as long as it is visited.
# - Slack, [the case of the recursive resolvers](https://slack.engineering/what-happened-during-slacks-dnssec-rollout/): an outage of a
#   day for some of the users: an answer in other people's caches is not yours to delete, and they have to be asked to flush it.
# - Jung, Berger and Balakrishnan, *Modeling TTL-based Internet Caches* (IEEE INFOCOM 2003): where the left formula comes from.
# - Cho and Garcia-Molina, *Synchronizing a database to improve freshness* (SIGMOD 2000): the right one, for copies of web pages.
# - [RFC 9111](https://www.rfc-editor.org/rfc/rfc9111#name-freshness): `max-age`, `Age`, and what a browser does with them.

# %% [markdown]
# **Next:** `07_events` does what no TTL can: the next read after a change is fresh. How far you are: `progress()`.
