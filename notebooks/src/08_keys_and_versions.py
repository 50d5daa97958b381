# minutes: 38, 115
# mypy: disable-error-code="attr-defined, operator, no-redef, index"
# %% [markdown]
# # Name an entry so that you can let it go
#
# {{header}}
#
# July 2019: one morning the Redis of CommCare HQ, a Django site, answers with errors. Its slow log names a command, `KEYS *cas_reach_data*`,
# that ran for more than ten seconds. A daily task looked through everything for what it had to invalidate. The title of the mend begins:
# "No need to bust keys that are never cached"
# ([dimagi/commcare-hq, pull request 24777](https://github.com/dimagi/commcare-hq/pull/24777)).
#
# **You will see** five entries searched for among a hundred thousand, then let go without a search, and the race that notebook 07 left open closed.
# **You will learn** what a key must hold, how to find what belongs together, and how one word in the name invalidates it all at once.
# **You need** notebooks `05_low_level`, `06_ttl` and `07_events`, or to know `get_or_set`, what a TTL promises, and `on_commit`.
#
# New on the bench: `ask_all` asks questions through the cache and says which answers are right; `crowd(n)` fills the cache with
# the entries of other people.

# %%
import pandas as pd
from django.core.cache import cache
from django.db import transaction
from IPython.display import display
from tutorial_project.lab import boot, check, draw, explore, predict, quiz, reveal

lab = boot("08_keys_and_versions")
lab

# %% [markdown]
# Two questions on notebook 06, before anything new.

# %%
quiz("08.1")

# %%
quiz("08.2")

# %% [markdown]
# ## One price changes, and everything goes · minute 4
#
# Notebook `07` deletes the keys that a change has touched. Somebody must know which those are. Whoever does not can be safe in another
# way: at any change of a product, forget everything. An evening in the shop, thinned: every change that somebody makes to a
# product, and every eightieth of the other requests.

# %%
day = lab.traffic(5000, "20:00")
changes = day["path"].str.contains("/price/|/review/")
evening = day[changes | (day.index % 80 == 0)]
print(f"{len(evening)} requests, {changes.sum()} of them change a product")

# %% [markdown]
# The shop keeps five answers: the menu, permissions, the ranking, and of each product its details and its reviews. `replay_kept` replays
# the evening. It keeps the last three by the first function that you give it, and calls the second at every change, as a receiver.

# %%
from tutorial_project.lab.kept_evening import replay_kept


def by_name(entity, what, ask):
    return cache.get_or_set(":".join(map(str, (*entity, what))), ask, 600)


def forget_everything(sender, instance, **kwargs):
    transaction.on_commit(lab.empty_cache)


before = replay_kept(evening, by_name, forget_everything)
lab.scoreboard(forget_all=before)

# %% [markdown]
# The menu has not changed all evening, and yet look at its hit ratio: each price took it along. What we want is to forget one product and
# keep the rest. For that its entries must be **told apart** from all others, **found**, and **let go**. Three ideas, in this order.
#
# ## Two questions, one name · minute 6
#
# A label with a product's name and price, in the reader's language and currency. Asking for the rate is slow, so the label is kept:

# %%
from django.http import HttpResponse
from django.utils import translation
from tutorial_project.shop import kept
from tutorial_project.shop.models import Product
from tutorial_project.shop.visitor import chosen_currency


def label(pk, currency, language):
    product = Product.objects.get(pk=pk)
    price = product.price if currency == "EUR" else product.price * kept.exchange_rate(currency)
    with translation.override(language):
        return f"{product.name}: {price:.2f} {currency}"


def label_view(request, pk):
    asked = (pk, chosen_currency(request), translation.get_language())
    return HttpResponse(cache.get_or_set(f"product:{pk}:label", lambda: label(*asked), 600))


# %% [markdown]
# Mira's profile asks for pounds, Alice's for euros, Clara's is German. They open it in this order.

# %%
predict("08.label", "In which currency is the price that Alice reads?", ["EUR", "GBP"])

# %% tags=["claim:K1", "answer"]
url = lab.mount("label/<int:pk>/", label_view).replace("<int:pk>", "42")
read = {who: lab.visit(url, who).text for who in ("mira.baker10", "alice", "clara")}
reveal("08.label", read["alice"][-3:])
read

# %% [markdown]
# **What just happened.** Three questions, one key, and the first answer for all. The key says *which product*. The answer also depends on
# the currency and the language. What is missing from a key is not an error: it is a hit.
#
# How do you find what is missing? Ask in every way that you know of, and compare. Two products, three currencies, two languages, and
# two readers: `ask_all` asks these 24 questions through the cache, with five keys to choose from.

# %%
from itertools import product as combinations

from tutorial_project.lab.collisions import ask_all, random_parts

questions = list(combinations((42, 421), ("EUR", "GBP", "USD"), ("en", "de"), ("alice", "bob")))
names = {
    "product": lambda pk, currency, language, who: f"product:{pk}:label",
    "product, currency": lambda pk, currency, language, who: f"product:{pk}:label:{currency}",
    "product, language": lambda pk, currency, language, who: f"product:{pk}:label:{language}",
    "product, currency, language": lambda pk, currency, language, who: f"product:{pk}:label:{currency}:{language}",
    "all that, and who reads": lambda pk, currency, language, who: f"product:{pk}:label:{currency}:{language}:{who}",
}


# %% tags=["claim:K1", "answer"]
def measured(name):
    lab.empty_cache()
    asked = ask_all(name, lambda pk, currency, language, who: label(pk, currency, language), questions)
    return [asked["key"].nunique(), asked["hit"].sum(), (~asked["right"]).sum()]


