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
# **You will see** one deletion lose against one reader in 12 of 20 orders, and the same deletion, later, in 3.
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
# **Delete on change, and the next read is fresh.** Against a TTL that must be compared on the recorded clock: the whole day, all visits
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
    return [f"{run.hit_ratio:.2f}", int(stale["stale"].sum()), int(stale["behind"].max() / 60)]


# %%
predict("07.day", "A TTL of an hour and no deletion: how many of the visits are stale?", [4, 97, 2890])

# %% tags=["claim:E1", "answer"]
ways = {"60 s": (60, False), "600 s": (600, False), "3,600 s": (3600, False)}
ways |= {"3,600 s, deleted on change": (3600, True), "a day, deleted on change": (86_400, True)}
table = {name: a_day(*way) for name, way in ways.items()}
reveal("07.day", table["3,600 s"][1])
pd.DataFrame.from_dict(table, orient="index", columns=["hit ratio", "stale visits", "behind, minutes at most"])

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
# > **Keep this.** A TTL says how long you may be wrong. A deletion on change says that you need not be.
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
    for kind, change in kinds.items():
        with hearing() as heard:
            change()
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
        (heard, stale), (_, told) = after(write), after(write, lambda: TOUCHES.tell(product))
        table[way] = [", ".join(map(str, heard)) or "none", stale, told]
silent = pd.DataFrame.from_dict(table, orient="index", columns=["signal", "page stale", "with tell()"])
reveal("07.silent", int((silent["signal"] != "none").sum()))
silent

# %% [markdown]
# **What just happened.** Django sends a signal where it has an instance in its hands: save, delete, and the many-to-many managers. A
# queryset's update, the bulk methods and what the through table is told are one statement, with no instance. (`category.products.add`
# is such an update, too.) The remedy is the same for all: say which rows it was.
#
# > **Keep this.** Signals tell of instances. Whoever writes past them must tell, or let nobody write past them.
#
# ## Which keys · minute 14
