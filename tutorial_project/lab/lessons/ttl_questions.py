"""Notebook 06: its questions, the first two about notebook 04."""

from ..quizzes import QUIZZES, Quiz

QUIZZES["06.1"] = Quiz(
    "A page in two languages holds `{% cache 600 sidebar_popular %}`, with nothing behind the name. An English "
    "reader opens the page, then a German one. What does the German sidebar say?",
    [
        ("German: Django puts the language into the key", "It does so for whole pages. A fragment's key holds its "
         "name and the values that stand behind it, and here are none."),
        ("English, until the fragment runs out", "One name and no values: one copy for everybody. Who comes first "
         "chooses the language for ten minutes."),
        ("Nothing: the fragment is found and does not match", "There is nothing to compare. What lies under the "
         "key is sent, whatever language it was drawn in."),
    ],
    right=1,
)  # fmt: skip
QUIZZES["06.2"] = Quiz(
    "A shelf is a fragment with twenty cards in it, each a fragment with its product's version in the key; the "
    "shelf's key holds the newest of those versions. One product is saved. What is drawn again?",
    [
        ("The shelf and one card", "Both keys are new: the shelf is drawn, finds nineteen cards as they were, and "
         "draws the one."),
        ("The card alone", "The card's key is new, but somebody has to ask for it: that is the shelf, drawn again "
         "under a new key of its own."),
        ("The shelf and all of its cards", "The shelf is drawn, and while it is, it looks for its cards. Nineteen "
         "keys are what they were, so nineteen are found."),
    ],
    right=0,
)  # fmt: skip
QUIZZES["06.3"] = Quiz(
    "An entry is read ten times a second and lives for a minute. You let it live for ten. What becomes of the hit "
    "ratio and of the oldest answer?",
    [
        ("Both grow tenfold", "The hit ratio cannot: λT was 600 already, and 600 ÷ 601 is 0.998. The age can, and "
         "does."),
        ("The hit ratio hardly moves, the oldest answer is ten times as old", "0.998 becomes 0.9998. Past "
         "the bend you pay in age and get hardly a hit. What falls tenfold is the misses, and they were few."),
        ("The hit ratio grows, the age stays: hits renew the entry", "Reading an entry renews nothing. Where code "
         "makes it so, with touch, the age has no limit at all."),
    ],
    right=1,
)  # fmt: skip
QUIZZES["06.4"] = Quiz(
    "A page is kept for 300 seconds. On it is a fragment that is kept for 600, made from a value that is kept for "
    "60. How old can what a visitor reads be?",
    [
        ("300 seconds: the page is thrown away after that", "The page is. But what it showed in its first second "
         "can have been 660 seconds old by then."),
        ("600 seconds: the longest of the three", "The fragment may have been drawn from a value in its last "
         "second, and put on the page in its own last second. None of them knows of the others."),
        ("960 seconds", "Each layer keeps what it was given, for its own time, whatever the age. The lifetimes "
         "add up."),
    ],
    right=2,
)  # fmt: skip
