# minutes: 30, 75
# mypy: disable-error-code="union-attr, index"
# %% [markdown]
# # Keep a value where no page or fragment reaches
#
# {{header}}
#
# March 2020: MDN, Mozilla's handbook of the web, is upgraded to Django 2.2, and the filters of its search fail: `'Query' object has
# no attribute '_filtered_relations'`. Nothing is wrong with the data. But their cache keeps for a day what it was given, and that,
# a maintainer finds, was "a pickled `QuerySet` instance object": made by the old Django, read by the new one
# ([mdn/kuma, issue 6622](https://github.com/mdn/kuma/issues/6622), marked as a blocker).
#
# **You will see** a page's seventeen queries become four, layer by layer, and one value serve two pages.
# **You will learn** what `get_or_set` does and costs, what it really stores, and which layer fits which part of a page.
# **You need** notebooks `03_per_view` and `04_fragments`, or to know what they keep.
#
# New on the bench: `with lab.layered():` is the shop with all its layers on; `climb` and `staircase` measure and draw its home page.

# %%
import pandas as pd
from django.core.cache import cache, caches
from django.http import JsonResponse
from IPython.display import display
from tutorial_project.lab import boot, check, predict, quiz, reveal

lab = boot("05_low_level")
lab

# %% [markdown]
# Two questions on notebook 03, before anything new.

# %%
quiz("05.1")

# %%
quiz("05.2")

# %% [markdown]
# ## What pages and fragments leave · minute 3
#
# Sixty requests of the recorded morning: first with nothing kept, then with what the last two notebooks taught. Strangers get
# a kept page, everybody gets kept fragments.

# %%
before = lab.replay(60)
with lab.layered(values=False):
    two_layers = lab.replay(60)
lab.scoreboard(no_layer=before, pages_and_fragments=two_layers)

# %% [markdown]
# The bar on the right is shorter, and far from gone. Which work is left? Take three selectors, and count their statements in
# both runs. (`explode` makes a row of each statement.)


# %% tags=["answer"]
def counted(run):
    sql = run.explode("sql")["sql"]
    ranking = sql.str.contains("LIMIT 20") & sql.str.contains("SUM")
    left = {"the ranking": ranking, "the menu": sql.str.contains("product_count")}
    left["permissions"] = sql.str.contains("auth_permission")
    return {name: int(which.sum()) for name, which in left.items()}


pd.DataFrame({"no layer": counted(before), "pages and fragments": counted(two_layers)})

# %% [markdown]
# The permissions are all still asked for, the menu nearly as often as before. The home page is not the only one that shows them, and
# a page with Alice's name on it cannot be kept for others. The menu could be a fragment, one in each language, for templates. But
# all three are **values** before they are HTML, and a value serves both languages, every view, and an answer in JSON.
#
# ## Look, compute, store · minute 5
#
# `cache.get_or_set(key, function, seconds)` returns what is stored under the key. If nothing is, it calls the function, stores
# what that gives, and returns it. Count the calls:

# %% tags=["claim:G1", "answer"]
lab.empty_cache()
computed: list[str] = []


def compute():
    computed.append("once more")
    return 42


answers = [cache.get_or_set("answer", compute, 60) for call in range(5)]
print(f"returned: {answers}, computed: {len(computed)} time(s)")


# %% [markdown]
# The shop's own file for this is `tutorial_project/shop/kept.py`. It has the selectors' names and gives their answers, through the
# cache. This is one of them:
#
# ```python
# def popular_products():
#     return cache.get_or_set("popular_products", ask_popular_products, 600)
# ```
#
# `ask_popular_products` is the selector: the first twenty rows of `Product.objects.expensive_ranking()`. Five calls, in queries:


# %% tags=["claim:G1", "answer"]
from tutorial_project.shop import kept, selectors
from tutorial_project.shop.models import Order, Product


def cost(ask):
    with lab.meter() as reading:
        ask()
    return reading


lab.empty_cache()
[cost(kept.popular_products).queries for call in range(5)]

# %% [markdown]
# The other calls asked the cache server instead, and that is not free: each is a round trip to another process. The meter counts
# those in `trips`, by cache; ours is called `default`.

# %%
predict("05.trips", "How many round trips does get_or_set make where nothing is stored yet?", [1, 2, 3, 4])

# %% tags=["claim:G1", "answer"]
lab.empty_cache()
miss, hit = cost(kept.popular_products), cost(kept.popular_products)
reveal("05.trips", miss.trips["default"])
print(
    f"a miss: {miss.trips['default']} round trips, {miss.queries} query; a hit: {hit.trips['default']}, {hit.queries}"
)

# %% [markdown]
# Which three? The meter tells each step as it happens: a `CacheCall`, or SQL. `get_or_set` is reported too, around its parts; it makes
# no trip of its own, and is left out here.

# %%
from tutorial_project.caching.metering import CacheCall, listening


def steps(ask):
    events: list[object] = []
    with listening(events.append):
        ask()
    single = [e for e in events if not (isinstance(e, CacheCall) and e.parts)]
    return [e.operation if isinstance(e, CacheCall) else "SQL" for e in single]


# %% tags=["claim:G1", "answer"]
lab.empty_cache()
print("a miss:", steps(kept.popular_products))
print("a hit: ", steps(kept.popular_products))

