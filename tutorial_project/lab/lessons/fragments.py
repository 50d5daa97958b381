"""Notebook 04: its exercises and its questions."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.cache.utils import make_template_fragment_key
from django.http import HttpRequest, HttpResponse
from django.template import TemplateSyntaxError, engines
from django.test import override_settings
from django.utils import translation

from ...caching.metering import CacheCall, Event
from ...shop import selectors
from ...shop.models import Product
from ..boxes import Boxes, take
from ..entries import entries
from ..exercises import NotAttempted, Wrong, attempt, exercise, expect_type
from ..meter import listening, metered
from ..quizzes import QUIZZES, Quiz

if TYPE_CHECKING:
    from ..bench import Lab

EMPTY = "''"  # how a box shows an empty value in its key


def compiled(source: Any, what: str) -> Any:
    """The template of that source. Raises Wrong where it is none."""
    expect_type(source, str, what)
    try:
        return engines["django"].from_string(source)
    except TemplateSyntaxError as error:
        raise Wrong(f"the template does not compile: {_sentence(error)}") from None


def drawn(template: Any, context: dict[str, Any], request: HttpRequest | None = None) -> str:
    """What the template draws. Raises Wrong where it stumbles over one of its tags."""
    try:
        return str(template.render(context, request))
    except TemplateSyntaxError as error:
        raise Wrong(f"the template cannot be drawn: {_sentence(error)}") from None


def _sentence(error: Exception) -> str:
    """What an error says, with a stop at its end: Django's own texts have one or have none."""
    text = str(error)
    return text if text.endswith((".", "!", "?")) else text + "."


def empty_values(page: Boxes | None) -> str:
    """A hint, where a fragment of the page varies on something that is empty, else nothing."""
    labels = [box.label for box in page.page.all()][1:] if page else []
    if not any(EMPTY in label for label in labels):
        return ""
    return " What your fragment varies on is empty. Is it spelt as it is called, and set above the tag?"


# 4.1: what the learner is given to repair

TWO_READERS = """
{% load cache i18n %}
{% cache 600 panel request.LANGUAGE_CODE %}
  <p>{{ visitor.first_name }}</p>
  {% include "shop/_sidebar_popular.html" %}
{% endcache %}
"""
HEADINGS = {"en": "Loved by customers", "de": "Bei Kunden beliebt"}
IN_WORDS = {"en": "English", "de": "German"}
READERS = [("alice", "en"), ("bob", "en"), ("clara", "de"), (None, "de"), (None, "en")]
MAILS = [("bob", "en"), ("clara", "de"), ("bob", "de")]  # one of them twice: a name in the key does not tell a language


@exercise("4.1", "two readers, one panel", seconds=15)
def two_readers(answer: Any, lab: "Lab") -> str:
    expect_type(answer, str, "PANEL")
    if answer.split() == TWO_READERS.split():
        raise NotAttempted
    template = compiled(answer, "PANEL")
    built: list[str | None] = []
    own = selectors.sidebar_popular

    def counted() -> list[Product]:
        built.append(translation.get_language())
        return own()

    lab.swap("sidebar_popular", counted)
    url = lab.mount("try/", lambda request: HttpResponse(drawn(template, {}, request)))
    for who, language in READERS * 2:
        page = take(lab.client(who, language), url)
        judge_panel(page.text, who, language, page)
    pages = len(built)
    lab.empty_cache()
    for who, language in MAILS:
        user = get_user_model()._default_manager.get(username=who)
        with translation.override(language):
            text = drawn(template, {"visitor": user, "sidebar_popular": counted})
        judge_panel(text, who, language, None)
    if pages > len(HEADINGS):
        raise Wrong(
            f"right for everybody, on pages and in e-mails, and the list was built {pages} times. {_why_built(pages)}"
        )
    return f"{2 * len(READERS)} drawings, and the list was built {pages} times, once for each language."


def judge_panel(text: str, who: str | None, language: str, page: Boxes | None) -> None:
    """Raise Wrong unless the panel shows this reader's name, nobody else's, and the list in this language.

    `page` tells what the fragments varied on; without it the panel was drawn for an e-mail.
    """
    reader = who or "a stranger"
    where = f"{reader}, who reads {IN_WORDS[language]}," if page else f"an e-mail to {reader}, in {IN_WORDS[language]},"
    others = {name.capitalize() for name, _ in READERS if name and name != who}
    if other := sorted(name for name in others if name in text):
        raise Wrong(f"{where} holds the name {other[0]}. Whose name is kept in the fragment?" + _varied(page))
    if who and who.capitalize() not in text:
        raise Wrong(f"{where} does not find their own first name in it.")
    if HEADINGS[language] in text:
        return
    if not any(heading in text for heading in HEADINGS.values()):
        raise Wrong(f"{where} does not find the list: it is drawn by shop/_sidebar_popular.html.")
    if page is None:
        raise Wrong(
            f"right on a page. But {where} has the list in another language: there is no request, and so no "
            "request.LANGUAGE_CODE. What tells the language that is spoken, whoever asks?"
        )
    raise Wrong(f"{where} gets the list in another language." + _varied(page))


def _varied(page: Boxes | None) -> str:
    """What the fragments of a page varied on, as a hint."""
    if hint := empty_values(page):
        return hint
    labels = [box.label for box in page.page.all()][1:] if page else []
    return f" The fragment is, with what it varies on: {', '.join(labels)}." if labels else ""


