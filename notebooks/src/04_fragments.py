# minutes: 30, 75
# %% [markdown]
# # Keep the costly part of a page, and nothing else
#
# {{header}}
#
# June 2018: on Freesound, people open one user's list of sound packs and are shown another user's. The list is kept by Django's
# tag `{% cache SECONDS NAME VALUES... %}`, a copy for each of the values. Somebody had taken the name out, in the belief that every
# word there is a value, "but the first parameter is a name", says the repair: the first of the values had become the name, and
# told nobody apart any more ([freesound, pull request 1202](https://github.com/MTG/freesound/pull/1202)).
#
# **You will see** a page as boxes: which of them one edit rebuilds, and which come from the cache untouched.
# **You will learn** to keep a part of a page for everybody while the rest stays personal, and to write a key that cannot lie.
# **You need** notebook `03_per_view`, or to know why a page that greets you by name must not be kept for all.
#
# New on the bench: `lab.boxes("/")` shows how the parts of a page came about.

# %%
import re

import pandas as pd
from django.core.cache import cache
from django.http import HttpResponse
from django.template import engines
from tutorial_project.lab import boot, check, predict, quiz, reveal

lab = boot("04_fragments")
lab

# %% [markdown]
# First, what stayed of notebook `02`:

# %%
quiz("04.1")

# %%
quiz("04.2")

# %% [markdown]
# ## A page, or a part of it · minute 3
#
# The home page greets whoever is signed in. So it can be kept as a whole in one way only: a copy for each `Cookie`
# header, as in notebook `03`. Eighty requests of the morning, without a cache and with such copies:

# %%
from django.views.decorators.cache import cache_page
from django.views.decorators.vary import vary_on_cookie
from tutorial_project.shop import selectors, views

lab.restore()
nothing = lab.replay(80)
lab.mount("", cache_page(600)(vary_on_cookie(views.home)))
by_cookie = lab.replay(80)
lab.scoreboard(nothing_kept=nothing, page_by_cookie=by_cookie)

# %% [markdown]
# It helps. Whom? The visits to the home page, by who came, and how many of them the cache served:

# %%
visits = by_cookie[by_cookie["path"] == "/"]
visits = visits.assign(who=visits["user"].replace("", "strangers"), served=visits["misses"] == 0)
visits.groupby(["who", "language"])["served"].agg(["count", "sum"]).set_axis(["visits", "served"], axis=1)

# %% [markdown]
# Ten of nineteen were served. (The scoreboard counts look-ups, and a page takes two.) Strangers have no cookie and share two copies,
# one for each language. Nobody who is signed in was served, not even Ida, who came four times: whatever else is in her cookies, a
# form's token or a message, is in the key as well. It is not even a copy for each reader.
#
# And with the page everything is kept that should have stayed alive. Alice looks at the home page, puts something into her cart, and
# looks again. How many things does the page say are in the cart?


# %%
def in_the_cart(page):
    [badge] = re.findall(r'>Cart(?: <span class="badge">(\d+))?', page.text)
    return int(badge or 0)  # an empty cart has no badge


def before_and_after_shopping(who):
    lab.restore_database()
    lab.visit("/cart/", who)  # now she has all the cookies that she will have
    before = lab.visit("/", who)
    lab.visit("/cart/add/", who, data={"product": 1, "quantity": 1})
    return [in_the_cart(before), in_the_cart(lab.visit("/", who))]


before_and_after_shopping("alice")

# %% [markdown]
# Nothing, before and after: she was served the copy. The choice between all and nothing is the wrong one. Most of this page is the
# same for everybody: the ranking, the best of each shelf, the sidebar. What is personal is a name and a number.
#
# ## One tag around the costly part · minute 7
#
# What a template draws between `{% cache %}` and `{% endcache %}` is kept, and is called a **fragment**. To put the tag into the home
# page, here is the shop's view once more, with a template that you hand it:


# %%
def best_of_shelves(menu):
    tops = [entry["category"] for entry in menu]
    return [{"category": top, "products": selectors.best_of_category(top.pk)} for top in tops]


def home(source):
    def view(request):
        menu = selectors.navigation()
        context = {
            "navigation": menu,
            "best": best_of_shelves(menu),
            "popular_products": selectors.popular_products(),
            "new_products": selectors.new_products(),
        }
        return HttpResponse(engines["django"].from_string(source).render(context, request))

    return view


# %% [markdown]
# And this is the whole change: the sidebar, kept for 600 seconds, under the name `sidebar_popular`, a copy for each language.
# (`block.super` is the sidebar as the shop has it.)

# %%
SIDEBAR = """
{% extends "shop/home.html" %}{% load cache i18n %}
{% block aside %}{% get_current_language as LC %}
  {% cache 600 sidebar_popular LC %}{{ block.super }}{% endcache %}
{% endblock %}
"""

# %%
lab.restore()
own = lab.visit("/").queries
lab.mount("", home(SIDEBAR))
predict("04.warm", f"The page takes {own} queries. How many when the sidebar is in the cache?", [own, own - 1, 0])