# %% [markdown]
# **What just happened.** It looks (`get`), computes, stores with `add`, and looks again. `add` stores only where nothing is. So if
# somebody else was faster, theirs stays, and the second `get` hands it to both. A hit is one `get`.
#
# You choose the computation, the key and the lifetime. All three can be found on the server, which `lab.entries()` lists:

# %% tags=["claim:G2", "answer"]
lab.empty_cache()
kept.popular_products()
stored = lab.entries()[["key", "lives"]]
rows = cache.get("popular_products")
print(f"{len(rows)} rows, the ranking's first: {rows == list(Product.objects.expensive_ranking()[:20])}")
stored

# %% [markdown]
# > **Keep this.** get_or_set looks, or computes, stores and looks again: one round trip for a hit, three for a miss.
#
# ### Play with it
#
# Three round trips against two: `get` and `set` by hand save one on each miss. How much is that, with as many misses as you have?

# %% tags=["knobs"]
misses = 5  # of a hundred look-ups

print(f"round trips of a hundred: {100 + 2 * misses} with get_or_set, {100 + misses} with get and set")

# %% [markdown]
# ## Whatever can be pickled · minute 10
#
# Three kinds of value, each asked for twice: rows of a queryset; a number; the answer of somebody else's service. That service
# is real here, a slow server of the bench that counts how often it is asked (`rates_api.calls()`).

# %%
from tutorial_project.lab import rates_api

kinds = {
    "popular_products": kept.popular_products,
    "orders:count": lambda: cache.get_or_set("orders:count", Order.objects.count, 600),
    "rate:USD": lambda: kept.exchange_rate("USD"),
}


def asked(ask):
    calls, (answer, reading) = rates_api.calls(), answered(ask)
    return f"{reading.queries} SQL, {rates_api.calls() - calls} API", answer


def answered(ask):
    with lab.meter() as reading:
        return ask(), reading


# %% tags=["claim:L3", "answer"]
lab.empty_cache()
rows = {}
for key, ask in kinds.items():
    (first, answer), (second, again) = asked(ask), asked(ask)
    rows[key] = [type(answer).__name__, first, second, answer == again, key in set(lab.entries()["key"])]
columns = ["kind", "first asked", "asked again", "the same answer", "lies in the cache"]
pd.DataFrame.from_dict(rows, orient="index", columns=columns)

# %% [markdown]
# No page has to be kept for that, and no template. That is also what makes a value reach further than the other two: **whoever
# asks for the key finds it**. Here are two views that show prices in pounds. One is the shop's product page, as kept values make it.
# The other is for an app, and knows nothing of the first. (`lab.mount` puts a view into the shop, and empties the cache.)

# %%
from tutorial_project.shop import layered


def in_pounds(request, pk):
    price = kept.product_detail(pk)["product"].price
    return JsonResponse({"GBP": f"{price * kept.exchange_rate('GBP'):.2f}"})


lab.mount("app/price/<int:pk>/", in_pounds)
lab.mount("product/<int:pk>/", layered.product)

# %% [markdown]
# Mira, whose profile asks for pounds, opens three products. Her app asks for the prices of the same three.

# %%
predict("05.api", "Six requests that need the rate. How often is the slow service asked?", [1, 2, 3, 6])

# %% tags=["claim:G3", "answer"]
lab.empty_cache()
calls = rates_api.calls()
pages = [lab.visit(f"/product/{pk}/", "mira.baker10") for pk in (41, 42, 43)]
prices = [lab.visit(f"/app/price/{pk}/") for pk in (41, 42, 43)]
reveal("05.api", rates_api.calls() - calls)
print("queries of the app's requests:", [price.queries for price in prices])
shown = [price.response.json()["GBP"] in page.text for price, page in zip(prices, pages, strict=True)]
print("each page shows the price that the app got:", all(shown))

# %% tags=["claim:G3", "answer"]
lab.entries()[["key", "lives"]]

# %% [markdown]
# **What just happened.** One entry for the rate, one for each product, and two views that share them. The app's requests sent no
# query at all: the page had stored what they needed. (`product:42:detail` says what it is of. Notebook `08` is about such names.)
#
# > **Keep this.** A value is kept once for everybody who may see it, whichever view asks.
#
# ## Two traps · minute 14
#
# ### A queryset is a question
#
# It is sent when somebody looks at its rows. So what does the cache keep, if you give it the ranking and cut off the first twenty
# afterwards?

# %%
predict("05.lazy", "How many rows lie in the cache?", [0, 20, 1200])

# %% tags=["claim:G5", "answer"]
cache.set("lazy", Product.objects.expensive_ranking(), 600)
top = cost(lambda: list(cache.get("lazy")[:20]))
reveal("05.lazy", len(cache.get("lazy")))
print("stored: a", type(cache.get("lazy")).__name__, "with its", type(cache.get("lazy").query).__name__)
print(f"queries of the first twenty, from the cache: {top.queries}")

# %% [markdown]
# Django's caches pickle what they are given, and pickling a queryset loads all of it. So it was evaluated, for good: 1,200 products for
# a page that shows twenty. With the rows goes the query object, the kind that MDN's error names. A cache in plain memory, such as
# `functools.cache`, pickles nothing, and keeps the question:

