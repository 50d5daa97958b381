"""Notebook 04: the exercise on fragments in a fragment."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Max, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import translation

from ...shop.models import Category, Product
from ..boxes import Boxes
from ..exercises import Wrong, exercise
from ..meter import metered
from .fragments import compiled, drawn, empty_values

if TYPE_CHECKING:
    from ..bench import Lab

SHELVES = ("jackets", "shoes")
STOCK, SHOWN = 9, 6  # products in a category, and how many of them its shelf shows


@exercise("4.2", "a shelf that notices more", seconds=15)
def better_shelf(answer: Any, lab: "Lab") -> str:
    template = compiled(answer, "BETTER")
    prepare_shelves()
    asked: list[int] = []

    def page(request: HttpRequest, slug: str) -> HttpResponse:
        context = shelf_context(slug)
        with metered() as reading:
            text = drawn(template, context, request)
        asked.append(reading.queries)
        return HttpResponse(text)

    url = lab.mount("try/<slug:slug>/", page).replace("<slug:slug>", SHELVES[0])

    def look_at() -> Boxes:
        return lab.boxes(url, language="en")

    judge_nesting(look_at(), names("en"))
    if (warm := look_at()).rebuilt:
        raise Wrong(f"nothing has changed, and a second visit builds {len(warm.rebuilt)}: {warm.rebuilt[0]}.")
    outside = asked[-1]
    german = lab.boxes(url, language="de")
    if any(name not in german.text for name in names("de")):
        raise Wrong(
            "a German reader finds products by their English names. Which of the two tags lacks the language?"
            + empty_values(german)
        )
    other = lab.boxes(f"/try/{SHELVES[1]}/", language="en")
    if any(name not in other.text for name in names("en", SHELVES[1])):
        raise Wrong(
            f"the shelf {SHELVES[1]} shows what is on {SHELVES[0]}. What tells one shelf from another?"
            + empty_values(other)
        )
    edit = judge_edit(look_at)
    removal = judge_removal(look_at, outside)
    if outside:
        raise Wrong(
            f"right, at a price: for a warm page the template asks the database {_times(outside)}. What a tag varies "
            "on is computed on each visit, outside the fragment: nothing there may ask products."
        )
    lab.empty_cache()
    judge_without_request(template)
    return (
        f"of {SHOWN + 1} fragments an edit rebuilds {len(edit.rebuilt)}, a removal {len(removal.rebuilt)}; "
        f"a warm page asks {outside} queries."
    )


def prepare_shelves() -> None:
    """More products to a shelf than it shows, all of one age: neither a date nor a number tells them apart."""
    elsewhere = Category.objects.get(slug="knitwear")
    for slug in SHELVES:
        kept = [product.pk for product in in_category(slug)[:STOCK]]
        Product.objects.filter(category__slug=slug).exclude(pk__in=kept).update(category=elsewhere)
    Product.objects.filter(category__slug__in=SHELVES).update(updated_at=datetime(2026, 1, 1, tzinfo=UTC))


def in_category(slug: str) -> QuerySet[Product]:
    """The products of a category, in order, each with its store."""
    return Product.objects.filter(category__slug=slug).select_related("tenant").order_by("pk")


def on_shelf(slug: str = SHELVES[0]) -> QuerySet[Product]:
    """What the shelf shows of its category: where one goes, the next moves up."""
    return in_category(slug)[:SHOWN]


def names(language: str, slug: str = SHELVES[0]) -> list[str]:
    """What is on a shelf, by name."""
    return [getattr(product, f"name_{language}") for product in on_shelf(slug)]


def shelf_context(slug: str) -> dict[str, Any]:
    """What the page hands the template."""
    return {
        "shelf": Category.objects.get(slug=slug),
        "products": on_shelf(slug),
        "newest": on_shelf(slug).aggregate(newest=Max("updated_at"))["newest"],
        "total": in_category(slug).count(),
    }


def judge_nesting(cold: Boxes, wanted: list[str]) -> None:
    """Raise Wrong unless the cold page shows what is on the shelf, in one fragment that holds one for each card."""
    outer = cold.page.inside
    if not outer:
        raise Wrong("no fragment was drawn: there is no cache tag in it, or none that is reached.")
    missing = [name for name in wanted if name not in cold.text]
    if missing and len(cold.served) >= len(wanted) - 1:
        raise Wrong(
            "one card is shown in place of all the others: what tells one product's card from another's?"
            + empty_values(cold)
        )
    if missing:
        raise Wrong(f"{missing[0]!r} is on the shelf, and not on the page.")
    if len(outer) == 1 and not outer[0].inside:
        raise Wrong("one fragment, with no fragment in it: an edit of one product draws all the cards anew.")
    if len(outer) > 1:
        raise Wrong(
            f"{len(outer)} fragments beside each other, and none around them: a warm page looks each of them up."
        )
    if len(outer[0].inside) != len(wanted):
        raise Wrong(f"{len(outer[0].inside)} fragments are inside the shelf's, for {len(wanted)} cards.")


def judge_edit(look_at: Callable[[], Boxes]) -> Boxes:
    """Edit one product; raise Wrong unless that shows, and rebuilds the shelf and the one card. Returns the page."""
    product = on_shelf()[2]
    product.name_en = "Something quite new"
    product.save()
    edit = look_at()
    if product.name_en not in edit.text:
        if not edit.rebuilt:
            raise Wrong(
                "a product was edited, and the page shows what it was: the shelf's own key did not change."
                + empty_values(edit)
            )
        raise Wrong(
            "a product was edited: the shelf was built anew, with the old card in it. The card's key is the same."
            + empty_values(edit)
        )
    if len(edit.rebuilt) != 2:
        raise Wrong(f"the edit of one product rebuilt {len(edit.rebuilt)} fragments, and should rebuild two.")
    return edit


def judge_removal(look_at: Callable[[], Boxes], outside: int) -> Boxes:
    """Take one product away; raise Wrong unless the shelf and the card that moves up are rebuilt. Returns the page.

    `outside` is how many queries the template asks on a warm page.
    """
    gone = on_shelf()[1]
    gone.category = Category.objects.get(slug="knitwear")
    gone.save()
    after = look_at()
    if gone.name_en in after.text:
        why = (
            f" (What you ask products for is the same, too: {SHOWN} are shown, since the next one has moved up. And it "
            "asks the database on a page that is warm.)"
            if outside
            else ""
        )
        raise Wrong(
            "an edit shows at once. But a product that was taken off the shelf is still on the page: the newest of the "
            f"others is the one it was. What else changes?{why}{empty_values(after)}"
        )
    if len(after.rebuilt) != 2:
        raise Wrong(
            f"one product was taken off the shelf and the next one moved up. That rebuilt {len(after.rebuilt)} "
            "fragments, and should rebuild two: the shelf, and the card that was not there before."
        )
    return after


def judge_without_request(template: Any) -> None:
    """Raise Wrong unless each reader's language is right where no request tells it. The cache must be empty."""
    for language in ("en", "de"):
        with translation.override(language):
            text = drawn(template, shelf_context(SHELVES[0]))
        if any(name not in text for name in names(language)):
            raise Wrong(
                "right on a page. But in an e-mail a German reader finds products by their English names: there is no "
                "request, and so no request.LANGUAGE_CODE. What tells the language that is spoken, whoever asks?"
            )


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