# %% tags=["claim:L2", "claim:F1", "answer"]
lab.empty_cache()
cold, warm = lab.visit("/"), lab.visit("/")
reveal("04.warm", warm.queries)
{"the shop's own page": own, "the fragment is cold": cold.queries, "only the fragment is warm": warm.queries}

# %% tags=["claim:F1", "answer"]
lab.entries()[["use", "lives"]]

# %% [markdown]
# One query less: the one behind the sidebar. In the cache lies one entry for the fragment. Does the rest live? Alice goes
# shopping again, and then we look at her page as boxes:

# %% tags=["claim:L2", "claim:F1", "answer"]
print("in her cart, before and after:", before_and_after_shopping("alice"))
lab.boxes("/", "alice")

# %% [markdown]
# The box of the page is alive: the cart is right. The box in it came from the cache. And whom does it belong to?


# %%
def greeting(page):
    return re.findall(r'<h1 class="greeting">(.*?)</h1>', page.text)[0]


# %% tags=["claim:F3", "answer"]
lab.empty_cache()
pages = {who: lab.boxes("/", who) for who in ("alice", "bob", None)}
rows = {who or "a stranger": (greeting(page), page.page.inside[0].state) for who, page in pages.items()}
print("entries in the cache:", len(lab.entries()))
pd.DataFrame.from_dict(rows, orient="index", columns=["is greeted with", "the sidebar"])

# %% [markdown]
# **What just happened.** The sidebar was drawn once, for Alice. Bob and a stranger got the same piece of HTML, each inside a page
# of their own. What is shared and what is personal lie in different boxes, so nobody had to choose.
#
# > **Keep this.** A fragment holds what is the same for many and costly. Whatever is somebody's own stays outside of it.
#
# ## Only what is asked inside · minute 11
#
# One query was a modest gain. The page has two more costly parts: the ranking of twenty products, and the best of each shelf. All
# three as fragments:

# %%
FRAGMENTS = """
{% extends "shop/home.html" %}{% load cache i18n %}
{% block popular %}{% get_current_language as LC %}
  {% cache 600 ranking LC %}{{ block.super }}{% endcache %}{% endblock %}
{% block best %}{% get_current_language as LC %}
  {% cache 600 best_of_shelves LC %}{{ block.super }}{% endcache %}{% endblock %}
{% block aside %}{% get_current_language as LC %}
  {% cache 600 sidebar_popular LC %}{{ block.super }}{% endcache %}{% endblock %}
"""

# %%
predict("04.eager", "The view is the same, all three fragments are warm. How many queries?", [12, 11, 2, 0])

# %% tags=["claim:L2", "answer"]
lab.mount("", home(FRAGMENTS))
cost = {"asked at once, in the view": [lab.visit("/").queries for visit in ("cold", "warm")]}
reveal("04.eager", cost["asked at once, in the view"][1])
lab.boxes("/")

# %% [markdown]
# Three hits, and eleven queries. `home` asks its questions and passes the answers on, as most views do: they are paid for before the
# template is reached. But a view can also pass something that asks when it is drawn: a queryset, a function, a `SimpleLazyObject`.

# %%
from django.utils.functional import SimpleLazyObject


def lazy_home(source):
    def view(request):
        menu = SimpleLazyObject(selectors.navigation)
        context = {
            "navigation": menu,
            "best": SimpleLazyObject(lambda: best_of_shelves(menu)),
            "popular_products": SimpleLazyObject(selectors.popular_products),
            "new_products": SimpleLazyObject(selectors.new_products),
        }
        return HttpResponse(engines["django"].from_string(source).render(context, request))

    return view


# %% tags=["claim:L2", "answer"]
lab.mount("", lazy_home(FRAGMENTS))
cost["asked when drawn"] = [lab.visit("/").queries for visit in ("cold", "warm")]
pd.DataFrame(cost, index=["cold", "warm"]).T

# %% [markdown]
# **What just happened.** The same template, the same three hits. Asked at once, what the hits saved is the drawing, not the asking. Only
# the sidebar was saved: the shop hands it over in a `SimpleLazyObject` already (`shop/context_processors.py`). Asked when drawn, what is in a
# warm fragment is never asked.
#
# So this is what the home page looks like now. Look for the box without a fill: it is all that a visit still builds.

# %% tags=["answer"]
lab.boxes("/").figure()

# %% [markdown]
# Three boxes came from the cache; the menu and what is new, around them, were built.
#
# > **Keep this.** A fragment saves the work that is done inside of it. What the view asks beforehand is paid on every hit.
#
# ### Play with it
#
# Which of the three is worth most? Take some out of the list, and count the queries of a warm page.

# %%
BLOCK = "{% block NAME %}{% get_current_language as LC %}{% cache 600 NAME LC %}{{ block.super }}{% endcache %}{% endblock %}"


def cold_and_warm(names, view=lazy_home):
    blocks = [BLOCK.replace("NAME", name) for name in names]
    lab.mount("", view('{% extends "shop/home.html" %}{% load cache i18n %}' + "".join(blocks)))
    return [lab.visit("/").queries for visit in ("cold", "warm")]