columns = ["entries", "hits", "wrong answers"]
pd.DataFrame({name: measured(key) for name, key in names.items()}, index=columns).T

# %% [markdown]
# Read the last column first: only the last two rows are right. Then the hits: the last row is right and never hits, for it tells
# readers apart who are shown the same. The row above it is what a key should be: **all that varies the answer, and nothing else**.
#
# ### All that varies, and still one name
#
# Now a key with two texts that readers type: the words they search for, and a tag. Both are in the key.


# %% tags=["claim:K1", "answer"]
def joined(words, tag):
    return f"search:{words}:{tag}"


print(joined("oak:desk", "lamp"), "and", joined("oak", "desk:lamp"))

# %% [markdown]
# A part that holds the colon moves the border. (Django had the same in its own keys, until
# [a change of June 2026](https://github.com/django/django/pull/21516); Deeper shows it.) The function `key` of
# `tutorial_project/caching/keys.py` escapes what it puts between the parts, and takes what varies the answer by its name:

# %% tags=["claim:K1", "answer"]
from tutorial_project.caching.keys import key

print(key("search", "oak:desk", "lamp"), "and", key("search", "oak", "desk:lamp"))
print(key("product", 42, "label", currency="GBP", language="de"))

# %% [markdown]
# Five hundred pairs of short texts, drawn at random from letters, colons and percent signs. Each pair is a question, asked through the cache.

# %%
predict("08.collide", "With the joined key, how many of 500 get the answer to another one's question?", [0, 4, 40, 400])

# %% tags=["claim:K1", "answer"]
pairs = random_parts(500)
wrong = {}
for how in (joined, lambda words, tag: key("search", words, tag)):
    lab.empty_cache()
    wrong[how.__name__] = int((~ask_all(how, lambda words, tag: [words, tag], pairs)["right"]).sum())
reveal("08.collide", wrong["joined"])
print(f"wrong answers: {wrong['joined']} with the joined key, {wrong['<lambda>']} with key()")

# %% [markdown]
# > **Keep this.** A key is a sentence: what it is, of which thing, for whom. Each part is framed, and nothing that varies the answer is left out.
#
# ### Play with it
#
# Another separator. Each `a` in the texts becomes your separator, as if the writer knew it. Is there one that helps?

# %% tags=["knobs"]
separator = "|"

lists = [tuple(text.replace("a", separator) for text in pair) for pair in pairs]
asked = ask_all(lambda *parts: separator.join(["play", *parts]), lambda *parts: list(parts), lists)
print(f"{(~asked['right']).sum()} of {len(asked)} answers are wrong")

# %% [markdown]
# Whoever writes the texts can know the separator too. Escaping does not depend on that.
#
# ## Everything of product 42 · minute 16
#
# Product 42 has many entries by now, or will have: its details, its reviews, labels in each currency and language. All their keys begin
# with the same two parts, `product` and `42`. That is a **namespace**: the entity first, then which one, then what of it.

# %%
from tutorial_project.caching.listing import delete_below, keys_below


def fill():
    lab.empty_cache()
    for pk in (4, 42, 421):
        cache.set(key("product", pk, "detail"), pk, 600)
        for currency, language in combinations(("EUR", "GBP"), ("en", "de")):
            cache.set(key("product", pk, "label", currency=currency, language=language), pk, 600)


# %% [markdown]
# `keys_below` lists what lies below a key, `delete_below` deletes it. Look at what is *not* in the list.

# %% tags=["claim:K2", "answer"]
fill()
keys_below(key("product", 42))


# %% tags=["claim:K2", "answer"]
def held(*pks):
    return {pk: len(keys_below(key("product", pk))) for pk in pks or (4, 42, 421)}


fill()
held_before, deleted, held_after = held(), delete_below(key("product", 42)), held()
print(f"deleted: {deleted.keys}")
pd.DataFrame({"before": held_before, "after": held_after}).T

# %% [markdown]
# **What just happened.** Five entries of 42 are gone, and nobody else's. Redis has no folders. It was asked for all keys that fit a
# pattern. The pattern that people write by hand is a little shorter, and takes a little more:

# %%
predict("08.pattern", "Of how many products does the pattern product:42* find entries?", [1, 2, 3])


# %% tags=["claim:K2", "answer"]
def owners(pattern):
    found = cache._cache.get_client().scan_iter(cache.make_key(pattern))
    return sorted({part for name in found for part in name.decode().split(":")[3:4]})


fill()
reveal("08.pattern", len(owners("product:42*")))
for pattern in ("product:42:*", "product:42*"):
    print(f"{pattern:14} finds entries of {', '.join(owners(pattern))}")

# %% [markdown]
# Without the colon at its end, 42 is the beginning of 421. `delete_below` closes the border. (It also escapes a star in somebody's text,
# which is a star to the server: see *Deeper*.)
#
# > **Keep this.** The entity, which one, what of it: so everything of one thing can be found. Close the border, and escape the star.

# %% [markdown]
# ## Let go without a search · minute 18
#
# How did the server find them? By looking at every key it has, whoever's it is. `KEYS` does so in one go, and may block the server for
# seconds meanwhile ([so the Redis manual](https://redis.io/docs/latest/commands/scan/)): that was the incident. `SCAN`, used here, takes
# portions, a round trip each. But there is a way without a search: put a word into the name, and change the word.

# %% tags=["claim:K3", "answer"]
from tutorial_project.caching.generations import Namespace

lab.empty_cache()
product = Namespace("product", 42)
product.get_or_set("detail", lambda: "what it costs today", 600)
first = product.generation()
print(product.list()[0].replace(first, "<generation>"))

