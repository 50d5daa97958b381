"""One day of requests to the shop: visits by strangers, customers and staff, and ten minutes of a flash sale."""

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import NamedTuple
from urllib.parse import urlencode

from catalogue import POPULARITY, Product, by_popularity, categories, euros, flash_sale_product, slug
from draws import below, between, one_of, pick, shuffled, stream, weighted, zipf
from trade import BUSY, FAITHFULNESS, Customer, by_faithfulness, opinion
from words import SHELVES, TENANTS

REQUESTS = 60_000
DAY = 24 * 3600
SALE_START, SALE_END = 20 * 3600, 20 * 3600 + 600
SALE_REQUESTS = 3000

# What each kind of visitor does, in parts. Strangers only read: the trace does not tell two of them apart.
ACTIONS = {
    "stranger": {"home": 316, "category": 288, "product": 325, "search": 71},
    "customer": {
        "home": 180, "category": 226, "product": 288, "search": 58, "add": 110, "cart": 9, "checkout": 86,
        "review": 16, "currency": 13, "language": 14,
    },
    "staff": {"home": 40, "category": 80, "product": 140, "dashboard": 665, "price": 95},
    "sale stranger": {"home": 15, "sale": 85},
    "sale customer": {"home": 8, "sale": 67, "add sale": 14, "cart": 2, "checkout": 9},
}  # fmt: skip
PARTS = {kind: (list(parts), weighted(parts.values())) for kind, parts in ACTIONS.items()}


class Request(NamedTuple):
    """A row of traffic.csv. `t` is in seconds since midnight; `user` is empty for a stranger, and so is `tenant`."""

    t: int
    user: str
    tenant: int | None
    language: str
    method: str
    path: str
    body: str


class Shop(NamedTuple):
    """What a visitor can choose from, most wanted first, with the running sums to draw by."""

    products: list[Product]
    ranks: list[int]
    shelves: list[str]
    shelf_ranks: list[int]
    words: list[str]
    word_ranks: list[int]
    sale: Product
    top_shelves: frozenset[str]


def shop(products: list[Product]) -> Shop:
    """The shop as its visitors see it."""
    rng = stream("wishes")
    shelves = shuffled(rng, [row[1] for row in categories()])
    kinds = {kind for shelf in SHELVES for child in shelf.children for kind in child.kinds}
    words = shuffled(rng, sorted({word for kind in kinds for word in kind}))[:120]
    return Shop(
        by_popularity(products), zipf(len(products), POPULARITY),
        shelves, zipf(len(shelves), POPULARITY),
        words, zipf(len(words), POPULARITY),
        flash_sale_product(products),
        frozenset(row[1] for row in categories() if row[4] is None),
    )  # fmt: skip


def wanted(rng: Random, seen: Shop) -> Product:
    """A product, drawn by its popularity."""
    return seen.products[pick(rng, seen.ranks)]


def get(path: str, **query: str | int) -> tuple[str, str, str]:
    """A reading request, as (method, path, body)."""
    return "GET", f"{path}?{urlencode(query)}" if query else path, ""


def post(path: str, **form: str | int) -> tuple[str, str, str]:
    """A writing request, as (method, path, body)."""
    return "POST", path, urlencode(form)


