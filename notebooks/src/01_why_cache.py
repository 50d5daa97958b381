# minutes: 25, 40
# %% [markdown]
# # Find the work your site repeats
#
# {{header}}
#
# June 2009: Michael Jackson has died, and the world opens one Wikipedia article, a million times in its busiest hour.
# The page takes seconds to build, and every edit throws the kept copy away. So the servers build the same article, again and
# again, at the same moment, and at times the site stops answering
# ([the account of it](https://wikitech.wikimedia.org/wiki/Michael_Jackson_effect)).
#
# **You will see** how much of its database work a shop has done before, and what is left when it need not be repeated.
# **You will learn** what a hit ratio is, what a cache removes that a second database only spreads, and how to choose what to keep.
# **You need** notebook `00_start_here`, or eight minutes for it.
#
# New on the bench: `lab.replay` sends recorded traffic to the shop; `lab.scoreboard` draws what that cost. Two smaller helpers
# are explained where they come.

# %%
import pandas as pd
from tutorial_project.lab import boot, check, draw, predict, quiz, reveal

lab = boot("01_why_cache")
lab

# %% [markdown]
# ## A few minutes in the morning · minute 1
#
# There is a recorded day of traffic for this shop. We send 120 requests of it, from nine on: strangers and customers, two
# languages, a dozen stores, and now and then somebody who buys. The shop answers them one after the other: real middleware,
# real views, real SQL. Nothing is kept anywhere. It takes some five seconds; here are five of them, with what each one cost.

# %%
requests = lab.replay(120, start="09:00")
requests[["user", "language", "method", "path", "queries"]].iloc[10:15]

# %% [markdown]
# Added up by page: `count` is how often a page was asked for, `sum` the queries that this took.

# %%
requests.groupby("page")["queries"].agg(["count", "sum"]).sort_values("sum", ascending=False).head(4)

# %% [markdown]
# And this is the course's **scoreboard**, which every notebook from here on shows: on the right, database queries per 1,000
# requests; on the left the hit ratio, empty until you keep something.

# %%
lab.scoreboard(no_cache=requests)

# %% [markdown]
# ## The fastest query · minute 4
#
# Three pages, each asked for twice. Between the two visits nothing happens, except that Django keeps the page.

# %%
from django.views.decorators.cache import cache_page
from tutorial_project.shop import views

keep_a_minute = cache_page(60)
home = lab.mount("kept/", keep_a_minute(views.home))
shelf = lab.mount("kept/<slug:slug>/", keep_a_minute(views.category)).replace("<slug:slug>", "kitchen")
found = lab.mount("kept/search/", keep_a_minute(views.search)) + "?q=lamp"

# %% tags=["claim:W1", "answer"]
lab.empty_cache()
cold, warm = ([lab.visit(page) for page in (home, shelf, found)] for visit in range(2))
twice = {"cold": [v.queries for v in cold], "warm": [v.queries for v in warm]}
pd.DataFrame(twice, index=["home", "shelf", "search"])

# %% [markdown]
# **Some queries, then 0.** Not faster queries: none. What that is worth in time depends on your machine, so it is said as a bound:

# %%
print(f"The home page is at least 5 times faster warm: {cold[0].seconds > 5 * warm[0].seconds}")

# %% [markdown]
# ## Asked before · minute 8
#
# Was that a trick, with the same page twice? Go back to the morning, where 120 requests came in as they do. Each SQL
# statement that they caused is on record, with its values in it. Some had already been sent, character for character.

# %%
predict(
    "01.repeats", "What share of the SQL had been sent before, byte for byte?", ["a tenth", "a third", "two thirds"]
)

# %% tags=["answer"]
draw.barcode(requests, "once the morning has begun, two of three statements repeat an earlier one")

# %% tags=["answer"]
repeated = draw.repeated(requests)
share = sum(repeated) / len(repeated)
guesses = {"a tenth": 0.1, "a third": 1 / 3, "two thirds": 2 / 3}
reveal("01.repeats", min(guesses, key=lambda guess: abs(guesses[guess] - share)))
print(f"{share:.2f} of {len(repeated):,} statements")

# %% [markdown]
# Orange is work that was done before.
#
# Whose work is it? Three kinds that every shop has: the home page, the same for every visitor; the permissions of
# whoever is signed in, looked up on every request; and one aggregate, the ranking of what sells.