# %% [markdown]
# That word is the **generation** of product 42: eleven random characters, in an entry of its own. `get_or_set` reads it first and puts it into
# the key. `bump()` stores another one. Nothing is deleted; nobody asks for the old names any more:

# %% tags=["claim:K3", "answer"]
for what in ("reviews", "related", "label"):
    product.get_or_set(what, lambda: "as of today", 600)
listed = len(product.list())
with lab.meter() as reading:
    product.bump()
again = product.get_or_set("detail", lambda: "what it costs tomorrow", 600)
print(
    f"in reach: {listed} entries; a bump: {reading.trips['default']} round trip; then {len(product.list())}: {again!r}"
)

# %% [markdown]
# Now both ways, in a crowd: a thousand, ten thousand, a hundred thousand entries of other things lie beside the five. (With fakeredis in
# the server's place, a tenth of each.) The search takes ten keys a portion, which is what Redis does if you say nothing.

# %%
predict("08.scan", "A hundred times as many other entries: how many times the round trips of the search?", [1, 10, 100])

# %%
from time import perf_counter

from tutorial_project.lab.crowd import crowd, sizes


def a_bump():
    with lab.meter() as bump:
        product.bump()
    return bump.trips["default"], 1000 * bump.seconds


searched, bumped = {}, {}
for entries in sizes():
    lab.empty_cache()
    crowd(entries)
    for what in range(5):
        product.get_or_set(what, lambda: 42, 600)
    bumped[entries] = min(a_bump() for _ in range(5))  # the quickest of five
    started = perf_counter()
    search = delete_below(key("product", 42), count=10)
    searched[entries] = (search.scans + search.deletes, 1000 * (perf_counter() - started))
lab.empty_cache()

# %% [markdown]
# First the figures (round trips, milliseconds), then the picture. Its axes grow tenfold from one mark to the next. Look at how the two
# lines run.

# %% tags=["nbval-ignore-output"] why="milliseconds, and how many SCANs a server needs"
times = {"search and delete": searched, "bump": bumped}
display(pd.DataFrame(times).map(lambda cost: f"{cost[0]:,} trips, {cost[1]:,.1f} ms"))
curves = {name: (list(costs), [ms for trips, ms in costs.values()]) for name, costs in times.items()}
rises, stays = curves["search and delete"][1], curves["bump"][1]
alt = f"to forget five entries takes {rises[0]:.0f} to {rises[-1]:,.0f} ms by search, {max(stays):.1f} or less by bump"
axes = {"xscale": "log", "yscale": "log", "xlabel": "entries on the server", "ylabel": "milliseconds"}
marks = {"xticks": sizes(), "xticklabels": [f"{entries:,}" for entries in sizes()]}
draw.lines(curves, alt, **axes, **marks, yticks=(0.1, 1, 10, 100, 1000), yticklabels=("0.1", "1", "10", "100", "1,000"))

# %% tags=["claim:K3", "answer"]
trips = [trips for trips, ms in searched.values()]
reveal("08.scan", min([1, 10, 100], key=lambda guess: abs(guess - trips[-1] / trips[0])))
print(f"ten times the entries, at least 5 times the trips: {trips[1] > 5 * trips[0] and trips[2] > 5 * trips[1]}")
print(f"entries deleted: {search.keys}; round trips of a bump: {[trips for trips, ms in bumped.values()]}")
print(f"in the largest crowd the bump takes less than a tenth of the time: {stays[-1] < rises[-1] / 10}")

# %% [markdown]
# **What just happened.** The search looked at everything to find six: the five, and their generation. The bump wrote one entry, however
# many hang on it, and whether or not anybody knows which they are. Its price is on the other side: a reader asks twice, for the generation
# and for the value. And a bump alone leaves the old entries lying (here the search cleared them). *Deeper* weighs both.
#
# > **Keep this.** Deleting needs the list of names. Bumping needs one name; the others are never asked for again.

# %% [markdown]
# ## The generation before the row · minute 24
#
# Notebook `07` ended at 3 of 20: on_commit deletes at the right moment, and a reader who has read the old row *before* stores it
# *afterwards*. Here is that again. `explore` runs a reader and a writer in every order there is, over the real database.

# %%
product = Namespace("product", 42)


def given():
    Product.objects.filter(pk=42).update(price=10)
    product.generation()  # there is one before anybody comes


def price():
    return Product.objects.values_list("price", flat=True).get(pk=42)


def change(forget):
    with transaction.atomic():
        Product.objects.filter(pk=42).update(price=20)
        forget()


# %% tags=["answer"]
def reader_deletes():
    if (found := cache.get("price")) is None:
        cache.set("price", found := price(), 600)
    return found


def writer_deletes():
    change(lambda: transaction.on_commit(lambda: cache.delete("price")))


def stale_for(ask):
    def stale(end):
        return ask() != price()  # what whoever comes next is shown

    return stale


explore(reader_deletes, writer_deletes, given=given, never=stale_for(reader_deletes))

# %% [markdown]
# Now a reader and a writer with a namespace. The reader takes four steps: the generation, the value under it, the row, and storing. The
# writer takes three: the change, the commit, and the bump. That makes 35 orders.

# %%
predict("08.orders", "In how many of the 35 is the next reader shown the old price?", [0, 1, 3, 12])


# %% tags=["claim:K3", "answer"]
def reader():
    return product.get_or_set("price", price, 600)


def writer():
    change(product.bump_on_commit)


best = explore(reader, writer, given=given, never=stale_for(reader))
reveal("08.orders", best.bad)
best