# %% tags=["claim:G5", "answer"]
import functools


@functools.cache
def ranking():
    return Product.objects.expensive_ranking()


print("queries of three calls:", [cost(lambda: list(ranking()[:20])).queries for call in range(3)])

# %% [markdown]
# Never evaluated, and never a query saved. The mend for both is a `list` of the rows that are needed, and with them what the page
# shows of each. The page names a product's store:


# %% tags=["claim:G5", "answer"]
def shop_names(products):
    return [(product.name, product.tenant.name) for product in products[:20]]


cache.set("lazy", Product.objects.expensive_ranking(), 600)
cache.set("rows", list(Product.objects.expensive_ranking()[:20]), 600)
cache.set("rows_and_stores", selectors.popular_products(), 600)
table = {}
for name in ("lazy", "rows", "rows_and_stores"):
    products = cache.get(name)
    table[name] = [len(products), cost(functools.partial(shop_names, products)).queries]
told = pd.DataFrame.from_dict(table, orient="index", columns=["rows stored", "queries of a hit"])
size = lab.entries().set_index("key")["bytes"]
told["over 10 times the last one's bytes"] = [bool(size[name] > 10 * size["rows_and_stores"]) for name in table]
told

# %% [markdown]
# The first row is sent and unpickled on every hit, more than ten times the bytes of the last. The middle row is the one that passes
# review: a list, twenty rows, found each time. And it sends a query for each of them: the stores were not loaded, so they were not
# stored. The last row is the selector that the shop keeps. (These lists hold instances of a model. They are pickles too, and
# as little made for another Django; what to do at an upgrade is under *In production*.)
#
# ### Nothing is a value too · minute 17
#
# Most products have no discount. Five ways to keep an answer, and answers of four kinds: 89, None, 0 and an empty list. Each way is
# asked three times.


# %%
def is_none(key, compute):
    if (value := cache.get(key)) is None:
        cache.set(key, value := compute(), 60)
    return value


def if_not(key, compute):
    if not (value := cache.get(key)):
        cache.set(key, value := compute(), 60)
    return value


MISSING = object()


def if_missing(key, compute):
    if (value := cache.get(key, MISSING)) is MISSING:
        cache.set(key, value := compute(), 60)
    return value


# %% [markdown]
# The other two hand it to `get_or_set`: one the function, one what the function gives.

# %%
ways = {
    "if not value": if_not,
    "if value is None": is_none,
    "get_or_set(key, compute())": lambda key, compute: cache.get_or_set(key, compute(), 60),
    "if value is MISSING": if_missing,
    "get_or_set(key, compute)": lambda key, compute: cache.get_or_set(key, compute, 60),
}


def times_computed(way, value):
    computed = []

    def compute():
        computed.append(value)
        return value

    lab.empty_cache()
    for _ in range(3):
        way("discount", compute)
    return len(computed)


# %%
predict("05.none", 'The answer is None. How often does "if value is None" call compute, in three calls?', [1, 2, 3])

# %% tags=["claim:G5", "answer"]
values: dict[str, object] = {"89": 89, "None": None, "0": 0, "[]": []}
table = {name: [times_computed(way, value) for value in values.values()] for name, way in ways.items()}
reveal("05.none", table["if value is None"][1])
pd.DataFrame.from_dict(table, orient="index", columns=list(values))

# %% [markdown]
# **What just happened.** The first three rows compute again what is stored. The first two take it for a miss, and store it again; the
# third computes before it looks, even where it then finds. None of this is an error, a wrong page or a log line. `get(key, MISSING)`
# tells "nothing stored" from "None stored", and `get_or_set` with a function does so by itself.
#
# ### Play with it
#
# Another value. Is there one that `if not value` handles and `if value is None` does not?

# %% tags=["knobs"]
value = ""

{name: times_computed(way, value) for name, way in ways.items()}

# %% [markdown]
# There is none: None is as false as "" or 0, so whatever the second takes for a miss, the first does too.
#
# > **Keep this.** Store evaluated rows, with all that will be shown of them. And compare with a value that nobody stores.
#
# ## All three, each where it fits · minute 19
#
# The shop's home page in three layers (`tutorial_project/shop/layered.py`). What each holds follows from one question: **for whom
# is this the same?**
#
# | layer | holds | the same for |
# |---|---|---|
# | per-view | the whole page | whoever has no session, by URL and language |
# | fragments | the sidebar `sidebar_popular`, the best of each shelf | everybody, by language |
# | values | the ranking `popular_products`, the menu, a permission set | everybody; the last for one user |
# | none | greeting, cart, "Just in" | nobody, or not for long |
#
# `climb` switches them on from the inside out, first the values and last the page, and measures a second visit, as two visitors.

# %%
predict("05.steps", "Alice is signed in. How many of seventeen queries are left with all three layers?", [0, 1, 4, 9])

# %% [markdown]
# Watch how high the steps are, and where each of the two flights ends.

# %% tags=["claim:L4", "claim:G4", "answer"]
from tutorial_project.lab.staircase import STEPS, WITHOUT, climb, staircase

visitors = {"Alice, signed in": "alice", "a stranger": None}
up = climb(lab, STEPS, visitors)
staircase(up)