# %% tags=["claim:W2", "answer"]
sent = requests.explode("sql")[["page", "sql"]].assign(repeated=repeated)
kinds = {
    "home page": sent["page"] == "home",
    "permissions": sent["sql"].str.contains("auth_permission"),
    "the ranking": sent["sql"].str.contains("SUM") & sent["sql"].str.contains("LIMIT 20"),
}
rows = {kind: (sum(of), sent[of]["repeated"].mean()) for kind, of in kinds.items()}
pd.DataFrame.from_dict(rows, orient="index", columns=["statements", "sent before"]).round(2)

# %% [markdown]
# **What just happened.** Every visitor of the home page had it built anew, from the same rows. And the ranking reads a
# hundred thousand order lines each time to find the same twenty products.
#
# Suppose a cache stood in front of the ranking. All but the first look-up would find the answer there: a **hit**. The first
# would not: a **miss**. The share of hits has a name, and the left side of the scoreboard is about nothing else:
#
# > **Keep this.** Hit ratio = hits ÷ (hits + misses). Work that repeats is the only work a cache can take away.
#
# ## Removed, or spread · minute 13
#
# There is another way out of too many queries: a second database. Here are both. `databases=2` really reads every other
# page from a copy. And `lab.keep` puts answers into the cache for ten minutes. The functions of the shop that ask the database
# are called *selectors* (`tutorial_project/shop/selectors.py`); it takes three of them: `popular_products` is the ranking,
# `best_of_category` the best of each shelf, `sidebar_popular` the sidebar.

# %%
predict(
    "01.second",
    "With a second database, how many queries do the two get together?",
    ["half as many", "the same number"],
)

# %% tags=["answer"]
two = lab.replay(120, databases=2)
lab.keep("popular_products", "best_of_category", "sidebar_popular")
kept = lab.replay(120)
lab.restore()

# %% [markdown]
# At 100 requests a second, each database gets this many queries a second:

# %% tags=["claim:W3", "answer"]
ways = {"no cache, 1 database": requests, "no cache, 2 databases": two, "cache, 1 database": kept}
load = pd.DataFrame({way: 100 * run["on"].apply(pd.Series).sum() / len(run) for way, run in ways.items()})
load.loc["together"] = load.sum()
load.T.fillna(0).round(0).astype(int)

# %% tags=["answer"]
alone, together = load.loc["together"].iloc[:2]
reveal("01.second", "the same number" if abs(together / alone - 1) < 0.01 else "half as many")

# %% [markdown]
# The second database took half of the queries off the first one, and removed none. The cache removed some for good. How often
# it would hit, the bar code had predicted: each repeat of the ranking is a hit once it is kept.

# %% tags=["answer"]
looks = [uses.get("popular_products", (0, 0)) for uses in kept["uses"]]
hits, misses = (sum(look[i] for look in looks) for i in (0, 1))
print(f"Hit ratio of the ranking, predicted: {rows['the ranking'][1]:.2f}, measured: {hits / (hits + misses):.2f}")

# %% [markdown]
# People say that a day of caching buys a month of scaling. What does each buy, in requests a second? Take the database work of
# each request as it was measured. Let requests arrive at random and wait for a free database. Raise the rate until more than
# one in twenty takes too long: longer than ten average requests' work.

# %%
from tutorial_project.lab.capacity import highest_rate, work_ms

work = {way: work_ms(run, prices=requests) for way, run in ways.items()}
bound = 10 * sum(work["no cache, 1 database"]) / len(requests)
databases = {"no cache, 1 database": 1, "no cache, 2 databases": 2, "cache, 1 database": 1}
rates = {way: highest_rate(work[way], bound, databases[way]) for way in ways}

# %% tags=["nbval-ignore-output"] why="milliseconds"
from tutorial_project.lab.capacity import latencies, percentile

curves = {}
for way, limit in rates.items():
    steps = [limit * share for share in (0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1, 1.2)]
    slow = [percentile(latencies(work[way], rate, databases[way]), 0.95) for rate in steps]
    curves[f"{way}: up to {limit:.0f} a second"] = (steps, slow)
curves["too long"] = ([0, max(rates.values())], [bound, bound])
limits = {"xlabel": "requests a second", "ylabel": "ms, one in twenty takes longer", "ylim": (0, 2.5 * bound)}
draw.lines(curves, "each way carries its load, then turns up at once: the cache last", **limits)

# %% [markdown]
# Each curve is nearly flat, then turns up at once. That is why a site seems fine until the evening on which it is not. Where
# the curves cross the line, as bounds that hold on any machine:

# %% tags=["claim:W3", "answer"]
one, spread, removed = rates.values()
print(f"Two databases carry at least 1.5 times the rate of one: {spread > 1.5 * one}")
print(f"One database behind a cache carries at least 4 times the rate: {removed > 4 * one}")
print(f"It carries more than two databases do: {removed > spread}")
print("A day of caching against a month of scaling: not tested, because no cell can count days of work.")