# %% [markdown]
# None. The reader learns the generation **before** it looks at the row. If the row is old, so is the generation, and what it stores lies where
# nobody will look. It takes both halves. Here is each of them left out. The first bumps inside the transaction. The second asks for the
# generation again before it stores, which is after the row: its reader takes five steps, so there are 56 orders.


# %% tags=["claim:K3", "answer"]
def reader_asks_twice():
    if (found := cache.get(product.key("price"))) is None:
        found = price()
        cache.set(product.key("price"), found, 600)
    return found


def bumps_too_early():
    change(product.bump)


early = explore(reader, bumps_too_early, given=given, never=stale_for(reader))
late = explore(reader_asks_twice, writer, given=given, never=stale_for(reader))
pd.Series({"the bump before the commit": str(early), "the generation after the row": str(late)}).to_frame("")

# %% [markdown]
# In the second, the row is read under the old generation and stored under the new one. From there it is served to everybody, until its 600
# seconds are over, or until the next bump. (*Deeper* draws it.)
#
# > **Keep this.** Bump after the commit; read the generation before the row. With both, no order is bad.
#
# ### Exercise 8.1 (5 minutes): two searches, one key
#
# The results of a search are kept, and readers complain: one sees another's results, and German ones see English. `search(words, tag,
# language)` is right, and slow; it tells apart any two texts that differ. Repair the key. The 600 seconds stay.


# %% tags=["exercise"]
def results(words, tag, language, search):
    # solution-begin
    name = key("search", words, tag, language=language)
    return cache.get_or_set(name, lambda: search(words, tag, language), 600)
    # solution-end
    # starter: key = f"search:{words}:{tag}"
    # starter: return cache.get_or_set(key, lambda: search(words, tag, language), 600)


# %%
check("8.1", results)

# %% [markdown]
# <details><summary>Hint 1</summary>Two mistakes: something that varies the answer is missing, and a part may hold what stands between the parts.</details>
# <details><summary>Hint 2</summary>The function <code>key</code> from above does the second. (In the exercise a variable has the same name: give it another.)</details>
# <details><summary>Hint 3</summary><code>key("search", words, tag, language=language)</code></details>
# <details><summary>What you should see</summary>"8.1 Right", with as many entries as there are questions.</details>

# %% [markdown]
# ### Two questions

# %%
quiz("08.3")

# %%
quiz("08.4")

# %% [markdown]
# ## Recap · minute 36
#
# The evening from the beginning. Each product has its namespace, and what is made of many products has one that any of them bumps.
# Between the two, for comparison, a shop in which nobody is told of a change.


# %% tags=["answer"]
def by_generation(entity, what, ask):
    return Namespace(*entity).get_or_set(what, ask, 600)


def forget_product(sender, instance, **kwargs):
    Namespace("product", instance.pk if sender is Product else instance.product_id).bump_on_commit()
    if sender is Product:
        Namespace("catalogue", "all").bump_on_commit()


untold = replay_kept(evening, by_name)
after = replay_kept(evening, by_generation, forget_product)
lab.scoreboard(forget_all=before, forget_nothing=untold, forget_one=after)
print(f"forget all sends {before['queries'].sum() - untold['queries'].sum()} queries more than forget nothing")
print(f"forget one sends {after['queries'].sum() - untold['queries'].sum()} more")

# %% [markdown]
# The same changes, and the menu is still there. The queries fall by little, but more is not to be had: a shop that forgets nothing, and is
# wrong, sends hardly fewer. (The look-ups of the generations are not drawn.) A new price takes its product's reviews along, as the bump
# above took four entries: a namespace forgets as finely as you have cut it.
#
# | | a key by `key()` | delete below a name | a generation |
# |---|---|---|---|
# | when | always | to look, to clean up | many entries hang on one thing |
# | cost | a few characters | every key on the server, looked at | one look-up more for each hit; what is left behind |
# | how it fails | an ingredient that nobody thought of | what is stored meanwhile; a border left open | read after the row, or bumped before the commit |
# | lines | `key("product", pk, language=code)` | `delete_below(key("product", pk))` | `Namespace("product", pk).get_or_set(…)`, `.bump_on_commit()` |
#
# **Tomorrow at work** (10 minutes): search your code for `f"` beside `cache.`. At each key: which inputs does the value have, and are they all
# there? Can a part hold the separator? And search for `.keys(` and `delete_pattern`: how many keys does your server hold? (`DBSIZE` tells.)

# %% [markdown] tags=["instructor"]
# **For the instructor.** 38 minutes: six for the questions and the scoreboard, ten for keys, two for the listing, six for the
# bump, five for the orders, seven for exercise 8.1 and the two questions, two for the recap. 8.2 and 8.3 at home.
#
# *Likely misconceptions.* "A rarer separator will do": until somebody types it. "SCAN is the cheap one": it looks at as many keys as KEYS, in
# pieces. "A bump frees memory": it frees nothing. "on_commit is enough": 3 of 20 says no, and asking for the generation twice brings it back.
#
# *For discussion.* Which entity should an entry belong to that is made of many: a shelf, a ranking, the menu? What is the price of
# a namespace that everything bumps?

# %% [markdown]
# ## Deeper · minute 38
#
# It goes on with what the core has defined: after a restart, run the core first.
#
# ### Break it: a generation that comes back
#
# Most people count: generation 1, then 2. It works, for as long as nobody loses the number. This is a day of product 42, with a counter
# and with a random generation. In the evening the entry that holds it is lost: evicted, or stored without a `timeout`, which is Django's 300 seconds.


# %%
def counted(compute):
    number = cache.get_or_set("product:42:number", 1, None)
    return cache.get_or_set(f"product:42:{number}:price", compute, 600)


