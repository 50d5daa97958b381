# minutes: 30, 90
# %% [markdown]
# # Cache a page without showing it to a stranger
#
# {{header}}
#
# September 2026: a site that helps people to fight their health insurer finds the case number of one visitor in the HTML of the
# next. The home page has it, the FAQ too. They are public pages under `cache_page`, and somewhere in the head their template writes
# the visitor's own case. Whoever comes first writes it for everybody, and had done so for two months
# ([the pull request that ended it](https://github.com/fighthealthinsurance/fighthealthinsurance/pull/1038)).
#
# **You will see** a stranger's name on a page whose status and headers look right, and the moment in which it went wrong.
# **You will learn** what a cached page is filed under, how to make that enough, and how to find the pages where it is not.
# **You need** notebook `00_start_here`; its x-ray comes back here. A Django view with a decorator should look familiar.
#
# New on the bench: `lab.entries()` lists what lies in the cache; `leaks` asks who reads a page that was made for another. Smaller
# helpers are explained where they come.

# %%
import pandas as pd
from django.conf import settings
from django.core.cache import cache
from django.http import HttpResponse
from django.test import override_settings
from django.utils import translation
from django.views.decorators.cache import cache_control, cache_page, never_cache
from django.views.decorators.vary import vary_on_cookie, vary_on_headers
from tutorial_project.lab import boot, check, predict, quiz, reveal

lab = boot("03_per_view")
pd.set_option("display.max_colwidth", 120)
lab

# %% [markdown]
# The shop is up. This is what the notebook takes from it and from the bench:

# %%
from tutorial_project.caching.isolation import audit
from tutorial_project.lab.entries import entries
from tutorial_project.lab.leaks import decorated, greeted_as_another, leaks, learned, pages_kept
from tutorial_project.shop import views
from tutorial_project.shop.models import Category, Customer, Product

# %% [markdown]
# Two questions first, on notebook `01`: what repeats is what a cache can take away.

# %%
quiz("03.1")

# %%
quiz("03.2")

# %% [markdown]
# ## One address, one page · minute 3
#
# A view that you have written many times, and the decorator that one reaches for when it is slow. Both names are needed here:
# `greet` is the view, `hello` the same view kept for a minute.

# %%
calls: list[str] = []


def greet(request):
    calls.append(request.user.username)
    return HttpResponse(f"Hello, {request.user.username or 'stranger'}")


hello = cache_page(60)(greet)
lab.mount("hello/", hello)

# %% [markdown]
# Alice opens the page. A second later Bob does, in his own browser, signed in as himself; then somebody who is not signed in.

# %%
predict("03.bob", "What does Bob read?", ["Hello, alice", "Hello, bob", "Hello, stranger"])

# %% tags=["claim:P1", "answer"]
calls.clear()
lab.mount("hello/", hello)
answers = [lab.client(who).get("/hello/") for who in ("alice", "bob", None)]
print("kept:    ", [answer.text for answer in answers], "view calls:", len(calls))
lab.mount("hello/", greet)
print("not kept:", [lab.client(who).get("/hello/").text for who in ("alice", "bob", None)])

# %%
reveal("03.bob", answers[1].text)

# %% [markdown]
# **What just happened.** Three readers, one view call, one name. The cache did as it was told: one address, one page.
#
# On the day this reaches production you would look at the headers. `Vary` is the one that tells a cache what an answer
# depends on; `Cookie` is where it says who is signed in.

# %% tags=["answer"]
for who, answer in zip(("Alice", "Bob", "a stranger"), answers, strict=True):
    print(f"{who:<11}{answer.status_code}  Vary: {answer['Vary']:<24} {answer.text}")

# %% [markdown]
# Alice's answer, which was kept, says `Cookie`. So does Bob's, with Alice's name in it. The stranger's does not, above the same
# name. These headers tell what happened in each one's own request, and not whose page it is. No status tells it either.
#
# ### What that costs, and what privacy costs
#
# Now the shop's own home page, at lunch: sixty visits of the recorded day, 22 of them signed in. First it is kept by its address,
# as above. Then by cookie, with one more decorator, which the next part explains. (Sixty visits, sent four times: the cell after the
# question is silent for some ten seconds.)

# %%
lunch = lab.traffic(600, start="13:05").query("path == '/'").head(60)


def on_home_page(view):
    lab.mount("", view)
    return lab.replay(lunch), greeted_as_another(lab, lunch)


# %%
predict("03.wrong", "Sixty visits. How many are greeted by somebody else's name?", [0, 2, 20, 55])

# %% tags=["answer"]
by_address, wrong = on_home_page(cache_page(600)(views.home))
by_cookie, none = on_home_page(cache_page(600)(vary_on_cookie(views.home)))
reveal("03.wrong", wrong.total())
for name, run, greeted in (("by address", by_address, wrong), ("by cookie", by_cookie, none)):
    print(f"{name}: {(run['misses'] == 0).mean():.2f} answered from the cache; by another's name: {dict(greeted)}")

# %%
lab.scoreboard(by_address=by_address, by_cookie=by_cookie)

# %% [markdown]
# Two pages, one in English and one in German, answered nearly everything: everybody was Rosa, or Lena. By cookie no one
# is greeted wrongly, and the database works again for those who are signed in. (The bars count look-ups. A page needs two, and the
# first, for what it varies on, often hits where the second misses; the shares above count visits.)
#
# > **Keep this.** `cache_page` files a page under its address and its language. Whatever else makes it differ, you must say.
#
# ## Stored too early · minute 8
#
# Django can put a whole page into its cache in two ways: the decorator, and a pair of middleware around the whole site. Here is
# the pair, with the shop's own middleware in between, and the same greeting under each of the two. Bob comes second.

