"""The files of `data/` into an empty database.

A file's header names the fields of its model, so the rows can go past the ORM: one prepared statement a table loads
150,000 rows in about a second, where `bulk_create` takes five.
"""

import csv
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import FieldDoesNotExist
from django.core.management.color import no_style
from django.db import DatabaseError, DataError, IntegrityError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from .models import Category, Customer, Order, OrderLine, Product, Review, Tag, Tenant

# Who may do what, beyond what every visitor may.
GROUPS = {
    "customers": ("add_review", "add_order", "view_order"),
    "staff": (
        "view_product", "add_product", "change_product", "view_category", "view_tag", "view_order", "view_orderline",
        "view_review", "delete_review",
    ),
}  # fmt: skip
FIRST_TABLES: dict[str, type[models.Model]] = {
    "tenants.csv": Tenant,
    "categories.csv": Category,
    "tags.csv": Tag,
    "products.csv": Product,
    "product_tags.csv": Product.tags.through,
}
PEOPLE = "customers.csv"
TABLES_OF_PEOPLE: dict[str, type[models.Model]] = {
    "reviews.csv": Review,
    "orders.csv": Order,
    "order_lines.csv": OrderLine,
}
FILES = (*FIRST_TABLES, PEOPLE, *TABLES_OF_PEOPLE)
WRITE_AGAIN = "`python data/generate.py` writes the files again."
JOINED = "2026-01-01 00:00:00"  # UTC


class LoadError(Exception):
    """The shop cannot be loaded; the message says why, and what to do."""


def load(folder: Path, using: str = "default") -> dict[str, int]:
    """Loads every file of the folder but the traffic into an empty, migrated database, in one transaction.

    Returns the number of rows by file ("orders.csv": 40000). Users get passwords that open nothing: a test client signs
    them in by `force_login`, and whoever runs a server gives some of them a real one. Raises LoadError, and leaves the
    database as it was, when a file is missing or damaged, the tables do not exist, or somebody's rows are in them.
    """
    connection = connections[using]
    refuse_unless_empty(using)
    try:
        with transaction.atomic(using=using):
            counts = {name: load_table(connection, folder / name, model) for name, model in FIRST_TABLES.items()}
            counts[PEOPLE] = load_people(connection, folder / PEOPLE)
            counts |= {name: load_table(connection, folder / name, model) for name, model in TABLES_OF_PEOPLE.items()}
            set_sequences(connection)
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE")  # a planner without statistics chooses plans five times slower
    except (IntegrityError, DataError) as error:
        # What the columns and constraints of the database found, some of it not before the commit.
        raise LoadError(f"The files in {folder} do not fit together: {error}. {WRITE_AGAIN}") from error
    except DatabaseError as error:
        raise LoadError(f"The database could not take the shop: {error}. Is it writable, and is there room?") from error
    return counts


def refuse_unless_empty(using: str) -> None:
    """Raises LoadError where there are no tables, or somebody's rows in them."""
    try:
        taken = [m.__name__ for m in (Tenant, User, Group, Category, Tag) if m._default_manager.using(using).exists()]
    except DatabaseError as error:
        raise LoadError(f"The shop's tables are not there ({error}). Run `manage.py migrate` first.") from error
    if taken:
        raise LoadError(f"This database holds rows already ({', '.join(taken)}). Load into an empty one.")


def load_table(connection: BaseDatabaseWrapper, path: Path, model: type[models.Model]) -> int:
    """Loads a file whose header names fields of the model. Returns the number of rows."""
    header, *rows = read(path)
    try:
        fields = [model._meta.get_field(name) for name in header]
        converters = [converter(field) for field in fields]
        values = [[convert(text) for convert, text in zip(converters, row, strict=True)] for row in rows]
    except FieldDoesNotExist as error:
        raise LoadError(f"{path} is damaged: {error}. {WRITE_AGAIN}") from error
    except (ArithmeticError, ValueError) as error:
        raise LoadError(f"{path} is damaged: a value is not of its column's type ({error}). {WRITE_AGAIN}") from error
    columns: list[str] = [field.column for field in fields]  # type: ignore[union-attr, misc]
    if model is Product:
        # A product that nobody has edited was last edited when it was made.
        columns, values = [*columns, "updated_at"], [[*row, row[header.index("created_at")]] for row in values]
    return insert(connection, model, columns, values)


