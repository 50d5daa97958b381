# minutes: 30, 75
# %% [markdown]
# # Tell the cache what changed
#
# {{header}}
#
# February 2023, Zulip, a chat server built on Django. Somebody signs up, opens the app, and gets a blank page: `Unknown user_id in
# get_by_user_id: 12345`. It is their own number. The list of users in the cache lacks them, and will for seven days, although a
# receiver of `post_save` had cleared it: "while the transaction is still open, and thus the new user is not visible in the
# database" ([zulip/zulip, pull request 24414](https://github.com/zulip/zulip/pull/24414)). Somebody else had filled it again.
#
# **You will see** one deletion lose against one reader in most orders of their steps, and the same deletion, later, in few.
# **You will learn** which writes send no signal, how to write down which keys a change touches, and where a deletion must stand.
# **You need** notebooks `05_low_level` and `06_ttl`, or to know what a kept value and its seconds are.
#
# New on the bench: `with lab.layered(events=True):` is the layered shop with its receivers connected; `explore` runs a few
# functions in every order in which their steps can follow each other.

# %%
import pandas as pd
from django.core.cache import cache
from django.db import connection, transaction
from IPython.display import display
from tutorial_project.lab import Origin, boot, check, explore, predict, quiz, reveal, simulate

lab = boot("07_events")
lab

# %% [markdown]
# Two questions on notebook 05, before anything new.

# %%
quiz("07.1")

# %%
quiz("07.2")

# %% [markdown]
# ## What a change leaves behind · minute 3
#
# Half an hour of the recorded noon: all that concerns the products whose price was changed in it. GET is a visit of a product's page,
# POST a new price.

# %%
from tutorial_project.lab.stale_pages import about_changes, stale_pages, stale_reads

noon = about_changes(lab.traffic(None, "12:20"), minutes=30)
noon["method"].value_counts().to_frame()

# %% [markdown]
# The layered shop keeps a product's details for a minute. A replay takes a second or two, so nothing runs out in it. Each page that
# is shown is compared with the price that the database has at that moment.

# %%
predict("07.stale", "How many of the 51 visits are shown an old price?", [0, 10, 37, 51])

# %% tags=["claim:E1", "answer"]
with lab.layered():
    before, seen = lab.replay(noon), stale_reads(lab, noon)
reveal("07.stale", int(seen["stale"].sum()))
lab.scoreboard(a_minute_each=before)

# %% [markdown]
# A fine scoreboard. It says nothing of 37 wrong prices: a stale answer is a hit. Now the same requests, and whoever changes a
# price also deletes what was kept of it.

# %% tags=["claim:E1", "answer"]
with lab.layered(events=True):
    cleared, seen = lab.replay(noon), stale_reads(lab, noon)
print(f"shown an old price: {seen['stale'].sum()} of {len(seen)} visits")

# %% [markdown]
# **Delete on change, and the next read is fresh**, where one request comes after the other, as here. (Two at once come at minute 19.) Against a TTL that must be compared on the recorded clock: the whole day, all visits
# of the products whose price was changed in it, on the virtual clock of notebook `06`.

# %%
day = about_changes(lab.traffic(None, "00:00"))
events = list(zip(day["t"], day["path"].str.split("/").str[2].astype(int), strict=True))
changes = [event for event, method in zip(events, day["method"], strict=True) if method == "POST"]
visits = [event for event, method in zip(events, day["method"], strict=True) if method == "GET"]
print(f"{len(visits):,} visits, {len(changes)} changes, {day['path'].str.split('/').str[2].nunique()} products")


# %%
def a_day(ttl, delete):
    origin = Origin(seconds=0.05)

    def read(pk):
        return cache.get_or_set(f"product:{pk}:detail", lambda: origin.read(pk), ttl)

    def change(pk):
        origin.write(pk)
        if delete:
            cache.delete(f"product:{pk}:detail")

    run = simulate({read: visits, change: changes}, seconds=86_400, origin=origin)
    stale = run.requests.query("stream == 'read'")
    return [f"{run.hit_ratio:.2f}", int(stale["stale"].sum()), int(stale["behind"].max())]


# %%
predict("07.day", "A TTL of an hour and no deletion: how many of the visits are stale?", [4, 97, 2890])