# %% tags=["answer"]
reveal("05.steps", int(up.query("step == 'all three' and visitor == 'Alice, signed in'")["queries"].iloc[0]))

# %% [markdown]
# Alice's flight has one step fewer: no page is ever kept for her. What is left of hers is her session, herself, her profile and what
# came last. The stranger's ends on the ground. Now each layer off in turn, the other two on; `trips` are calls to the cache server.

# %% tags=["claim:L4", "claim:G4", "answer"]
off = climb(lab, {"all three": STEPS["all three"], **WITHOUT}, visitors)
off.pivot(index="step", columns="visitor", values=["queries", "trips"])

# %% [markdown]
# Read the stranger's column. With the page kept, the other two layers save her nothing: they are not even asked. But a kept page
# runs out, and the next stranger has it built again. Here it does, and nothing else with it:

# %% tags=["claim:G4", "answer"]
from tutorial_project.lab.entries import entries

url = lab.mount("layered/", layered.home_view())
cold = lab.visit(url)
cache.delete_many([key for key in entries() if key.startswith("views.decorators.cache")])
again, warm = lab.visit(url), lab.visit(url)
{"nothing kept": cold.queries, "the page has run out": again.queries, "the page is kept": warm.queries}

# %% [markdown]
# One query in place of twelve: **what lies within makes the page cheap to lose.** That is what composing them gives. It is no law of
# layers: losing the fragments costs Alice nine queries with the values on (13 for 4) and nine without them (17 for 8), for
# what is asked inside the fragments is in no value. Now in milliseconds, the fastest of a few visits. On a busy machine they jump;
# look for factors:

# %% tags=["nbval-ignore-output"] why="milliseconds"
ms = pd.concat([up, off]).pivot_table(index="step", columns="visitor", values="ms", aggfunc="min")
ms.loc[[*STEPS, *WITHOUT]].round(1)

# %% tags=["claim:L4", "answer"]
alice, stranger = (ms[who] for who in visitors)
faster = alice["no layer"] > 2 * alice["all three"] and stranger["no layer"] > 5 * stranger["all three"]
print(f"With all three at least twice as fast as with none for Alice, 5 times for a stranger: {faster}")
hers = min(alice["without values"], alice["without fragments"]) > 1.2 * alice["all three"]
print(f"Alice's page is slower without values, and slower without fragments: {hers}")
print(f"A stranger's is slower without the page: {stranger['without page'] > 1.2 * stranger['all three']}")

# %% [markdown]
# > **Keep this.** A page for those who all get the same one, a fragment for the part that is, a value for what more than one page
# > needs. Each with its own answer to "for whom?".
#
# ### Play with it
#
# Your own mixture, as dora, who is staff, or anybody else. (A `get_or_set` that hits is the one `get` inside it, both are listed.)

# %% tags=["knobs"]
who, page, fragments, values_kept = "dora", True, False, True

url = lab.mount("layered/", layered.home_view(page, fragments, values_kept))
lab.visit(url, who)
lab.visit(url, who)

# %% [markdown]
# ### The freshness contract · minute 23
#
# The layered shop keeps twelve kinds of entry. For each of them somebody should be able to say what it is, and who may see it. The
# shop writes that down in `tutorial_project/shop/contract.py`, as a table. Notebook `06` adds when each row stops being correct.

# %% tags=["answer"]
from tutorial_project.shop.contract import CONTRACT

with pd.option_context("display.max_colwidth", None):
    display(pd.DataFrame(CONTRACT)[["value", "layer", "key", "who_may_see"]])

# %% [markdown]
# A table that nobody runs is an opinion. `held_against` replays a piece of the morning, then sends strangers, customers and staff
# around the shop. Each key that a visit is served from must belong to one row, and to a reader who may see it; each row must be
# stored by something. It counts the entries `stored` and the visits `served` from them, to how many `readers` (all strangers are
# one); `in time` says that no entry lives longer than its row allows.

# %% tags=["answer"]
from tutorial_project.lab.layered_shop import held_against

with lab.layered():
    found, broken = held_against(lab, lab.traffic(40, "09:00"))
print("broken:", broken)
found[["stored", "served", "readers", "in time"]]


# %% [markdown]
# Two entries of the stores' figures, two readers, and nothing broken: neither was shown the other's. If the key forgets whose
# figures they are, the contract says so. (`lab.keep` puts such a function in the place of the selector of that name.)


# %% tags=["answer"]
def dashboard_stats(tenant_id):
    return cache.get_or_set("tenant:1:dashboard_stats", lambda: kept.ask_dashboard_stats(tenant_id), 600)


with lab.layered():
    lab.keep(dashboard_stats)
    print(*held_against(lab, lab.traffic(5, "09:00"))[1], sep="\n")

# %% [markdown]
# ### Exercise 5.1 (5 minutes): the box that still asks
#
# A box with the five best sellers was put into the cache, "and the database did not notice". Its texts are right, in both languages.
# Repair it: a visit that finds the entry sends no query, and no more is stored than is shown, as a list. The 600 seconds stay, and so
# does `best_sellers` at the beginning of the key.

# %% tags=["exercise"]
from tutorial_project.shop.models import Product


