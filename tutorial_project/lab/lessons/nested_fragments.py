"""Notebook 04: the exercise on fragments in a fragment."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Max, QuerySet
from django.http import HttpRequest, HttpResponse

from ...shop.models import Category, Product
from ..boxes import Boxes
from ..exercises import Wrong, exercise
from .fragments import compiled, drawn

if TYPE_CHECKING:
    from ..bench import Lab

SHELVES = ("jackets", "shoes")
SHOWN = 6


@exercise("4.2", "a shelf that notices more", seconds=15)
def better_shelf(answer: Any, lab: "Lab") -> str:
    template = compiled(answer, "BETTER")
    prepare_shelves()

    def page(request: HttpRequest, slug: str) -> HttpResponse:
        return HttpResponse(drawn(template, shelf_context(slug), request))

    url = lab.mount("try/<slug:slug>/", page).replace("<slug:slug>", SHELVES[0])

    def look_at() -> Boxes:
        return lab.boxes(url, language="en")

    judge_nesting(look_at(), names("en"))
    if (warm := look_at()).rebuilt:
        raise Wrong(f"nothing has changed, and a second visit builds {len(warm.rebuilt)}: {warm.rebuilt[0]}.")
    german = lab.boxes(url, language="de").text
    if any(name not in german for name in names("de")):
        raise Wrong("a German reader finds products by their English names. Which of the two tags lacks the language?")
    if any(name not in lab.boxes(f"/try/{SHELVES[1]}/", language="en").text for name in names("en", SHELVES[1])):
        raise Wrong(f"the shelf {SHELVES[1]} shows what is on {SHELVES[0]}. What tells one shelf from another?")
    edit = judge_edit(look_at)
    gone = on_shelf()[1]
    gone.category = Category.objects.get(slug=SHELVES[1])
    gone.save()
    after = look_at()
    if gone.name_en in after.text:
        raise Wrong(
            "an edit shows at once. But a product that was taken off the shelf is still on the page: the newest of the "
            "others is the one it was. What else changes?"
        )
    if len(after.rebuilt) != 1:
        raise Wrong(f"a product taken off the shelf rebuilt {len(after.rebuilt)} fragments, and should rebuild one.")
    return f"of {SHOWN + 1} fragments an edit rebuilds {len(edit.rebuilt)}, a removal {len(after.rebuilt)}."


def prepare_shelves() -> None:
    """Six products to a shelf, all of one age: neither a date nor a number tells them apart."""
    elsewhere = Category.objects.get(slug="knitwear")
    for slug in SHELVES:
        kept = [product.pk for product in on_shelf(slug)[:SHOWN]]
        Product.objects.filter(category__slug=slug).exclude(pk__in=kept).update(category=elsewhere)
    Product.objects.filter(category__slug__in=SHELVES).update(updated_at=datetime(2026, 1, 1, tzinfo=UTC))


def on_shelf(slug: str = SHELVES[0]) -> QuerySet[Product]:
    """The products of a shelf, in order, each with its store."""
    return Product.objects.filter(category__slug=slug).select_related("tenant").order_by("pk")


def names(language: str, slug: str = SHELVES[0]) -> list[str]:
    """What is on a shelf, by name."""
    return list(on_shelf(slug).values_list(f"name_{language}", flat=True))


def shelf_context(slug: str) -> dict[str, Any]:
    """What the page hands the template."""
    products = on_shelf(slug)
    newest = products.aggregate(newest=Max("updated_at"))["newest"]
    return {
        "shelf": Category.objects.get(slug=slug),
        "products": products,
        "newest": newest,
        "total": products.count(),
    }


def judge_nesting(cold: Boxes, wanted: list[str]) -> None:
    """Raise Wrong unless the cold page shows what is on the shelf, in one fragment that holds one for each card."""
    outer = cold.page.inside
    if not outer:
        raise Wrong("no fragment was drawn: there is no cache tag in it, or none that is reached.")
    missing = [name for name in wanted if name not in cold.text]
    if missing and len(cold.served) >= len(wanted) - 1:
        raise Wrong("one card is shown in place of all the others: what tells one product's card from another's?")
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
            raise Wrong("a product was edited, and the page shows what it was: the shelf's own key did not change.")
        raise Wrong(
            "a product was edited: the shelf was built anew, with the old card in it. The card's key is the same."
        )
    if len(edit.rebuilt) != 2:
        raise Wrong(f"the edit of one product rebuilt {len(edit.rebuilt)} fragments, and should rebuild two.")
    return edit
