# minutes: 38, 115
# %% [markdown]
# # Tell the cache what changed
#
# {{header}}
#
# February 2023, Zulip, a chat server built on Django. Somebody signs up, opens the app, and may get a blank page: `Unknown user_id in
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
from tutorial_project.lab import boot, check, explore, predict, quiz, reveal

lab = boot("07_events")
lab

# %% [markdown]
# Two questions on notebook 05, before anything new.

# %%
quiz("07.1")

# %%
quiz("07.2")

# %% [markdown]
# ## What a change leaves behind · minute 5
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
    before, shown = lab.replay(noon), stale_reads(lab, noon)
reveal("07.stale", int(shown["stale"].sum()))
lab.scoreboard(a_TTL_alone=before)

# %% [markdown]
# A fine scoreboard, and a hit ratio of 0.90 for the details. (Permissions are kept for each visitor, and few come twice.) It says
# nothing of 37 wrong prices: a stale answer is a hit. Now the same requests, and whoever changes a price also deletes what was kept
# of it.

# %% tags=["claim:E1", "answer"]
with lab.layered(events=True):
    cleared, shown_then = lab.replay(noon), stale_reads(lab, noon)
print(f"shown an old price: {shown_then['stale'].sum()} of {len(shown_then)} visits")

# %% [markdown]
# **Delete on change, and the next read is fresh**, where one request comes after the other, as here. (Two at once come at minute 19.)
#
# How does a TTL compare? For that the seconds must pass: the whole day, at its own pace, on the virtual clock of notebook `06`. All visits
# of the products whose price was changed in it.

# %%
from tutorial_project.lab.stale_pages import a_day

day = about_changes(lab.traffic(None, "00:00"))
columns = ["visits", "hit ratio", "stale visits", "seconds behind, at most"]

# %%
predict("07.day", "A TTL of an hour and no deletion: how many of 9,354 visits are stale?", [4, 97, 2890])

# %% tags=["claim:E1", "answer"]
ttls = {
    "60 s": a_day(day, 60),
    "3,600 s": a_day(day, 3600),
    "a day, deleted on change": a_day(day, 86_400, delete=True),
}
reveal("07.day", ttls["3,600 s"][2])
pd.DataFrame.from_dict(ttls, orient="index", columns=columns)

# %% [markdown]
# **What just happened.** A TTL alone buys hits with old prices, one for the other. (In the replay above the 60 seconds never ran out:
# hence 37 stale visits of 51. At the day's own pace they leave 4 of 9,354.)
#
# With deletion the two come apart: nothing is stale, so the entry may live for a day, and it is found more often than with any of the TTLs.
#
# > **Keep this.** A TTL says how long you may be wrong. A deletion on change can end it at the change, if it is told.
#
# ## Django says what it writes, mostly · minute 8
#
# Who deletes? Not each view that writes: there are many, and one will forget. Django sends a **signal** with each save, and whoever
# has asked for it is called: a receiver. The shop's receivers belong to `TOUCHES`, its map of what to delete. `TOUCHES.connect()` asks for
# the signals of all its models; `layered(events=True)` does that for its block.
#
# Now seven ways in which code changes what product 42's page shows. All of them are in Django's documentation, and after each the
# database is right.

# %%
from tutorial_project.shop.models import Category, Product, Review

product = Product.objects.filter(pk=42)  # a question: .get() and .all() ask it anew each time


def cheaper():
    found = product.get()
    found.price = 1
    return found