def a_day(read, bump, lose):
    lab.empty_cache()
    morning = read(lambda: "10.00")
    bump()
    noon = read(lambda: "20.00")
    lose()
    with lab.meter() as reading:
        evening = read(lambda: "20.00")
    return [morning, noon, evening, reading.misses]


# %%
predict(
    "08.lost",
    "The price is 20.00 since noon, and the counter is lost. What is shown in the evening?",
    ["10.00", "20.00"],
)


# %% tags=["claim:K3", "answer"]
def by_random(compute):
    return product.get_or_set("price", compute, 600)


number, generation = "product:42:number", product.generation_key
days = {
    "a counter": a_day(counted, lambda: cache.incr(number), lambda: cache.delete(number)),
    "random": a_day(by_random, product.bump, lambda: cache.delete(generation)),
}
reveal("08.lost", days["a counter"][2])
columns = ["morning", "a change at noon", "lost in the evening", "misses then"]
pd.DataFrame.from_dict(days, orient="index", columns=columns)

# %% [markdown]
# The counter began again at 1, and under 1 lay the morning. With a random one the price was a miss as well: that costs a query, and
# nobody is told what was. You would have noticed by a price that goes back though nobody changed it, and by one miss in the same read:
# of an entry that lives for ever, and so should never be lost.
#
# What a random generation does not mend: a server that comes back as it was before. Redis copies to a replica a moment later; if the replica
# takes over in that moment, the bump never was, and the old generation returns with all that hangs on it:

# %% tags=["answer"]
lab.empty_cache()
before_noon = product.generation()
by_random(lambda: "10.00")
product.bump()
at_noon = by_random(lambda: "20.00")
cache.set(product.generation_key, before_noon, None)  # as the replica remembers it
print(f"at noon {at_noon}, after the failover {by_random(lambda: '20.00')}")

# %% [markdown]
# Against that there is the `timeout` of the values, and nothing else here. It is one more reason why a namespace takes no entry without one.

# %%
quiz("08.5")

# %% [markdown]
# ### Does anybody see an old price? · minute 45
#
# The recap forgets little. Does it forget enough? Take each product of the evening: its price and the number of its reviews, as the cache
# has them at the end and as the database has. Beside it the cache that nobody tells.

# %%
from tutorial_project.shop import selectors

visits = evening["path"].str.extract(r"^/product/(?P<pk>\d+)/(?P<change>\w*)").dropna()
visited = visits["pk"].astype(int).unique().tolist()


def state(pk):
    return selectors.product_detail(pk)["product"].price, len(selectors.product_reviews(pk))


def shown_old(get_or_set, on_save=None):
    replay_kept(evening, get_or_set, on_save)
    shown = [state(pk) for pk in visited]
    lab.restore()
    return sum(seen != state(pk) for pk, seen in zip(visited, shown, strict=True))


# %% tags=["answer"]
def opened_before_a_change(of_one):
    opened, changed = of_one.index[of_one["change"] == ""], of_one.index[of_one["change"] != ""]
    return opened.min() < changed.max()


told, not_told = shown_old(by_generation, forget_product), shown_old(by_name)
print(f"of {len(visited)} products, shown as before a change: {told}; where nobody is told: {not_told}")
print("opened, and changed later:", sum(opened_before_a_change(of_one) for _, of_one in visits.groupby("pk")))

# %% [markdown]
# The namespaces show nothing old. Where nobody is told, one product is old, and why only one? Of all 25, one was opened by somebody and
# changed later. The rest were in nobody's cache when they changed.
#
# ### The shortest bad order · minute 48
#
# The reader that asks for the generation twice, drawn. (`readable` writes `<first>` and `<second>` in place of random letters;
# `product:42:generation=` is the name of the entry that holds them.)

# %% tags=["answer"]
from tutorial_project.lab.generation_names import readable

readable(late).figure()

# %% [markdown]
# Step 3 reads the row, 7 asks for the generation again, and 8 stores. The commit and the bump lie between. Red marks the bump, which is right:
# from there on nothing can save this reader.
#
# ### Play with both mistakes · minute 50
#
# Both halves left out at once, or either. Do their counts add?

# %% tags=["knobs"]
asks_twice, too_early = True, True

reads, writes = reader_asks_twice if asks_twice else reader, bumps_too_early if too_early else writer
explore(reads, writes, given=given, never=stale_for(reader))

# %% [markdown]
# They do not add: together they spoil far more orders than one by one. Each half was covering for the other. With neither, any row that was read before
# the commit can end up under the newest generation.
#
# ### Play with the portions · minute 52
#
# Larger portions, and fewer round trips. How large must they be for less than an eighth of the trips?

# %% tags=["knobs"]
portion = 1000

crowd(sizes()[-1])
in_portions = delete_below(key("product", 42), count=portion)
lab.empty_cache()
print(f"less than an eighth of the round trips: {in_portions.scans < trips[-1] / 8}")

# %% [markdown]
# ### A star in somebody's text · minute 54
#
# A star in a text is a star to the server. Somebody has typed a product's number as "4*", and it became part of a key. Look at what the
# pattern made of it finds, and what `delete_below` leaves.

# %% tags=["claim:K2", "answer"]
fill()
cache.set(key("product", "4*", "note"), "a number, as somebody typed it", 600)
print("product:4*:* finds entries of", ", ".join(owners("product:4*:*")))
delete_below(key("product", "4*"))
held(4, 42, 421, "4*")

# %% [markdown]
# Whoever forgets that product by the pattern forgets every product here. `delete_below` escapes the star. Now a pattern of your own: which
# finds the products with a German label?

