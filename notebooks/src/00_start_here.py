# minutes: 8, 15
# %% [markdown]
# # Make a page stop asking
#
# {{header}}
#
# Autumn 2020: a website of the Mozilla Foundation is slow several times a day, and nobody knows why.
# In November somebody counts: the home page sends 150 queries to the database, on every visit, for content that hardly ever
# changes. The note under the count: "almost certainly means we want to cache it"
# ([the issue](https://github.com/MozillaFoundation/foundation.mozilla.org/issues/5495)).
#
# **You will see** a page of a real Django shop ask its database for everything, on every visit, and then for nothing.
# **You will learn** how a lesson of this course works: guess, run, look, break.
# **You need** to have written a Django view. The shop, its database and its cache server start in the next cell.
#
# New on the bench: `lab.visit` asks for a page and counts; `lab.mount` puts a view of yours into the shop.

# %%
from tutorial_project.lab import boot, check, draw, predict, quiz, reveal

lab = boot("00_start_here")
lab

# %% [markdown]
# Select a cell and press <kbd>Shift</kbd>+<kbd>Enter</kbd> to run it. Nothing you do here can break anything that matters:
# this notebook has a database and a cache server of its own, and they end with it.
#
# ## One visit, counted · minute 1
#
# A stranger opens the home page of the shop. It has a menu, the best of each shelf, a ranking of what sells, and a sidebar.
# Look at the number of SQL queries.

# %%
lab.visit("/")

# %% [markdown]
# Four more people come, one after the other. Nobody buys anything in the meantime.

# %%
[lab.visit("/").queries for visitor in range(4)]

# %% [markdown]
# Every visitor costs the same again. The database is asked the same questions and gives the same answers.
#
# ## One line above the view · minute 3
#
# Django can keep a finished page, with one line above the view: `@cache_page(60)` keeps it for a minute. Five strangers come
# within that minute. Guess first:

# %%
predict("00.five", "How many queries do the five visits cost together?", [60, 12, 0])

# %% tags=["answer"]
from django.views.decorators.cache import cache_page
from tutorial_project.shop import views

ran: list[str] = []


@cache_page(60)
def home(request):
    ran.append(request.path)
    return views.home(request)


lab.mount("fast/", home)
queries = [lab.visit("/fast/").queries for visitor in range(5)]
queries, len(ran)

# %% tags=["answer"]
reveal("00.five", sum(queries))

# %% [markdown]
# The second number says how often the view ran. Drawn, a bar a visitor: bars will fall in every notebook of this course; this
# is the first.

# %% tags=["answer"]
visits = {f"visitor {n}": count for n, count in enumerate(queries, start=1)}
draw.bars(visits, f"{queries[0]} queries for the first visitor, then 0 for each of the next four", ylabel="SQL queries")

# %% [markdown]
# **What just happened.** The first visitor paid for the page. `cache_page` put the finished page into the cache server, under
# a key made from its address, its language and its time zone; the next four were answered from there. Not fewer queries:
# none. The view ran once.
#
# > **Keep this.** The fastest query is the one that is never sent.
#
# ### Play with it
#
# Change a number and run the cell again. With `seconds = 0` nothing is kept, and everybody pays. Make some of the visitors
# German (`"de"`): who pays now?

# %% tags=["knobs"]
seconds = 60
languages = ["en", "en", "en", "en"]

lab.mount("mine/", cache_page(seconds)(views.home))
[lab.visit("/mine/", language=language).queries for language in languages]

# %% [markdown]
# ### Exercise 0.1 (2 minutes): the shelves
#
# Each category of the shop has a page; the view is `views.category`. Make `fast_category`, a view that keeps each category's
# page for two minutes. The check opens two categories, twice each, in both languages.

# %% tags=["exercise"]
# solution-begin
fast_category = cache_page(120)(views.category)
# solution-end
# starter: fast_category = ...  # your view here

# %%
check("0.1", fast_category)

# %% [markdown]
# <details><summary>Hint 1</summary>The cell above that made <code>/fast/</code> needs one word changed.</details>
# <details><summary>Hint 2</summary><code>cache_page(120)</code> is not a view yet: it is a decorator, and wants to be called with one.</details>
# <details><summary>Hint 3</summary><code>cache_page(120)(views.category)</code></details>
# <details><summary>What you should see</summary>"0.1 Right", with the queries of the first and the second visit to each page.</details>

# %% [markdown]
# ### One question

# %%
quiz("00.1")