# %% tags=["claim:E1", "answer"]
ways = {"60 s": (60, False), "600 s": (600, False), "3,600 s": (3600, False)}
ways |= {"3,600 s, deleted on change": (3600, True), "a day, deleted on change": (86_400, True)}
table = {name: a_day(*way) for name, way in ways.items()}
reveal("07.day", table["3,600 s"][1])
pd.DataFrame.from_dict(table, orient="index", columns=["hit ratio", "stale visits", "seconds behind, at most"])

# %% [markdown]
# **What just happened.** A TTL alone buys hits with old prices, one for the other. With deletion the two come apart: nothing is stale, so
# the entry may live for a day, and is found more often than with any of the TTLs.
#
# ### Play with it
#
# Other seconds. Where does the TTL stop to matter, if every change is told?

# %% tags=["knobs"]
ttl, delete = 6 * 3600, True

a_day(ttl, delete)

# %% [markdown]
# > **Keep this.** A TTL says how long you may be wrong. A deletion on change can end it at the change, if it is told.
#
# ## Django says what it writes, mostly · minute 8
#
# Who deletes? Not each view that writes: there are many, and one will forget. Django sends a **signal** with each save, and whoever
# has asked for it is called: a receiver. `hearing` lists the signals of a block, and which receivers ran.

# %%
from tutorial_project.lab.hearing import hearing
from tutorial_project.shop.models import Category, Product, Review

product = Product.objects.filter(pk=42)  # asked anew each time: a queryset is a question
lamp = {"name_en": "Lamp", "name_de": "Lampe", "tenant_id": 1, "category_id": 9, "price": 9}
kinds = {
    "a product is created": lambda: Product.objects.create(**lamp),
    "a product is saved": lambda: product.get().save(),
    "a product is deleted": lambda: Product.objects.filter(name_en="Lamp").delete(),
    "a tag is put on it": lambda: product.get().tags.add(40),
    "its tags are cleared": lambda: product.get().tags.clear(),
    "it is reviewed": lambda: Review.objects.create(product_id=42, customer_id=1, rating=1),
    "a category is renamed": lambda: Category.objects.get(pk=9).save(),
}

# %% tags=["claim:E2", "answer"]
rows = {}
with lab.layered(events=True):
    for kind, act in kinds.items():
        with hearing() as heard:
            act()
        ran = dict.fromkeys(name for signal in heard for name in signal.receivers)
        rows[kind] = [", ".join(map(str, heard)), ", ".join(ran)]
with pd.option_context("display.max_colwidth", None):
    display(pd.DataFrame.from_dict(rows, orient="index", columns=["signals", "receivers that ran"]))

# %% [markdown]
# Each change is told, with the model that sent it, and `Touches`, the shop's map, answers each: before a save it looks up the row as
# it was, after it the row as it is. (A signal with `pre_` comes before the statement, one with `post_` after it.)
#
# That is all there is to connect. Now eleven ways in which code changes what product 42's page shows. All of them are in Django's
# documentation, and after each of them the database is right.


# %%
def cheaper():
    found = product.get()
    found.price = 1
    return found