# %%
pair = [
    "django.middleware.cache.UpdateCacheMiddleware",
    *settings.MIDDLEWARE,
    "django.middleware.cache.FetchFromCacheMiddleware",
]


def looked_at(view):
    url = lab.mount("hello/", view)
    wire = lab.client("alice").get(url)["Vary"]
    return wire, str(learned()), lab.client("bob").get(url).text


# %% [markdown]
# `learned()` reads from the cache what it believes about each page that it holds: the headers on which it varies.

# %%
predict("03.pair", "And under the pair: what does Bob read?", ["Hello, alice", "Hello, bob"])

# %% tags=["claim:P5", "answer"]
rows = {"decorator": looked_at(hello)}
with override_settings(MIDDLEWARE=pair):
    rows["pair of middleware"] = looked_at(greet)
pd.DataFrame.from_dict(rows, orient="index", columns=["on the wire, Vary", "the cache has learned", "Bob reads"])

# %%
reveal("03.pair", rows["pair of middleware"][2])

# %% [markdown]
# On the wire both rows are the same. In the cache they are not: under the decorator it has learned an empty list, under the pair
# `Cookie`, by the name that Django has for it. (The language needs no place on the list: it is in each key already.)
# The x-ray shows when. In the next picture, look for the label "stored here", and for two that say "added here".

# %% tags=["claim:P5", "answer"]
lab.mount("hello/", hello)
lab.xray("/hello/", "alice").figure()

# %% [markdown]
# Read it from the bottom up, as a response travels. **Stored here**, below the view. Far above, the language middleware and the
# session middleware add what it varies on: too late, the page is in the cache.
# And the pair, with a stranger's request:

# %% tags=["claim:P5", "answer"]
with override_settings(MIDDLEWARE=pair):
    lab.mount("hello/", greet)
    lab.xray("/hello/").figure()

# %% [markdown]
# Now "stored here" stands above the other two. The storing half of the pair is around everything, and on its way out the
# response has passed both middleware before it comes there.
#
# > **Keep this.** The decorator stores a page before outer middleware has said what it varies on. Right on the wire, wrong in the cache.
#
# ### What lies there · minute 12
#
# One stranger asks for the home page, once. This is in the cache afterwards:

# %% tags=["claim:L1", "answer"]
sent = lab.visit(lab.mount("kept/", cache_page(60)(views.home)))
kept = lab.entries()
kept[["use", "key", "lives"]]

# %% tags=["claim:L1", "answer"]
page = next(cache.get(key) for key in entries() if ".cache_page." in key)
print("The first is the list of what the page varies on:", learned()[0])
print(
    f"The second is a {type(page).__name__}, {page.text[:15]!r} to {page.text.strip()[-7:]!r}, status", page.status_code
)
print("It is the answer that the visitor was sent:", page.text == sent.text)
print("It takes at least the page's own bytes:", kept["bytes"].max() >= len(page.content))

# %% [markdown]
# A whole response, headers and all, for 60 seconds, and beside it a short list; the scoreboard counts both as `page`. Read the key of
# the page from left to right: a prefix (empty here, so two dots meet), the method, a hash of the address, a hash of **the headers on
# that list**, the language, the time zone. The list is empty, so the second hash is the hash of nothing. `vary_on_cookie`,
# placed *inside*, fills it before the page is stored:

# %% tags=["claim:P3", "answer"]
rows = {}
for name, view in {"cache_page alone": hello, "vary_on_cookie inside": cache_page(60)(vary_on_cookie(greet))}.items():
    url = lab.mount("hello/", view)
    read = [lab.client(who).get(url).text for who in ("alice", "bob", None)]
    rows[name] = [*learned(), pages_kept(), read]
columns = ["the list", "pages kept for three readers", "they read"]
pd.DataFrame.from_dict(rows, orient="index", columns=columns)

# %% [markdown]
# **What just happened.** With `HTTP_COOKIE` on the list, the whole `Cookie` header goes into the hash: three headers, three pages, three
# names. Nobody told `cache_page` about users. It learned from `Vary` what to put into the key.
#
# ### Play with it
#
# The outermost decorator comes first. Swap them; add `cache_control(private=True)` on either side.

# %% tags=["knobs"]
order = [vary_on_cookie, cache_page(60)]

found = leaks(lab, lab.mount("hello/", decorated(greet, order)))
print("Another's page is read by:", ", ".join(found) or "no one", "- pages kept:", pages_kept())

# %% [markdown]
# ## All that varies it · minute 15
#
# A name is easy to think of. Two other ingredients are missed more often. The language, where it does not come from the browser
# but from the profile; and what somebody may do. Here is a view for each. Clara's profile says German; Dora is staff.


# %%
def first_shelf(request):
    with translation.override(Customer.objects.get(user=request.user).language):
        return HttpResponse(Category.objects.get(pk=1).name)


def tools(request):
    return HttpResponse("change prices" if request.user.has_perm("shop.change_product") else "read prices")


# %% [markdown]
# The test is short. Ask for a page from an empty cache, as each reader; then once more, one after the other, while it is kept. Whoever
# gets another answer than before reads a page that was made for somebody else. That is what `leaks` does, in both orders.