def best_sellers():
    # solution-begin
    ranking = Product.objects.expensive_ranking().select_related("tenant")
    best = cache.get_or_set("best_sellers", lambda: list(ranking[:5]), 600)
    return [f"{product.name}, {product.tenant.name}" for product in best]
    # solution-end
    # starter: ranking = cache.get_or_set("best_sellers", Product.objects.expensive_ranking, 600)
    # starter: return [f"{product.name}, {product.tenant.name}" for product in ranking[:5]]


# %%
check("5.1", best_sellers)

# %% [markdown]
# <details><summary>Hint 1</summary>There are two mistakes. How many rows are stored? And what does <code>product.tenant</code> do with a row that was stored without it?</details>
# <details><summary>Hint 2</summary>Cut inside the function that <code>get_or_set</code> calls on a miss, and make a list there.</details>
# <details><summary>Hint 3</summary><code>.select_related("tenant")</code> loads each row's store with it. Leave the texts where they are: <code>product.name</code> depends on the reader's language.</details>
# <details><summary>What you should see</summary>"5.1 Right", with one query for the first visit and none for the next.</details>

# %% [markdown]
# ### Two questions

# %%
quiz("05.3")

# %%
quiz("05.4")

# %% [markdown]
# ## Recap · minute 28

# %% tags=["answer"]
with lab.layered():
    after = lab.replay(60)
lab.scoreboard(no_layer=before, pages_and_fragments=two_layers, all_three=after)

# %% [markdown]
# The same sixty requests. On the left each use has its own hit ratio: the menu is asked for on every page, a product's details
# seldom twice in a minute. On the home page a signed-in reader's queries fell from 17 to 4; why so much less here? Ask which pages
# send what is left, and how much of it is to know who the reader is: her session, herself, her profile.

# %% tags=["answer"]
runs = {"no layer": before, "pages and fragments": two_layers, "all three": after}
rest = pd.DataFrame({name: run["queries"].groupby(before["page"]).sum() for name, run in runs.items()})
rest = rest.sort_values("all three", ascending=False, kind="stable")
rest.loc["all of them"] = rest.sum()
asks_who = 'FROM "(?:django_session|auth_user|shop_customer)"'
rest.loc["to know who the reader is"] = [
    int(run.explode("sql")["sql"].str.count(asks_who).sum()) for run in runs.values()
]
rest

# %% [markdown]
# The home page was first, and is third by now. First are the product pages: their reviews and related products are in no layer, and
# their details are seldom found. And more than a quarter of all that is left asks who the reader is, on whatever page. No layer of this
# notebook touches that.
#
# | layer | when | cost | how it fails | lines |
# |---|---|---|---|---|
# | per-view | all its readers get the same bytes | least: two look-ups a page | one name on everybody's screen (`03`) | `@cache_page(600)` |
# | fragment | a costly piece of a live page | a look-up a piece; saves only what is asked inside it | a variable missing from the key (`04`) | `{% cache 600 name lang %}` |
# | value | several views need it, or no template makes it | one trip a hit, three a miss; pickled both ways | lazy rows, None, rows without their relations | `cache.get_or_set(key, function, 600)` |
#
# **Tomorrow at work** (10 minutes): search your code for `cache.get(` and `get_or_set(`. At each: is None, 0 or an empty list a
# possible answer? Is it a function that is handed over? Is it a list, and of how many rows?

# %% [markdown] tags=["instructor"]
# **For the instructor.** 30 minutes: three for the questions and the scoreboard, seven for `get_or_set`, four for the kinds of values, five for
# the traps, four for the staircase, five for the contract and exercise 5.1; 5.2 and 5.3 at home.
#
# *Likely misconceptions.* "A cached queryset is lazy": in memory it is, in Django's caches it never is. "get_or_set locks": it does
# not, two callers compute (Deeper, and notebook `09`). "More layers are better": ask what the inner two do for a stranger
# whose page is kept, and then what they do in the second in which it runs out.
#
# *For discussion.* The permission set is kept for a minute. Whose permission may be a minute old: to see a link, or to
# change a price? (The shop keeps it for the link alone: `tutorial_project/shop/kept.py` says so, and `views.keeps` never asks it.)

# %% [markdown]
# ## Deeper · minute 30
#
# ### Break it: values that outlive their code
#
# A release adds a field to the products, `stock`. The migration runs, the workers restart, and Redis keeps what the old code had
# stored: rows without that field. This is such an entry, and a page that shows the new field.

# %%
rows = selectors.popular_products()
for row in rows:
    del row.__dict__["stock"]  # the code that stored it knew no such field
cache.set("popular_products", rows, 600)


def stocks():
    return [product.stock for product in kept.popular_products()]


# %%
predict("05.field", "How many queries does this page send, with the entry found each time?", [0, 1, 20])

# %% tags=["answer"]
visits = [cost(stocks) for visit in range(3)]
reveal("05.field", visits[0].queries)
print(
    "queries:", [visit.queries for visit in visits], "hits, misses:", [(visit.hits, visit.misses) for visit in visits]
)
print("the numbers are right:", stocks() == [p.stock for p in selectors.popular_products()])

