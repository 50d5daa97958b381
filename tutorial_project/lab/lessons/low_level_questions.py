"""Notebook 05: its questions, the first two about notebook 03."""

from ..quizzes import QUIZZES, Quiz

QUIZZES["05.1"] = Quiz(
    "A view under `@cache_page(60)` greets its reader by name, and the response on the wire says `Vary: Cookie`. Alice "
    "opens it, then Bob. What does Bob read?",
    [
        ("His own name: the response varies on the cookie", "On the wire it does. The decorator stored the page before "
         "the session middleware, outside it, had added that header."),
        ("Alice's name", "The decorator stores what the view returned, under a key without the cookie. The header "
         "comes later, on the way out, and a hit carries what was stored."),
        ("Alice's name, but only if both use one browser", "Whose browser it is plays no part: the key holds the URL "
         "and the language, and those are the same for both."),
    ],
    right=1,
)  # fmt: skip
QUIZZES["05.2"] = Quiz(
    "Which of these keeps one reader's page from another?",
    [
        ("`@vary_on_cookie` below `@cache_page`, next to the view", "The header is there when the page is stored, so "
         "the cookie is in the key. Every reader has an entry of their own, and few hits."),
        ("`@vary_on_cookie` above `@cache_page`", "Above it the header is added after the page has been stored, as "
         "the middleware does: right on the wire, and not in the key."),
        ("`@login_required` above `@cache_page`", "It makes sure that somebody is signed in. Who that is does not get "
         "into the key, so all of them share one page."),
    ],
    right=0,
)  # fmt: skip
QUIZZES["05.3"] = Quiz(
    "Five visits run this line, within a minute, from an empty cache. How many queries do they send together? "
    '`cache.get_or_set("top", list(Product.objects.expensive_ranking()[:20]), 600)`',
    [
        ("None: a queryset waits until somebody looks", "`list` looks, at once. And if the queryset itself were "
         "handed over, the first visit would send its query, to pickle the rows."),
        ("One: the first visit's", "So it would be if a function were handed over. Here the list is made before "
         "`get_or_set` is called, and so before it can look."),
        ("Five", "Python makes the arguments first: the list is made on every visit, and on four of five thrown away. "
         "`lambda: list(...)` leaves it to `get_or_set`."),
    ],
    right=2,
)  # fmt: skip
QUIZZES["05.4"] = Quiz(
    "On the home page with three layers somebody switches the per-view layer off. Who sends more queries than before?",
    [
        ("Everybody, for the page is rebuilt each time", "Whoever is signed in never had a kept page: theirs was "
         "rebuilt from fragments and values all along."),
        ("Strangers: one query a visit in place of none", "Fragments and values still hold the rest. What is asked is "
         "what came last, which no other layer keeps."),
        ("Nobody: the fragments hold the whole page", "They hold two pieces of it, and the values two more. What came "
         "last is in neither, and only the kept page saved that."),
    ],
    right=1,
)  # fmt: skip
