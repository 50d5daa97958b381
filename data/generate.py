"""Writes the shop's files and a day of its traffic, byte for byte the same on every machine.

    python data/generate.py            writes the files beside this script
    python data/generate.py --check    writes nothing; exit status 1 if a file is not what this script would write

Needs nothing but Python 3.11 or newer.
"""

import argparse
import csv
import io
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import catalogue
import trade
import traffic

Rows = Iterable[Sequence[str | int | None]]


def tables() -> dict[str, tuple[Sequence[str], Rows]]:
    """Every file's name, its columns and its rows."""
    products = catalogue.products()
    people = trade.customers()
    orders = trade.orders(products, people)
    return {
        "tenants.csv": (("id", "slug", "name"), catalogue.tenants()),
        "categories.csv": (("id", "slug", *in_both("name"), "parent"), catalogue.categories()),
        "tags.csv": (("id", "slug", *in_both("name")), catalogue.tags()),
        "products.csv": (
            ("id", "tenant", "category", *in_both("name"), *in_both("description"), "price", "stock", "created_at"),
            [
                (p.id, p.tenant, p.category, *p.name, *p.description, catalogue.euros(p.price), p.stock, p.created_at)
                for p in products
            ],
        ),
        "product_tags.csv": (("product", "tag"), catalogue.product_tags()),
        "customers.csv": (trade.Customer._fields, people),
        "reviews.csv": (("id", "product", "customer", "rating", "text", "created_at"), trade.reviews(products, people)),
        "orders.csv": (trade.Order._fields[:4], [order[:4] for order in orders]),
        "order_lines.csv": (("order", "product", "quantity", "unit_price"), trade.order_lines(orders)),
        "traffic.csv": (traffic.Request._fields, traffic.traffic(products, people)),
    }  # fmt: skip


def in_both(field: str) -> tuple[str, str]:
    """The columns of a field that stands there in English and in German."""
    return f"{field}_en", f"{field}_de"


def as_csv(columns: Sequence[str], rows: Rows) -> bytes:
    """The file as it lies on the disk: UTF-8, one line feed a line, on Windows too."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def difference(path: Path, content: bytes) -> str | None:
    """What is wrong with the file, in one line; None if nothing."""
    if not path.exists():
        return f"{path.name} is missing"
    found = path.read_bytes()
    if found == content:
        return None
    here, there = found.split(b"\n"), content.split(b"\n")
    line = next(
        (i for i, pair in enumerate(zip(here, there, strict=False)) if pair[0] != pair[1]), min(len(here), len(there))
    )
    return f"{path.name} differs from line {line + 1} on"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the files; returns the exit status."""
    parser = argparse.ArgumentParser(
        description="Write the shop's files, or check that they are what would be written."
    )
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    parser.add_argument(
        "--folder", type=Path, default=Path(__file__).resolve().parent, help="where (default: beside this script)"
    )
    options = parser.parse_args(arguments)
    files = {name: as_csv(*table) for name, table in tables().items()}
    if options.check:
        wrong = [line for name, content in files.items() if (line := difference(options.folder / name, content))]
        for line in wrong:
            print(f"{line}. Run `python data/generate.py` to write it again.", file=sys.stderr)
        return 1 if wrong else 0
    try:
        for name, content in files.items():
            (options.folder / name).write_bytes(content)
    except OSError as error:
        print(
            f"Cannot write to {options.folder}: {error.strerror}. Choose another place with --folder.", file=sys.stderr
        )
        return 1
    print(f"{len(files)} files, {sum(map(len, files.values())):,} bytes.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