# %% [markdown]
# No error: a field that the instance lacks counts as deferred, and Django fetches it, row by row, on every hit. You would have
# noticed it as a database that is busier after the release, for as long as the entries live, while every look-up is a hit.
#
# The mend is a key that the old code never wrote. Either the key has a number in it, raised with the model, or the whole cache
# has one: `"VERSION": 2` in `CACHES`, after which nothing that is stored is found.


# %% tags=["answer"]
def stocks_2():
    ranking = cache.get_or_set("popular_products:2", selectors.popular_products, 600)
    return [product.stock for product in ranking]


lab.empty_cache()
cache.set("popular_products", rows, 600)  # the old code's
print("three visits:", [cost(stocks_2).queries for visit in range(3)])
found = {number: cache.has_key("popular_products", version=number) for number in (1, 2)}
print("is there anything under the old key, by the cache's version?", found)

# %% [markdown]
# ### Handed out, and changed · minute 34
#
# A view takes a list from the cache and appends to it. What does the next reader get? Three caches in this process's own memory:
# Django's, and the two that people build themselves.

# %% tags=["claim:G5", "answer"]
caches["local"].clear()
shelf = {"lamps": ["arc lamp"]}


@functools.cache
def memoised():
    return {"lamps": ["arc lamp"]}


in_memory = {
    "LocMemCache": lambda: caches["local"].get_or_set("shelf", {"lamps": ["arc lamp"]}, 60),
    "functools.cache": lambda: memoised(),
    "a module's dict": lambda: shelf,
}
for read in in_memory.values():
    read()["lamps"].append("the first reader's")
{name: read()["lamps"] for name, read in in_memory.items()}

# %% [markdown]
# Django's local memory pickles, as Redis does: each reader gets a copy. The other two hand out the one and only object. The mend is
# Django's cache (`caches["local"]`), or a value that nobody can change:


# %% tags=["claim:G5", "answer"]
@functools.cache
def unchangeable():
    return ("arc lamp", "floor lamp")


try:
    unchangeable().append("the first reader's")
except AttributeError as error:
    print(error)
print(unchangeable())

# %% [markdown]
# ### Two callers, both compute · minute 37
#
# Between the `get` that finds nothing and the `add` lies the whole computation. Two threads call for the same key at once, and nothing
# is stored yet.

# %%
outcomes = ["computed once", "computed twice, one value", "computed twice, two values"]
predict("05.two", "How often is it computed, and how many values are handed out?", outcomes)

# %% [markdown]
# Each computation gives another number. A barrier holds it until the other caller computes as well, and breaks after ten seconds if
# nobody does.

# %% tags=["claim:G5", "answer"]
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier

lab.empty_cache()
both, number = Barrier(2), count(1)


def slow():
    both.wait(timeout=10)
    return next(number)


with ThreadPoolExecutor(2) as threads:
    got = set(threads.map(lambda caller: cache.get_or_set("slow", slow, 60), range(2)))
computed_times = next(number) - 1
reveal("05.two", outcomes[0] if computed_times == 1 else outcomes[len(got)])
print(f"computed {computed_times} times, different values handed out: {len(got)}")

# %% [markdown]
# Twice the work, and one value: `add` let the first one stay, and the second `get` read that. With a thousand visitors it is a
# thousand times the work; notebook `09_stampedes` is about that day. For a start, `add` is also a lock: one wins, the others wait.

# %%
import time


def one_computes(key, compute, seconds):
    while (value := cache.get(key, MISSING)) is MISSING:
        if cache.add(f"{key}:lock", "taken", 10):
            try:
                return cache.get_or_set(key, compute, seconds)
            finally:
                cache.delete(f"{key}:lock")
        time.sleep(0.01)
    return value


# %% tags=["claim:G5", "answer"]
lab.empty_cache()
worked: list[str] = []
at_once = Barrier(8)


def slow_again():
    time.sleep(0.1)
    worked.append("computed")
    return len(worked)


def caller(n):
    at_once.wait(timeout=10)
    return one_computes("slow_again", slow_again, 60)


with ThreadPoolExecutor(8) as threads:
    got = list(threads.map(caller, range(8)))
print(f"eight callers: computed {len(worked)} time(s), values handed out: {set(got)}")

# %% [markdown]
# What it does not handle: a computation that takes longer than the lock's ten seconds, and everybody waits while there may be an old
# value that would do. Both are in notebook `09`.
#
# ### The async calls, as they are · minute 42
#
# Every method has an async twin: `await cache.aget(key)`. A notebook runs a loop of its own, so each experiment gets another one, in
# a thread. In which thread do two hundred `aget` run?

# %%
import asyncio
import threading


def in_a_loop(work):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


async def read_at_once(times):
    ran_in = set()
    with listening(lambda event: ran_in.add(threading.get_ident())):
        await asyncio.gather(*(cache.aget("n") for _ in range(times)))
    return len(ran_in), threading.get_ident() in ran_in


# %% tags=["answer"]
threads, loops_own = in_a_loop(read_at_once(200))
print(f"200 at once ran in {threads} thread(s); the loop's own is not among them: {not loops_own}")

# %% [markdown]
# One thread, and not the loop's. There is no async driver below: each `aget` hands the ordinary `get` to that thread, where they
# queue. Now the two that do more than one thing:


# %%
async def count_at_once(times):
    await cache.aset("n", 0, 600)
    await asyncio.gather(*(cache.aincr("n") for _ in range(times)))
    return await cache.aget("n")