def sql(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


# %%
review = {"product_id": 42, "customer_id": 1, "rating": 1}
ways = {
    "save()": lambda: cheaper().save(),
    "tags.add()": lambda: product.get().tags.add(40),
    "reviews.delete()": lambda: Review.objects.filter(product=42).delete(),
    "update()": lambda: product.update(price=1),
    "bulk_create() of reviews": lambda: Review.objects.bulk_create([Review(**review)]),
    "category.products.add()": lambda: Category.objects.get(pk=12).products.add(product.get()),
    "raw SQL": lambda: sql("UPDATE shop_product SET price = 1 WHERE id = 42"),
}

# %% [markdown]
# After each way, three pages are opened: the product's, that of its shelf, and that of the shelf to which `category.products.add()` moves it.
# `hearing` lists the signals of a block, and which receivers ran. (A signal with `pre_` comes before the statement, one with `post_`
# after it.) Each way is tried twice: as it stands, and with a remedy. `TOUCHES.tell` is given product 42 before the change and
# after it, as the receivers of a save would be.

# %%
from tutorial_project.lab.hearing import hearing
from tutorial_project.shop.invalidation import TOUCHES

watched = ["/product/42/", "/category/garden-tools/", "/category/coffee-and-tea/"]


def after(write, tell=lambda: None):
    lab.restore_database()
    lab.empty_cache()
    for path in watched:
        lab.visit(path)
    with hearing() as heard, transaction.atomic():
        tell()
        write()
        tell()
    return heard, stale_pages(lab, watched)


# %%
predict("07.silent", "How many of the seven send a signal?", [1, 3, 5, 7])


# %%
def each(ways):
    rows = {}
    for way, write in ways.items():
        (heard, left), (_, told) = after(write), after(write, lambda: TOUCHES.tell(product.all()))
        ran = dict.fromkeys(name for signal in heard for name in signal.receivers)
        said = dict.fromkeys(map(str, heard))
        rows[way] = [", ".join(said) or "none", ", ".join(ran) or "none", len(left), len(told)]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["signals", "receivers", "pages stale", "told"])


def move_and_tell():
    ways["category.products.add()"]()
    TOUCHES.tell(product.all())


# %% tags=["claim:E2", "claim:E5", "answer"]
with lab.layered(events=True):
    by_way = each(ways)
    told_late = after(move_and_tell)[1]
reveal("07.silent", int((by_way["signals"] != "none").sum()))
with pd.option_context("display.max_colwidth", None, "display.width", 200):
    display(by_way)
print(f"moved, and told after the move alone: {told_late}")

# %% [markdown]
# **What just happened.** `save()`, `delete()` (a queryset's too) and the many-to-many managers send signals. `update()`, the bulk methods,
# raw SQL, and whatever is done to a through table that Django made itself send none. (`category.products.add()` is an update, too. More
# ways are in *Deeper*.)
#
# The remedy is the same for all: say which rows it was. A row that moves is told before and after: the shelf that it left follows from
# the row as it was.
#
# > **Keep this.** Signals come from save, delete and the many-to-many managers. Whoever writes another way must tell.
#
# ## Which keys · minute 14
#
# A map leads from a model to functions that say, for one row, which keys show something of it: its rules. Two of the shop's, from
# `tutorial_project/shop/invalidation.py`:
#
# ```python
# @TOUCHES.when(Product, before=False)            # the row as it was need not be asked: its key is the same
# def details(product):
#     yield f"product:{product.pk}:detail"
#
# @TOUCHES.when(Product, fields=("category",))    # asked only when one of these fields has changed
# def counts(product):
#     yield "navigation"                          # the menu says how many products lie in each category
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
keys[["cleared", "had_to"]].value_counts().to_frame("entries")

# %% [markdown]
# One price, and nine entries that the map cleared rightly: the product's details, the listings and the figures of two categories, the ranking,
# the best of the shelf in two languages, the figures of its store. (The list is in *Deeper*.) Two were cleared in vain, the sidebar in
# both languages: it shows no prices, and the rule does not ask. And two were missed: the home page that strangers get. Django has no call
# that deletes one page (notebook `03`), so its seconds are all it has, and the contract says so.
#
# **Too much is slow, too little is wrong.** And what is wrong is invisible: it is a hit. Take one rule out of the map, the one for
# the shelves, and let the product move to another. Sami, who is staff of its store, has opened four pages on which it stands. (Not a
# stranger, whose home page is stale with the whole map, too.) Is there a test that notices?

# %%
pages = ["/", "/product/6/", "/category/living/", "/category/blankets-and-cushions/"]


def stale_after(pages, **fields):
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
    whole = stale_after(pages, category_id=9)
    with TOUCHES.without(invalidation.shelves):
        lacking = stale_after(pages, category_id=9)
reveal("07.missing", len(lacking))
print(f"the whole map: {whole}\nwithout the shelves: {lacking}")