def converter(field: Any) -> Callable[[str], Any]:
    """What makes a database value of a field's text. SQLite would store anything in any column: this refuses."""
    if field.null:
        return lambda text: int(text) if text else None
    if isinstance(field, models.DecimalField):
        return lambda text: text if Decimal(text).is_finite() else int(text)
    if isinstance(field, models.DateTimeField):
        return lambda text: str(datetime.fromisoformat(text))
    if isinstance(field, (models.IntegerField, models.ForeignKey)):
        return int
    return str


def load_people(connection: BaseDatabaseWrapper, path: Path) -> int:
    """Users, their groups and their profiles; a user without a tenant gets no profile. Returns the number of users."""
    header, *rows = read(path)
    people = [dict(zip(header, row, strict=True)) for row in rows]
    try:
        users = [
            (p["id"], p["username"], p["first_name"], "", "", make_password(None), p["role"] != "customer",
             p["role"] == "admin", True, JOINED)
            for p in people
        ]  # fmt: skip
        members = [p for p in people if p["tenant"]]
        profiles = [(p["id"], p["id"], p["tenant"], p["language"], p["currency"]) for p in members]
    except KeyError as error:
        raise LoadError(f"{path} is damaged: there is no column {error}. {WRITE_AGAIN}") from error
    columns = "id username first_name last_name email password is_staff is_superuser is_active date_joined"
    insert(connection, User, columns.split(), users)
    insert(connection, Customer, ["id", "user_id", "tenant_id", "language", "currency"], profiles)
    for name, permissions in GROUPS.items():
        group = Group.objects.using(connection.alias).create(name=name)
        of_shop = Permission.objects.using(connection.alias).filter(content_type__app_label="shop")
        group.permissions.set(of_shop.filter(codename__in=permissions))
        # Staff are customers too.
        joining = [(p["id"], group.pk) for p in members if name == "customers" or p["role"] == "staff"]
        insert(connection, User.groups.through, ["user_id", "group_id"], joining)
    return len(people)


def read(path: Path) -> Iterator[list[str]]:
    """The rows of a file, its header first, all of one width."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, None)
            if not header:
                raise LoadError(f"{path} is empty. {WRITE_AGAIN}")
            yield header
            for row in reader:
                if len(row) != len(header):
                    what = f"line {reader.line_num} has {len(row)} columns, the header {len(header)}"
                    raise LoadError(f"{path} is damaged: {what}. {WRITE_AGAIN}")
                yield row
    except OSError as error:
        raise LoadError(f"Cannot read {path}: {error.strerror}. {WRITE_AGAIN}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise LoadError(f"{path} is damaged: {error}. {WRITE_AGAIN}") from error


def insert(
    connection: BaseDatabaseWrapper, model: type[models.Model], columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> int:
    """Puts the rows into those columns of the model's table. Returns how many there were."""
    quote = connection.ops.quote_name
    table, into = quote(model._meta.db_table), ", ".join(map(quote, columns))
    counted = list(rows)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({into}) FROM STDIN") as copy:
                for row in counted:
                    copy.write_row(row)
        else:
            cursor.executemany(f"INSERT INTO {table} ({into}) VALUES ({', '.join(['%s'] * len(columns))})", counted)
    return len(counted)


def set_sequences(connection: BaseDatabaseWrapper) -> None:
    """Lets the next row of each table get the next free number: rows that bring their own do not move a sequence on."""
    filled = [Tenant, Category, Tag, Product, User, Customer, Review, Order]
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), filled):
            cursor.execute(statement)


def data_hash(folder: Path) -> str:
    """A fingerprint (64 hexadecimal digits) of what makes a loaded database: files, tables, this loader and Django.

    Line ends do not count: git may have changed them. Raises LoadError when a file is missing.
    """
    shop = Path(settings.ROOT) / "tutorial_project" / "shop"
    code = [shop / "models.py", shop / "loading.py", *sorted((shop / "migrations").glob("*.py"))]
    # Users, groups and permissions lie in tables of Django's own.
    digest = hashlib.sha256(django.get_version().encode())
    for path in [*(folder / name for name in FILES), *code]:
        try:
            content = path.read_bytes().replace(b"\r\n", b"\n")
        except OSError as error:
            raise LoadError(f"Cannot read {path}: {error.strerror}. {WRITE_AGAIN}") from error
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()