# %% [markdown]
# **What just happened.** Two databases drain the queue faster than one. But every query is still there, and the next doubling
# of visitors needs the next pair of databases. What a cache takes away, no database has to do.
#
# > **Keep this.** Scaling spreads the load. Caching removes it. Remove first, then spread what is left.
#
# ## What to keep · minute 18
#
# Those three functions were no lucky guess. `lab.survey` replays the morning once more and watches each function that the
# pages ask: how often it is called with a question asked before (`repeats`), how often the answer to the same question differed
# from the last one (`changes`), and how many queries one call takes (`queries`).

# %%
survey = lab.survey(120)
survey.sort_index()[["calls", "repeats", "changes", "queries"]]

# %% [markdown]
# A good candidate is expensive, repeated and stable, all at once. So multiply and divide: **score = cost × repeats ÷
# (1 + changes)**. Cost is in milliseconds of database work, so your numbers will differ from anybody else's:

# %% tags=["nbval-ignore-output"] why="costs are milliseconds"
survey[["ms", "repeats", "changes", "score"]].round(1)

# %% [markdown]
# The order is what counts. It is the list that this course works through. You have kept the first three rows already. What if
# it were all the others, nine of them, and not those three?

# %%
predict(
    "01.others",
    "The other nine selectors are kept. What share of the database's work is gone?",
    ["less than a fifth", "about half", "most"],
)


# %% tags=["claim:W4", "answer"]
def work_gone(run):
    before = sum(work_ms(requests.head(len(run)), prices=requests))
    return 1 - sum(work_ms(run, prices=requests)) / before


lab.keep(*survey.index[3:])
others = lab.replay(120)
lab.restore()
print("The first three:", sorted(survey.index[:3]))
print(f"Keeping them removes more than 60 % of the database's work: {work_gone(kept) > 0.6}")
print(f"That is at least three times what the other nine remove: {work_gone(kept) > 3 * work_gone(others)}")

# %% tags=["answer"]
reveal("01.others", "less than a fifth" if work_gone(others) < 0.2 else "about half")
fewer = {name: requests["queries"].sum() - run["queries"].sum() for name, run in (("three", kept), ("nine", others))}
print(
    f"queries removed of {requests['queries'].sum()}: {fewer['three']} by the first three, {fewer['nine']} by the other nine"
)

# %% tags=["claim:W4", "answer"]
lab.keep(*survey.index[-3:])
last = lab.replay(120)
lab.restore()
print(f"Keeping the last three removes less than 3 % of the work: {work_gone(last) < 0.03}")

# %% [markdown]
# **What just happened.** Three selectors against nine. The nine saved nearly as many queries, and the database hardly noticed:
# they were cheap ones. A cache that is used is not yet a cache that helps.
#
# > **Keep this.** Keep what is expensive, repeated and tolerably stable. Measure all three before you keep anything.
#
# ### Play with it
#
# Keep what you like. Which two selectors remove most of the work?

# %% tags=["knobs"]
names = ["new_products", "permission_set"]

lab.keep(*names)
played = lab.replay(60)
lab.restore()
print(f"{played['hits'].sum()} hits, {played['misses'].sum()} misses, {work_gone(played):.1f} of the work gone")

# %% [markdown]
# ### Exercise 1.1 (5 minutes): the cache that never saves a query
#
# A colleague keeps the new products in the cache, "and it changed nothing". The function is in the next cell, and below it
# what four calls cost. Fix it. It should return the same eight products.

# %% tags=["exercise"]
from django.core.cache import cache
from tutorial_project.shop.models import Product


def new_products():
    # solution-begin
    newest = Product.objects.order_by("-created_at", "-pk")[:8]
    return cache.get_or_set("new_products", lambda: list(newest), 600)
    # solution-end
    # starter: newest = Product.objects.order_by("-created_at", "-pk")[:8]
    # starter: return cache.get_or_set("new_products", list(newest), 600)


# %% tags=["answer"]
def queries_of(ask):
    with lab.meter() as reading:
        ask()
    return reading.queries


lab.empty_cache()
[queries_of(new_products) for call in range(4)]

# %%
check("1.1", new_products)

# %% [markdown]
# <details><summary>Hint 1</summary>When is <code>list(newest)</code> computed: before <code>get_or_set</code> is called, or inside it?</details>
# <details><summary>Hint 2</summary><code>get_or_set</code> takes a value, or a function that it calls on a miss.</details>
# <details><summary>Hint 3</summary>Hand it <code>lambda: list(newest)</code>.</details>
# <details><summary>What you should see</summary>"1.1 Right", with 1 query for the first call and 0 for the next three.</details>
#
# ### Exercise 1.2 (10 minutes): your first entry
#
# Take the first row of the table. Write `popular_products`, which returns the first twenty products of
# `Product.objects.expensive_ranking()` as a list, with their store and category (`select_related("tenant", "category")`),
# kept under the key `popular_products` for ten minutes.