async def fill_at_once(times):
    computed = []

    def work():
        computed.append("once more")
        return "value"

    await asyncio.gather(*(cache.aget_or_set("filled", work, 60) for _ in range(times)))
    return len(computed)


# %%
predict("05.aincr", "aincr, 200 times at once, on Redis, from 0. What is the number afterwards?", [1, 100, 200])

# %% tags=["answer"]
lab.empty_cache()
counted, filled = in_a_loop(count_at_once(200)), in_a_loop(fill_at_once(20))
reveal("05.aincr", counted)
lives = lab.entries().set_index("key")["lives"]["n"]
print(f"stored for 600 seconds, lives for {lives}; aget_or_set, 20 at once: computed {filled} times")

# %% [markdown]
# `incr` is one step on Redis (notebook `02`). `aincr` is not: Django's base class makes it a get, an addition and a set, and the
# set has no timeout, so Django's 300 seconds replace yours. The mend is the ordinary `incr` in that thread:

# %% tags=["answer"]
from asgiref.sync import sync_to_async


async def count_right(times):
    await cache.aset("n", 0, 600)
    await asyncio.gather(*(sync_to_async(cache.incr)("n") for _ in range(times)))
    return await cache.aget("n")


right = in_a_loop(count_right(200))
print(f"counted {right}, lives for {lab.entries().set_index('key')['lives']['n']}")

# %% [markdown]
# ### Where the layers sit · minute 46
#
# The x-ray of the layered page, opened by Alice and then by a stranger, each for the second time. Look for the cache calls, and what
# is still SQL.

# %% tags=["answer"]
url = lab.mount("layered/", layered.home_view())
lab.visit(url, "alice")
print(lab.xray(url, "alice"))

# %% tags=["answer"]
lab.visit(url)
print(lab.xray(url))

# %% [markdown]
# Alice: three values, two fragments, and four queries: her session, herself, her profile, and what came last. The stranger: two
# look-ups, for what the page varies on and for the page; nothing behind them ran.
#
# ### What a browser keeps of a layered page
#
# `cache_page` also tells the browser to keep the page, for as long. For a stranger's page that would be wrong: once she has signed in,
# her browser may still show her the one from before, without asking. Here are the headers of both.

# %% tags=["answer"]
from django.views.decorators.cache import cache_page
from tutorial_project.shop import views

pages = {
    "cache_page alone": lab.mount("alone/", cache_page(600)(views.home)),
    "the layered page": lab.mount("layered/", layered.home_view()),
}
told = {name: lab.visit(url).response.headers for name, url in pages.items()}
wanted = ["Cache-Control", "Vary"]
pd.DataFrame({name: [headers[of] for of in wanted] for name, headers in told.items()}, index=wanted).T

# %% [markdown]
# `private` tells the shared caches on the way not to keep it; `no-cache` lets the browser keep it, if it asks before each use. `Vary:
# Cookie` is for whoever keeps it all the same: another cookie, another page. In the shop's own cache the cookie is not in the key,
# the trap of notebook `03`. Here it is none, because the view has sent everybody with a session past that cache before it is asked.
#
# ### Many at once · minute 51
#
# A view that needs twenty values should not make twenty trips. `get_many` takes all keys at once, `set_many` stores them at once:

# %% tags=["answer"]
lab.empty_cache()
pks = range(1, 21)
one_by_one = cost(lambda: [kept.product_detail(pk) for pk in pks])
warm = cost(lambda: [kept.product_detail(pk) for pk in pks])
together = cost(lambda: cache.get_many([f"product:{pk}:detail" for pk in pks]))
stored = cost(lambda: cache.set_many({f"note:{pk}": "twenty at once" for pk in pks}, 60))
trips = {"one by one, cold": one_by_one, "one by one, warm": warm, "get_many": together, "set_many": stored}
pd.Series({name: reading.trips["default"] for name, reading in trips.items()}, name="round trips").to_frame()

# %% [markdown]
# ### Exercise 5.2 (10 minutes): many in one trip
#
# A shelf shows many products. Write `cards(pks)`: a dict of each number to its product with its store, None where there is no such
# product. Each is kept for 600 seconds under `product:<pk>:card`, the None too. If all are there, it takes one round trip and
# no query; if some are missing, one query for those and one more trip. `Product.objects.in_bulk(pks)` gives a dict of rows.


# %% tags=["exercise"]
from tutorial_project.shop.models import Product


def cards(pks):
    # solution-begin
    found = cache.get_many([f"product:{pk}:card" for pk in pks])
    missing = [pk for pk in pks if f"product:{pk}:card" not in found]
    if missing:
        rows = Product.objects.select_related("tenant").in_bulk(missing)
        new = {f"product:{pk}:card": rows.get(pk) for pk in missing}
        cache.set_many(new, 600)
        found |= new
    return {pk: found[f"product:{pk}:card"] for pk in pks}
    # solution-end
    # starter: return ...  # get_many, one query for the missing, set_many


# %%
check("5.2", cards)