# %%
arrangements = {
    "cache_page": cache_page(60),
    "cache_page, vary_on_cookie inside": lambda view: cache_page(60)(vary_on_cookie(view)),
    "not kept": never_cache,
}


def tried(view, *readers):
    found = [
        leaks(lab, lab.mount("try/", keep(view)), [(who, None) for who in readers]) for keep in arrangements.values()
    ]
    return [", ".join(names) or "no one" for names in found]


# %% [markdown]
# The shop has a middleware that speaks the language of the profile. Most projects have none, so the first row of the table is
# measured without it.


# %%
predict(
    "03.staff", "Dora and Alice, under cache_page: who reads another's tools?", ["no one", "alice", "both, by turns"]
)

# %% tags=["claim:P2", "answer"]
ours = "tutorial_project.shop.middleware.CustomerMiddleware"
with override_settings(MIDDLEWARE=[one for one in settings.MIDDLEWARE if one != ours]):
    language = tried(first_shelf, "alice", "clara")
permission = tried(tools, "alice", "dora")
pd.DataFrame({"language of the profile": language, "permission": permission}, index=list(arrangements)).T

# %% tags=["answer"]
reveal("03.staff", "both, by turns" if permission[0] == "alice, dora" else permission[0])

# %% [markdown]
# Both leak, to whoever comes second. Both are mended by the reader's cookie, and by keeping nothing. For the language there is
# a better mend, with two pages in place of one for each cookie: see "One page for each language" below.
#
# > **Keep this.** Before you cache a page, ask: could this response differ between two users? If so, that goes into the key, or the page
# > is not kept.
#
# ## Ask every page · minute 19
#
# You can ask that question once. Somebody adds a name to a shared template a year later. So let a machine ask it, of each page,
# before each deploy. The audit visits pages as several people, in each language, from cold and from warm. Here it gets four pages that
# are kept, and the basket, which is not. (It takes some seconds.)

# %%
lab.restore()  # the shop's own pages again
lab.mount("hello/", hello)
lab.mount("hello/mended/", cache_page(60)(vary_on_cookie(greet)))
lab.mount("tools/", cache_page(60)(tools))
lab.mount("search/", cache_page(60)(views.search))

# %% tags=["claim:P4", "answer"]
pages = ["/hello/", "/hello/mended/", "/tools/", "/search/", "/cart/"]
report = audit(pages, users=["alice", "dora"])
report

# %%
report.leaks

# %% [markdown]
# The report names each page, who wrote what somebody else read, and what of it was to be seen. The mended greeting passes: it is
# `shared`, which means kept, and right for all who read it. The search page looks harmless and leaks twice over: the frame around
# every page of the shop has a link to the staff's dashboard, and a form to sign out with a token in it. In your project the
# same audit is a line in CI: `manage.py audit_cache`.
#
# ### Exercise 3.1 (5 minutes): a colleague has read about Vary
#
# "It must vary on the cookie, so I told it to." It still greets Bob as Alice. Mend it; it should still be kept.


# %% tags=["exercise"]
# solution-begin
@cache_page(60)
@vary_on_cookie
def greeting(request):
    return HttpResponse(f"Good morning, {request.user.username or 'stranger'}")


# solution-end
# starter: @vary_on_cookie
# starter: @cache_page(60)
# starter: def greeting(request):
# starter:     return HttpResponse(f"Good morning, {request.user.username or 'stranger'}")


# %%
check("3.1", greeting)

# %% [markdown]
# <details><summary>Hint 1</summary>The x-ray: what has to come first, the storing or the Vary?</details>
# <details><summary>Hint 2</summary>A response passes the decorators from the inside out. The lowest line is the innermost.</details>
# <details><summary>Hint 3</summary>Swap the two lines.</details>
# <details><summary>What you should see</summary>"3.1 Right": four readers, four greetings, and each second visit answered from the cache.</details>
#
# ### Two questions

# %%
quiz("03.3")

# %%
quiz("03.4")

# %% [markdown]
# ## Recap · minute 27
#
# Most visitors of a shop are strangers, and all strangers may read the same page. So keep it for them, and for no one else. Whoever
# is signed in sent a session cookie; whether there is one can be told without opening the session. (Some seconds again.)

# %%
for_strangers = cache_page(600)(views.home)


def home(request):
    may_be_signed_in = settings.SESSION_COOKIE_NAME in request.COOKIES
    return views.home(request) if may_be_signed_in else for_strangers(request)


# %% tags=["answer"]
strangers_only, wrong = on_home_page(home)
looked_up = strangers_only[strangers_only["hits"] + strangers_only["misses"] > 0]
hits = (looked_up["misses"] == 0).mean()
print(f"{len(looked_up)} visits of strangers, {hits:.2f} answered from the cache; by another's name: {dict(wrong)}")
signed_in = by_cookie[by_cookie["user"] != ""]
print(
    f"by cookie: {len(signed_in)} visits of {signed_in['user'].nunique()} customers, {(signed_in['misses'] == 0).sum()} hits"
)
print(f"pages kept: {(looked_up['misses'] > 0).sum()}; by cookie: {(by_cookie['misses'] > 0).sum()}")
lab.scoreboard(by_address=by_address, by_cookie=by_cookie, strangers_only=strangers_only)