def sql(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


# %%
one_star = {"product_id": 42, "customer_id": 1, "rating": 1}
through = Product.tags.through.objects
ways = {
    "save()": lambda: cheaper().save(),
    "tags.add()": lambda: product.get().tags.add(40),
    "tags.clear()": lambda: product.get().tags.clear(),
    "reviews.delete()": lambda: Review.objects.filter(product=42).delete(),
    "update()": lambda: product.update(price=1),
    "bulk_update()": lambda: Product.objects.bulk_update([cheaper()], ["price"]),
    "bulk_create() of reviews": lambda: Review.objects.bulk_create([Review(**one_star)]),
    "category.products.add()": lambda: Category.objects.get(pk=12).products.add(product.get()),
    "the through table": lambda: through.create(product_id=42, tag_id=40),
    "its rows deleted": lambda: through.filter(product=42).delete(),
    "raw SQL": lambda: sql("UPDATE shop_product SET price = 1 WHERE id = 42"),
}

# %%
predict("07.silent", "How many of these eleven send a signal after the change?", [4, 7, 10, 11])


# %%
def after(write, remedy=lambda: None):
    lab.restore_database()
    lab.empty_cache()
    lab.visit("/product/42/")
    with hearing() as heard:
        write()
    remedy()
    return [signal for signal in heard if "pre_" not in str(signal)], bool(stale_pages(lab, ["/product/42/"]))


# %% [markdown]
# Each way is tried twice: as it stands, and with a remedy: `TOUCHES.tell` is given the rows that have changed, as the receivers would be.

# %% tags=["claim:E5", "answer"]
from tutorial_project.shop.invalidation import TOUCHES

table = {}
with lab.layered(events=True):
    for way, write in ways.items():
        (heard, old), (_, told) = after(write), after(write, lambda: TOUCHES.tell(product))
        table[way] = [", ".join(dict.fromkeys(map(str, heard))) or "none", old, told]
silent = pd.DataFrame.from_dict(table, orient="index", columns=["signal", "page stale", "with tell()"])
reveal("07.silent", int((silent["signal"] != "none").sum()))
silent

# %% [markdown]
# **What just happened.** Django sends a signal where it has an instance in its hands: save, delete (a queryset's too: it fetches its rows for those who listen), and the many-to-many managers. A
# queryset's update, the bulk methods and what the through table is told are one statement, with no instance. (`category.products.add`
# is such an update, too.) The remedy is the same for all: say which rows it was.
#
# > **Keep this.** Signals tell of instances. Whoever writes past them must tell, or let nobody write past them.
#
# ## Which keys · minute 14
#
# `TOUCHES` is a map: from a model to functions that say, for one row, which keys show something of it. Two of the shop's, from
# `tutorial_project/shop/invalidation.py`:
#
# ```python
# @TOUCHES.when(Product, before=False)
# def details(product):
#     yield f"product:{product.pk}:detail"
#
# @TOUCHES.when(Product, fields=("category",))
# def counts(product):
#     yield "navigation"               # the menu says how many products lie in each category
# ```
#
# Product 6 is a best seller; something of it stands on many pages. `touched` has all kept that the shop keeps, makes a change, has it all
# kept anew, and compares. What differs **had to** be cleared. What **was** cleared, the map said.


# %%
from tutorial_project.lab.touched import touched


def edit(**fields):
    quilt = Product.objects.get(pk=6)
    for name, value in fields.items():
        setattr(quilt, name, value)
    quilt.save()


# %%
predict("07.keys", "Product 6 becomes the dearest of its shelf. How many kept entries are wrong now?", [1, 4, 11])

# %% tags=["claim:E3", "answer"]
with lab.layered(events=True):
    keys = touched(lab, lambda: edit(price=999))
reveal("07.keys", int(keys["had_to"].sum()))
with pd.option_context("display.max_colwidth", None, "display.width", 200):
    display(keys)

# %% [markdown]
# One price: the product's own details, the listings of two categories and the figures of both, the ranking, the best of the shelf in two
# languages, the figures of its store. The sidebar was cleared in vain: the map does not ask who stands in it. And the home page
# that strangers get was not cleared, although it shows the price: Django has no call that deletes one page (notebook `03`), so its
# seconds are all it has, and the contract says so.
#
# **Too much is slow, too little is wrong.** And what is wrong is invisible: it is a hit. Take one rule out of the map, the one for
# the shelves, and let the product move to another. Sami, who is staff of its store, has opened four pages on which it stands. Is there a
# test that notices?

# %%
pages = ["/", "/product/6/", "/category/living/", "/category/blankets-and-cushions/"]


def stale_after(**fields):
    lab.restore_database()
    lab.empty_cache()
    for path in pages:
        lab.visit(path, "sami.patel38")
    edit(**fields)
    return stale_pages(lab, pages, "sami.patel38")


# %%
predict("07.missing", "Without that rule, how many of the four pages are stale?", [0, 1, 2, 4])

# %% tags=["claim:E4", "answer"]
from tutorial_project.shop import invalidation


with lab.layered(events=True):
    whole = stale_after(category_id=9)
    with TOUCHES.without(invalidation.shelves):
        lacking = stale_after(category_id=9)
reveal("07.missing", len(lacking))
print(f"the whole map: {whole}\nwithout the shelves: {lacking}")

# %% [markdown]
# **What just happened.** The test knows nothing of keys. It opens the pages, changes a row, opens them again, and once more from an empty
# cache: whatever differs is stale. Both of the shelves that lost the product still show it. (Its new shelf would too, had somebody opened
# it: a rule is asked for the row as it was and as it is, and names both.)
#
# ### Play with it
#
# Another rule out of the map (`details`, `rankings`, `boxes`, `counts`), another edit. Which rule is hardest to miss?

# %% tags=["knobs"]
rule, fields = invalidation.details, {"name_en": "Quilt Boreas"}

with lab.layered(events=True), TOUCHES.without(rule):
    missed = stale_after(**fields)
missed

# %% [markdown]
# > **Keep this.** Write the map down once, beside the models, and test it by pages, as each kind of visitor: warm, change, compare with an empty cache.
#
# ## When: before the commit, or after it · minute 19
#
# Back to Zulip's blank page. The keys were right, the signal came, the deletion was done, and the old value was there again. Between
# two requests at the same time there is an order, and it decides. A reader of product 42's price, in three steps: it looks, reads
# the row, stores. And two writers, with the same deletion in two places:


# %%
def price():
    return product.values_list("price", flat=True).get()


def reader():
    if cache.get("product:42:price") is None:
        cache.set("product:42:price", price(), 600)


def in_the_transaction():
    with transaction.atomic():
        product.update(price=20)
        cache.delete("product:42:price")


def on_commit():
    with transaction.atomic():
        product.update(price=20)
        transaction.on_commit(lambda: cache.delete("product:42:price"))


# %% [markdown]
# The first is what a receiver of `post_save` does, wherever a save is part of a transaction: in Django's admin, whose views all are, and
# with `ATOMIC_REQUESTS`. `explore` runs both functions on the real database, each with a connection of its own, and puts one aside for
# the other before every cache call, every statement and the commit. It begins with `fresh` each time, and counts the
# orders after which `stale` is true: a price is kept, and the database has another one.


# %%
def fresh():
    product.update(price=10)


def stale(end):
    return cache.get("product:42:price") not in (None, price())


# %%
predict(
    "07.orders", "Three steps each: 20 orders. How many end stale with the deletion in the transaction?", [1, 3, 12, 20]
)

# %% tags=["claim:E6", "answer"]
early = explore(in_the_transaction, reader, given=fresh, never=stale)
late = explore(on_commit, reader, given=fresh, never=stale)
reveal("07.orders", early.bad)
print(f"deleted in the transaction: {early}\ndeleted on commit:          {late}")

# %% [markdown]
# One of the twelve, none is shorter. Read it from the top: what does the deletion find to delete, and which row does the reader see?

# %% tags=["claim:E6", "answer"]
early.figure()

# %% [markdown]
# The deletion is too early for everybody who comes before the commit: until then the database shows them the old row, rightly, and they
# keep it. Nobody will delete again. `transaction.on_commit` calls its function after the commit, and not at all if there is none.
# That takes nine of the twelve away. And the other three?

# %% tags=["claim:E6", "answer"]
late.figure()

# %% [markdown]
# A reader that read the row before the commit, and stores it after the deletion. It need not be slow: a page that computes for a second
# has that second in the middle. No better moment for the deletion is left; so much for deletion.
#
# The shop itself goes the same way. `kept.product_detail` asks three queries; the admin's edit is a `save` in a transaction. First a
# receiver that deletes at once, as Zulip's did, then the shop's map. So many steps have thousands of orders; these are the ones in
# which somebody is interrupted at most twice.


# %%
from django.db.models.signals import post_save
from tutorial_project.shop import kept


def page():
    return kept.product_detail(42)


def admin():
    with transaction.atomic():
        cheaper().save()


def page_stale(end):
    return page()["product"].price != price()


def at_once(instance, **_):
    cache.delete(f"product:{instance.pk}:detail")


# %% tags=["claim:E6", "answer"]
post_save.connect(at_once, sender=Product)
receiver = explore(admin, page, given=fresh, never=page_stale, preemptions=2)
post_save.disconnect(at_once, sender=Product)
with TOUCHES.connected():
    mapped = explore(admin, page, given=fresh, never=page_stale, preemptions=2)
for name, found in {"a receiver, at once": receiver, "the map, on commit": mapped}.items():
    print(f"{name}: {found} ({found.bad / found.orders:.0%})")

# %% [markdown]
# Count for count nothing seems gained: the map asks queries of its own, so there are more orders, and as many of them are bad. The
# shares tell. (The counts of 20 above compare directly: there the steps are the same, and stand in another order.)
#
# > **Keep this.** Delete after the commit. Whoever deletes before it deletes too early for everyone who reads in between.
#
# ### And when nothing is committed · minute 22
#
# Signals are sent when a statement has run, and the transaction may still fail. Three receivers of `post_save`, and a save that is
# rolled back. The price is 10, and kept.


# %%
def deletes(instance, **_):
    cache.delete("product:42:price")


def stores(instance, **_):
    cache.set("product:42:price", instance.price, 600)


def waits(instance, **_):
    transaction.on_commit(lambda: cache.delete("product:42:price"))


# %%
def rolled_back(receiver):
    lab.empty_cache()
    fresh()
    reader()
    post_save.connect(receiver, sender=Product)
    with transaction.atomic():
        cheaper().save()
        transaction.set_rollback(True)
    post_save.disconnect(receiver, sender=Product)
    return [str(cache.get("product:42:price", "nothing")), str(price())]


# %% tags=["claim:E6", "answer"]
table = {receiver.__name__: rolled_back(receiver) for receiver in (deletes, stores, waits)}
pd.DataFrame.from_dict(table, orient="index", columns=["kept", "in the database"])

# %% [markdown]
# The first has deleted a price that was true, which costs a query. The second keeps one that never was. The third's callback has not been called.
#
# ### Play with it
#
# The same two actors, and a deletion where you like: before the update, twice, after the block. Which one beats 3 of 20? (Where
# the number of orders differs, compare the shares. The table in Deeper has most of them.)


# %% tags=["knobs"]
def mine():
    with transaction.atomic():
        product.update(price=20)
    cache.delete("product:42:price")


explore(reader, mine, given=fresh, never=stale)

# %% [markdown]
# ### Exercise 7.1 (5 minutes): the import that clears too early
#
# A nightly import writes new prices, all or none, and deletes what was kept of each product. With two thousand prices the transaction
# takes a minute, and in the morning some pages show yesterday's. Repair it: the keys of what was imported are deleted when the
# import is committed, whoever has begun the transaction, and none of them if it fails.

# %% tags=["exercise"]
from tutorial_project.shop.models import Product


def import_prices(prices):
    # solution-begin
    with transaction.atomic():
        for pk, price in prices.items():
            Product.objects.filter(pk=pk).update(price=price)
        keys = [f"product:{pk}:detail" for pk in prices]
        transaction.on_commit(lambda: cache.delete_many(keys))
    # solution-end
    # starter: with transaction.atomic():
    # starter:     for pk, price in prices.items():
    # starter:         Product.objects.filter(pk=pk).update(price=price)
    # starter:         cache.delete(f"product:{pk}:detail")


# %%
check("7.1", import_prices)

# %% [markdown]
# <details><summary>Hint 1</summary>Which prices does a reader find while the loop is still running? And what does it do with them?</details>
# <details><summary>Hint 2</summary><code>transaction.on_commit</code> takes a function without arguments and calls it later, when the loop is over: what is <code>pk</code> by then?</details>
# <details><summary>Hint 3</summary>Make the list of keys first, then <code>transaction.on_commit(lambda: cache.delete_many(keys))</code>.</details>
# <details><summary>What you should see</summary>"7.1 Right", stale in 3 of 20 orders where it was 12.</details>

# %% [markdown]
# ### Two questions

# %%
quiz("07.3")

# %%
quiz("07.4")

# %% [markdown]
# ## Recap · minute 28

# %% tags=["answer"]
lab.scoreboard(a_minute_each=before, deleted_on_change=cleared)

# %% [markdown]
# The same half hour. Deletion costs a few hits and the queries that go with them: ten changes, and after each somebody computes
# anew. Thirty-seven visits were wrong on the left and none on the right, which no scoreboard shows.
#
# | when | cost | how it fails | lines |
# |---|---|---|---|
# | what is kept must be right at once, and those who write it can be heard | a query before each save, a deletion after each commit | a write without a signal; a key that is not in the map; a deletion before the commit; 3 of 20 | `@touches.when(Product)`, `touches.connect()` |
#
# **Tomorrow at work** (10 minutes): search your code for `cache.delete`. At each: is it inside `atomic()`, a receiver, `ATOMIC_REQUESTS`
# or the admin? Then search for `.update(` and `bulk_`: is anything kept of these rows?
#
# And the three of twenty? A deletion cannot mend them, for it is over when the old value comes. The right to store can: notebook `08`
# puts a **generation** into the key, `09` hands out **leases**, `11` writes the new value itself.

# %% [markdown] tags=["instructor"]
# **For the instructor.** 30 minutes: three for the questions, five for the day on the virtual clock, six for the ways to write, five for the
# map, seven for the orders, four for exercise 7.1. Deeper is a second session: what on_commit costs (10), what no remedy covers (10),
# nineteen strategies (5), exercises 7.2 and 7.3 at home.
#
# *Likely misconceptions.* "post_save comes after the commit": it comes after the statement. "on_commit is safe": it is four times better.
# "Deleting twice helps": it is counted in Deeper. "We use save() everywhere": ask for the admin's actions, migrations, imports, and
# `related.add()`.
#
# *For discussion.* Which of your writes come from outside Django? Who would tell the cache of those, and within which seconds would you
# notice that nobody did?

# %% [markdown]
# ## Deeper · minute 30
#
# ### Break it: what on_commit costs
#
# **The same transaction reads its old cache.** Zulip met it on trying to move their deletions to the commit: code that saves, and then
# reads what is kept, gets the value from before its own change ([issue 30995](https://github.com/zulip/zulip/issues/30995)).

# %%
predict(
    "07.own", "A transaction sets the price from 10 to 1 and reads it through the cache. What does it get?", [1, 10]
)

# %% tags=["answer"]
fresh()
with lab.layered(events=True):
    kept.product_detail(42)
    with transaction.atomic():
        cheaper().save()
        own, row = kept.product_detail(42)["product"].price, price()
    later = kept.product_detail(42)["product"].price
reveal("07.own", int(own))
print(f"in the transaction: {own} from the cache, {row} from the database; after it: {later} from the cache")

# %% [markdown]
# You would have noticed it in an answer that shows its own change only after a reload. Within a transaction, ask the database for what you
# have written, past the cache: what it has not committed, nobody else may be given.
#
# **One callback that fails skips the rest.** A mail is sent on commit, and then the keys are deleted. The mail server is away.


# %%
def send_mail():
    raise ConnectionError("the mail server is away")


def change_and_tell(**how):
    fresh()
    reader()
    with transaction.atomic():
        product.update(price=20)
        transaction.on_commit(send_mail, **how)
        transaction.on_commit(lambda: cache.delete("product:42:price"))


# %% tags=["answer"]
import logging

logging.getLogger("django.db.backends.base").disabled = True  # robust ones are logged there, with a traceback
for how in ({}, {"robust": True}):
    try:
        change_and_tell(**how)
        said = "nothing"
    except ConnectionError as error:
        said = type(error).__name__
    print(f"on_commit(send_mail{', robust=True' if how else ''}): raises {said}; kept {cache.get('product:42:price')}")
logging.getLogger("django.db.backends.base").disabled = False

# %% [markdown]
# The row is committed in both. In the first the deletion never ran, and 10 is kept for as long as its seconds say; the visitor got an
# error page for a change that was made. `robust=True` logs the error and goes on. The shop's map registers all its callbacks so.
#
# **Tests that never see it.** Django's `TestCase` wraps each test in a transaction and rolls it back, so nothing is ever committed, and no
# callback runs.

# %%
import io
import unittest

from django.test import TestCase


class ThePriceIsCleared(TestCase):
    def setUp(self):
        fresh()
        reader()

    def test_plainly(self):
        on_commit()
        self.assertIsNone(cache.get("product:42:price"))

    def test_with_its_callbacks(self):
        with self.captureOnCommitCallbacks(execute=True):
            on_commit()
        self.assertIsNone(cache.get("product:42:price"))


# %% tags=["answer"]
def result(test):
    outcome = unittest.TextTestRunner(io.StringIO()).run(unittest.TestSuite([ThePriceIsCleared(test)]))
    return "passes" if outcome.wasSuccessful() else "fails"


{test: result(test) for test in ("test_plainly", "test_with_its_callbacks")}

# %% [markdown]
# The first fails and the code is right; worse is the one that asserts the old value, and passes. `captureOnCommitCallbacks(execute=True)`
# runs what would have been called, at the end of its block. (A `TransactionTestCase` commits for real, and is slower.)
#
# ### What no remedy covers · minute 40
#
# Four ways to be stale with every line of this notebook in place. **The process dies between its commit and its callbacks.** Here is one:
# another process on this notebook's database and cache server, with the shop's map connected. Something ends it at that moment.

# %% tags=["answer"]
from decimal import Decimal

from tutorial_project.lab.killed import killed_after_commit
from tutorial_project.shop import contract


def kept_and_true():
    return kept.product_detail(42)["product"].price, price()


lab.empty_cache()
fresh()
kept_and_true()
print(killed_after_commit(42, Decimal("20.00")))
print("kept {}, in the database {}".format(*kept_and_true()))

# %% [markdown]
# **A writer outside the ORM**: another program, a script of the database's own, a person at its prompt. Nothing in Django runs.

# %% tags=["answer"]
import sqlite3

fresh()
with lab.layered(events=True):
    kept_and_true()
    with sqlite3.connect(connection.settings_dict["NAME"]) as elsewhere:
        elsewhere.execute("UPDATE shop_product SET price = 20 WHERE id = 42")
    elsewhere.close()
    print("kept {}, in the database {}".format(*kept_and_true()))

# %% [markdown]
# **A replica that lags.** The change and its deletion go to the first database and the cache, at once. The next reader misses, and asks a
# copy that has not heard of the change yet.

# %% tags=["answer"]
from tutorial_project.lab import replica

fresh()
replica.copy_default()
with lab.layered(events=True):
    cheaper().save()
    with replica.reading_from("replica"):
        kept.product_detail(42)
    replica.copy_default()
    print("the copy has caught up: kept {}, in the database {}".format(*kept_and_true()))

# %% [markdown]
# **The deletion is lost**, because the cache server is away at that second. That one is not shown here: it is in notebook
# `14_distributed`; more than one replica is in `16_beyond_one_machine`.
#
# All four end when the entry does. So the TTL stays, as the bound on what nobody told. And somebody should look: take what is kept, compute
# what it would be now, and count the differences. The contract of notebook `06` can do both:

# %% tags=["answer"]
from tutorial_project.lab.entries import entries

with lab.layered():
    for pk in range(40, 45):
        kept.product_detail(pk)
    fresh()
    differ = [key for key in entries() if not contract.same(cache.get(key), contract.truth(key))]
print(f"kept: {len(entries())}" if not differ else f"stale: {differ}")

# %% [markdown]
# You would have noticed: run that on a sample of your keys, every minute, and draw the count. Facebook has a service for it, Polaris,
# which watches its caches from outside ([Cache made consistent](https://engineering.fb.com/2022/06/08/core-infra/cache-made-consistent/)).
#
# ### Nineteen strategies, each in every order · minute 50
#
# `tutorial_project/lab/orders.py` has them, a few lines each, wrong ones and right ones. `share` is that of the orders that end
# stale. Look for the zeros, and at what they cost.

# %% tags=["answer"]
from tutorial_project.lab import orders

orders.table()

# %% [markdown]
# Read it in four groups. **Deletions**: after the write beats before it, after the commit beats within it, and a second one helps only if it
# comes later than the slowest reader. **Writing the value**: in the transaction it is as bad as a deletion there, and a rollback
# leaves what never was; on commit it is as good as a deletion, and with readers that `add` it is right, until two writers meet. **Locks**: a reader
# that holds the row's lock while it stores cannot be overtaken, and misses wait for each other. **A generation** read before the row and bumped on commit, and **a lease**, take
# the right to store from whoever read too early: they are the next two notebooks' business.
#
# ### Exercise 7.2 (10 minutes): a map of your own
#
# A box shows the three cheapest products of a category, each with its store: "Quilt Zephyr, Maple and Moss". It is kept under
# `category:<number>:cheapest`, from here on for a whole day. So it must be told. Write its map: which keys does a product touch, and which
# a store? We will change prices and names, create, delete and move products, and rename a store.

# %% tags=["exercise"]
from tutorial_project.caching.invalidation import Touches
from tutorial_project.shop.models import Product, Tenant

touches = Touches()


@touches.when(Product)
def boxes_with(product):
    # solution-begin
    yield f"category:{product.category_id}:cheapest"
    # solution-end
    # starter: ...  # yield each key that shows something of this product


@touches.when(Tenant)
def boxes_of_store(store):
    # solution-begin
    for category in Category.objects.filter(products__tenant=store).distinct():
        yield f"category:{category.pk}:cheapest"
    # solution-end
    # starter: ...


# %%
check("7.2", touches)

# %% [markdown]
# <details><summary>Hint 1</summary>A row knows its category by number: <code>product.category_id</code>. No query is needed for that key.</details>
# <details><summary>Hint 2</summary>A product that moves touches two keys. <code>when</code> asks your function twice, for the row as it was and as it is.</details>
# <details><summary>Hint 3</summary>For a store: <code>Category.objects.filter(products__tenant=store).distinct()</code>, and a key for each.</details>
# <details><summary>What you should see</summary>"7.2 Right", with six kinds of change.</details>
#
# ### Exercise 7.3 (10 minutes): a writer that beats on_commit
#
# The readers are `get_or_set(KEY, ..., 600)`, which stores with `add`. Write `change(price)`: it gives product 42 the new price so that no
# order of one reader and it leaves an old price behind, whether one was kept before or not. It may be called within a transaction, and
# that may be rolled back.

# %% tags=["exercise"]
from tutorial_project.shop.models import Product

KEY = "product:42:price"


def change(price):
    # solution-begin
    with transaction.atomic():
        Product.objects.filter(pk=42).update(price=price)
        transaction.on_commit(lambda: cache.set(KEY, price, 600))
    # solution-end
    # starter: return ...  # the row, and then?


# %%
check("7.3", change)

# %% [markdown]
# <details><summary>Hint 1</summary>After a deletion the place is free, and a slow reader takes it. What if it is not free?</details>
# <details><summary>Hint 2</summary><code>add</code> stores only where nothing is. Who should have been there first, and when may they be?</details>
# <details><summary>Hint 3</summary>On commit, <code>cache.set(KEY, price, 600)</code>: over whatever a reader has stored, and in the way of who comes later.</details>
# <details><summary>What you should see</summary>"7.3 Right", stale in 0 orders with nothing kept and with the old price kept; with a second writer it is not 0 any more.</details>
#
# ### In production
#
# - Settings: none. `touches.connect()` stands in an `AppConfig.ready`, so that every process hears: workers, the admin, management commands.
# - Writes without a signal: a queryset that tells (`objects = Telling.as_manager()`), `tell()` after raw SQL, and a rule in code review for both.
# - Monitoring: deletions that failed (the map logs them), keys deleted for each change, and a sample of kept values against the truth.
# - Limits: a change that touches ten thousand keys is a generation's work (`08`). Every entry keeps its TTL.
# - Which library: django-cacheops keeps querysets and deletes by the conditions they were asked with; its `invalidated_update` is this
#   notebook's remedy. For one map of a dozen lines you need none.
#
# ### Further reading
#
# - Django, [performing actions after commit](https://docs.djangoproject.com/en/5.2/topics/db/transactions/#performing-actions-after-commit): `on_commit`, `robust`, and tests.
# - Django, [signals](https://docs.djangoproject.com/en/5.2/ref/signals/#module-django.db.models.signals): which are sent when, and what m2m_changed says.
# - django-cacheops, [issue 22](https://github.com/Suor/django-cacheops/issues/22): the deletion in the transaction, found in a library in 2012 and mended in 2015.
# - UNICEF eTools, [pull request 4039](https://github.com/unicef/etools/pull/4039): a bulk update, no signal, and pages that stayed as they were.
# - Nishtala and others, [Scaling Memcache at Facebook](https://www.usenix.org/conference/nsdi13/technical-sessions/presentation/nishtala), NSDI 2013: deletion, stale sets, and leases.

# %% [markdown]
# **Next:** `08_keys_and_versions` gives each product a generation, and comes to 0 of 35. How far you are: `progress()`.