# %% tags=["exercise"]
def popular_products():
    # solution-begin
    ranking = Product.objects.expensive_ranking().select_related("tenant", "category")
    return cache.get_or_set("popular_products", lambda: list(ranking[:20]), 600)
    # solution-end
    # starter: return ...  # your get_or_set here


# %%
check("1.2", popular_products)

# %% [markdown]
# <details><summary>Hint 1</summary><code>cache.get_or_set(key, function, seconds)</code>: three things, and the second is not called by you.</details>
# <details><summary>Hint 2</summary>What is stored should be rows, not a question: make a list of them inside the function.</details>
# <details><summary>Hint 3</summary><code>cache.get_or_set("popular_products", lambda: list(…[:20]), 600)</code></details>
# <details><summary>What you should see</summary>"1.2 Right", with the queries of the first call and of the next ones.</details>
#
# Now let the shop use yours. If the exercise is not done yet, the first two bars are equal.

# %% tags=["answer"]
lab.keep(popular_products)
after = lab.replay(120)
lab.scoreboard(no_cache=requests, yours=after, first_three=kept)

# %% [markdown]
# A small step for the bar: one query less on each visit to the home page. And in work?

# %% tags=["answer"]
fewer = 1 - after["queries"].sum() / requests["queries"].sum()
print(f"{fewer:.0%} of the queries are gone; more than a third of the work is gone: {work_gone(after) > 1 / 3}")

# %% [markdown]
# Queries and work are not the same. Notebook 13 comes back to this.

# %% [markdown]
# ### Two questions

# %%
quiz("01.1")

# %%
quiz("01.2")

# %% [markdown]
# ## Recap · minute 24
#
# The scoreboard above is the recap: from no cache, to yours, to the first three rows of the table.
#
# | the decision | is this worth keeping? |
# |---|---|
# | when | it is expensive **and** repeated **and** may be a little old |
# | cost | one look-up on every call, memory, and a value that can be out of date |
# | how it fails | kept, busy and useless: many hits on something that was never expensive |
# | settings | none beyond `CACHES`; the seconds stand in each `get_or_set` |
#
# **Tomorrow at work** (10 minutes): with `DEBUG = True` on your own machine, open your busiest page twice through the test client
# in `manage.py shell`, then `Counter(query["sql"] for query in connection.queries).most_common(5)`. What is asked twice is
# your first candidate.

# %% [markdown] tags=["instructor"]
# **For the instructor.** 25 minutes: four for the boot and the scoreboard, four for cold and warm, five for the bar code, five
# for removed or spread, five for the table; exercise 1.1 in class, 1.2 at home if time is short.
#
# *Likely misconceptions.* "The database has a cache of its own, so repeats are free": it keeps pages of data in memory, and
# still sorts and adds up a hundred thousand rows. "Two databases, half the load": half each. "A high hit ratio means a good
# cache": the lower half of the table has hits too.
#
# *Discussion of the second question.* Let somebody defend a hit ratio of 0.99, then ask what the query cost.

# %% [markdown]
# ## Deeper · minute 25
#
# ### Break it
#
# The ranking is kept, and a clerk halves the price of the product that sells best. What does the front page say? (302 is the
# shop's "saved, and back to the product".)

# %%
lab.restore()
lab.restore_database()
lab.keep("popular_products")
best = Product.objects.expensive_ranking().select_related("tenant")[0]
clerk = best.tenant.customers.filter(user__groups__name="staff")[0].user.username
lab.visit("/")
lab.visit(f"/product/{best.pk}/price/", who=clerk, data={"price": best.price / 2}).status

# %%
predict("01.stale", "Which price does the front page's ranking show now?", ["the old one", "the new one"])

# %% tags=["answer"]
shown = cache.get("popular_products")[0].price
true = Product.objects.get(pk=best.pk).price
reveal("01.stale", "the old one" if shown == best.price != true else "the new one")
print(f"What is kept differs from the database: {shown != true}")
print(f"The front page shows what is kept: {str(shown) in lab.visit('/').text}")