# %% [markdown]
# **What just happened.** The test knows nothing of keys. It opens the pages, changes a row, opens them again, and once more from an empty
# cache: whatever differs is stale. Both of the shelves that lost the product still show it.
#
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
# The first is what a receiver of `post_save` does, wherever a save is part of a transaction: in Django's admin, whose saves and
# deletions are, and with `ATOMIC_REQUESTS`.
#
# `explore` runs both functions on the real database, each with a connection of its own, and puts one aside for the other before every
# cache call, every statement and the commit. It begins with an empty cache and `fresh` each time, and counts the orders after which
# `stale` is true: a price is kept, and the database has another one.


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
# One of the twelve; the cross stands at the step from which on nothing can save it. Read it from the top: what does the deletion
# find to delete, and which row does the reader see?

# %% tags=["claim:E6", "answer"]
early.figure()

# %% [markdown]
# The deletion is too early for everybody who comes before the commit: until then the database shows them the old row, rightly, and they
# keep it. Nobody will delete again. `transaction.on_commit` calls its function after the commit, and not at all if there is none.
# That takes nine of the twelve away. And the other three?

# %% tags=["claim:E6", "answer"]
late.figure()

# %% [markdown]
# A reader that read the row before the commit, and stores it after the deletion. Its whole computation lies between the two. The cross
# stands at the deletion: had the reader stored before it, all were well. One deletion has no better moment. A second, later
# one helps against readers that have finished by then (*Deeper*, where the shop's own page and the admin go the same way).
#
# > **Keep this.** Delete after the commit. Whoever deletes before it deletes too early for everyone who reads in between.
#
# ### Play with it
#
# The same two actors, and a deletion where you like: before the update, twice, after the block. Does any of them come to 0?


# %% tags=["knobs"]
def mine():
    with transaction.atomic():
        product.update(price=20)
    cache.delete("product:42:price")


explore(reader, mine, given=fresh, never=stale)

# %% [markdown]
# ### Exercise 7.1 (8 minutes): the import that clears too early
#
# A nightly import writes new prices, all or none, and deletes what was kept of each product, `product:<number>:detail`. Since these
# are deleted on change, they are kept for a day. With two thousand prices the transaction takes a minute, and in the morning some pages
# show yesterday's. Repair it: the keys of what was imported are deleted when the import is committed, whoever has begun the
# transaction (it may be called within one), and none of them if it fails.

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
# <details><summary>Hint 3</summary>One callback is enough for all products. It needs a list of keys that no loop changes any more; <code>cache.delete_many</code> takes one.</details>
# <details><summary>What you should see</summary>"7.1 Right", stale in 3 of 20 orders where it was 12. (An import that asks more than an UPDATE has more orders: compare the shares.)</details>

# %% [markdown]
# ### Two questions

# %%
quiz("07.3")

# %%
quiz("07.4")

# %% [markdown]
# ## Recap · minute 35

# %% tags=["answer"]
lab.scoreboard(a_TTL_alone=before, deleted_on_change=cleared)

# %% tags=["answer"]
runs = {"a TTL alone": (before, shown), "deleted on change": (cleared, shown_then)}
costs = {name: run.groupby("method")["queries"].sum() for name, (run, _) in runs.items()}
recap = pd.DataFrame(costs).T.add_prefix("queries, ")
recap.assign(stale=[f"{seen['stale'].sum()} of {len(seen)}" for _, seen in runs.values()])

# %% [markdown]
# The same half hour. The old prices stand in the last column, and on no scoreboard. The deletions cost 39 queries more. Thirty are the map's,
# which asks three at each of ten saves for what it must delete. Nine belong to visits that computed anew.
#
# | when | cost | how it fails | lines |
# |---|---|---|---|
# | what is kept must be right at once, and those who write it can be heard | two queries before each save and one after it, here; a deletion after each commit | a write without a signal; a key that is not in the map; a deletion before the commit; 3 of 20 | `@touches.when(Product)`, `touches.connect()` |
#
# **Tomorrow at work** (10 minutes): search your code for `cache.delete`. At each: is it inside `atomic()`, a receiver, `ATOMIC_REQUESTS`
# or the admin? Then search for `.update(` and `bulk_`: is anything kept of these rows?
#
# And the three of twenty? The deletion is over when the old value comes. The right to store can mend it: notebook `08`
# puts a **generation** into the key, `09` hands out **leases**, `11` writes the new value itself.

