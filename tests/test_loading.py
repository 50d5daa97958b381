"""The shop's files in a database: all of them, once, or not at all."""

import csv
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from urllib.parse import parse_qsl

import django
import pytest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tutorial_project.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import Group, User  # noqa: E402
from django.contrib.messages import get_messages  # noqa: E402
from django.core.management import CommandError, call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django.db.utils import load_backend  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import override_settings  # noqa: E402

from tutorial_project.shop.loading import LoadError, data_hash, load  # noqa: E402
from tutorial_project.shop.models import Order, OrderLine, Product, Review, Tenant  # noqa: E402

DATA = settings.DATA
# The smallest shop: a row or two of everything.
SMALL = {
    "tenants.csv": "id,slug,name\n1,one,One\n",
    "categories.csv": "id,slug,name_en,name_de,parent\n1,top,Top,Oben,\n2,low,Low,Unten,1\n",
    "tags.csv": "id,slug,name_en,name_de\n1,red,red,rot\n",
    "products.csv": "id,tenant,category,name_en,name_de,description_en,description_de,price,stock,created_at\n"
    "1,1,2,Mug,Becher,A mug.,Ein Becher.,9.90,5,2026-01-02 10:00:00\n",
    "product_tags.csv": "product,tag\n1,1\n",
    "customers.csv": "id,username,first_name,tenant,language,currency,role\n"
    "1,ann,Ann,1,,EUR,customer\n2,root,Root,,,EUR,admin\n",
    "reviews.csv": "id,product,customer,rating,text,created_at\n1,1,1,5,Good.,2026-01-03 10:00:00\n",
    "orders.csv": "id,tenant,customer,placed_at\n1,1,1,2026-01-04 10:00\n",
    "order_lines.csv": "order,product,quantity,unit_price\n1,1,2,9.90\n",
}


@contextmanager
def database(url: dict[str, object], migrate: bool = True) -> Iterator[None]:
    """In this thread `default` is another database, migrated unless told not to; the old one is back afterwards."""
    before = connections["default"]
    configured = connections.configure_settings({"default": url})["default"]
    connections["default"] = load_backend(configured["ENGINE"]).DatabaseWrapper(configured, "default")
    try:
        if migrate:
            call_command("migrate", verbosity=0)
        yield
    finally:
        connections["default"].close()
        connections["default"] = before


