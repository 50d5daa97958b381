"""The audit against a project full of planted leaks: no miss, no false alarm; and against every kind of bad input."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from test_postgresql import needs_postgresql, server  # noqa: F401

TESTS = Path(__file__).resolve().parent
FAULTS = tomllib.loads((TESTS / "planted" / "faults.toml").read_text(encoding="utf-8"))["fault"]
PEOPLE = [f"--user={name}" for name in ("alice", "anna", "clara", "admin")]
HEADERS = ["X-Region: at", "X-Region: de", "X-Tenant: 1; X-User: 12", "X-Tenant: 11; X-User: 2"]
BY_HEADER = {"/leaks/region/", "/leaks/unframed/"}
EXAMPLES = ["/leaks/note/1/", "/safe/note/1/"]
# What these two must find beside everything else's "content" says which of the ways of looking found it.
KINDS = {
    "csrf token": {"csrf_form", "csrf_form_of_strangers", "csrf_in_a_script", "fragment_token"},
    "cookie": {"cookie_of_the_visitor", "cookie_with_the_name"},
    "status": {"login_required_inside", "refused_to_others", "staff_alone", "ClassBased", "denied", "target"},
}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass
class Audited:
    """What the command printed, by address, and its exit status."""

    status: int
    out: str
    error: str

    @property
    def verdicts(self) -> dict[str, str]:
        found = re.findall(r"^(leaks|shared|not cached|not audited) +(\S+)", self.out, re.MULTILINE)
        return {url: verdict for verdict, url in found}

    def line(self, url: str) -> str:
        """What is said about one address, with its leaks."""
        found = re.search(rf"^[a-z ]+ {re.escape(url)} .*(?:\n {{11}}.*)*", self.out, re.MULTILINE)
        assert found, self.out
        return found[0]


Audit = Callable[..., Audited]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of a process in which the planted project stands, with its people in the database."""
    folder = tmp_path_factory.mktemp("planted")
    found = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        "PLANTED_DATABASE": str(folder / "planted.sqlite3"),
        "DJANGO_SETTINGS_MODULE": "planted.settings",
    }
    prepare(found)
    return found


def prepare(environment: dict[str, str]) -> None:
    """Put the planted people into the database that the environment names."""
    for command in (["migrate", "-v0", "auth"], ["migrate", "-v0", "--run-syncdb"], ["loaddata", "-v0", "people"]):
        folder = Path(environment["PLANTED_DATABASE"]).parent
        subprocess.run([sys.executable, "-m", "django", *command], check=True, env=environment, cwd=folder)


@pytest.fixture(scope="module")
def audit(environment: dict[str, str]) -> Audit:
    """Runs the command in a process of its own."""

    def run(*arguments: str, settings: str = "planted.settings", **variables: str) -> Audited:
        command = [sys.executable, "-m", "django", "audit_cache", *arguments, "--settings", settings]
        # Not from here: this folder's own audit would be found before that of PYTHONPATH.
        folder, found = Path(environment["PLANTED_DATABASE"]).parent, environment | variables
        done = subprocess.run(command, capture_output=True, text=True, env=found, cwd=folder, timeout=600)
        return Audited(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="module")
def planted(audit: Audit) -> Audited:
    """The report on the whole project."""
    return audit(*PEOPLE)


def all_of(prefix: str) -> set[str]:
    """The addresses under leaks/ or safe/, read from the planted modules in a process of its own."""
    source = (
        f"from planted.urls import urlpatterns as u; print([str(p.pattern) for p in u if '{prefix}' in str(p.pattern)])"
    )
    environment = os.environ | {"PYTHONPATH": f"{TESTS}:{TESTS.parent}", "DJANGO_SETTINGS_MODULE": "planted.settings"}
    command = [sys.executable, "-c", f"import django; django.setup(); {source}"]
    routes = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    return {"/" + route.replace("<int:pk>", "1") for route in re.findall(r"'([^']+)'", routes)}


