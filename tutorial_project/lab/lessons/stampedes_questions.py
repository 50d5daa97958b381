"""Notebook 09: its questions, the first two about notebook 07."""

from ..quizzes import QUIZZES, Quiz

QUIZZES["09.1"] = Quiz(
    "A view runs in a transaction. It changes a price, deletes the price's key, and then renders a page for half a "
    "second before the transaction commits. What can a reader do in that half second?",
    [
        ("Nothing that matters: the key is gone, and the next read is fresh",
         "The next read goes to the database, and there the change is not to be seen before the commit. It stores the "
         "old price once more."),
        ("Read the old row and store it again, where nobody will delete it",
         "Until the commit everybody else sees the old row. Deleted too early is as good as not deleted: "
         "`transaction.on_commit` waits."),
        ("Read the new price, which is then wrong if the transaction is rolled back",
         "Nobody else reads what is not committed. What they read is the old row, and that is what goes back into the "
         "cache."),
    ],
    right=1,
)  # fmt: skip
QUIZZES["09.2"] = Quiz(
    "An import writes ten thousand prices with `bulk_update`. A receiver of `post_save` deletes the keys of what is "
    "saved. How many of the ten thousand keys are deleted?",
    [
        ("All of them, one signal for each row",
         "That would be the signals of ten thousand calls of save(). One statement for many rows sends no signal for "
         "any of them."),
        ("One: a single signal with the list of the rows",
         "There is no signal for a list. Whoever calls `bulk_update` must say which rows it was."),
        ("None: bulk_update sends no signal",
         "Nor do `update()`, `bulk_create` and raw SQL. Tell the map yourself, after the commit, or let a TTL heal "
         "it."),
    ],
    right=2,
)  # fmt: skip
QUIZZES["09.3"] = Quiz(
    "The ranking is kept under early recomputation with β = 1, and on average 2.7 requests recompute it per expiry. "
    "The sale begins, and ten times as many visitors come. How many recompute it per expiry now?",
    [
        ("About 27: ten times as many draw a number",
         "More draw, so the first lucky one comes earlier. What follows it is the same as before: the number of "
         "recomputations does not depend on the traffic."),
        ("About 2.7, only somewhat earlier",
         "e to the power of 1/β, whatever the rate. Ten times the traffic moves the first one forward by βΔ·ln(10)."),
        ("1: with so many visitors one of them is always early enough",
         "The early one needs its 50 ms as well, and the others go on drawing meanwhile. Only a lock makes it one."),
    ],
    right=1,
)  # fmt: skip
QUIZZES["09.4"] = Quiz(
    "Ten workers find that an entry has run out. One gets the lock by `cache.add`, computes, stores, and deletes the "
    "lock. Another one had looked before that, was put aside, and now calls `cache.add`. What is missing?",
    [
        ("A longer lock, so that it is still there",
         "However long it is, it is deleted when the work is done. The late one comes after that, and gets "
         "it by right."),
        ("A second look into the cache, after the lock is won",
         "What it knows is from before. Whoever has the lock looks again, finds the new value, and gives the lock "
         "back."),
        ("Nothing: `cache.add` lets only one of them through",
         "One at a time. The second comes when the first is done, and computes what has just been computed."),
    ],
    right=1,
)  # fmt: skip
