"""Notebook 08: its questions, the first two about notebook 06."""

from ..quizzes import QUIZZES, Quiz

QUIZZES["08.1"] = Quiz(
    "A price is asked for ten times a minute and kept for a minute. You keep it for ten minutes instead. What "
    "becomes of the hit ratio and of the oldest answer?",
    [
        ("Both become ten times as much",
         "A hit ratio of 0.91 has not that much room. Only the age grows with the lifetime; the ratio goes from 10 "
         "of 11 to 100 of 101."),
        ("From 0.91 to 0.99, and from one minute old to ten",
         "h = λT / (1 + λT). The misses fall to about a tenth, which the database feels; and whoever is served may "
         "now be served a price of ten minutes ago."),
        ("The ratio hardly moves, so the database notices nothing",
         "The ratio moves little because it is near 1. The database gets the rest of it: 0.09 before and 0.01 after."),
    ],
    right=1,
)  # fmt: skip
QUIZZES["08.2"] = Quiz(
    "A fragment is kept for 600 seconds, inside a page that is kept for 600 seconds. Nothing is deleted. How old "
    "can what a reader sees in that fragment be?",
    [
        ("600 seconds: both run out at the same moment",
         "They were not stored at the same moment. The page may be built when the fragment has a second left to "
         "live."),
        ("600 seconds: the shorter one decides",
         "The inner one is only asked while the page is being built. After that the page holds a copy of its text, "
         "and counts its own 600."),
        ("1,200 seconds",
         "The page takes up a fragment that is already 600 old, and keeps it for another 600. Lifetimes of layers "
         "add."),
    ],
    right=2,
)  # fmt: skip
QUIZZES["08.3"] = Quiz(
    "A colleague moves one line: the worker now reads the product from the database first, then the generation, and "
    "stores under that. The bump is sent after the commit. What can happen?",
    [
        ("Nothing: a bump makes every older name useless, whoever wrote under it",
         "So it is if the worker knew the name before it looked at the row. Here it learns the new name, and puts "
         "the old row under it."),
        ("Between its two reads a price is changed and bumped: the old price goes under the new name",
         "That entry is found by everybody, until its time is over. Reading the generation first is the whole of the "
         "trick."),
        ("It may store under the old name, and that entry is served until its time is over",
         "An entry under an old name is never asked for again. What is served is what lies under the newest one."),
    ],
    right=1,
)  # fmt: skip
QUIZZES["08.4"] = Quiz(
    'A colleague invalidates product 42 by delete_below(key("product", 42)), on commit. It deletes all that it finds. '
    "What can still go wrong?",
    [
        ("A reader who read the row before the commit stores the old price afterwards",
         "The name is the same before and after, so everybody finds it, until its time is over. After a bump it would "
         "lie under a name that nobody asks for."),
        ("Product 421 loses its entries too",
         "That is what the pattern product:42* does, written by hand. delete_below closes the border with a colon."),
        ("Nothing, but for the round trips of the search",
         "The round trips are one price of it. The other is that a name which stays the same can be filled again with "
         "what was read before."),
    ],
    right=0,
)  # fmt: skip
QUIZZES["08.5"] = Quiz(
    "The generation of product 42 is a number: 1, then 2 after a bump. The server is short of memory and evicts it. "
    "The next reader finds none. Which is the safe way to go on?",
    [
        ("Begin again at 1, which is where numbers begin",
         "Entries of the first generation may still be there. With the name come the prices of that time, as fresh "
         "hits."),
        ("Take a generation that never was, a random one",
         "Whatever lies on the server, nobody has ever stored anything under that name. The price is a miss for each "
         "value."),
        ("Store nothing until somebody bumps it",
         "Without a generation nothing can be named, so everything is a miss until a product is changed, which may "
         "take months."),
    ],
    right=1,
)  # fmt: skip