def test_every_planted_leak_is_found_and_nothing_else(
    planted: Audited, audit: Audit, capsys: pytest.CaptureFixture[str]
) -> None:
    by_header = audit(
        *sorted(BY_HEADER), "/safe/region/", "/safe/note/1/", "--user=alice", *(f"--header={each}" for each in HEADERS)
    )
    verdicts = planted.verdicts | by_header.verdicts
    leaks, safe = all_of("leaks/"), all_of("safe/")
    found = {url for url in leaks if verdicts[url] == "leaks"}
    false = {url for url in safe if verdicts[url] not in ("shared", "not cached")}
    with capsys.disabled():
        print(f"\naudit: {len(found)} of {len(leaks)} leaks found, {len(false)} false alarms on {len(safe)} safe views")
    assert (leaks - found, false) == (set(), set())
    assert len(leaks) >= 24 and len(safe) >= 24
    assert planted.status == by_header.status == 1


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_leak_is_called_by_its_name(planted: Audited, kind: str) -> None:
    for name in KINDS[kind]:
        assert f"read {kind}: " in planted.line(f"/leaks/{name}/"), planted.line(f"/leaks/{name}/")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("name", "alice, en wrote; anna, en read content: alice "),
        ("huge", "alice, en wrote; anna, en read content: alice "),
        ("among_noise", "alice, en wrote; anna, en read content: alice "),
        ("api", "alice, en wrote; anna, en read content: alice "),
        ("header", "alice, en wrote; anna, en read content: alice "),
        ("asynchronous", "alice, en wrote; anna, en read content: alice "),
        ("alias_in_a_variable", "alice, en wrote; anna, en read content: alice "),
        ("a_star_for_staff", "★"),
        ("no_tenant", "alice, en wrote; anna, en read content: 17 "),
        ("fragment_permission", "Orders"),
        ("login_required_inside", "alice, en wrote; anonymous, en read status: "),
        ("target", "alice, en wrote; anna, en read status: alice "),
        ("cookie_with_the_name", "last=alice"),
    ],
)
def test_what_leaked_is_named(planted: Audited, name: str, says: str) -> None:
    assert says in planted.line(f"/leaks/{name}/")


def test_the_site_wide_pair_leaks_in_one_order_alone(audit: Audit) -> None:
    right, wrong = (
        audit("--user=alice", "--user=bob", settings=f"planted.{name}") for name in ("sitewide", "sitewide_wrong")
    )
    assert (right.status, set(right.verdicts.values())) == (0, {"shared"})
    assert (wrong.status, wrong.verdicts["/leaks/name/"]) == (1, "leaks")
    assert wrong.verdicts["/safe/imprint/"] == "shared"


@pytest.mark.parametrize(
    ("name", "verdict", "says"),
    [
        ("raises", "not audited", "raises for everybody: ZeroDivisionError: one of those days"),
        ("redirects", "not cached", "redirects everybody to /elsewhere/"),
        ("needs_post", "not audited", "refuses a GET (405)"),
        ("streams", "not cached", "streams"),
        ("streams_for_ever", "not cached", "streams"),
        ("never_ends", "not audited", "no answer within 0.5 s"),
        ("never_ends_and_catches", "not audited", "no answer within 0.5 s"),
        ("never_ends_and_catches_all", "not audited", "no answer within 0.5 s"),
        ("never_ends_async", "not audited", "no answer within 0.5 s"),
        ("sleeps_async", "not audited", "no answer within 0.5 s"),
        ("exits", "not audited", "ends in SystemExit: somebody thought this was a script"),
        ("needs_a_host", "not cached", "answers 404 to everybody"),
        ("clears_the_cache", "not cached", ""),
        ("closes_the_database", "not cached", ""),
        ("wants_a_transaction", "not cached", ""),
        ("breaks_its_transaction", "not cached", ""),
        ("asks_for_more", "not cached", ""),
        ("cannot_be_kept", "not audited", "raises for everybody"),
    ],
)
def test_a_hostile_view_gets_a_line_and_the_rest_is_audited(
    hostile: Audited, name: str, verdict: str, says: str
) -> None:
    assert hostile.verdicts[f"/hostile/{name}/"] == verdict
    assert says in hostile.line(f"/hostile/{name}/")
    assert (hostile.status, hostile.verdicts["/leaks/name/"], hostile.error) == (1, "leaks", "")


@pytest.fixture(scope="module")
def hostile(audit: Audit) -> Audited:
    """The report on the views that keep an audit from its work."""
    return audit("--user=alice", "--user=bob", "--language=en", "--seconds=0.5", settings="planted.hostile_settings")


def test_a_view_that_needs_a_host_is_given_one(audit: Audit) -> None:
    report = audit(
        "/hostile/needs_a_host/", "--user=alice", "--header=Host: shop.example", settings="planted.hostile_settings"
    )
    assert (report.status, report.verdicts) == (0, {"/hostile/needs_a_host/": "shared"})


@pytest.mark.parametrize(
    ("arguments", "variables", "says"),
    [
        (["--user=mallory"], {}, "No user 'mallory'."),
        (["--language=xx"], {}, "No language 'xx': settings.LANGUAGES has en, de."),
        (["--header=nonsense"], {}, "--header 'nonsense' is not of the form"),
        (["--seconds=0"], {}, "--seconds must be more than 0."),
        ([], {"PLANTED_DATABASE": "/dev/null/planted.sqlite3"}, "The database 'default' does not work"),
        ([], {"settings": "planted.broken_urlconf"}, "ROOT_URLCONF 'planted.nowhere' does not work"),
        ([], {"settings": "planted.broken_middleware"}, "MIDDLEWARE does not work: No module named 'planted.nowhere'"),
        (["/safe/imprint"], {}, "Not all that was to be audited could be"),
    ],
)
def test_what_stops_the_audit_is_one_line_and_status_2(
    audit: Audit, arguments: list[str], variables: dict[str, str], says: str
) -> None:
    report = audit(*arguments, **variables)
    assert report.status == 2
    assert says in report.error and len(report.error.strip().splitlines()) == 1