# %% tags=["knobs"]
names = ["popular", "best", "aside"]
view = lazy_home  # or home

cold_and_warm(names, view)

# %% tags=["answer"]
pd.DataFrame({name: cold_and_warm([name]) for name in ("popular", "best", "aside")}, index=["cold", "warm"]).T

# %% [markdown]
# The best of the shelves: it asks once for each of them. The ranking and the sidebar are a query each. Not all queries cost the same,
# though: that of the ranking reads a hundred thousand order lines (notebook `01`).
#
# ## What changes it belongs in the key · minute 16
#
# Behind the name of a fragment stand the values it **varies on**: a copy is kept for each combination. What if the language is
# missing there? An English reader comes first, then a German one.

# %%
PART = """
{% load cache i18n %}{% get_current_language as LC %}
{% cache 600 sidebar_popular VARIES %}{% include "shop/_sidebar_popular.html" %}{% endcache %}
"""


def part(varies):
    return engines["django"].from_string(PART.replace("VARIES", varies))


def heading(html):
    return re.findall("<h2>(.*?)</h2>", html)[0]


lab.mount("part/", lambda request: HttpResponse(part(request.GET["varies"]).render({}, request)))

# %% tags=["claim:F2", "answer"]
read = {}
for varies in ("", "LC"):
    lab.empty_cache()
    url = f"/part/?varies={varies}"
    read[f"sidebar_popular {varies}"] = [heading(lab.visit(url, language=code).text) for code in ("en", "de")]
pd.DataFrame(read, index=["the English reader", "the German reader"]).T

# %% [markdown]
# Without the language, whoever comes first chooses it for all. That is easily seen. Now with the variable that many examples use,
# `request.LANGUAGE_CODE`. Here are three ways in which a template is drawn: on a site with `LocaleMiddleware`, on one whose own
# code chooses the language, and for an e-mail, for which there is no request.

# %%
from django.test import Client, override_settings
from django.utils import translation


def page(varies, language):  # the shop as it is
    return lab.visit(f"/part/?varies={varies}", language=language).text


def page_without_middleware(varies, language):  # the site's own code has chosen the language
    with override_settings(MIDDLEWARE=[]), translation.override(language):
        return Client().get(f"/part/?varies={varies}").text


def mail(varies, language):  # rendered without a request
    with translation.override(language):
        return part(varies).render({"sidebar_popular": selectors.sidebar_popular})


# %%
predict(
    "04.code",
    "It varies on request.LANGUAGE_CODE. In how many of the three is the German reader served English?",
    [0, 1, 2, 3],
)

# %% tags=["claim:F5", "answer"]
ways = {"a page": page, "a page, no LocaleMiddleware": page_without_middleware, "an e-mail": mail}
read = {"request.LANGUAGE_CODE": [], "LC": []}
for varies, german in read.items():
    for draw_in in ways.values():
        lab.empty_cache()
        german.append([heading(draw_in(varies, language)) for language in ("en", "de")][1])
reveal("04.code", read["request.LANGUAGE_CODE"].count("Loved by customers"))
pd.DataFrame(read, index=list(ways))

# %% [markdown]
# The tag raised nothing. This is what it varied on, between the brackets:

# %% tags=["claim:F5", "answer"]
with translation.override("de"):
    template = "[{{ request.LANGUAGE_CODE }}] [{% load i18n %}{% get_current_language as LC %}{{ LC }}]"
    print(engines["django"].from_string(template).render({}))

# %% [markdown]
# A variable that does not exist is the empty string, here as everywhere in a template. `{% get_current_language as LC %}` asks for
# the language that is really spoken, and needs neither middleware nor request.
#
# A language mixed up is unpleasant. The same silence about a name is worse. Three ways to write one tag; Alice comes first.
# (`visitor` is who asks: the shop gives it to every template.)

# %%
HELLO = "{% load cache %}{% cache 600 TAG %}Hello, {{ visitor.username }}{% endcache %}"


def hello(request):
    source = HELLO.replace("TAG", request.GET["tag"])
    return HttpResponse(engines["django"].from_string(source).render({}, request))


lab.mount("hello/", hello)

# %%
predict(
    "04.typo",
    "One letter is missing: {% cache 600 hello visitor.usrname %}. What does Bob read?",
    ["Hello, bob", "Hello, alice", "an error"],
)

# %% tags=["answer"]
read = {}
for tag in ("hello visitor.username", "hello visitor.usrname", "visitor.username"):
    read["{% cache 600 " + tag + " %}"] = [lab.visit(f"/hello/?tag={tag}", who).text for who in ("alice", "bob")]
reveal("04.typo", read["{% cache 600 hello visitor.usrname %}"][1])
pd.DataFrame(read, index=["Alice reads", "Bob reads"]).T

