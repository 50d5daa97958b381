"""Notebook 07: its questions, the first two about notebook 05."""

from ..quizzes import QUIZZES, Quiz

QUIZZES["07.1"] = Quiz(
    "`cache.get_or_set(key, compute, 60)` finds nothing. In which order do its steps come?",
    [
        ("get, compute, set", "Nearly: what it computed is stored with `add`, and only where nothing has been stored "
         "meanwhile. And then it looks once more."),
        ("get, compute, add, get", "Look, compute, store unless somebody was faster, look again: three round trips. "
         "Between the first `get` and the `add` lies the whole computation, and much can happen in it."),
        ("add, compute, set", "There is no lock in it: it looks first, and whoever else finds nothing at that moment "
         "computes as well."),
    ],
    right=1,
)  # fmt: skip
QUIZZES["07.2"] = Quiz(
    "The product page and the prices of an app both read `product:42:detail`. Its price changes. Who is wrong?",
    [
        ("The page alone: it was there first", "Whoever stored the value owns nothing of it. The key is what counts, "
         "and the app asks for the same one."),
        ("Each until it asks the database again, page and app on their own", "Neither has a copy of its own. There is "
         "one entry, and it is old for whoever reads it."),
        ("Both, until the entry is gone", "One entry for everybody who may see it: it is right for all, or wrong for "
         "all. And deleting that one key mends both."),
    ],
    right=2,
)  # fmt: skip
QUIZZES["07.3"] = Quiz(
    "A receiver of `post_save` clears the right keys, on commit. Which of these changes leaves an old page behind?",
    [
        ("`Product.objects.filter(category=7).update(price=...)`", "An update sends no signal, so nobody clears. Tell "
         "the map which rows it was, or save them one by one."),
        ("`Product.objects.create(...)`", "It saves, so `post_save` comes, with created=True. The new product's "
         "shelf is cleared with it."),
        ("`product.save(update_fields=['price'])`", "Fewer columns, the same signal: `post_save` comes after each "
         "save, whichever fields it wrote."),
    ],
    right=0,
)  # fmt: skip
QUIZZES["07.4"] = Quiz(
    "Keys are deleted on commit. Still 3 of 20 orders end with an old price in the cache. What do the three share?",
    [
        ("The deletion ran before the commit", "On commit it never does: that is what took the other nine away. Look "
         "at who stores last."),
        ("A reader read the row before the commit and stored it after the deletion", "It had looked and read while the "
         "old price was true, and was slow to store. The deletion came too early for it, not too late."),
        ("The cache server lost the deletion", "Every step of every order was carried out. No failure is needed for "
         "this, only a reader that is slow to store."),
    ],
    right=1,
)  # fmt: skip