# %% [markdown]
# The pages that are kept are right for whoever is shown them, and are hit nearly as often as in the first row. By cookie the database
# had the same work: not one page of a customer was read again, not even where the same customer came twice ("A cookie that says
# nothing", below, shows why). So nothing is lost without those pages but look-ups that missed: hence the better ratio. What
# is left are the signed-in visits, each built anew. That is why the next notebook keeps pieces of pages.
#
# | a whole page | |
# |---|---|
# | when | a page that is the same for all who share its key: strangers, a language, a country |
# | cost | two look-ups a page; the cookie in the key is a page for each `Cookie` header; browsers keep it too |
# | how it fails | a stranger's page, status 200, headers that look right |
# | lines | `@cache_page(600)` outside, `@vary_on_headers("X-Country")` inside; site-wide: `UpdateCacheMiddleware` first, `FetchFromCacheMiddleware` last |
#
# **Tomorrow at work** (10 minutes): search your project for `cache_page`. For each view that it finds, open the page in two
# browsers, signed in as two people. Then look at the base template: what in it knows who is reading?

# %% [markdown] tags=["instructor"]
# **For the instructor.** 30 minutes: eight for the leak and the scoreboard, seven for the x-ray and what lies in the cache, six for
# the other ingredients and the audit, six for exercise 3.1 and the two questions, three for the recap. 3.2 and 3.3 are for home.
#
# *Likely misconceptions.* "The header says Vary: Cookie, so the cache varies": the header of the wire was written later.
# "`login_required` protects it": it decides who may enter, not whose page they get; see the matrix. "The outer decorator runs
# first, so it should come first": true of requests; what matters here is the way back.
#
# *The seven mended leaks* can be seen from the other side: run the two cells in an environment with Django 5.2.13.
#
# *A question to leave standing:* which of your pages are the same for all strangers? Most rooms find that it is most of
# their traffic.

# %% [markdown]
# ## Deeper · minute 30
#
# If you come back here after a break: "Run All Above Selected Cell", in the menu Run, takes half a minute. Then this one:

# %%
import math
import time

from django.http import JsonResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.test import Client, RequestFactory
from django.utils.cache import get_cache_key, get_max_age
from django.utils.http import parse_http_date
from django.views.decorators.csrf import csrf_protect
from tutorial_project.caching.fragments import framed
from tutorial_project.lab.leaks import matrix, site_wide, stored

# %% [markdown]
# ### Exercise 3.2 (10 minutes): one price list for each country
#
# A CDN stands in front of the shop. It writes the visitor's country into each request, in a header `X-Country`. Prices differ by
# country, because of the tax, and by nothing else. Forty readers come, signed in and not, from four countries. Make
# `price_list` right for all of them with four looks into the database.

# %% tags=["exercise"]
TAX = {"at": 20, "de": 19, "fr": 20, "pl": 23}  # percent


# starter: def price_list(request):
# starter:     tax = TAX[request.headers["X-Country"]]
# starter:     rows = Product.objects.order_by("pk").values_list("pk", "price")[:5]
# starter:     return JsonResponse({str(pk): f"{price * (100 + tax) / 100:.2f}" for pk, price in rows})  # for each country, once
# solution-begin
@cache_page(300)
@vary_on_headers("X-Country")
def price_list(request):
    tax = TAX[request.headers["X-Country"]]
    rows = Product.objects.order_by("pk").values_list("pk", "price")[:5]
    return JsonResponse({str(pk): f"{price * (100 + tax) / 100:.2f}" for pk, price in rows})


# solution-end


# %%
check("3.2", price_list)

# %% [markdown]
# <details><summary>Hint 1</summary>What does this page vary on? Not on who reads it.</details>
# <details><summary>Hint 2</summary><code>vary_on_cookie</code> has a sister that takes the names of headers, and is imported above.</details>
# <details><summary>Hint 3</summary><code>@cache_page(300)</code> outside, <code>@vary_on_headers("X-Country")</code> inside.</details>
# <details><summary>What you should see</summary>"3.2 Right", with forty readers, four looks into the database, and four lists.</details>
#
# ### Break it
#
# Monday, 09:12. A customer writes: "I can change your prices." On Friday somebody put `cache_page(600)` on the product page. Dora,
# who is staff, was the first to open product 7 this morning, which is one of her store's. Alice comes next.

# %%
lab.restore()
lab.restore_database()


def sees_form(who, language=None):
    page = lab.client(who, language).get("/product/7/").text
    return "yes" if "/product/7/price/" in page else "no"


def friday(request, pk):
    return cache_page(600, key_prefix=prefix)(views.product)(request, pk)


prefix = None
lab.mount("product/<int:pk>/", friday)
print("Dora sees the form?", sees_form("dora"), "- and in German?", sees_form("dora", "de"))
print("Alice sees it?", sees_form("alice"), "- and Clara, in German?", sees_form("clara"))

# %% [markdown]
# What does the form do if Alice sends it? And the first aid: which call takes this one page out of the cache? There is none. You
# have to build its key as Django does, from a request like the one that stored it.

# %% tags=["answer"]
print("Alice sends the form:", lab.visit("/product/7/price/", "alice", data={"price": "0.01"}).status)
request = RequestFactory().get("/product/7/")
request.LANGUAGE_CODE = "en"
cache.delete(get_cache_key(request))
print("Alice sees it?", sees_form("alice"), "- and Clara, in German?", sees_form("clara"))