# %% [markdown]
# **What just happened.** The second line has a typo: it varies on the empty string, so on nothing. The third is Freesound's: the word
# after the seconds is the name, so this is one fragment called `visitor.username`, for everybody. Neither is an error to Django.
#
# > **Keep this.** Seconds, name, then what it varies on. What is misspelt there is empty, and what is empty is shared.
#
# ## A version in the key · minute 21
#
# Each fragment above may be wrong for ten minutes: somebody edits a product, and the page shows what it was. Whoever edits it can
# delete the entry, if they know its name and all the values that it varies on (Deeper does it). Or the key changes by itself: it
# holds a **version** of what is shown, here the moment of the last edit, `updated_at`. And fragments may stand inside one another,
# as Russian dolls do:

# %%
SHELF = """
{% extends "shop/base.html" %}{% load cache i18n %}
{% block main %}{% get_current_language as LC %}
{% cache 600 shelf LC slug newest %}<ul class="cards">
  {% for product in products %}
    {% cache 600 card LC product.pk product.updated_at %}{% include "shop/_card.html" %}{% endcache %}
  {% endfor %}</ul>
{% endcache %}{% endblock %}
"""

# %% [markdown]
# The shelf shows the first eight jackets. Its version is that of the newest of the eight, so the outer key changes whenever an inner
# one does.

# %%
from django.db.models import Max
from tutorial_project.shop.models import Product


def shelf(request, slug):
    shown = Product.objects.filter(category__slug=slug).order_by("pk")[:8]
    context = {
        "slug": slug,
        "newest": shown.aggregate(newest=Max("updated_at"))["newest"],  # asked on each visit
        "products": shown.select_related("tenant"),  # asked where it is drawn
    }
    return HttpResponse(engines["django"].from_string(SHELF).render(context, request))


jackets = lab.mount("shelf/<slug:slug>/", shelf).replace("<slug:slug>", "jackets")

# %% tags=["answer"]
lab.empty_cache()
cold, warm = lab.boxes(jackets), lab.boxes(jackets)
print(f"cold: {len(cold.rebuilt)} fragments built; warm: {len(warm.rebuilt)}, and {len(warm.served)} from the cache")
lab.empty_cache()
print("queries, cold and warm:", [lab.visit(jackets).queries for visit in ("cold", "warm")])

# %% [markdown]
# Warm, the shelf is one hit: what is inside is not even looked up. The menu and the version are asked each time, the products no more.

# %%
predict("04.dolls", "One price is edited. How many of the nine fragments are rebuilt?", [1, 2, 9])

# %% [markdown]
# Before you run the next cell: which boxes will be hatched?

# %% tags=["claim:F4", "answer"]
lab.empty_cache()
lab.visit(jackets)
product = Product.objects.filter(category__slug="jackets").order_by("pk")[2]
product.price = 1
product.save()
edited = lab.boxes(jackets)
reveal("04.dolls", len(edited.rebuilt))
print("the new price is on the page at once:", "€1.00" in edited.text, "- entries in the cache:", len(lab.entries()))
edited.figure()

# %% [markdown]
# **What just happened.** The card's key changed, and so did the shelf's. Two fragments were drawn; the other seven cards came from
# the cache and were put into the new shelf. (Where a value is a moment, its box says "version".) Nothing was deleted: of the
# eleven entries two are old, and no page asks for them until they expire. And a jacket that is not on the shelf?

# %% tags=["answer"]
Product.objects.filter(category__slug="jackets").order_by("pk")[8].save()
print("the ninth is saved; rebuilt:", lab.boxes(jackets).rebuilt)

# %% [markdown]
# The version is a promise that every change moves it. `QuerySet.update()` writes to the database alone, and `auto_now` does not
# hear of it:

# %% tags=["claim:F4", "answer"]
from django.utils import timezone

seen = {}
for columns in ({"price": 2}, {"price": 3, "updated_at": timezone.now()}):
    Product.objects.filter(pk=product.pk).update(**columns)
    found = lab.boxes(jackets)
    seen[f"update({', '.join(columns)})"] = [len(found.rebuilt), f"€{columns['price']}.00" in found.text]
pd.DataFrame(seen, index=["fragments rebuilt", "the new price is shown"]).T

# %% [markdown]
# > **Keep this.** Put the version into the key, and an edit rebuilds what holds it, and nothing beside it.
#
# ### Exercise 4.1 (5 minutes): two readers, one panel
#
# This panel greets a reader by first name and lists what customers love. It is wrong in two ways. Repair it: everybody reads their own
# name, and the list in their own language, on every page and in e-mails: those have a `visitor`, and no request. The costly list is the same
# for all who read a language, so it should be built once for each language.

# %% tags=["exercise"]
# solution-begin
PANEL = """
{% load cache i18n %}{% get_current_language as LC %}
<p>{{ visitor.first_name }}</p>
{% cache 600 panel LC %}
  {% include "shop/_sidebar_popular.html" %}
{% endcache %}
"""
# solution-end
# starter: PANEL = """
# starter: {% load cache i18n %}
# starter: {% cache 600 panel request.LANGUAGE_CODE %}
# starter:   <p>{{ visitor.first_name }}</p>
# starter:   {% include "shop/_sidebar_popular.html" %}
# starter: {% endcache %}
# starter: """

# %%
check("4.1", PANEL)