# %% [markdown]
# No error, no log line; the page is fast. You would have noticed when a customer paid less than the front page said, or when a
# clerk asked why the sale "does not work". Storing was one line. Knowing when it stopped being true is most of this course:
# notebooks `06` to `08`.
#
# ### Is the queue right?
#
# The rates above came from a queue, and a queue is a model. Where every request needs the same work and one database serves
# them, theory knows the answer: the mean wait is ρ ÷ (2(1 − ρ)) of one request's work, ρ being the share of time in which
# the database is busy (the Pollaczek–Khinchine formula). Held against it, at half and at four fifths of what 10 ms allow:

# %%
from tutorial_project.lab.capacity import latencies

for busy in (0.5, 0.8):
    measured = latencies([10.0], rate=100 * busy)
    theory = 10 + 10 * busy / (2 * (1 - busy))
    print(f"busy {busy}: mean latency {sum(measured) / len(measured):.1f} ms, theory {theory:.1f} ms")

# %% [markdown]
# And the real thing: four visitors at once ask for the home page, for a second while it is built each time, for a second while
# it is kept. No arithmetic, only threads, Django, the database and the cache server.

# %%
lab.restore()
kept_home = lab.mount("kept/", keep_a_minute(views.home))
built, served = lab.rush("/", visitors=4, seconds=1.0), lab.rush(kept_home, visitors=4, seconds=1.0)
print(f"With the page kept, at least three times as many were served: {len(served) > 3 * len(built)}")

# %% [markdown]
# ### Exercise 1.3 (10 minutes): the hit ratio
#
# What a cache is used for, such as keeping the ranking, is called a *use*. A replay has a column `uses`: for each request, a
# dict of cache use to (hits, misses). Write `hit_ratio(run, use)`, the hit ratio of one cache use over a whole replay; 0.0
# where it was never looked up.


# %% tags=["exercise"]
def hit_ratio(run, use):
    # solution-begin
    looks = [uses.get(use, (0, 0)) for uses in run["uses"]]
    hits, misses = (sum(look[i] for look in looks) for i in (0, 1))
    return hits / (hits + misses) if hits + misses else 0.0
    # solution-end
    # starter: return ...  # hits / (hits + misses), over all requests


# %%
check("1.3", hit_ratio)

# %% [markdown]
# <details><summary>Hint 1</summary>Sum the hits of all requests first, and the misses; divide once, at the end.</details>
# <details><summary>Hint 2</summary>A request that never looked has no entry in its dict: <code>uses.get(use, (0, 0))</code>.</details>
# <details><summary>Hint 3</summary>Nothing looked up: nothing to divide by.</details>
# <details><summary>What you should see</summary>"1.3 Right", with the hit ratio of the ranking in the morning.</details>
#
# ### The flash sale
#
# At eight in the evening one product is on sale, and everybody opens it. Does more of the product pages' work repeat, or less?

# %%
evening = lab.replay(80, start="20:02")
hot = evening["path"].value_counts().head(1)
print(f"most asked for: {hot.index[0]}, {hot.iloc[0]} of {len(evening)} requests")


# %% tags=["answer"]
def product_pages(run):
    sent = run.explode("sql").assign(repeated=draw.repeated(run))
    return sent[sent["page"] == "product"]["repeated"].mean()


print(
    f"of the product pages' SQL, sent before: {product_pages(requests.head(80)):.2f} at nine, {product_pages(evening):.2f} at eight"
)

# %% [markdown]
# The more people want the same, the more a cache removes. The worst evening for a shop without one is the best for a shop
# with one, as long as the entry does not expire in the middle of it: notebook `09_stampedes`.
#
# ### In production
#
# - Which library: none yet. Django's `cache` and your database's own statistics
#   ([pg_stat_statements](https://www.postgresql.org/docs/current/pgstatstatements.html)) are enough to build the table.
# - Monitoring: repeats and cost per statement are in those statistics; changes are the writes to the tables it reads.
# - Limits: traffic that repeats in the morning may not at night. Build the table from a day, not from a few minutes.
#
# ### Further reading
#
# - Breslau, Cao, Fan, Phillips, Shenker, [Web Caching and Zipf-like Distributions](https://pages.cs.wisc.edu/~cao/papers/zipf-implications.html)
#   (INFOCOM 1999): why a few pages get most of the visits; the recorded day is built on its exponent.
# - [Wikipedia's account](https://wikitech.wikimedia.org/wiki/Michael_Jackson_effect) of June 2009, and
#   [an engineer's, the morning after](https://dom.as/tag/downtime/): what repeated work looks like from inside.
# - Harchol-Balter, *Performance Modeling and Design of Computer Systems* (2013): the queue above, done properly.

# %% [markdown]
# **Next:** `02_backends` starts more than one worker process, and half of what you just saw stops being true. How far you are,
# and what surprised you so far: `progress()` and `my_surprises()`, from any notebook.