# %% [markdown]
# The check of the permission stood where it belongs, at the write, so the leak was a leak and no theft. The English page is
# clean now, the German one is not, nor the other products, and browsers may keep their copies. A new prefix leaves all old pages
# behind at once. There are two places for one, and the first does nothing here:

# %% tags=["answer"]
with override_settings(CACHE_MIDDLEWARE_KEY_PREFIX="monday"):
    print("CACHE_MIDDLEWARE_KEY_PREFIX: Clara sees the form?", sees_form("clara"))
prefix = "monday"
print("the decorator's key_prefix:  Clara sees the form?", sees_form("clara"))
prefix = None

# %% [markdown]
# The setting is for the pair of middleware; `cache_page` without a prefix of its own uses an empty one, whatever the setting
# says. So the change is one in each decorator, or `KEY_PREFIX` in `CACHES`, which leaves behind all else that is cached too.
#
# How you would have noticed, before 09:12: the audit. Or the list of what each page varies on, which is empty for a page
# with a person in it. On a dashboard you would have seen an excellent hit ratio.
#
# ### The leak matrix
#
# Every common way to put these pieces together, each one run with four readers: Alice, Bob, a stranger and a stranger who reads
# German. The outermost decorator stands first; "pair" is the site-wide middleware. `TemplateResponse` is what Django's generic
# views return: it is rendered after all decorators have seen it. The last column says how often the `HttpResponse` was made for eight
# visits. (Twenty combinations: some ten seconds.)

# %%
predict(
    "03.matrix",
    "vary_on_cookie outside, cache_page inside, a TemplateResponse: does it leak?",
    ["yes, as before", "no"],
)

# %% tags=["claim:P5", "answer"]
table = matrix(lab)
leaking = {kind: int(table[kind].str.startswith("leaks").sum()) for kind in ("HttpResponse", "TemplateResponse")}
print(f"Of {len(table)} combinations leak: {leaking}")
table

# %% tags=["answer"]
wrong_order = table.loc["vary_on_cookie, cache_page", "TemplateResponse"]
reveal("03.matrix", "no" if wrong_order == "safe" else "yes, as before")

# %% [markdown]
# `never_cache` above `cache_page` leaks: a word at the top of a view is no promise. The same two
# lines leak for a function view and are safe for a `TemplateResponse`, which is stored only once it is rendered: change
# `TemplateView` to a function, and a safe page becomes a leaking one. And with both halves of the pair first, the page is right for
# every user, and a German stranger reads English.
#
# `pair, and cache_page` is safe for a reason that is easily lost: both write their list under the same key, and the pair writes last.
# In the last row the decorator has a `key_prefix`, and with it a list of its own, an empty one: the page leaks again.
#
# ### One page for each language
#
# Django puts into every key what `request.LANGUAGE_CODE` says. The table of "All that varies it" had its first row without the shop's
# own middleware, which says `request.LANGUAGE_CODE = translation.get_language()` once it speaks the language of the profile. With
# that line, and no `Vary`:

# %% tags=["claim:P2", "answer"]
url = lab.mount("try/", cache_page(60)(first_shelf))
print("Another's shelf is read by:", ", ".join(leaks(lab, url, [("alice", None), ("clara", None)])) or "no one")
print("languages in the keys:", sorted({key.split(".")[-2] for key in entries()}))

# %% [markdown]
# One entry for each language, not one for each cookie. The key holds what varies the page, and no more.
#
# ### The token of another
#
# A form carries a token against forged requests, which must match the visitor's cookie. This form is kept. Four strangers, one
# after the other, open it and send it.


# %%
def contact(request):
    return HttpResponse("sent" if request.method == "POST" else get_token(request))


def sends(url):
    browser = Client(enforce_csrf_checks=True)
    return browser.post(url, {"csrfmiddlewaretoken": browser.get(url).text}).status_code


# %%
predict("03.csrf", "The second stranger sends the form. Which status?", [200, 302, 403])

# %% tags=["answer"]
url = lab.mount("contact/", cache_page(60)(contact))
statuses = [sends(url) for stranger in range(4)]
print("four strangers:", statuses)
reveal("03.csrf", statuses[1])
url = lab.mount("contact/", cache_page(60)(csrf_protect(contact)))
print("csrf_protect inside:", [sends(url) for stranger in range(4)], "pages kept:", pages_kept())

# %% [markdown]
# The first stranger's cookie was set by the CSRF middleware, outside of what was stored. The second got the token and no cookie:
# 403, and so for all who come after, until the page expires. With `csrf_protect` inside, cookie and `Vary: Cookie` are there in time, and
# Django refuses to keep such an answer. Right, and no longer cached: a form belongs outside of what you keep.
#
# ### The cookie of another
#
# What a view puts into the response itself is stored with it. This one hands out a number for the basket:


# %% tags=["answer"]
def basket(request):
    response = HttpResponse("your basket")
    response.set_cookie("basket", f"of {request.headers['User-Agent']}")
    return response


url = lab.mount("basket/", cache_page(60)(basket))
[lab.client().get(url, headers={"user-agent": name}).cookies["basket"].value for name in ("Ann", "Ben", "Cleo")]

# %% [markdown]
# Everybody shares Ann's basket. Django declines to store a `Set-Cookie` only where the answer also says `Vary: Cookie`, and a view that
# sets a cookie without reading one does not say it.
#
# ### The write that is never made
#
# A view that counts its visits in the session. Alice and Bob come three times each.