# %% [markdown]
# <details><summary>Hint 1</summary>Which line is somebody's own? It need not be inside the fragment.</details>
# <details><summary>Hint 2</summary>What is <code>request.LANGUAGE_CODE</code> where there is no request?</details>
# <details><summary>Hint 3</summary><code>{% get_current_language as LC %}</code> stands before the fragment, and <code>LC</code> in its tag.</details>
# <details><summary>What you should see</summary>"4.1 Right", with ten drawings and the list built twice.</details>

# %% [markdown]
# ### Two questions

# %%
quiz("04.3")

# %%
quiz("04.4")

# %% [markdown]
# ## Recap · minute 29
#
# The eighty requests of the beginning, with the home page in three fragments:

# %%
lab.restore()
lab.mount("", lazy_home(FRAGMENTS))
fragments = lab.replay(80)
lab.scoreboard(nothing_kept=nothing, page_by_cookie=by_cookie, fragments=fragments)

# %% tags=["answer"]
saved = {
    name: nothing["queries"].sum() - run["queries"].sum()
    for name, run in (("pages", by_cookie), ("fragments", fragments))
}
print(
    f"queries saved by pages, a copy for each cookie header: {saved['pages']}; by fragments for all: {saved['fragments']}"
)

# %% [markdown]
# | the decision | a fragment of a template |
# |---|---|
# | when | one part of a page is costly and the same for many; another part is somebody's own |
# | cost | the view still runs; a round trip for each fragment; a key to get right |
# | how it fails | an empty value in the key shares one reader's with all; a version that a change does not move |
# | settings | none; an alias `template_fragments` in `CACHES` if fragments should have a cache of their own |
#
# **Tomorrow at work** (10 minutes): `grep -rn "{% cache" templates/`. In each line read the words after the name aloud: where is each of
# them set, on every page that draws the template? Then look for what is inside and not among them.

# %% [markdown] tags=["instructor"]
# **For the instructor.** 30 minutes: three for the beginning, four for the page that is all or nothing, four for the first fragment,
# five for lazy and eager, five for the key, three for versions, five for exercise 4.1 in class; the others at home.
#
# *Likely misconceptions.* "The fragment is warm, so its queries are saved": not those of the view. "Vary on the user, to be safe":
# then it is a copy for each reader again, and the hits are gone. "With versions nothing can be stale": ask what `bulk_update` does.
#
# *Discussion.* Print the boxes of the shelf before the edit, and let everybody colour them. Most colour one.

# %% [markdown]
# ## Deeper · minute 30
#
# ### Break it
#
# A buy button stands in a fragment, with the token that protects its form against forgery (CSRF). Two visitors open the page, each in a
# browser of their own, and both press the button. (200: bought. 403: refused.)

# %%
INSIDE = (
    '{% load cache %}{% cache 600 buy %}<form method="post">{% csrf_token %}<button>Buy</button></form>{% endcache %}'
)
OUTSIDE = (
    '{% load cache %}<form method="post">{% csrf_token %}{% cache 600 buy %}<button>Buy</button>{% endcache %}</form>'
)


def shop_window(source):
    def view(request):
        if request.method == "POST":
            return HttpResponse("bought")
        return HttpResponse(engines["django"].from_string(source).render({}, request))

    return view


def buys(url):
    browser = Client(enforce_csrf_checks=True)
    token = re.findall('value="(.*?)"', browser.get(url).text)[0]
    cookie = "a cookie" if browser.cookies else "no cookie"
    return cookie, browser.post(url, {"csrfmiddlewaretoken": token}).status_code


# %%
predict(
    "04.csrf", "The token is inside the fragment. What do the two visitors get?", ["200, 200", "200, 403", "403, 403"]
)

# %% tags=["answer"]
inside, outside = lab.mount("inside/", shop_window(INSIDE)), lab.mount("outside/", shop_window(OUTSIDE))
statuses = {name: [buys(url) for visitor in range(2)] for name, url in (("inside", inside), ("outside", outside))}
reveal("04.csrf", ", ".join(str(status) for cookie, status in statuses["inside"]))
pd.DataFrame(statuses, index=["the first visitor", "the second"]).T

# %% [markdown]
# The second visitor sent the first one's token, and got no cookie to go with it: the tag that sets it did not run. You would have
# noticed it by the 403s in the access log: all visitors but one in ten minutes, and it works whenever you try it on an empty cache.
# The token goes outside of the fragment.
#
# ### Find the empty ones
#
# How would a test have found the typo, and `request.LANGUAGE_CODE`? `tutorial_project/caching/fragments.py` has a block that lists
# each fragment drawn with an empty value in its key:

# %% tags=["answer"]
from tutorial_project.caching import fragments as kept

lab.mount("hello/", hello)
with kept.empty_keys() as found:
    lab.visit("/hello/?tag=hello visitor.usrname", "alice")
    mail("request.LANGUAGE_CODE", "de")
    mail("LC", "de")
found

# %% [markdown]
# There is a third way to an empty one. In a template that extends another, what stands outside of its blocks is never run:

