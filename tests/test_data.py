"""The shop's files: written byte for byte again, as their README tells, and a day that the shop accepts."""

import csv
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections import Counter
from functools import cache
from math import log
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

DATA = Path(__file__).resolve().parent.parent / "data"
NAMES = sorted(path.name for path in DATA.glob("*.csv"))
KNOWN = ("alice", "bob", "clara", "dora", "emil", "admin")
HOUR, SALE = 3600, range(20 * 3600, 20 * 3600 + 600)
Row = dict[str, str]


@cache
def rows(name: str) -> list[Row]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def generate(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # -S: without the installed packages, to see that it needs none.
    command = [sys.executable, "-S", str(DATA / "generate.py"), *arguments]
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", env=os.environ | environment, check=False
    )


def test_the_generator_writes_the_committed_files_byte_for_byte(tmp_path: Path) -> None:
    done = generate("--folder", str(tmp_path), PYTHONHASHSEED="7", TZ="Asia/Kathmandu", LC_ALL="C", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == NAMES
    assert [name for name in NAMES if (tmp_path / name).read_bytes() != (DATA / name).read_bytes()] == []


def test_check_names_the_file_and_the_line_and_writes_nothing(tmp_path: Path) -> None:
    for name in NAMES:
        shutil.copy(DATA / name, tmp_path)
    assert generate("--check", "--folder", str(tmp_path)).returncode == 0
    tags = (tmp_path / "tags.csv").read_bytes()
    changed = tags.replace(b"handgemacht", b"handgemalt")
    (tmp_path / "tags.csv").write_bytes(changed)
    (tmp_path / "orders.csv").write_bytes((DATA / "orders.csv").read_bytes() + b"1,1,1,2026-01-01 00:00\n")
    (tmp_path / "traffic.csv").unlink()
    done = generate("--check", "--folder", str(tmp_path))
    assert done.returncode == 1
    assert re.findall(r"^\S+ (?:differs from line \d+ on|is missing)", done.stderr, re.MULTILINE) == [
        "tags.csv differs from line 2 on",
        "orders.csv differs from line 40002 on",
        "traffic.csv is missing",
    ]
    assert (tmp_path / "tags.csv").read_bytes() == changed and not (tmp_path / "traffic.csv").exists()


def test_a_folder_that_cannot_be_written_gets_one_line(tmp_path: Path) -> None:
    done = generate("--folder", str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "Cannot write" in done.stderr and "--folder" in done.stderr


def test_the_readme_tells_the_files_their_columns_and_their_rows() -> None:
    text = (DATA / "README.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `(\w+\.csv)` \| ([\d,]+) \| ([^|]+) \|", text, re.MULTILINE)
    told = {name: (int(count.replace(",", "")), columns.split(", ")) for name, count, columns in table}
    assert told == {name: (len(rows(name)), list(rows(name)[0])) for name in NAMES}
    assert f"flash sale** of product {sale_product()}:" in text


def test_the_files_are_small_and_keep_their_line_ends_on_windows() -> None:
    assert sum((DATA / name).stat().st_size for name in NAMES) <= 6_000_000
    assert all(b"\r" not in (DATA / name).read_bytes() for name in NAMES)
    assert "*.csv -text" in (DATA / ".gitattributes").read_text()


def test_the_people_that_lessons_name_are_there() -> None:
    people = {row["username"]: row for row in rows("customers.csv")}
    fields = ("tenant", "language", "currency", "role")
    assert {name: tuple(people[name][f] for f in fields) for name in KNOWN} == {
        "alice": ("1", "en", "EUR", "customer"),
        "bob": ("2", "", "EUR", "customer"),
        "clara": ("1", "de", "EUR", "customer"),
        "dora": ("1", "", "EUR", "staff"),
        "emil": ("2", "", "EUR", "staff"),
        "admin": ("", "", "EUR", "admin"),
    }
    assert len(people) == len(rows("customers.csv")) == 2000
    languages = Counter(row["language"] for row in people.values())
    wanted = {"": 0.60, "en": 0.25, "de": 0.15}
    assert languages.keys() == wanted.keys()
    assert all(abs(languages[code] / 2000 - share) < 0.03 for code, share in wanted.items())
    assert 0.08 < sum(row["currency"] != "EUR" for row in people.values()) / 2000 < 0.12


def test_every_row_points_to_rows_that_exist_and_nothing_is_named_twice() -> None:
    ids = {name: {row["id"] for row in rows(name)} for name in NAMES if "id" in rows(name)[0]}
    files = {"tenant": "tenants.csv", "parent": "categories.csv", "category": "categories.csv", "tag": "tags.csv",
             "product": "products.csv", "customer": "customers.csv", "order": "orders.csv"}  # fmt: skip
    for name in NAMES:
        for column in files.keys() & rows(name)[0].keys():
            assert {row[column] for row in rows(name)} - ids[files[column]] <= {""}, (name, column)
    assert all(len(ids[name]) == len(rows(name)) for name in ids)
    assert len({row["name_en"] for row in rows("products.csv")}) == len(
        {row["name_de"] for row in rows("products.csv")}
    )
    assert len({row["name_en"] for row in rows("products.csv")}) == 1200
    assert len({(row["product"], row["customer"]) for row in rows("reviews.csv")}) == 6000
    leaves = {row["id"] for row in rows("categories.csv") if row["parent"]}
    assert {row["category"] for row in rows("products.csv")} == leaves and len(leaves) == 32


def test_an_order_is_from_one_store_and_no_line_costs_more_than_the_product() -> None:
    products = {row["id"]: row for row in rows("products.csv")}
    stores = {row["id"]: row["tenant"] for row in rows("orders.csv")}
    lines = rows("order_lines.csv")
    assert all(products[line["product"]]["tenant"] == stores[line["order"]] for line in lines)
    assert all(0 < float(line["unit_price"]) <= float(products[line["product"]]["price"]) for line in lines)
    assert {line["order"] for line in lines} == stores.keys()


def kind(request: Row) -> str:
    """What a request is, in one word."""
    path = urlsplit(request["path"]).path.strip("/").split("/")
    return "add" if path[-1] == "add" else path[2] if len(path) == 3 else path[0] or "home"


def sale_product() -> str:
    """The product that most people looked at during the sale."""
    return Counter(r["path"].split("/")[2] for r in sale_requests() if kind(r) == "product").most_common(1)[0][0]


def sale_requests() -> list[Row]:
    return [row for row in rows("traffic.csv") if int(row["t"]) in SALE]


def test_the_mix_of_the_day() -> None:
    day = rows("traffic.csv")
    shares = {name: 100 * count / len(day) for name, count in Counter(map(kind, day)).items()}
    expected = {
        "home": 24, "category": 24, "product": 33, "search": 6, "add": 4, "cart": 2, "checkout": 1.5, "review": 0.6,
        "price": 0.5, "dashboard": 3.5, "currency": 0.5, "language": 0.5,
    }  # fmt: skip
    assert shares.keys() == expected.keys()
    # Within a tenth of what the README says, or six tenths of a percent where that is more.
    assert [n for n in expected if abs(shares[n] - expected[n]) > max(0.6, expected[n] / 10)] == []
    assert 0.53 < sum(not row["user"] for row in day) / len(day) < 0.57
    assert {row["language"] for row in day} == {"en", "de"}


def test_popularity_is_zipf_like_as_in_the_literature() -> None:
    seen = Counter(r["path"] for r in rows("traffic.csv") if kind(r) == "product" and int(r["t"]) not in SALE)
    bought = Counter(row["product"] for row in rows("order_lines.csv"))
    for counts in (seen, bought):
        top = [count for _, count in counts.most_common(300)]
        fit = statistics.linear_regression([log(k) for k in range(1, 301)], [log(count) for count in top])
        assert 0.64 <= -fit.slope <= 0.83, fit
    # What is bought most is looked at most.
    assert seen.most_common(1)[0][0] == f"/product/{bought.most_common(1)[0][0]}/"


def test_the_day_has_a_rhythm_and_a_flash_sale() -> None:
    times = [int(row["t"]) for row in rows("traffic.csv")]
    assert times == sorted(times) and times[0] >= 0 and times[-1] < 24 * HOUR and len(times) == 60_000
    hours = Counter(t // HOUR for t in times if t not in SALE)
    assert max(hours, key=hours.__getitem__) in range(18, 22)
    assert 10 * sum(hours[h] for h in range(2, 5)) < sum(hours[h] for h in range(18, 21))
    minutes = Counter(t // 60 for t in times)
    evening = statistics.median(minutes[m] for m in range(19 * 60, 20 * 60))
    assert min(minutes[m] for m in range(20 * 60 + 1, 20 * 60 + 6)) > 3 * evening
    assert minutes[20 * 60 + 11] < 2 * evening


def test_every_write_of_the_day_is_one_that_the_shop_accepts() -> None:
    people = {row["username"]: row for row in rows("customers.csv")}
    products = {row["id"]: row for row in rows("products.csv")}
    stores = {row["id"]: row["slug"] for row in rows("tenants.csv")}
    carts: Counter[str] = Counter()
    for request in rows("traffic.csv"):
        what, body = kind(request), parse_qs(request["body"], strict_parsing=bool(request["body"]))
        who = people.get(request["user"], {"tenant": "", "role": "stranger"})
        assert request["user"] in people or not request["user"]
        assert request["tenant"] == who["tenant"], request
        writes = {"add", "checkout", "review", "price", "currency", "language"}
        assert request["method"] == ("POST" if what in writes else "GET"), request
        assert who["role"] != "stranger" or what in {"home", "category", "product", "search"}, request
        if what in {"price", "dashboard"}:
            assert who["role"] == "staff", request
        if what == "dashboard":
            assert request["path"] == f"/dashboard/{stores[who['tenant']]}/", request
        if what in {"product", "review", "price"}:
            product = products[request["path"].split("/")[2]]
            assert what != "price" or product["tenant"] == who["tenant"], request
        if what == "price":
            assert re.fullmatch(r"\d+\.\d\d", body["price"][0]) and float(body["price"][0]) > 0, request
        if what == "add":
            assert body["product"][0] in products and body["quantity"][0] in "12", request
            carts[request["user"]] += 1
        if what == "checkout":
            assert carts.pop(request["user"], 0) and not body, request
        if what == "review":
            assert who["role"] == "customer" and body["rating"][0] in "2345" and body["text"], request


def test_every_page_of_the_day_exists() -> None:
    slugs = {row["slug"]: row["parent"] for row in rows("categories.csv")}
    names = " ".join(f"{row['name_en']} {row['name_de']}" for row in rows("products.csv")).lower()
    for request in rows("traffic.csv"):
        url, what = urlsplit(request["path"]), kind(request)
        query = dict(parse_qsl(url.query, strict_parsing=bool(url.query)))
        if what == "category":
            # Only a top shelf has 150 products, enough for a second page.
            assert slugs[url.path.split("/")[2]] == "" or not query, request
            assert query in ({}, {"page": "2"}), request
        elif what == "search":
            assert query["q"].lower() in names, request
        else:
            assert not query, request


def test_a_user_has_one_browser_and_strangers_have_many() -> None:
    languages: dict[str, set[str]] = {}
    for request in rows("traffic.csv"):
        languages.setdefault(request["user"], set()).add(request["language"])
    assert {user for user, spoken in languages.items() if len(spoken) > 1} == {""}