# %% tags=["answer"]
def seen(request):
    request.session["seen"] = request.session.get("seen", 0) + 1
    return HttpResponse("welcome back")


url = lab.mount("seen/", cache_page(60)(seen))
for who in ("alice", "bob"):
    before = lab.client(who).session.get("seen", 0)
    [lab.client(who).get(url) for visit in range(3)]
    print(f"{who} came 3 times; counted: {lab.client(who).session.get('seen', 0) - before}")

# %% [markdown]
# A view that is not called writes nothing: one visit of six was counted. The same goes for "last seen", for read marks,
# and for statistics that are written in a view.
#
# ### One page, many addresses
#
# Five ways in which the same list of products is asked for. How many pages are kept?

# %%
spellings = ["?a=1&b=2", "?b=2&a=1", "?a=1&b=2&", "?a=1&b=2&utm_source=letter", "?a=1&b=2&a=1"]
predict("03.spell", "Five spellings: how many entries?", [1, 3, 5])

# %% tags=["answer"]
url = lab.mount("list/", cache_page(60)(lambda request: HttpResponse("the list")))
for spelling in spellings:
    lab.client().get(url + spelling)
reveal("03.spell", pages_kept())
lab.client().get(url + spellings[0], headers={"host": "localhost"})
print("and one more, by another name of the host:", pages_kept())

# %% [markdown]
# The key holds the address as it was written, host and all. The tail of a newsletter link (`utm_…`, `fbclid`) makes a page of its
# own for each campaign, and for each click where it holds a number. Redirect to one spelling, or let the CDN cut what you do not read.
#
# ### A cookie that says nothing
#
# The pair is safe because it varies on the whole `Cookie` header. Twenty strangers open a page that looks who they are, once without
# any cookie, once with what a statistics script has left in theirs.


# %% tags=["answer"]
def strangers(url, cookie):
    calls.clear()
    for number in range(20):
        browser = lab.client()
        browser.cookies.load({"_ga": f"GA1.1.{number}"} if cookie else {})
        browser.get(url)
    return f"{1 - len(calls) / 20:.2f}"


with site_wide():
    print("without:", strangers(lab.mount("hello/", greet), cookie=False), end=", ")
    print("with an analytics cookie:", strangers(lab.mount("hello/", greet), cookie=True))

# %% [markdown]
# Not a hit in twenty, and twenty pages in the cache that no one will ask for: a site-wide cache that is safe and does nothing.
#
# It need not be a script. At lunch six customers came twice, and missed twice. Alice opens the home page four times, by cookie:

# %% tags=["answer"]
url = lab.mount("", cache_page(600)(vary_on_cookie(views.home)))
alice = lab.client("alice")
alice.cookies.pop("csrftoken", None)  # as on her first visit
for _visit in range(4):
    before, names = pages_kept(), sorted(alice.cookies)
    alice.get(url)
    print(f"she sends {', '.join(names):<22} pages added: {pages_kept() - before}")
repeated = lunch[lunch["user"] != ""]["user"].value_counts()
print("customers at lunch who came twice or more:", (repeated > 1).sum())

# %% [markdown]
# The form in the page sets `csrftoken` on the first visit, so the second one sends another `Cookie` header and gets a page of its own:
# `vary_on_cookie` keeps a page for each **header**, and one that is written anew is another reader. The mend
# is the one of the recap: look at what you need (is there a session?), not at the header that holds everything.
#
# ### What is never kept, and what others are told
#
# Django has opinions of its own. Each of these answers is made once under `cache_page`; is there a page in the cache afterwards?


# %%
def plain(request):
    return HttpResponse("a page")


def with_cookie(request):
    response = HttpResponse("a page")
    response.set_cookie("basket", "1")
    return response


# %% tags=["claim:P6", "answer"]
kept = {
    "GET, 200": stored(lab, plain),
    "HEAD": stored(lab, plain, "head"),
    "POST": stored(lab, plain, "post"),
    "Set-Cookie": stored(lab, with_cookie),
    "Set-Cookie, Vary: Cookie": stored(lab, vary_on_cookie(with_cookie)),
    "Vary: *": stored(lab, vary_on_headers("*")(plain)),
    "private": stored(lab, cache_control(private=True)(plain)),
    "no-store": stored(lab, cache_control(no_store=True)(plain)),
    "a stream": stored(lab, lambda request: StreamingHttpResponse(iter(["a page"]))),
}
for status in (204, 301, 302, 304, 404, 500):
    kept[str(status)] = stored(lab, lambda request, status=status: HttpResponse(status=status))
pd.Series(kept, name="kept").to_frame()

# %% [markdown]
# Only a whole, successful answer to a GET or a HEAD is kept, and not if it says that it is somebody's. A 404 is
# built anew each time: whoever asks for a thousand products that do not exist gets a thousand queries. And a HEAD has an
# entry of its own, which no GET finds:

# %% tags=["claim:P6", "answer"]
url = lab.mount("list/", cache_page(60)(plain))
lab.client().head(url)
lab.client().get(url)
sorted(key.split(".")[5] for key in entries() if ".cache_page." in key)

# %% [markdown]
# `cache_page(60)` does something else besides, which many learn late. It speaks to the others:


# %% tags=["claim:P6", "answer"]
def headers_of(view):
    lab.client().get(url := lab.mount("told/", view))
    answer = lab.client().get(url)
    lives = parse_http_date(answer["Expires"]) - time.time()
    return answer.get("Cache-Control", ""), f"{math.ceil(lives / 10) * 10} s", "Age" in answer