def act(
    rng: Random, action: str, seen: Shop, who: Customer | None, last: Product
) -> tuple[tuple[str, str, str], Product]:
    """One request, and the product that is now on the visitor's screen."""
    match action:
        case "product":
            last = wanted(rng, seen)
            return get(f"/product/{last.id}/"), last
        case "sale":
            return get(f"/product/{seen.sale.id}/"), seen.sale
        case "category":
            name = seen.shelves[pick(rng, seen.shelf_ranks)]
            # A top shelf holds 150 products: it has a second page.
            more = name in seen.top_shelves and below(rng, 5) == 0
            return (get(f"/category/{name}/", page=2) if more else get(f"/category/{name}/")), last
        case "search":
            return get("/search/", q=seen.words[pick(rng, seen.word_ranks)]), last
        case "add" | "add sale":
            return post("/cart/add/", product=last.id, quantity=1 + below(rng, 6) // 5), last
        case "review":
            rating, text = opinion(rng)
            return post(f"/product/{last.id}/review/", rating=rating, text=text), last
        case "currency":
            return post("/currency/", currency=one_of(rng, ("EUR", "USD", "GBP", "CHF"))), last
        case "language":
            return post("/language/", language=one_of(rng, ("en", "de")), next="/"), last
        case "dashboard":
            assert who is not None and who.tenant is not None
            return get(f"/dashboard/{slug(TENANTS[who.tenant - 1])}/"), last
        case "price":
            own = wanted(rng, seen)
            while own.tenant != getattr(who, "tenant", None):
                own = wanted(rng, seen)
            return post(f"/product/{own.id}/price/", price=euros(own.price * between(rng, 92, 108) // 100)), own
        case "home":
            return get("/"), last
    return (get("/cart/") if action == "cart" else post("/checkout/")), last


def browser_language(rng: Random, who: Customer | None) -> str:
    """What the browser asks for: mostly the profile's language, and always the same for one user."""
    if who is None:
        return "de" if below(rng, 5) < 2 else "en"
    own = stream(f"browser of {who.username}")
    return who.language if who.language and below(own, 10) else ("en", "en", "en", "de", "de")[below(own, 5)]


def visit(rng: Random, kind: str, who: Customer | None, seen: Shop, times: list[int]) -> Iterator[Request]:
    """The requests of one visit, at the given times."""
    language = browser_language(rng, who)
    sale = kind.startswith("sale")
    last = seen.sale if sale else wanted(rng, seen)
    actions, parts = PARTS[kind]
    for t in times:
        request, last = act(rng, actions[pick(rng, parts)], seen, who, last)
        yield Request(t, who.username if who else "", who.tenant if who else None, language, *request)


def lengths(rng: Random, total: int) -> Iterator[int]:
    """Lengths of visits, 5 to 15 requests each, that add up to the total."""
    while total > 15:
        length = between(rng, 5, min(15, total - 5))
        yield length
        total -= length
    yield total


def ordinary_visits(rng: Random, seen: Shop, people: list[Customer]) -> Iterator[Request]:
    """All visits of the day but those that came for the sale."""
    buyers, staff = by_faithfulness(people), [row for row in people if row.role == "staff"]
    faithful = zipf(len(buyers), FAITHFULNESS)
    kinds, shares = ("stranger", "customer", "staff"), weighted((558, 386, 56))
    for length in lengths(rng, REQUESTS - SALE_REQUESTS - 2):
        kind = kinds[pick(rng, shares)]
        who = {"stranger": None, "customer": buyers[pick(rng, faithful)], "staff": one_of(rng, staff)}[kind]
        pauses = [between(rng, 3, 75) for _ in range(length - 1)]
        # A visit ends before midnight.
        start = min(3600 * pick(rng, BUSY) + below(rng, 3600), DAY - 1 - sum(pauses))
        yield from visit(rng, kind, who, seen, [start + sum(pauses[:i]) for i in range(length)])


def sale_visits(rng: Random, seen: Shop, people: list[Customer]) -> Iterator[Request]:
    """Staff lower one price at eight in the evening, everyone looks, and ten minutes later it is what it was."""
    seller = next(row for row in people if row.role == "staff" and row.tenant == seen.sale.tenant)
    for t, price in ((SALE_START, seen.sale.price // 2), (SALE_END, seen.sale.price)):
        path = f"/product/{seen.sale.id}/price/"
        language = browser_language(rng, seller)
        yield Request(t, seller.username, seller.tenant, language, *post(path, price=euros(price)))
    buyers = by_faithfulness(people)
    for length in lengths(rng, SALE_REQUESTS):
        who = one_of(rng, buyers) if below(rng, 5) < 3 else None
        pauses = [between(rng, 2, 20) for _ in range(length - 1)]
        # Most come in the first minutes: the smaller of two draws.
        last_start = SALE_END - SALE_START - 2 - sum(pauses)
        start = SALE_START + 1 + min(below(rng, last_start), below(rng, last_start))
        times = [start + sum(pauses[:i]) for i in range(length)]
        yield from visit(rng, "sale customer" if who else "sale stranger", who, seen, times)


def only_full_carts(requests: list[Request]) -> Iterator[Request]:
    """The requests in order, where a checkout with nothing in the cart becomes a look into it."""
    carts: Counter[str] = Counter()
    for request in requests:
        if request.path == "/cart/add/":
            carts[request.user] += 1
        elif request.path == "/checkout/" and not carts.pop(request.user, 0):
            request = request._replace(method="GET", path="/cart/", body="")
        yield request


def traffic(products: list[Product], people: list[Customer]) -> list[Request]:
    """The day, in order of time."""
    seen = shop(products)
    requests = [*ordinary_visits(stream("visits"), seen, people), *sale_visits(stream("sale"), seen, people)]
    return list(only_full_carts(sorted(requests, key=lambda request: request.t)))