# %% tags=["knobs"]
fill()
pattern = "product:*"

print(f"{pattern} finds entries of {', '.join(owners(pattern)) or 'nobody'}")

# %% [markdown]
# ### What a key refuses, and what it shortens · minute 58
#
# A missing identity raises, instead of becoming the text None:

# %% tags=["claim:K1", "answer"]
print(f"dashboard:{None}")
try:
    key("dashboard", tenant=None)
except TypeError as error:
    print(error)

# %% [markdown]
# Memcached takes 250 characters. `key` keeps a readable beginning, and puts a hash of the whole behind it:

# %% tags=["claim:K1", "answer"]
words = "a very long wish " * 20
long_keys = [key("search", words + end, language="de") for end in ("one", "two")]
print("characters:", [len(name) for name in long_keys], "different:", long_keys[0] != long_keys[1])
print(long_keys[0][:42], "…", long_keys[0][-8:])

# %% [markdown]
# ### What a bump leaves behind · minute 61
#
# Nothing was deleted. Five values, bumped ten times within their ten minutes, and read after each bump:

# %% tags=["answer"]
lab.restore()  # the shop's own selectors, and an empty cache
detail = selectors.product_detail(42)
for turn in range(11):
    if turn:
        product.bump()
    for what in range(5):
        product.get_or_set(what, lambda: detail, 600)
size = lab.entries().set_index("key")["bytes"]
live, left = product.list(), product.left_behind()
print(
    f"in reach {len(live)}, left behind {len(left)}: {size[live + left].sum() / size[live].sum():.0f} times the bytes"
)
print(f"none of them has more than 600 seconds left: {lab.entries()['lives'].max() <= 600}")

# %% [markdown]
# So it is paid in memory, for as long as the values would have lived. If there is no room for that, something must go. Which? Twenty
# products with five values each, in a cache with room for 300 entries. In each of a hundred rounds (sixty for the files, which are slow) a
# product is bumped, and then all is read. Counted are the values that were computed again although nobody had bumped them.

# %%
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from tempfile import TemporaryDirectory

ROOM = {"OPTIONS": {"MAX_ENTRIES": 300}}


def lost_alive(memory, rounds=100):
    products, computed = [Namespace("product", pk, cache=memory) for pk in range(20)], []
    for turn in range(rounds):
        products[turn % 20].bump()
        for one in products:
            for what in range(5):
                one.get_or_set(what, lambda: computed.append(1), 600)
    return len(computed) - 100 - 5 * (rounds - 1)  # less the first of each, and what a bump was meant to end


# %%
predict(
    "08.evicted",
    "Local memory forgets what was asked for longest ago. How many living values does it lose?",
    [0, 50, 500],
)

# %% tags=["answer"]
with TemporaryDirectory() as folder:
    by_chance = lost_alive(FileBasedCache(folder, ROOM), rounds=60)
least_used = lost_alive(LocMemCache("room for 300", ROOM))
reveal("08.evicted", least_used)
print(f"lost though alive: {least_used} by least recently used, more than 50 by chance: {by_chance > 50}")

# %% [markdown]
# What is left behind is never asked for again, so it is what was asked for longest ago: an LRU clears up after you. A cache that
# takes entries at random, as Django's files do, takes living ones too.
#
# Redis has no limit until you give it one. Once that is full, its default, `noeviction`, answers every store with an error; you want
# `allkeys-lru`. It guesses, by a few keys at a time, and notes the second in which each was last used. So here is one run on a real server,
# a second one that is full (None, if this machine has no real one):

# %% tags=["nbval-ignore-output"] why="which keys a server evicts is its own choice"
from tutorial_project.lab.small_server import evicted_by_lru

on_server = evicted_by_lru()
on_server

# %% tags=["answer"]
few = on_server is None or on_server.entries > 10 * on_server.in_reach
print(f"of what the server threw out, less than a tenth was in reach: {few}")

# %% [markdown]
# ### Exercise 8.2 (10 minutes): a generation, by hand
#
# Write `remembered(pk, what, compute)`, as `Namespace` does it, with `cache` alone. The generation of a product lies under
# `product:<pk>:generation`, for ever; whoever changes the product stores another one there, on commit. The value is kept for 600 seconds
# below the generation. A lost one brings nothing back, None is a value, and no order of a reader and a writer leaves a stale value.

# %% tags=["exercise"]
import secrets


def remembered(pk, what, compute):
    # solution-begin
    fresh, missing = secrets.token_hex(8), object()
    place = f"product:{pk}:generation"
    generation = cache.get(place)
    if generation is None:
        generation = fresh if cache.add(place, fresh, None) else cache.get(place)
    value = cache.get(f"product:{pk}:{generation}:{what}", missing)
    if value is missing:
        value = compute()
        cache.set(f"product:{pk}:{generation}:{what}", value, 600)
    return value
    # solution-end
    # starter: return ...  # the generation, the value under it, compute, store


# %%
check("8.2", remembered)

# %% [markdown]
# <details><summary>Hint 1</summary>First <code>cache.get</code> the generation. Where there is none, draw one with <code>secrets.token_hex(8)</code>; <code>add</code> it, for two may draw at once.</details>
# <details><summary>Hint 2</summary>Make the key once, before <code>compute()</code>, and keep it: a second look at the generation comes after the row.</details>
# <details><summary>Hint 3</summary><code>cache.get(key, missing)</code> with a <code>missing = object()</code> tells a None that is stored from nothing. The generation's timeout is None, the value's 600.</details>
# <details><summary>What you should see</summary>"8.2 Right", with 0 bad orders.</details>
#
# ### What Django calls a version · minute 80
#
# Every key of Django's has a number in front: `:1:product:42:detail`. Is that a generation? Two entries, stored for 600 seconds, and five
# ways to look or act: four with the number, one with the prefix.