rows = {
    "cache_page(60)": headers_of(cache_page(60)(plain)),
    "never_cache": headers_of(never_cache(plain)),
    "cache_page(60), max_age=0 inside": headers_of(cache_page(60)(cache_control(max_age=0)(plain))),
}
pd.DataFrame.from_dict(rows, orient="index", columns=["Cache-Control", "Expires in", "second answer is a kept one"])

# %% [markdown]
# Whoever stands between you and the reader, a browser or a CDN, was told that it may keep the page for a minute. It will not ask
# again before that, and so nothing that you delete on your server can reach it. The price of product 1 changes:


# %% tags=["answer"]
def price_tag(request):
    return HttpResponse(str(Product.objects.get(pk=1).price))


url = lab.mount("price-tag/", cache_page(600)(price_tag))
Product.objects.filter(pk=1).update(price="9.00")
browsers_copy = lab.client().get(url)
Product.objects.filter(pk=1).update(price="1.00")
lab.empty_cache()
print("A new visitor reads", lab.client().get(url).text)
print("Who came before has", browsers_copy.text, "and need not ask for", get_max_age(browsers_copy), "seconds.")

# %% [markdown]
# The last row of the table above is the way out: `cache_control(max_age=0)` *inside* leaves the page in your cache for
# a minute, and tells everybody else to ask (`max-age` goes before `Expires`, says RFC 9111). What you keep on your own server
# you can correct.
#
# ### Asking whether it changed
#
# A reader that must ask need not be sent the page. With `ConditionalGetMiddleware` each answer has an **ETag**, a hash of its body.
# The reader sends it back; if it still fits, the answer is 304, without a body.


# %% tags=["claim:P6", "answer"]
def asked_twice(view):
    calls.clear()
    url = lab.mount("hello/", view)
    first = lab.client().get(url)
    again = lab.client().get(url, headers={"if-none-match": first["ETag"]})
    return [first.status_code, len(first.content), again.status_code, len(again.content), len(calls)]


with override_settings(MIDDLEWARE=["django.middleware.http.ConditionalGetMiddleware", *settings.MIDDLEWARE]):
    rows = {"not kept": asked_twice(greet), "cache_page": asked_twice(hello)}
pd.DataFrame.from_dict(rows, orient="index", columns=["status", "bytes", "asked again", "bytes, again", "view calls"])

# %% [markdown]
# The first row saved bytes on the way and no work at all: to compute the hash, the view ran. Both together save both.
#
# ### Two headers that add up
#
# A gateway in front of the shop says which store a request is for and which user, in two headers. The page varies on both, and the
# decorators stand in the right order. Store 1, user 12 comes first; then store 11, user 2.


# %%
def desk(request):
    return HttpResponse(f"store {request.headers['X-Tenant']}, user {request.headers['X-User']}")


def reads(view, tenant, user):
    lab.mount("desk/", view)
    lab.client().get("/desk/", headers={"x-tenant": "1", "x-user": "12"})
    return lab.client().get("/desk/", headers={"x-tenant": tenant, "x-user": user}).text


by_both = cache_page(60)(vary_on_headers("X-Tenant", "X-User")(desk))

# %%
predict("03.desk", "Store 11, user 2 reads the desk of…", ["store 11, user 2", "store 1, user 12"])

# %% tags=["answer"]
reveal("03.desk", reads(by_both, "11", "2"))
print("store 2, user 12 reads:", reads(by_both, "2", "12"))

# %% [markdown]
# Django hashes the values one after the other, with nothing in between: 1 and 12 are 112, and so are 11 and 2. This is so in
# Django 5.2, which the course runs on; 6.1 puts the length in front of each. The mend for today: one header, written by your own code
# in front of the cache, in which each value has its length in front. (A slash between them is not enough, where a value may hold one.)


# %% tags=["answer"]
def by_desk(view):
    kept = cache_page(60)(vary_on_headers("X-Desk")(view))

    def told(request):
        request.META["HTTP_X_DESK"] = framed(request.headers["X-Tenant"], request.headers["X-User"])
        return kept(request)

    return told


print("reads:", reads(by_desk(desk), "11", "2"), "- in the header:", framed("1", "12"), framed("11", "2"))
print(
    "with a slash:", "/".join(["1/1", "2"]), "/".join(["1", "1/2"]), "- framed:", framed("1/1", "2"), framed("1", "1/2")
)

# %% [markdown]
# ### A year of mended leaks
#
# Between May and November 2026 Django mended seven ways in which the page cache could show a private answer
# ([its list](https://docs.djangoproject.com/en/dev/releases/security/)). All are closed in the release that this course
# pins; here each of them is tried. What you should see is that nothing happens: under Django 5.2.13, where none was mended, the same cells
# say `True` four times, one page where there are two now, and a session cookie for the stranger.
#
# | CVE | mended in | what was kept, or shared, and should not have been |
# |---|---|---|
# | 2026-35192 | 5.2.14 | a session cookie, where `SESSION_SAVE_EVERY_REQUEST` is on and nobody reads the session |
# | 2026-6907 | 5.2.14 | an answer that says `Vary: *` |
# | 2026-8404 | 5.2.15 | an answer that says `Private`, with a capital letter |
# | 2026-35193 | 5.2.15 | an answer to a request with `Authorization`, for whoever asks with another |
# | 2026-48587 | 5.2.15 | a cookie, where `Vary` has a blank too many |
# | 2026-48588 | 5.2.16 | a cookie in answer to a request that had another cookie |
# | 2026-113593 | 5.2.19 | one page for "header missing" and "header empty" |
#
# Four of them are answers that must not be kept:


