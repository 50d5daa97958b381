"""What the shop sells: stores, shelves, tags and products."""

from typing import NamedTuple

from draws import below, between, one_of, pick, shuffled, stream, zipf
from words import SERIES, SHELVES, TAGS, TENANTS, Pair

PRODUCTS = 1200
# How requests spread over the pages of the web: Zipf-like, with exponents of 0.64 to 0.83 in six traces (Breslau, Cao,
# Fan, Phillips, Shenker: "Web Caching and Zipf-like Distributions: Evidence and Implications", INFOCOM 1999).
POPULARITY = 0.8
FLASH_SALE_RANK = 60  # how popular the product of the flash sale is on any other day


class Product(NamedTuple):
    """A row of products.csv; the price is in cents."""

    id: int
    tenant: int
    category: int
    name: Pair
    description: Pair
    price: int
    stock: int
    created_at: str


def slug(text: str) -> str:
    """The text as it may stand in an address: lower case, words joined by hyphens."""
    return "-".join("".join(c if c.isalnum() else " " for c in text.replace("'", "").lower()).split())


def euros(cents: int) -> str:
    """An amount as the files write it: 1990 is "19.90"."""
    return f"{cents // 100}.{cents % 100:02}"


def tenants() -> list[tuple[int, str, str]]:
    """The stores: (id, slug, name)."""
    return [(i, slug(name), name) for i, name in enumerate(TENANTS, 1)]


def categories() -> list[tuple[int, str, str, str, int | None]]:
    """The shelves: (id, slug, English, German, parent), the eight top ones first."""
    rows: list[tuple[int, str, str, str, int | None]] = [
        (i, slug(shelf.name[0]), *shelf.name, None) for i, shelf in enumerate(SHELVES, 1)
    ]
    for parent, shelf in enumerate(SHELVES, 1):
        rows += [(len(rows) + i, slug(below.name[0]), *below.name, parent) for i, below in enumerate(shelf.children, 1)]
    return rows


def tags() -> list[tuple[int, str, str, str]]:
    """The tags: (id, slug, English, German)."""
    return [(i, slug(english), english, german) for i, (english, german) in enumerate(TAGS, 1)]


def products() -> list[Product]:
    """All products, spread evenly over the 32 lower shelves and unevenly over the stores."""
    rng = stream("products")
    stores = zipf(len(TENANTS), 0.5)
    shelves = [(top, child) for top in SHELVES for child in top.children]
    names = [shuffled(rng, [(kind, series) for kind in child.kinds for series in SERIES]) for _, child in shelves]
    rows = []
    for i in range(PRODUCTS):
        shelf = i % len(shelves)
        top, child = shelves[shelf]
        (english, german), series = names[shelf].pop()
        material, virtue = one_of(rng, top.materials), one_of(rng, top.virtues)
        rows.append(
            Product(
                id=i + 1,
                tenant=pick(rng, stores) + 1,
                category=len(SHELVES) + shelf + 1,
                name=(f"{english} {series}", f"{german} {series}"),
                description=(
                    f"{english} of the {series} series: {material[0]}, {virtue[0]}.",
                    f"{german} aus der Serie {series}: {material[1]}, {virtue[1]}.",
                ),
                # Most things are cheap for their shelf: the smaller of two draws.
                price=100 * min(between(rng, *child.prices), between(rng, *child.prices))
                + one_of(rng, (0, 50, 90, 95)),
                stock=between(rng, 40, 900),
                created_at=f"2026-{between(rng, 1, 6):02}-{between(rng, 1, 28):02} {between(rng, 6, 20):02}:00:00",
            )
        )
    return rows


def by_popularity(rows: list[Product]) -> list[Product]:
    """The products, most wanted first: the same order for orders, reviews and traffic."""
    return shuffled(stream("popularity"), rows)


def flash_sale_product(rows: list[Product]) -> Product:
    """The one product of the flash sale."""
    return by_popularity(rows)[FLASH_SALE_RANK - 1]


def product_tags() -> list[tuple[int, int]]:
    """Pairs of product and tag: one to four tags for each product."""
    rng = stream("product_tags")
    tag_ids = list(range(1, len(TAGS) + 1))
    pairs = []
    for product in range(1, PRODUCTS + 1):
        pairs += [(product, tag) for tag in sorted(shuffled(rng, tag_ids)[: 1 + below(rng, 4)])]
    return pairs