# %% [markdown] tags=["instructor"]
# **For the instructor.** 38 minutes: five for the questions, three for the half hour and the day, six for the ways to write, five for the
# map, six for the orders, ten for exercise 7.1 and the questions, three for the recap. Deeper is two sessions of its own: the whole lists
# and what on_commit costs (30), what no remedy covers and exercise 7.3 with the nineteen cases (32); exercise 7.2 at home.
#
# *Likely misconceptions.* "post_save comes after the commit": it comes after the statement. "on_commit is safe": it is four times better.
# "Deleting twice helps": it is counted in Deeper. "We use save() everywhere": ask for the admin's actions, migrations, imports, and
# `related.add()`.
#
# *For discussion.* Which of your writes come from outside Django? Who would tell the cache of those, and within which seconds would you
# notice that nobody did?

# %% [markdown]
# ## Deeper · minute 38
#
# It goes on with what the core has defined: after a restart, run the core first.
#
# ### The whole day, all ways, all keys · minute 38
#
# **The day.** Other seconds. Where does the TTL stop mattering, if every change is told?

# %% tags=["knobs"]
ttl, delete = 6 * 3600, True

a_day(day, ttl, delete)

# %% [markdown]
# **More ways to write.** Which of them tell? A new product and a new name of its category touch the shelf as well.

# %%
through = Product.tags.through.objects
lamp = {"name_en": "Lamp", "name_de": "Lampe", "tenant_id": 1, "category_id": 12, "price": 9}


def rename_category():
    shelf = product.get().category
    shelf.name_en = "Spades"
    shelf.save()


# %%
more_ways = {
    "tags.clear()": lambda: product.get().tags.clear(),
    "Product.objects.create()": lambda: Product.objects.create(**lamp),
    "category.save()": rename_category,
    "bulk_update()": lambda: Product.objects.bulk_update([cheaper()], ["price"]),
    "the through table": lambda: through.create(product_id=42, tag_id=40),
    "its rows deleted": lambda: through.filter(product=42).delete(),
}

# %% tags=["claim:E2", "claim:E5", "answer"]
with lab.layered(events=True):
    by_more = each(more_ways)
with pd.option_context("display.max_colwidth", None, "display.width", 200):
    display(by_more)

# %% [markdown]
# The last three change what the page shows, and say nothing. `Telling`, a queryset of `tutorial_project/caching/telling.py`, tells of what
# `update`, `bulk_update` and `bulk_create` do; the through table has to be told by hand.
#
# **All keys.** The thirteen entries that a price touches, or ought to:

# %% tags=["claim:E3", "answer"]
with pd.option_context("display.max_colwidth", None, "display.width", 200):
    display(keys)

# %% [markdown]
# **A rule less.** Another rule out of the map (`details`, `rankings`, `boxes`, `counts`), another edit. The lack of which rule shows least?

# %% tags=["knobs"]
rule, fields = invalidation.details, {"name_en": "Quilt Boreas"}

with lab.layered(events=True), TOUCHES.without(rule):
    missed = stale_after(pages, **fields)
missed

# %% [markdown]
# A product that moves has a new shelf, too. Had Sami opened that one, it would be stale as well: it lacks the product. A rule is asked for
# the row as it was and as it is, and names both.

# %% tags=["claim:E4", "answer"]
with lab.layered(events=True), TOUCHES.without(invalidation.shelves):
    with_the_new = stale_after([*pages, "/category/pots-and-pans/"], category_id=9)
with_the_new

# %% [markdown]
# ### Exercise 7.2 (12 minutes): a map of your own · minute 49
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
# ### The shop's own page, and the admin · minute 61
#
# `kept.product_detail` asks three queries; the admin's edit is a `save` in a transaction. Who deletes? First a receiver at once, as Zulip's
# did, then the same on commit, then the shop's map. So many steps have hundreds of orders; these are the ones in which somebody is
# interrupted at most twice.


# %%
from contextlib import contextmanager

from django.db.models.signals import post_save
from tutorial_project.shop import kept


@contextmanager
def answering(receiver):
    post_save.connect(receiver, sender=Product)
    try:
        yield
    finally:
        post_save.disconnect(receiver, sender=Product)


# %%
def page():
    return kept.product_detail(42)


def admin():
    with transaction.atomic():
        cheaper().save()


def page_stale(end):
    return page()["product"].price != price()