def sqlite(path: Path) -> dict[str, object]:
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """The whole shop, loaded; what `load` returned."""
    with database(sqlite(tmp_path_factory.mktemp("whole") / "shop.sqlite3")):
        yield load(DATA)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[None]:
    """A database with tables and no rows."""
    with database(sqlite(tmp_path / "empty.sqlite3")):
        yield


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with the smallest shop."""
    folder = tmp_path / "small"
    folder.mkdir()
    for name, text in SMALL.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_of_every_file_arrives(shop: dict[str, int]) -> None:
    assert shop == {path.name: len(rows(path.name)) for path in DATA.glob("*.csv") if path.name != "traffic.csv"}
    assert (Order.objects.count(), OrderLine.objects.count(), Review.objects.count()) == (40_000, 100_000, 6000)
    assert Product.tags.through.objects.count() == shop["product_tags.csv"]


def test_the_rows_say_what_the_files_say(shop: dict[str, int]) -> None:
    row = rows("products.csv")[917]
    product = Product.objects.select_related("category__parent", "tenant").get(pk=918)
    assert (product.name_en, product.name_de, product.description_de) == (
        row["name_en"],
        row["name_de"],
        row["description_de"],
    )
    assert (str(product.price), str(product.stock)) == (row["price"], row["stock"])
    assert f"{product.created_at:%Y-%m-%d %H:%M:%S %Z}" == f"{row['created_at']} UTC"
    assert product.updated_at == product.created_at
    assert product.category.parent is not None and product.category.parent.parent is None
    units: Counter[int] = Counter()
    for line in rows("order_lines.csv"):
        units[int(line["product"])] += int(line["quantity"])
    best = sorted(units, key=lambda pk: (-units[pk], pk))[:20]
    assert [(p.pk, p.sold) for p in Product.objects.expensive_ranking()[:20]] == [(pk, units[pk]) for pk in best]  # type: ignore[attr-defined]
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT DISTINCT typeof(quantity), typeof(product_id), typeof(id) FROM shop_orderline")
        assert cursor.fetchall() == [("integer", "integer", "integer")]


def test_users_can_sign_in_only_by_force_and_may_do_what_their_role_may(shop: dict[str, int]) -> None:
    people = {user.username: user for user in User.objects.select_related("customer__tenant")}
    assert len({user.password for user in people.values()}) == 2000
    assert not any(user.has_usable_password() for user in people.values())
    alice, clara, dora, admin = (people[name] for name in ("alice", "clara", "dora", "admin"))
    assert alice.get_all_permissions() == {"shop.add_review", "shop.add_order", "shop.view_order"}
    assert dora.has_perms(["shop.change_product", "shop.add_review"]) and not alice.has_perm("shop.change_product")
    assert [(u.is_staff, u.is_superuser) for u in (alice, dora, admin)] == [(False, False), (True, False), (True, True)]
    assert (clara.customer.tenant_id, clara.customer.language, clara.customer.currency) == (1, "de", "EUR")
    assert not hasattr(admin, "customer")
    assert dict(Group.objects.values_list("name").annotate(n=django.db.models.Count("user"))) == {
        "customers": 1999,
        "staff": 36,
    }


def test_a_second_load_is_refused_and_changes_nothing(shop: dict[str, int]) -> None:
    with pytest.raises(LoadError, match="holds rows already .*Tenant.* empty one"):
        load(DATA)
    assert Order.objects.count() == 40_000


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("tags.csv", None, None, "tags.csv: No such file"),
        ("tags.csv", SMALL["tags.csv"], "", "tags.csv is empty"),
        ("tags.csv", "red,rot", "red", r"tags.csv is damaged: line 2 has 3 columns, the header 4"),
        ("tags.csv", "slug", "slog", "tags.csv is damaged: Tag has no field named 'slog'"),
        ("products.csv", "9.90", "cheap", "products.csv is damaged: a value is not of its column's type"),
        ("products.csv", "9.90", "NaN", "products.csv is damaged: a value is not of its column's type"),
        ("products.csv", "2026-01-02", "soon", "products.csv is damaged: a value is not of its column's type"),
        ("order_lines.csv", "1,1,2,", "1,1,two,", "order_lines.csv is damaged: a value is not of its column's type"),
        ("order_lines.csv", "1,1,2,", "1,7,2,", "do not fit together"),
        ("order_lines.csv", "1,1,2,", "1,1,-2,", "do not fit together"),
        ("customers.csv", "2,root", "2,ann", "do not fit together"),
        ("customers.csv", "role", "job", "customers.csv is damaged: there is no column 'role'"),
        ("reviews.csv", "Good.", "\udcff", "reviews.csv is damaged: 'utf-8' codec"),
    ],
)
def test_a_damaged_file_is_named_and_nothing_is_loaded(
    empty: None, small: Path, name: str, old: str | None, new: str | None, said: str
) -> None:
    if old is None or new is None:
        (small / name).unlink()
    else:
        assert SMALL[name].count(old) == 1
        (small / name).write_text(SMALL[name].replace(old, new), encoding="utf-8", errors="surrogateescape")
    with pytest.raises(LoadError, match=said) as caught:
        load(small)
    assert "`python data/generate.py` writes the files again" in str(caught.value) and "\n" not in str(caught.value)
    assert not Tenant.objects.exists() and not User.objects.exists() and not Group.objects.exists()
    for intact, text in SMALL.items():
        (small / intact).write_text(text, encoding="utf-8")
    assert sum(load(small).values()) == 11


def test_the_next_row_gets_the_next_number(empty: None, small: Path) -> None:
    load(small)
    assert Tenant.objects.create(slug="two").pk == 2
    assert User.objects.create(username="ben").pk == 3


def test_no_tables_and_no_room_get_a_line_each(tmp_path: Path, small: Path) -> None:
    with (
        database(sqlite(tmp_path / "bare.sqlite3"), migrate=False),
        pytest.raises(LoadError, match="manage.py migrate"),
    ):
        load(small)
    with database(sqlite(tmp_path / "full.sqlite3")):
        with connections["default"].cursor() as cursor:
            cursor.execute("PRAGMA page_count")
            cursor.execute(f"PRAGMA max_page_count = {cursor.fetchone()[0]}")
        (small / "tags.csv").write_text(
            "id,slug,name_en,name_de\n" + "".join(f"{i},t{i},{i},{i}\n" for i in range(1, 5000))
        )
        with pytest.raises(LoadError, match="could not take the shop: database or disk is full"):
            load(small)


def test_the_command_loads_and_says_why_it_does_not(empty: None, small: Path) -> None:
    out = StringIO()
    call_command("load_shop", folder=small, stdout=out)
    assert [line.split() for line in out.getvalue().splitlines()][:2] == [["1", "tenants.csv"], ["2", "categories.csv"]]
    with pytest.raises(CommandError, match="holds rows already"):
        call_command("load_shop", folder=small)


def test_the_hash_follows_files_tables_and_loader_but_not_line_ends_or_traffic(small: Path, tmp_path: Path) -> None:
    inner = tmp_path / "tutorial_project" / "shop"
    (inner / "migrations").mkdir(parents=True)
    code = [inner / "models.py", inner / "loading.py", inner / "migrations" / "0001_initial.py"]
    for path in code:
        path.write_text("x = 1\n")
    with override_settings(ROOT=tmp_path):
        first = data_hash(small)
        (small / "traffic.csv").write_text("t\n1\n")
        (small / "tags.csv").write_bytes(SMALL["tags.csv"].replace("\n", "\r\n").encode())
        assert data_hash(small) == first and len(first) == 64
        seen = {first}
        for path in [*code, small / "tags.csv", small / "order_lines.csv"]:
            path.write_text("x = 2\n")
            seen.add(data_hash(small))
        (inner / "migrations" / "0002_more.py").write_text("")
        seen.add(data_hash(small))
        assert len(seen) == 7
        (small / "tags.csv").unlink()
        with pytest.raises(LoadError, match="tags.csv"):
            data_hash(small)


def test_the_shop_accepts_requests_of_every_kind(shop: dict[str, int]) -> None:
    """Whole days of a few users, in order, through the real pages, and a few requests of strangers."""
    day = rows("traffic.csv")
    busy = Counter(row["user"] for row in day)
    chosen = {""}
    for what in ("/checkout/", "/review/", "/price/", "/dashboard/", "/currency/", "/language/"):
        chosen.add(min({row["user"] for row in day if what in row["path"]}, key=lambda user: (busy[user], user)))
    clients = {user: Client() for user in chosen}
    for user in chosen - {""}:
        clients[user].force_login(User.objects.get(username=user))
    placed = Order.objects.count()
    strangers = [row for row in day if not row["user"]][::2500]
    for row in strangers + [row for row in day if row["user"] in chosen - {""}]:
        client, headers = clients[row["user"]], {"accept-language": row["language"]}
        if row["method"] == "GET":
            assert client.get(row["path"], headers=headers).status_code == 200, row
        else:
            response = client.post(row["path"], dict(parse_qsl(row["body"])), headers=headers)
            said = [message.level_tag for message in get_messages(response.wsgi_request)]
            assert response.status_code == 302 and "error" not in said, row
    assert Order.objects.count() > placed


@pytest.mark.skipif(
    "TEST_POSTGRES_URL" not in os.environ, reason="TEST_POSTGRES_URL names no empty PostgreSQL database"
)
def test_postgresql_takes_the_same_shop() -> None:
    import dj_database_url

    with database(dict(dj_database_url.parse(os.environ["TEST_POSTGRES_URL"]))):
        assert connections["default"].vendor == "postgresql"
        assert load(DATA)["order_lines.csv"] == 100_000
        assert OrderLine.objects.create(order_id=1, product_id=1, quantity=1, unit_price=1).pk == 100_001
        assert Order.objects.create(tenant_id=1, customer_id=1).pk == 40_001