def _why_built(times: int) -> str:
    if times >= 2 * len(READERS):
        return "That is once for each drawing: is it inside a fragment at all?"
    return (
        f"There are {len(READERS)} readers and {len(HEADINGS)} languages: the key holds more than changes the list. "
        "What need not be inside the fragment?"
    )


# 4.3

NAME = "sidebar_popular"
OTHERS = {"product:7:detail": 7, make_template_fragment_key("ranking", ["en"]): "the ranking"}
THREE = [("en", "English"), ("de", "Deutsch"), ("fr", "Français")]


@exercise("4.3", "forget it in every language", seconds=10)
def forget_it(answer: Any, lab: "Lab") -> str:
    expect_type(answer, Callable, "forget_sidebar")
    judge_forgetting(answer, ["en", "de"])
    with override_settings(LANGUAGES=THREE):
        judge_forgetting(answer, [code for code, _ in THREE])
    return "English and German are gone in one round trip, and so is French once settings.LANGUAGES has it."


def judge_forgetting(answer: Callable[[], Any], codes: list[str]) -> None:
    """Raise Wrong unless it deletes the sidebar in these languages, nothing else, and in one round trip."""
    kept = {code: make_template_fragment_key(NAME, [code]) for code in codes}
    cache.set_many({**dict.fromkeys(kept.values(), "the sidebar"), **OTHERS}, 600)
    asked: list[str] = []

    def listener(event: Event) -> None:
        if isinstance(event, CacheCall):
            asked.extend(event.keys)

    with listening(listener), metered() as reading:
        attempt(answer)
    left = entries()
    if lost := [key for key in OTHERS if key not in left]:
        what = "the whole cache is empty: clear() takes what is everybody's" if not left else f"{lost[0]!r} is gone too"
        raise Wrong(f"{what}. Only the sidebar goes.")
    still = [code for code in codes if kept[code] in left]
    if still:
        raise Wrong(_why_still(still, codes, asked))
    if (trips := reading.trips["default"]) != 1:
        raise Wrong(f"all of it is gone, in {trips} round trips. There is one call that takes many keys.")


def _why_still(still: list[str], codes: list[str], asked: list[str]) -> str:
    """Why some of the entries are still there, as far as the keys that were asked for tell."""
    if set(asked) & {make_template_fragment_key(NAME, code) for code in codes}:
        return "nothing was deleted: a text was given for the values, and it was taken for its letters. Give a list."
    if make_template_fragment_key(NAME) in asked:
        return "nothing was deleted: the key has no values in it. The fragment varies on the language."
    if set(asked) & {make_template_fragment_key(NAME, values) for pair in THREE for values in ([pair], pair)}:
        return "nothing was deleted: settings.LANGUAGES holds pairs, and the key is made from the code alone."
    if "fr" in still and len(still) == 1:
        return "right for English and German. With French in settings.LANGUAGES, the French sidebar is still there."
    if not asked:
        return "the cache was not asked to delete anything."
    if len(still) < len(codes):
        return f"the sidebar is still there in {', '.join(still)}: one entry for each language."
    return "something was deleted, and the sidebar was not: its name is 'sidebar_popular', its values [code]."


QUIZZES["04.1"] = Quiz(
    "Four workers keep a price, each in its own local memory. One of them deletes the key. Who shows the old price?",
    [
        ("Nobody: the key is deleted", "It is deleted in one memory of four. A delete in local memory reaches no other "
         "process."),
        ("The three others, until their copies expire", "Each process has its own copy, and hears of nothing. That is "
         "why a reload shows now one price, now the other."),
        ("All four, until the timeout", "The one that deleted it asks the database on its next visit. The three others "
         "are the ones that do not know."),
    ],
    right=1,
)  # fmt: skip
QUIZZES["04.2"] = Quiz(
    "One entry, asked for four times a second, lives for a second. In Redis its hit ratio is 0.80. What is it in local "
    "memory, with eight workers?",
    [
        ("0.80: it is asked for as often", "Together it is asked for as often, but each worker has a copy of its own, "
         "and an eighth of the visitors."),
        ("About a third", "λT is 4, and each of eight workers pays a miss in each lifetime: 4 ÷ (8 + 4)."),
        ("A tenth: 0.80 ÷ 8", "The ratio is not divided by the workers. Count one miss for each worker and lifetime, "
         "then the hits: 4 ÷ (8 + 4)."),
    ],
    right=1,
)  # fmt: skip
QUIZZES["04.3"] = Quiz(
    "The fragment is warm, every look-up is a hit, and the page takes as many queries as before. Why?",
    [
        ("The fragment varies on too much", "Then the look-ups would miss. Here they hit, and the queries come from "
         "somewhere else."),
        ("The view asks before the template is drawn", "The answers are there when the tag finds its HTML, and are "
         "thrown away. Hand the template something that asks when it is drawn."),
        ("A hit costs a query too", "A hit costs a round trip to the cache. With the database as a backend it would be "
         "a query, but here it is Redis."),
    ],
    right=1,
)  # fmt: skip
QUIZZES["04.4"] = Quiz(
    "A card is kept under its product's pk and updated_at. Last night an import changed prices with QuerySet.update(). "
    "What do the cards show?",
    [
        ("The new prices: the key holds a version", "The key holds updated_at, and update() sets only the columns that "
         "it names. auto_now works in save()."),
        ("The old prices, until the entries expire", "No key has changed, so every look-up is a hit. Set updated_at in "
         "the same update()."),
        ("Nothing: the keys are gone", "Keys are never deleted in this scheme: a new version makes a new key, and the "
         "old entry expires unread."),
    ],
    right=1,
)  # fmt: skip