def test_an_address_that_leads_nowhere_does_not_keep_the_rest_from_being_audited(audit: Audit) -> None:
    report = audit("/safe/imprint", "/safe/imprint/", "--user=alice")
    assert "no pattern of the URLconf matches it; /safe/imprint/ would" in report.line("/safe/imprint")
    assert (report.status, report.verdicts["/safe/imprint/"]) == (2, "shared")


@pytest.mark.parametrize("settings", ["planted.bare", "planted.bare_uncached"])
def test_a_project_without_users_sessions_or_caches_is_audited_as_nobody(audit: Audit, settings: str) -> None:
    report = audit(settings=settings)
    assert report.out.startswith("1 page read by anonymous, en-us\n")
    assert "Visited as anonymous alone" in report.out
    if settings == "planted.bare_uncached":
        assert report.out.endswith("No page puts anything into a cache.\n")
    assert (report.status, report.error) == (0, "")


@pytest.mark.parametrize("engine", ["signed_cookies", "cache", "file", "cached_db"])
def test_wherever_sessions_are_kept(audit: Audit, engine: str) -> None:
    pages = ["name", "flash", "number_of_the_session"], ["by_user", "by_session", "counter_in_the_session"]
    leaks, safe = (
        [f"/{prefix}/{name}/" for name in names] for prefix, names in zip(("leaks", "safe"), pages, strict=True)
    )
    report = audit(*leaks, *safe, *PEOPLE[:2], PLANTED_SESSIONS=engine)
    assert report.verdicts == {**dict.fromkeys(leaks, "leaks"), **dict.fromkeys(safe, "shared")}


@needs_postgresql
def test_on_postgresql(audit: Audit, environment: dict[str, str], server: str) -> None:  # noqa: F811
    there = {"PLANTED_PORT": str(urlsplit(server).port)}
    pages = ["/leaks/name/", "/leaks/rows/", "/safe/by_user/", "/safe/by_tenant/"]
    bare = audit(*pages, **there)  # there are no tables yet: such a query spoils a transaction on PostgreSQL
    prepare(environment | there)
    report = audit(*pages, *PEOPLE, **there)
    assert [report.verdicts[url] for url in pages] == ["leaks", "leaks", "shared", "shared"], report
    assert "Visited as anonymous alone: there are no users to be had" in bare.out and bare.verdicts["/leaks/name/"]


def test_a_project_behind_https(audit: Audit) -> None:
    report = audit("/leaks/name/", "/safe/imprint/", *PEOPLE[:2], settings="planted.secure")
    assert report.verdicts == {"/leaks/name/": "leaks", "/safe/imprint/": "shared"}


def test_addresses_with_a_language_or_an_expression_in_them(audit: Audit) -> None:
    report = audit(*PEOPLE[:2], settings="planted.prefixed")
    leaks, safe = ("/en/shop/name/", "/de/shop/name/", "/old/name/"), ("/en/shop/language/", "/de/shop/language/")
    assert {url for url, verdict in report.verdicts.items() if verdict == "leaks"} == set(leaks), report.out
    assert {url for url, verdict in report.verdicts.items() if verdict == "shared"} == set(safe), report.out
    assert "archive/(?P<year>[0-9]{4})/$>" in report.out and "needs an example" in report.out


def test_the_same_report_is_printed_each_time(audit: Audit) -> None:
    arguments = ["/leaks/among_noise/", "/leaks/cookie_of_the_visitor/", "/leaks/csrf_form/", *PEOPLE[:2]]
    assert audit(*arguments).out == audit(*arguments).out


@pytest.mark.parametrize("fault", FAULTS, ids=[fault["name"] for fault in FAULTS])
def test_an_audit_with_one_line_broken_is_wrong_about_a_page(
    audit: Audit, tmp_path: Path, fault: dict[str, str]
) -> None:
    shutil.copytree(TESTS.parent / "tutorial_project" / "caching", tmp_path / "tutorial_project" / "caching")
    (tmp_path / "tutorial_project" / "__init__.py").touch()
    path = tmp_path / "tutorial_project" / "caching" / f"{fault['module']}.py"
    source = path.read_text(encoding="utf-8")
    assert source.count(fault["old"]) == 1
    path.write_text(source.replace(fault["old"], fault["new"]), encoding="utf-8")
    report = audit(fault["page"], *PEOPLE, PYTHONPATH=os.pathsep.join([str(tmp_path), str(TESTS)]))
    leaks = report.verdicts.get(fault["page"]) == "leaks"
    assert leaks == fault["page"].startswith("/safe/"), report