# %% tags=["answer"]
ABOVE = """
{% extends "shop/home.html" %}{% load cache i18n %}{% get_current_language as LC %}
{% block aside %}{% cache 600 sidebar_popular LC %}{{ block.super }}{% endcache %}{% endblock %}
"""
lab.mount("above/", home(ABOVE))
with kept.empty_keys() as found:
    pages = [lab.visit("/above/", language=code).text for code in ("en", "de")]
headings = [re.findall(r'sidebar-popular">\s*<h2>(.*?)<', page)[0] for page in pages]
found, headings

# %% [markdown]
# ### A shelf that misses something
#
# Edit as many of the eight jackets as you like, and read the shelf in English or in German. How many boxes are rebuilt?

# %% tags=["knobs"]
edits = 3
language = "en"  # or "de"

lab.mount("shelf/<slug:slug>/", shelf)
lab.visit(jackets, language=language)
for product in Product.objects.filter(category__slug="jackets").order_by("pk")[:edits]:
    product.save()
lab.boxes(jackets, language=language)

# %% [markdown]
# Edits move the version. A product is taken off the shelf, and is not the newest one on it. Is it still on the page?


# %%
def shows(text, url="/", language="en"):
    return text in lab.visit(url, language=language).text


# %% tags=["answer"]
lab.restore_database()
lab.mount("shelf/<slug:slug>/", shelf)
on_shelf = Product.objects.filter(category__slug="jackets").order_by("pk")[:8]
gone = min(on_shelf, key=lambda product: product.updated_at)
found = {"before": shows(gone.name_en, jackets)}
Product.objects.filter(pk=gone.pk).update(category=Product.objects.get(pk=1).category)
found["taken off"] = shows(gone.name_en, jackets)
lab.empty_cache()
found | {"without a cache": shows(gone.name_en, jackets)}

# %% [markdown]
# It is: a ninth has moved up, the newest of the eight is the one that it was, and so the key did not change.
#
# ### Exercise 4.2 (10 minutes): a shelf that notices more
#
# Write `BETTER`, the shelf as a template: a fragment for the shelf, and in it one for each card. When a product is edited, two
# fragments are rebuilt; when one is taken away, the shelf and the card that moves up. A warm shelf asks the template for no query,
# and each reader has their language, without a request too. Draw a card with `{% include "shop/_card.html" %}`.
#
# The check has a shelf of its own, six of nine products. It hands you `shelf` (a category with a `slug`), `products` (the six),
# `newest` (the last edit of one of them), and `total`, how many the category holds.

# %% tags=["exercise"]
# solution-begin
BETTER = """
{% load cache i18n %}{% get_current_language as LC %}
{% cache 600 shelf LC shelf.slug newest total %}<ul>
  {% for product in products %}
    {% cache 600 card LC product.pk product.updated_at %}{% include "shop/_card.html" %}{% endcache %}
  {% endfor %}</ul>
{% endcache %}
"""
# solution-end
# starter: BETTER = ...  # a template: two {% cache %} tags, one in the other

# %%
check("4.2", BETTER)

# %% [markdown]
# <details><summary>Hint 1</summary>Start from <code>SHELF</code>, without <code>extends</code> and <code>block</code>. What else must the outer tag vary on?</details>
# <details><summary>Hint 2</summary>When something is taken away, another moves up, and as many are shown as before. But <code>total</code> changes.</details>
# <details><summary>Hint 3</summary>The outer one varies on language, shelf, <code>newest</code> and <code>total</code>; the inner one on language, <code>product.pk</code> and <code>product.updated_at</code>.</details>
# <details><summary>What you should see</summary>"4.2 Right", with how many fragments an edit and a removal rebuilt.</details>
#
# ### What the version does not know
#
# A card shows the name of the store that sells the product. The store is a row of its own. It gets another name; and then, so that you
# see the difference, somebody saves the product.

# %% tags=["answer"]
lab.restore_database()
lab.mount("shelf/<slug:slug>/", shelf)
product = Product.objects.select_related("tenant").filter(category__slug="jackets").order_by("pk")[0]
lab.visit(jackets)
product.tenant.name = "Another Store"
product.tenant.save()
renamed = lab.visit(jackets).text.count("Another Store")
product.save()
saved = lab.visit(jackets).text.count("Another Store")
lab.empty_cache()
{"renamed": renamed, "its product saved": saved, "without a cache": lab.visit(jackets).text.count("Another Store")}

# %% [markdown]
# A version tells of one row. Whatever else a fragment shows needs a place in the key, or must move that version when it changes. Even
# saving the product mended one card alone: the other of the same store was put into the new shelf as it was.
#
# The order of reading matters, too. Somebody edits a price at the very moment in which a visitor's page is being built, between
# reading the version and reading the products, or the other way round:


# %%
def read_version(rows):
    return {"newest": max(product.updated_at for product in rows[:8])}


def read_products(rows):
    return {"products": list(rows[:8])}