# %%
from django.core.cache.backends.redis import RedisCache
from django.conf import settings

DETAIL, LABEL = "product:42:detail", "product:42:label"


def another(**params):
    return RedisCache(settings.CACHES["default"]["LOCATION"], {**settings.CACHES["default"], **params})


def after_it(act, look=cache, **version):
    lab.empty_cache()
    cache.set_many({DETAIL: "a", LABEL: "b"}, 600)
    act()
    left = list(cache._cache.get_client().scan_iter("*product:42:*"))
    return [look.get(DETAIL, **version), look.get(LABEL, **version), len(left)]


# %%
predict("08.version", "After incr_version of the detail: is the label still found?", ["yes", "no"])

# %% tags=["answer"]
actions = {
    "get(key, version=2)": after_it(lambda: None, version=2),
    "incr_version(detail)": after_it(lambda: cache.incr_version(DETAIL)),
    "incr_version(detail), then version=2": after_it(lambda: cache.incr_version(DETAIL), version=2),
    '"VERSION": 2 in settings': after_it(lambda: None, look=another(VERSION=2)),
    '"KEY_PREFIX": "new" in settings': after_it(lambda: None, look=another(KEY_PREFIX="new")),
}
reveal("08.version", "yes" if actions["incr_version(detail)"][1] else "no")
pd.DataFrame.from_dict(actions, orient="index", columns=["detail", "label", "on the server"]).fillna("nothing")

# %% tags=["answer"]
cache.set(DETAIL, "a", 600)
cache.incr_version(DETAIL)
lives = cache._cache.get_client().ttl(cache.make_key(DETAIL, version=2))
print(f"stored for 600 seconds; after incr_version it lives for 300 at most: {0 < lives <= 300}")

# %% [markdown]
# Who asks for another number finds nothing. `incr_version` moves one value to the next number, for Django's own 300 seconds. Nobody else is
# told: who asks without a number misses it, who asks for the label finds the old one. The two settings are a generation of the whole cache,
# changed by a deploy. Between one key and the whole cache, for one product, Django has nothing: that is what the random generation in the key is for.
#
# ### A deploy that changes a value's shape · minute 85
#
# The next release keeps cents in place of a text. While it is rolled out, old and new workers answer, and both use one server.


# %%
def old_code(name):
    card = cache.get_or_set(name, lambda: {"name": "Arc lamp", "price": "10.00"}, 600)
    return f"{card['name']}: {card['price']}"


def new_code(name):
    card = cache.get_or_set(name, lambda: {"name": "Arc lamp", "cents": 1000}, 600)
    return f"{card['name']}: {card['cents'] / 100:.2f}"


def rolled_out(first, then, called):
    lab.empty_cache()
    answers = []
    for code in (first, then):
        try:
            answers.append(code(called[code]))
        except KeyError as error:
            answers.append(f"KeyError: {error}")
    return answers


# %%
predict("08.deploy", "Who fails during the rollout?", ["new code, on old entries", "old code, on new entries", "both"])

# %% tags=["claim:K1", "answer"]
one_name = {old_code: key("product", 42, "card"), new_code: key("product", 42, "card")}
by_shape = {old_code: key("product", 42, "card"), new_code: key("product", 42, "card", shape=2)}
runs = {}
for how, called in {"one name": one_name, "a name for each shape": by_shape}.items():
    runs[f"{how}, old code first"] = rolled_out(old_code, new_code, called)
    runs[f"{how}, new code first"] = rolled_out(new_code, old_code, called)
one = [runs[f"one name, {which} code first"][1].startswith("KeyError") for which in ("old", "new")]
reveal("08.deploy", "both" if all(one) else "new code, on old entries" if one[0] else "old code, on new entries")
pd.DataFrame.from_dict(runs, orient="index", columns=["the first", "then the other"])

# %% [markdown]
# **Who stores first decides who fails**, and clearing the cache at the end of the deploy comes too late: the errors come during the rollout.
# The shape of a value varies it as the language does, so it belongs in the key. But one thing follows from two names: who invalidates? An
# old worker that changes the price deletes the name that it knows. In a namespace it need not know the other:

# %% tags=["answer"]
lab.empty_cache()
old_name, new_name = by_shape[old_code], by_shape[new_code]
cache.set_many({old_name: "10.00", new_name: 1000}, 600)
product.get_or_set("card", lambda: "10.00", 600)
product.get_or_set("card", lambda: 1000, 600, shape=2)
cache.delete(old_name)  # all that the old code knows
product.bump()  # and this reaches every shape
print("deleted by its name, the new shape still says", cache.get(new_name))
print("bumped, the new shape says", product.get_or_set("card", lambda: 2000, 600, shape=2))

# %% [markdown]
# ### Exercise 8.3 (10 minutes): two releases, one cache
#
# `old_card` is what is running: it keeps a dict with `name_en` and `price` as `card` of the product. The next release shows the stock too,
# and keeps `name`, `cents` and `stock`, all three. Write its `new_card(pk)`, which answers "Arc lamp: 10.00, 3 left". Both run side by
# side for an hour: no error, each is computed once, and a bump by either forgets both.


# %%
def old_card(pk):
    def row():
        return Product.objects.values("name_en", "price").get(pk=pk)

    card = Namespace("product", pk).get_or_set("card", row, 600)
    return f"{card['name_en']}: {card['price']:.2f}"