# %% [markdown]
# <details><summary>Hint 1</summary><code>get_many(keys)</code> gives a dict of those that are there. A key that is not in it is a miss; a key whose value is None is a hit.</details>
# <details><summary>Hint 2</summary><code>Product.objects.select_related("tenant").in_bulk(missing)</code> is one query, and leaves out what does not exist.</details>
# <details><summary>Hint 3</summary><code>{f"product:{pk}:card": rows.get(pk) for pk in missing}</code> has a None for each unknown one, and can be handed to <code>set_many</code> with 600.</details>
# <details><summary>What you should see</summary>"5.2 Right", with four products in one query and two trips, then in one trip.</details>
#
# ### Exercise 5.3 (10 minutes): the last good rate
#
# The service is sometimes away, and `ask(currency)` then gives None, after a long wait. Write `steady_rate(currency, ask)`. What the
# service said stands under `rate:<currency>` for 600 seconds, and under `rate:<currency>:last` for a day. If it says None, the
# last good rate is given, or None if there never was one; and that stands under `rate:<currency>` for 10 seconds, in which
# nobody asks again.


# %% tags=["exercise"]
def steady_rate(currency, ask):
    # solution-begin
    key, missing = f"rate:{currency}", object()
    rate = cache.get(key, missing)
    if rate is missing:
        rate = ask(currency)
        if rate is not None:
            cache.set(key, rate, 600)
            cache.set(f"{key}:last", rate, 86_400)
        else:
            rate = cache.get(f"{key}:last")
            cache.set(key, rate, 10)
    return rate
    # solution-end
    # starter: return ...  # get, ask, and what is kept of the answer


# %%
check("5.3", steady_rate)

# %% [markdown]
# <details><summary>Hint 1</summary>Two entries with two lifetimes: one says "need not ask", the other "was good once".</details>
# <details><summary>Hint 2</summary>A None that stands for "away, and never known" must count as stored: <code>get(key, missing)</code>, with a <code>missing = object()</code>.</details>
# <details><summary>Hint 3</summary>When the service says None: <code>rate = cache.get(f"{key}:last")</code>, and <code>cache.set(key, rate, 10)</code>.</details>
# <details><summary>What you should see</summary>"5.3 Right": asked once in ten minutes, or once in ten seconds while it is away.</details>
#
# ### What a monitor sees of it
#
# Each way asks once, then twenty times more; counted are the twenty. `no_discount` sends a query and gives None.


# %% tags=["claim:G5", "answer"]
def no_discount():
    return Product.objects.filter(pk=0).first()


def top_rows():
    return list(Product.objects.expensive_ranking()[:20])


habits = {
    "None as a miss": lambda: is_none("discount", no_discount),
    "computed before the look": lambda: cache.get_or_set("top", selectors.popular_products(), 600),
    "a lazy queryset": lambda: list(cache.get_or_set("lazy", Product.objects.expensive_ranking, 600)[:20]),
    "rows without stores": lambda: shop_names(cache.get_or_set("rows", top_rows, 600)),
    "as the shop does": lambda: shop_names(kept.popular_products()),
}
lab.empty_cache()
seen = {}
for name, ask in habits.items():
    ask()
    reading = cost(lambda ask=ask: [ask() for _ in range(20)])
    seen[name] = [reading.hits, reading.operations["set"] + reading.operations["add"], reading.queries]
pd.DataFrame.from_dict(seen, orient="index", columns=["hits", "stored again", "queries"])

# %% [markdown]
# Every look-up is a hit: a None that is stored counts as found. So a dashboard of hit ratios shows none of the traps. The first stands
# out by what is stored again, the second and the fourth by the queries that go with a hit. The lazy queryset does by neither: look at
# the bytes of its entry.
#
# ### In production
#
# - Settings: none beyond `CACHES`. Give every `get_or_set` its seconds; without them Django takes 300.
# - Size: a value is pickled and sent on every hit. Look at `bytes` in `lab.entries()`, or at `STRLEN` on the server; keep what the
#   page shows, as rows or plain dicts, not object graphs.
# - Deploys: raise a number in the key when the shape of a value changes, and clear the cache when Django is upgraded
#   ([Django says so](https://docs.djangoproject.com/en/5.2/howto/upgrade-version/)).
# - Monitoring: by use, hits and misses, stores per look-up, queries that follow a hit, and the bytes of its largest entry.
# - Which library: none for this. `cached_property` or a dict on the request is enough for a value that one request needs twice.
#
# ### Further reading
#
# - Django, [the low-level cache API](https://docs.djangoproject.com/en/5.2/topics/cache/#the-low-level-cache-api): all the calls of this notebook.
# - Django, [pickling QuerySets](https://docs.djangoproject.com/en/5.2/ref/models/querysets/#pickling-querysets): that it loads all results, and
#   that a pickle is not made for another version.
# - Wagtail, [issue 6513](https://github.com/wagtail/wagtail/issues/6513): a cached tuple of three, and code that expects four; mended by a
#   look at its shape, later by a version in the key.
# - flask-caching, [issue 106](https://github.com/pallets-eco/flask-caching/issues/106): None as a miss, in a library.
# - TrueNAS, [pull request 11568](https://github.com/truenas/middleware/pull/11568): a memoised value that a caller changed for all.

# %% [markdown]
# **Next:** `06_ttl` asks of every row of the contract when it stops being correct. How far you are: `progress()`.