def built_during_an_edit(first, second):
    lab.empty_cache()
    rows = Product.objects.filter(category__slug="jackets").select_related("tenant").order_by("pk")
    context = first(rows)
    product = rows.all()[3]
    product.price += 100
    product.save()
    context |= second(rows)
    request = lab.visit("/").response.wsgi_request
    engines["django"].from_string(SHELF).render({"slug": "jackets", **context}, request)
    found = lab.boxes(jackets)
    return f"€{product.price:.2f}" in found.text.replace(",", ""), found.page.inside[0].state


# %%
predict(
    "04.order",
    "After which order does the next visitor read the new price?",
    ["version first", "products first", "both"],
)

# %% tags=["answer"]
fresh = {
    "version first": built_during_an_edit(read_version, read_products),
    "products first": built_during_an_edit(read_products, read_version),
}
right = [name for name, (new_price, state) in fresh.items() if new_price]
reveal("04.order", "both" if len(right) == 2 else right[0])
pd.DataFrame(fresh, index=["the new price is shown", "the shelf"]).T

# %% [markdown]
# Products first, and what is old lies under the new version: the next visitor is served it, and so is everybody until it expires.
# Version first, and what is new lies under the old version: the next visitor looks under the new one, finds nothing, and has the
# shelf built. `shelf` reads the version first and hands over a queryset
# that is asked later: that order was no accident. Notebook `08_keys_and_versions` counts all the orders.
#
# ### A new template, an old fragment
#
# The developers change the text between the tags, and deploy.

# %% tags=["answer"]
for text in ("Summer sale!", "Autumn sale!"):
    source = "{% load cache %}{% cache 600 banner %}" + text + "{% endcache %}"
    print(text, "is deployed, and visitors read:", engines["django"].from_string(source).render())

# %% [markdown]
# The name is in the key; what is between the tags is not. Put a number into the name and raise it (`banner_2`), or empty the cache
# of the fragments when you deploy.
#
# ### Four ways to hand it over
#
# A template draws twenty products and says how many there are, so it uses them twice. Here they are handed over in four ways.
# Queries, cold and warm:

# %%
TWICE = (
    "{% load cache %}{% cache 600 twice %}{% for p in found %}{{ p.pk }}{% endfor %}{{ found|length }}{% endcache %}"
)
query = Product.objects.order_by("pk")[:20]
handed_over = {
    "a list": lambda: list(query.all()),
    "a queryset": lambda: query.all(),
    "a function": lambda: lambda: list(query.all()),
    "a SimpleLazyObject": lambda: SimpleLazyObject(lambda: list(query.all())),
}


def queries_of(hand_over):
    with lab.meter() as reading:
        engines["django"].from_string(TWICE).render({"found": hand_over()})
    return reading.queries


# %% tags=["answer"]
costs = {}
for name, hand_over in handed_over.items():
    lab.empty_cache()
    costs[name] = [queries_of(hand_over) for visit in ("cold", "warm")]
pd.DataFrame(costs, index=["cold", "warm"]).T

# %% [markdown]
# A list was asked for in any case. A function is called each time its name stands in the template. A queryset remembers its rows once
# it has been drawn, and a `SimpleLazyObject` whatever was computed, which need not be a queryset.
#
# ### Two keys that are one
#
# The values of a tag are put behind one another, each with a colon after it, and hashed. What if a value has a colon in it?

# %% tags=["answer"]
from django.core.cache.utils import make_template_fragment_key

one, other = ["a:b", "c"], ["a", "b:c"]
same = make_template_fragment_key("note", one) == make_template_fragment_key("note", other)
one_framed, other_framed = kept.framed(*one), kept.framed(*other)
framed = make_template_fragment_key("note", [one_framed]) == make_template_fragment_key("note", [other_framed])
print(f"{one} and {other} share an entry, as they are: {'yes' if same else 'no'}; framed: {'yes' if framed else 'no'}")
print(one_framed, other_framed)

# %% [markdown]
# A store "a:b" with the reader "c", and a store "a" with the reader "b:c": whoever may choose a name can aim at somebody's entry.
# Django 6.1 puts the length of each value in front of it ([pull request 21516](https://github.com/django/django/pull/21516));
# on 5.2, `framed` does, in the view. Numbers, codes and dates have no room for such a name.
#
# ### Forty look-ups
#
# A fragment is a get, and a get is a round trip. What does a shelf of forty cards cost, once everything is warm?

# %%
CARD = "{% cache 600 card LC product.pk product.updated_at %}{% include 'shop/_card.html' %}{% endcache %}"
CARDS = "{% load cache i18n %}{% get_current_language as LC %}{% for product in products %}" + CARD + "{% endfor %}"
ALL = CARDS.replace("{% for", "{% cache 600 shelf LC newest %}{% for") + "{% endcache %}"
forty = list(Product.objects.select_related("tenant").order_by("pk")[:40])


def trips(source, edit=False):
    def draw_it():
        context = {"products": forty, "newest": max(product.updated_at for product in forty)}
        engines["django"].from_string(source).render(context)

    draw_it()
    if edit:
        forty[7].save()
    with lab.meter() as reading:
        draw_it()
    return reading.trips["default"]