# %% tags=["exercise"]
def new_card(pk):
    # solution-begin
    def row():
        found = Product.objects.get(pk=pk)
        return {"name": found.name_en, "cents": int(found.price * 100), "stock": found.stock}

    card = Namespace("product", pk).get_or_set("card", row, 600, shape=2)
    return f"{card['name']}: {card['cents'] / 100:.2f}, {card['stock']} left"
    # solution-end
    # starter: return ...  # the product's namespace, and a name that old_card does not use


# %%
check("8.3", new_card)

# %% [markdown]
# <details><summary>Hint 1</summary>Whatever old_card stores, new_card must not read, and the other way round: another name. A bump reaches both if both hang on one generation.</details>
# <details><summary>Hint 2</summary><code>Namespace("product", pk)</code> is the same thing in both. What differs comes after it.</details>
# <details><summary>Hint 3</summary><code>.get_or_set("card", row, 600, shape=2)</code></details>
# <details><summary>What you should see</summary>"8.3 Right", with one query for each release, and one more each after a bump.</details>
#
# ### Django's own keys, framed late · minute 103
#
# A fragment's key is a hash of what it varies on, joined by colons; a page's key is a hash of its headers' values, joined by nothing. So:

# %% tags=["claim:K1", "answer"]
from django.core.cache.utils import make_template_fragment_key
from django.views.decorators.cache import cache_page
from django.views.decorators.vary import vary_on_headers


@cache_page(60)
@vary_on_headers("X-Store", "X-User")
def account(request):
    return HttpResponse(f"store {request.headers['X-Store']}, user {request.headers['X-User']}")


account_url = lab.mount("account/", account)
for store, user in (("1", "12"), ("11", "2")):
    page = lab.client().get(account_url, headers={"X-Store": store, "X-User": user})
    print(f"store {store}, user {user} reads: {page.text}")
alike = make_template_fragment_key("box", ["a:b"]) == make_template_fragment_key("box", ["a", "b"])
print(f"the fragments of ['a:b'] and ['a', 'b'] share a key: {alike}")

# %% [markdown]
# The change of June 2026 writes the length before each part. Until you have it: one header that holds both, or `key(store, user)` as the one
# variable of a fragment.

# %% tags=["claim:K1", "answer"]
framed = [make_template_fragment_key("box", [key(*parts)]) for parts in (["a:b"], ["a", "b"])]
print(f"framed first, they have a key each: {framed[0] != framed[1]}")

# %% [markdown]
# ### One look-up in place of two · minute 107
#
# A hit in a namespace costs two round trips, one after the other. `Stamped` keeps the generation inside the value, under a name without it, and
# fetches both at once. A value of another generation counts as a miss, and is overwritten when it is asked for again.

# %% tags=["answer"]
from tutorial_project.caching.generations import Stamped


def round_trips(ask, bump):
    lab.empty_cache()
    bump()
    counted = []
    for _ in range(2):
        with lab.meter() as reading:
            ask()
        counted.append(reading.trips["default"])
    bump()
    ask()
    return [*counted, sum("price" in name for name in keys_below("product:42"))]


stamped, PRICE = Stamped("product", 42), "product:42:price"
ways = {
    "one key, deleted": round_trips(lambda: cache.get_or_set(PRICE, price, 600), lambda: cache.delete(PRICE)),
    "Namespace": round_trips(lambda: product.get_or_set("price", price, 600), product.bump),
    "Stamped": round_trips(lambda: stamped.get_or_set("price", price, 600), stamped.bump),
}
pd.DataFrame.from_dict(ways, orient="index", columns=["a miss", "a hit", "entries after a bump and a read"])


# %% tags=["claim:K3", "answer"]
def stamped_reader():
    return stamped.get_or_set("price", price, 600)


def stamped_writer():
    change(stamped.bump_on_commit)


explore(stamped_reader, stamped_writer, given=given, never=stale_for(stamped_reader))

# %% [markdown]
# Three steps in place of four, so 20 orders in place of 35, and none is bad.
#
# %% [markdown]
# ### In production
#
# - Settings: none for keys. A `maxmemory` and `allkeys-lru` on the server that holds namespaces; a `KEY_PREFIX` for each environment.
# - Monitoring: entries on the server against entries in reach; misses of the generations: one for each thing at first, then none (a rise
#   means that they are lost); `evicted_keys` in `INFO`; and in the slow log any `KEYS`, which can be forbidden by an ACL (`-keys`).
# - Limits: a bump is a write that can fail or be lost. Values have a timeout, and it is your bound.
# - Which library: `django-redis` has `delete_pattern`, a search in portions. `django-cacheops` and `cashews` keep sets of keys by
#   tag, which makes clearing as dear as the set is long. Memcached has no search at all: there the generation is the only way.
#
# ### Further reading
#
# - Martin Atkins on [the memcached list, February 2006](https://lists.danga.com/pipermail/memcached/2006-February/002000.html): the counter in the key,
#   with its price in memory and its race, twenty years ago.
# - Redis, [SCAN](https://redis.io/docs/latest/commands/scan/): what it promises about keys that come and go while it looks.
# - django-cache-memoize, [issue 32](https://github.com/peterbe/django-cache-memoize/issues/32): `a:b` and `c`, or `a` and `b:c`, in a library.
# - johnny-cache, [pull request 50](https://github.com/jmoiron/johnny-cache/pull/50): two queries, one key, since nothing stood between their parameters.
# - PostHog, [pull request 22105](https://github.com/PostHog/posthog/pull/22105): a payload changed its shape, and the key got a version.

# %% [markdown]
# **Next:** `09_stampedes` asks what happens in the second after a bump, when everybody misses at once. How far you are: `progress()`.
