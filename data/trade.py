"""Who buys and what they bought: customers, reviews, orders and their lines."""

from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from catalogue import POPULARITY, Product, by_popularity, euros
from draws import below, between, one_of, pick, shuffled, stream, weighted, zipf
from words import FIRST_NAMES, LAST_NAMES, OPINIONS, TENANTS

CUSTOMERS, REVIEWS, ORDERS, LINES = 2000, 6000, 40_000, 100_000
STAFF = 3  # in each store
# Some customers come more often than others. A guess, not a finding: with 0.5 the most faithful of 2,000 makes one
# visit in a hundred, and nobody shops all day.
FAITHFULNESS = 0.5
# How busy each hour of the day is, from midnight on: quiet at night, a swell at noon, the peak in the evening.
BUSY = weighted((6, 4, 3, 2, 2, 3, 8, 16, 26, 34, 40, 44, 48, 46, 42, 42, 46, 54, 64, 76, 84, 72, 46, 20))
FIRST_DAY, DAYS = datetime(2026, 1, 1), 181  # January to June


class Customer(NamedTuple):
    """A row of customers.csv. The admin belongs to no store: tenant is None."""

    id: int
    username: str
    first_name: str
    tenant: int | None
    language: str
    currency: str
    role: str


# The people that the lessons call by name.
KNOWN = (
    Customer(1, "alice", "Alice", 1, "en", "EUR", "customer"),
    Customer(2, "bob", "Bob", 2, "", "EUR", "customer"),
    Customer(3, "clara", "Clara", 1, "de", "EUR", "customer"),
    Customer(4, "dora", "Dora", 1, "", "EUR", "staff"),
    Customer(5, "emil", "Emil", 2, "", "EUR", "staff"),
    Customer(6, "admin", "Admin", None, "", "EUR", "admin"),
)


def customers() -> list[Customer]:
    """Everyone who can sign in."""
    rng = stream("customers")
    stores, languages = zipf(len(TENANTS), 0.5), weighted((60, 25, 15))
    rows = list(KNOWN)
    staff = {
        tenant: sum(row.role == "staff" and row.tenant == tenant for row in KNOWN)
        for tenant in range(1, len(TENANTS) + 1)
    }
    while len(rows) < CUSTOMERS:
        number = len(rows) + 1
        first, last = one_of(rng, FIRST_NAMES), one_of(rng, LAST_NAMES)
        tenant = pick(rng, stores) + 1
        role = "staff" if staff[tenant] < STAFF else "customer"
        staff[tenant] += role == "staff"
        language = ("", "en", "de")[pick(rng, languages)]
        currency = one_of(rng, ("USD", "GBP", "CHF")) if below(rng, 10) == 0 else "EUR"
        # The running number keeps two people of one name apart.
        rows.append(Customer(number, f"{first}.{last}{number}".lower(), first, tenant, language, currency, role))
    return rows


def by_faithfulness(rows: list[Customer]) -> list[Customer]:
    """All who are neither staff nor admin, those who come most often first: the same order for orders and traffic."""
    return shuffled(stream("faithfulness"), [row for row in rows if row.role == "customer"])


def moment(rng: Random) -> datetime:
    """A minute from January to June 2026 (UTC), in the rhythm of a day."""
    hour = pick(rng, BUSY)
    return FIRST_DAY + timedelta(days=below(rng, DAYS), hours=hour, minutes=below(rng, 60))


def reviews(products: list[Product], people: list[Customer]) -> list[tuple[int, int, int, int, str, str]]:
    """Reviews, oldest first: (id, product, customer, rating, text, created_at); nobody reviews a product twice."""
    rng = stream("reviews")
    wanted, ranks = by_popularity(products), zipf(len(products), POPULARITY)
    reviewers = by_faithfulness(people)
    # A product is good or bad by itself: each has its own odds of one to five stars.
    odds = {p.id: weighted(one_of(rng, ((6, 8, 16, 34, 36), (2, 3, 8, 32, 55), (18, 18, 26, 24, 14)))) for p in wanted}
    drawn: dict[tuple[int, int], tuple[str, int, str]] = {}
    while len(drawn) < REVIEWS:
        product, reviewer = wanted[pick(rng, ranks)].id, one_of(rng, reviewers).id
        rating = 1 + pick(rng, odds[product])
        drawn.setdefault((product, reviewer), (str(moment(rng)), rating, one_of(rng, OPINIONS[rating])))
    oldest_first = sorted((when, *pair, rating, text) for pair, (when, rating, text) in drawn.items())
    return [
        (i, product, who, rating, text, when) for i, (when, product, who, rating, text) in enumerate(oldest_first, 1)
    ]


class Order(NamedTuple):
    """A row of orders.csv, with its lines (product, quantity, price in cents)."""

    id: int
    tenant: int
    customer: int
    placed_at: str
    lines: list[tuple[int, int, int]]


def orders(products: list[Product], people: list[Customer]) -> list[Order]:
    """Orders, oldest first, 100,000 lines in all. An order is from one store, mostly by a customer of it."""
    rng = stream("orders")
    wanted, ranks = by_popularity(products), zipf(len(products), POPULARITY)
    buyers = by_faithfulness(people)
    everyone, all_ranks = buyers, zipf(len(buyers), FAITHFULNESS)
    local = {t: [b for b in buyers if b.tenant == t] for t in range(1, len(TENANTS) + 1)}
    local_ranks = {t: zipf(len(there), FAITHFULNESS) for t, there in local.items()}
    # Within its store a product is drawn by its rank among all products, so that the whole shop is Zipf-like again.
    shelf = {t: [i for i, p in enumerate(wanted) if p.tenant == t] for t in local}
    weights = [high - low for low, high in zip([0, *ranks], ranks, strict=False)]
    shelf_ranks = {t: weighted(weights[i] for i in there) for t, there in shelf.items()}

    sizes = [1] * ORDERS
    for _ in range(LINES - ORDERS):
        sizes[below(rng, ORDERS)] += 1
    times = sorted(moment(rng) for _ in sizes)
    rows = []
    for number, (size, placed_at) in enumerate(zip(sizes, times, strict=True), 1):
        basket = {pick(rng, ranks)}
        tenant = wanted[next(iter(basket))].tenant
        while len(basket) < size:
            basket.add(shelf[tenant][pick(rng, shelf_ranks[tenant])])
        at_home = below(rng, 5) > 0
        buyer = local[tenant][pick(rng, local_ranks[tenant])] if at_home else everyone[pick(rng, all_ranks)]
        lines = [
            (wanted[i].id, 1 + below(rng, 8) // 5 + below(rng, 8) // 7, paid(rng, wanted[i])) for i in sorted(basket)
        ]
        rows.append(Order(number, tenant, buyer.id, f"{placed_at:%Y-%m-%d %H:%M}", lines))
    return rows


def paid(rng: Random, product: Product) -> int:
    """What one of it cost on that day, in cents: today's price, or ten per cent off, one time in five."""
    return product.price * 9 // 10 if below(rng, 5) == 0 else product.price


def order_lines(rows: list[Order]) -> list[tuple[int, int, int, str]]:
    """The lines of all orders: (order, product, quantity, price in euros)."""
    return [(row.id, product, quantity, euros(cents)) for row in rows for product, quantity, cents in row.lines]


def opinion(rng: Random) -> tuple[int, str]:
    """A review as people leave it: (stars, text)."""
    rating = between(rng, 2, 5)
    return rating, one_of(rng, OPINIONS[rating])