# %% [markdown]
# ## Recap · minute 7
#
# | the decision | keep the whole page with `cache_page` |
# |---|---|
# | when | everybody who opens the address may see the same page |
# | cost | one line; a page may be as old as the number of seconds |
# | how it fails | it serves one person's page to the next (below, and in notebook 03) |
# | settings | `CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://…"}}` |
#
# **Tomorrow at work** (10 minutes): open your busiest page twice with
# [django-debug-toolbar](https://django-debug-toolbar.readthedocs.io/) or `CaptureQueriesContext` and write both query counts
# down. If they are equal, you have found this course's first exercise in your own code.

# %% [markdown] tags=["instructor"]
# **For the instructor.** Eight minutes with the group: two for the boot and the first visit, one for the guess (ask for hands
# before anybody runs the cell), three for the bar and the exercise, two for the quiz.
#
# *Likely misconceptions.* "The query got faster": nothing was sent. "The second visitor is served from the browser's cache":
# these are five separate visitors without a browser. "The template is still rendered": the view is not called at all.
#
# *To discuss.* Which of your pages may everybody see alike? Most groups name pages that greet by name; keep their list for
# notebook 03.

# %% [markdown]
# ---
# ## Deeper · minute 8
#
# Everything above is the core. What follows may be read in any order, or later.
#
# ### Break it
#
# The home page greets people who have signed in. `alice` comes first, `bob` after her, to the page that you just made fast.

# %%
predict("00.greeting", "What does the page call bob?", ["Bob", "Alice"])

# %% tags=["answer"]
lab.mount("fast/", home)
lab.visit("/fast/", who="alice")
reveal("00.greeting", "Alice" if "Hello, Alice" in lab.visit("/fast/", who="bob").text else "Bob")

# %% [markdown]
# One address and one language, one page, whoever asks. Nothing fails: the status is 200, and the page is fast. You would have
# noticed when a customer wrote to you. Notebook `03_per_view` is about nothing else.
#
# ### Where the time goes: an x-ray
#
# An x-ray of a request shows what it passes, in order: every middleware, cache call and query. First the page that asks:

# %%
lab.xray("/").figure()

# %% [markdown]
# The blue bar is the view, and all the red below it is SQL. Now the same page, kept:

# %%
lab.empty_cache()
first, second = lab.xray("/fast/"), lab.xray("/fast/")
second.figure()

# %% [markdown]
# No red is left: two reads from the cache stand where the queries were, one for what the page varies on and one for the page.
# The blue bar is the view together with its decorator, which answered in its place. As text, the same picture:

# %%
second

# %% [markdown]
# The table of a visit counts the same two look-ups, by what they were for:

# %%
lab.visit("/fast/")

# %% [markdown]
# One part is still there: the middleware. A kept page passes through all of it, so it still costs something. Here are both
# requests with real time on one axis. The widest red bar is a single query, the ranking of what sells: remember it for
# notebook 01. The second picture is not empty: look at its left edge.

# %% tags=["nbval-ignore-output"] why="milliseconds"
first.figure(times=True)
second.figure(times=True, until=first.seconds)

# %%
print(f"From the cache, the page took less than half the time: {second.seconds < first.seconds / 2}")

# %% [markdown]
# ### In production
#
# - Settings: the line on the card above, with your server's address. Django's own Redis backend needs the `redis` package.
# - Watch: the hit ratio, which notebook 01 defines, and the number of queries, as a response header or a metric (notebook 13).
# - Limit: an entry lives for the seconds that you gave; nothing else removes a page for you (notebooks 06 to 08 do).
#
# ### If something is wrong
#
# `doctor()` looks at this machine and says what it found. Its answer is about your machine, so CI does not compare it.
#
# `progress()` shows what you have guessed and solved so far, and `my_surprises()` what turned out differently than you
# guessed: the part worth reading again next week. Both are kept in a file of your own, next to your copies of the notebooks.
# `reset()` gives you a fresh copy of this notebook, its cache and its database; your progress stays.

# %% tags=["nbval-ignore-output"] why="names this machine's versions, ports and disk, and your own progress"
from tutorial_project.lab import doctor, my_surprises, progress

doctor()
progress()
my_surprises()

# %% [markdown]
# ### Further reading
#
# - [Django's cache framework](https://docs.djangoproject.com/en/5.2/topics/cache/): the reference for every name used here.
# - [The Mozilla issue](https://github.com/MozillaFoundation/foundation.mozilla.org/issues/5495): short, and honest about how it was found.
# - [Server-Timing](https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Server-Timing): the header in which every
#   page of this shop tells its query count; your browser's developer tools draw it.
#
# **Next:** `01_why_cache` replays recorded traffic and finds out how much of its work the shop does twice.