# %%
def at_once(instance, **_):
    cache.delete(f"product:{instance.pk}:detail")


def at_commit(instance, **_):
    transaction.on_commit(lambda: cache.delete(f"product:{instance.pk}:detail"))


# %% tags=["claim:E6", "answer"]
listeners = {"a receiver, at once": answering(at_once), "a receiver, on commit": answering(at_commit)}
for name, listening in (listeners | {"the map, on commit": TOUCHES.connected()}).items():
    with listening:
        found = explore(admin, page, given=fresh, never=page_stale, preemptions=2)
    print(f"{name}: {found}")

# %% [markdown]
# The two receivers compare directly: the same steps, one of them elsewhere, and half as many bad orders. The map asks queries of its
# own, so there are more orders, and a quarter of them is bad. (`TOUCHES.connected()` connects it for the length of a block.)
#
# ### Break it: what on_commit costs · minute 65
#
# **And when nothing is committed?** Signals are sent when a statement has run, and the transaction may still fail. Three receivers of
# `post_save`, and a save that is rolled back. The price is 10, and kept.


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
    with answering(receiver), transaction.atomic():
        cheaper().save()
        transaction.set_rollback(True)
    return [str(cache.get("product:42:price", "nothing")), str(price())]


# %% tags=["claim:E6", "answer"]
undone = {receiver.__name__: rolled_back(receiver) for receiver in (deletes, stores, waits)}
pd.DataFrame.from_dict(undone, orient="index", columns=["kept", "in the database"])

# %% [markdown]
# The first has deleted a price that was true, which costs a query. The second keeps one that never was. The third's callback has not been
# called.
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
# The symptom: the answer shows your change only after a reload. So within a transaction, ask the database for what you have written, past
# the cache. And the other way round: whoever finds nothing in the cache, in a transaction, stores what nobody else may be given yet.

# %% tags=["answer"]
lab.empty_cache()
fresh()
with lab.layered(events=True):
    with transaction.atomic():
        cheaper().save()
        kept.product_detail(42)
        transaction.set_rollback(True)
    print(f"rolled back: kept {kept.product_detail(42)['product'].price}, in the database {price()}")

# %% [markdown]
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
# error page for a change that was made. `robust=True` logs the error and goes on. It belongs on the callback that may fail: the shop's map
# registers its own so, and that does not save it from yours, registered before it.
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
# The first fails and the code is right. (A test that asserts the old value would pass.) `captureOnCommitCallbacks(execute=True)`
# runs what would have been called, at the end of its block. (A `TransactionTestCase` commits for real, and is slower.)
#
# ### What no remedy covers · minute 81
#
# Four more ways to be stale with every line of this notebook in place. **The process dies between its commit and its callbacks.** Here is one:
# another process on this notebook's database and cache server, with the shop's map connected. Something ends it at that moment.

# %% tags=["answer"]
from decimal import Decimal

from tutorial_project.lab.killed import killed_after_commit


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
# All four end when the entry does. So the TTL stays, as the bound on what nobody told. And somebody should look: take what is kept,
# compute what it would be now, and count the differences. The contract of notebook `06` does the computing.

# %% tags=["answer"]
from tutorial_project.lab.entries import entries
from tutorial_project.shop import contract

cheaper().save()
with lab.layered():
    for pk in range(40, 45):
        kept.product_detail(pk)
    fresh()
    left = entries()
    differ = [key for key in left if not contract.same(cache.get(key), contract.truth(key))]
    print(
        f"kept: {len(left)}, stale: {differ}; all end within a minute: {0 < min(left.values()) <= max(left.values()) <= 60}"
    )

# %% [markdown]
# So you notice: run that on a sample of your keys, every minute, and draw the count. Facebook has a service for it, Polaris,
# which watches its caches from outside ([Cache made consistent](https://engineering.fb.com/2022/06/08/core-infra/cache-made-consistent/)).
#
# ### Exercise 7.3 (12 minutes): a writer that beats on_commit · minute 93
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
# ### Nineteen cases, each in every order · minute 105
#
# `tutorial_project/lab/orders.py` has them, a few lines each, wrong ones and right ones. `share` is that of the orders that end
# stale. Look for the zeros, and at what they cost. (Rows that begin with "that" are the row above under other circumstances.)

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
# ### In production · minute 111
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