# %%
def saying(header, value, view=plain):
    def said(request):
        response = view(request)
        response[header] = value
        return response

    return said


# %% tags=["answer"]
kept = {
    "2026-6907": stored(lab, saying("Vary", "*")),
    "2026-8404": stored(lab, saying("Cache-Control", "Private")),
    "2026-48587": stored(lab, saying("Vary", "Accept-Encoding, Cookie ", with_cookie)),
    "2026-48588": stored(lab, saying("Vary", "Cookie", with_cookie), cookie="theme=dark"),
}
pd.Series(kept, name="kept").to_frame()


# %% [markdown]
# Two are readers that must not share a page, and one is a session cookie that must not travel with it:


# %% tags=["answer"]
def pages_for(view, *requests):
    url = lab.mount("try/", view)
    [lab.client().get(url, headers=headers) for headers in requests]
    return pages_kept()


token = pages_for(cache_page(60)(plain), {"authorization": "Token a"}, {"authorization": "Token b"})
empty = pages_for(cache_page(60)(vary_on_headers("X-Beta")(plain)), {}, {"x-beta": ""})
others = [one for one in settings.MIDDLEWARE if "CustomerMiddleware" not in one]  # it would read the session
with override_settings(MIDDLEWARE=others, SESSION_SAVE_EVERY_REQUEST=True), site_wide():
    url = lab.mount("public/", plain)
    lab.client("alice").get(url)
    got = lab.client().get(url).cookies
print("2026-35193:  pages kept for two tokens:", token)
print("2026-113593: pages kept for a header that is missing and one that is empty:", empty)
print("2026-35192:  cookies for the stranger who comes after Alice:", ", ".join(got) or "none")

# %% [markdown]
# Pin the patch release, and read its notes: with a cache of pages, a security release is about your users' names.

# %% [markdown]
# ### Exercise 3.3 (10 minutes): a page for each role
#
# A page shows staff a form for prices, customers a cart, strangers a link to sign in, and nothing else differs. By cookie it would be a page
# for each cookie. Write `by_role(view)`, which returns a view that keeps one page for each of the three roles. It is tried on a
# page for each product, `view(request, pk)`, so pass on what you are called with.


# %% tags=["exercise"]
def by_role(view):
    # solution-begin
    def kept(request, *args, **kwargs):
        user = request.user
        role = "staff" if user.is_staff else "customer" if user.is_authenticated else "stranger"
        return cache_page(60, key_prefix=role)(view)(request, *args, **kwargs)

    return kept
    # solution-end
    # starter: def kept(request, *args, **kwargs):
    # starter:     return ...  # what the view answers, kept for each role
    # starter: return kept


# %%
check("3.3", by_role)

# %% [markdown]
# <details><summary>Hint 1</summary>Decide the role outside, where there is a request; only then look into the cache.</details>
# <details><summary>Hint 2</summary><code>request.user.is_staff</code>, <code>request.user.is_authenticated</code>. Whatever the visitor sends in a header of their own proves nothing.</details>
# <details><summary>Hint 3</summary><code>cache_page(60, key_prefix=role)(view)</code> is a view, made for this request; call it with what you were called with.</details>
# <details><summary>What you should see</summary>"3.3 Right", with three pages made for eight readers, who come twice each.</details>
#
# ### In production
#
# - Settings: a prefix with the release in it, so that a deploy leaves all pages behind: `CACHE_MIDDLEWARE_KEY_PREFIX` for the pair,
#   `key_prefix` for the decorator. `CACHE_MIDDLEWARE_SECONDS` and the decorator's timeout are promises to browsers too: keep them short, or say `max_age=0` inside.
# - Monitoring: pages kept by what they vary on. A page with an empty list should be one that you could print on a poster.
# - Limits: a page varied on `Cookie` is one entry for each `Cookie` header and address. Give pages a cache alias of their own, with a limit.
# - Which library: Django's own for strangers' pages; a CDN for the rest of what strangers see, which obeys the same headers.
#   Not for signed-in pages: the next notebook.
#
# ### Further reading
#
# - Django, [the per-view cache](https://docs.djangoproject.com/en/5.2/topics/cache/#the-per-view-cache) and
#   [using Vary headers](https://docs.djangoproject.com/en/5.2/topics/cache/#using-vary-headers): the two halves, some screens apart.
# - [Ticket 15855](https://code.djangoproject.com/ticket/15855): the decorator that stores too early, on record for many years.
# - [cache_page is useless](https://technomancy.org/python/django-cache_page-useless): somebody who had to take it out again after deploying.
# - [Vary and cache_page](https://edavis.github.io/2015/02/27/using-the-vary-header-with-the-cache_page-decorator/): the
#   same, found in 2015, with the two lines in the right order.
# - [RFC 9111](https://www.rfc-editor.org/rfc/rfc9111): what every cache on the way may do, and what `Vary` obliges it to.

# %% [markdown]
# **Next:** `04_fragments` keeps the pieces of a page that are the same for everybody, and leaves the name out of them. How far you
# are: `progress()`.