# %% tags=["answer"]
lab.empty_cache()
{
    "a fragment for each card": trips(CARDS),
    "one around them too": trips(ALL),
    "the same, after an edit": trips(ALL, edit=True),
}

# %% [markdown]
# The outer fragment is what makes the inner ones bearable: warm, it is one trip. After an edit it is forty look-ups again, one
# entry stored for the card and one look-up and one entry for the shelf. A card whose drawing is cheaper than a round trip needs no
# fragment of its own.
#
# ### Another cache for fragments
#
# The tag takes `using`. And where `CACHES` has an alias `template_fragments`, every fragment goes there without being asked. Which
# cache is asked on a second visit? (The alias is local memory here.)

# %%
from django.conf import settings


def asked(varies):
    context = {"sidebar_popular": selectors.sidebar_popular}
    part(varies).render(context)
    with lab.meter() as reading:
        part(varies).render(context)
    return [alias for alias, trips in reading.trips.items() if trips]


# %% tags=["answer"]
lab.empty_cache()
print("as it is:", asked("LC"))
print('using="local":', asked('LC using="local"'))
with override_settings(CACHES={**settings.CACHES, "template_fragments": settings.CACHES["local"]}):
    print("with an alias template_fragments:", asked("LC"))

# %% [markdown]
# Local memory saves the trip and has all that notebook `02` measured: a copy in each worker, and no delete that reaches them all. With
# a version in the key that matters little: nobody has to delete.
#
# Times add up, too: a fragment of 600 seconds in a page that is kept for 600 is up to 1,200 old. Notebook `06_ttl` measures it.
#
# ### Delete it by its key
#
# Whoever changes something can also build the key again and delete the entry. Django has the function that builds it.

# %% tags=["claim:F4", "answer"]
lab.restore_database()
lab.mount("", home(SIDEBAR))
loved = selectors.sidebar_popular()[0]
old, new = {"en": loved.name_en, "de": loved.name_de}, {"en": "A better name", "de": "Ein besserer Name"}
print("warm:", {language: shows(name, language=language) for language, name in old.items()})
Product.objects.filter(pk=loved.pk).update(name_en=new["en"], name_de=new["de"])
print("edited:", {language: shows(name, language=language) for language, name in new.items()})
cache.delete(make_template_fragment_key("sidebar_popular", ["en"]))
print("key deleted:", {language: shows(name, language=language) for language, name in new.items()})

# %% [markdown]
# The English sidebar shows the edit; the German one was left behind. Somebody has to know all the names and all the values.
#
# ### Exercise 4.3 (10 minutes): forget it in every language
#
# Write `forget_sidebar()`: it deletes the fragment `sidebar_popular`, varied by language, in every language of
# `settings.LANGUAGES`. Everything else in the cache stays, and it takes one round trip.


# %% tags=["exercise"]
def forget_sidebar():
    # solution-begin
    cache.delete_many([make_template_fragment_key("sidebar_popular", [code]) for code, name in settings.LANGUAGES])
    # solution-end
    # starter: return ...  # which keys, and how many round trips?


# %%
check("4.3", forget_sidebar)

# %% [markdown]
# <details><summary>Hint 1</summary><code>settings.LANGUAGES</code> is a list of pairs: code and name.</details>
# <details><summary>Hint 2</summary><code>make_template_fragment_key(name, values)</code> takes a <em>list</em> of values, even for one.</details>
# <details><summary>Hint 3</summary><code>cache.delete_many([…])</code>: one trip, however many keys.</details>
# <details><summary>What you should see</summary>"4.3 Right": every language is gone, in one round trip. (<code>forget</code> in <code>caching/fragments.py</code> does it for any fragment.)</details>
#
# ### In production
#
# - Settings: an alias `template_fragments` on a Redis database number of its own, so that fragments can be emptied alone: `clear()`
#   takes all of a database, whatever its `KEY_PREFIX`.
# - Monitoring: hits and misses by fragment name (`caching/metering.py` counts them as `fragment:NAME`). One that never hits varies on
#   too much; one that never misses may vary on nothing.
# - In tests: `empty_keys()` around a visit to each page; and the audit of notebook `03`, which visits pages as two people.
# - Limits: the tag looks, draws and stores. Two visitors who miss at once both draw: notebook `09_stampedes`.
# - Which library: none for this. Wagtail ships tags of its own, since a preview must not be kept
#   ([issue 5074](https://github.com/wagtail/wagtail/issues/5074)).
#
# ### Further reading
#
# - Django, [template fragment caching](https://docs.djangoproject.com/en/5.2/topics/cache/#template-fragment-caching): the tag, `using`, and the
#   function that makes its keys.
# - Heinemeier Hansson, [How key-based cache expiration works](https://signalvnoise.com/posts/3113-how-key-based-cache-expiration-works)
#   (2012): versions in keys and Russian dolls, by those who made them known.
# - Freesound again, [a review of 2019](https://github.com/MTG/freesound/pull/1364): two developers on how to keep a queryset lazy until
#   it is inside the fragment.

# %% [markdown]
# **Next:** `05_low_level` keeps values instead of HTML, and shows them in whatever page asks. How far you are: `progress()`.
