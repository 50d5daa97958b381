"""The audit: what it finds, what it leaves alone, and that nothing stays behind."""

import itertools
import random
import time
from io import StringIO
from typing import Any

from django.contrib.auth import get_user_model
from django.core.cache import cache, caches
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.http import HttpRequest, HttpResponse
from django.test import SimpleTestCase, TestCase, override_settings
from django.urls import path
from django.utils import translation
from django.views.decorators.cache import cache_page
from django.views.decorators.vary import vary_on_cookie

from tutorial_project.caching.isolation import AuditError, Report, audit
from tutorial_project.caching.isolation_alignment import aligned
from tutorial_project.caching.isolation_answers import GAP, Answer, Pattern, Truth
from tutorial_project.caching.isolation_command import Command

User = get_user_model()
seen = itertools.count()
headers: list[tuple[str, bool]] = []  # (reader, whether they sent a Cookie header)


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>Hello, {request.user.get_username() or 'stranger'}</p>")


def single_value(request: HttpRequest) -> HttpResponse:
    kept = cache.get_or_set("points", lambda: request.user.get_username())
    return HttpResponse(f"<h1>{request.user.get_username()}</h1><p>Points of {kept}</p>")


def withheld(request: HttpRequest) -> HttpResponse:
    button = "<a>Edit</a>" if request.user.is_staff else ""
    return HttpResponse(f"<h1>Lamp</h1>{button}<p>9 euros</p>")


def noisy(request: HttpRequest) -> HttpResponse:
    foot = cache.get_or_set("foot", "foot")
    return HttpResponse(f"{time.time()} {random.random()} {next(seen)} {request.user.get_username()} {foot}")


def writes(request: HttpRequest) -> HttpResponse:
    User.objects.create(username=f"written {next(seen)}")
    cache.set("written", User.objects.count())
    return HttpResponse("<p>written</p>")


def cookie_header(request: HttpRequest) -> HttpResponse:
    headers.append((request.user.get_username(), "Cookie" in request.headers))
    return HttpResponse("<p>noted</p>")


def raises(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError("one of those days")


def interrupted(request: HttpRequest) -> HttpResponse:
    cache.set("half", "done")
    raise KeyboardInterrupt


def never_ends(request: HttpRequest) -> HttpResponse:
    while True:
        time.sleep(0.01)


urlpatterns = [
    path("leaks/page/", cache_page(60)(hello)),
    path("leaks/value/", single_value),
    path("leaks/button/", cache_page(60)(withheld)),
    path("safe/by-reader/", cache_page(60)(vary_on_cookie(hello))),
    path("safe/same/", cache_page(60)(lambda request: HttpResponse("<p>The same for everybody</p>"))),
    path("safe/noisy/", noisy),
    path("safe/live/", hello),
    path("safe/cookie-header/", cookie_header),
    path("odd/writes/", writes),
    path("odd/raises/", raises),
    path("odd/interrupted/", interrupted),
    path("odd/never-ends/", never_ends),
]
MEMORY = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "tests of the audit"}


@override_settings(ROOT_URLCONF=__name__, CACHES={"default": MEMORY}, LANGUAGES=[("en", "English"), ("de", "Deutsch")])
class AuditTests(TestCase):
    """A small project of pages that leak, pages that do not, and pages that will not be audited."""

    @classmethod
    def setUpTestData(cls) -> None:
        for name, staff in (("alice", False), ("bob", False), ("dora", True)):
            User.objects.create(username=name, is_staff=staff)

    def report(self, *urls: str, **options: Any) -> Report:
        return audit(urls, **{"users": ["alice", "bob", "dora"], "languages": ["en"], **options})

    def test_a_page_kept_for_everybody_is_found_and_says_who_wrote_who_read_and_what(self) -> None:
        report = self.report("/leaks/page/")
        found = {(each.wrote, each.read, each.kind): each.leaked for each in report.findings}
        self.assertEqual(found["alice, en", "bob, en", "content"], ("alice",))
        self.assertEqual(found["alice, en", "anonymous, en", "content"], ("alice",))
        self.assertIn("alice, en wrote; bob, en read content: alice", str(report))

    def test_a_single_value_of_anothers_is_found_in_a_page_of_ones_own(self) -> None:
        report = self.report("/leaks/value/")
        self.assertEqual(report.leaks, ["/leaks/value/"])
        self.assertIn(("alice",), [each.leaked for each in report.findings])

    def test_what_is_withheld_is_found_too(self) -> None:
        found = {(each.wrote, each.read): each.leaked for each in self.report("/leaks/button/").findings}
        self.assertEqual(found["dora, en", "alice, en"], ("Edit",))
        self.assertEqual(found["alice, en", "dora, en"], ("no Edit",))

    def test_the_anonymous_visitor_sends_no_cookie_header_as_a_browser_without_cookies(self) -> None:
        headers.clear()
        self.report("/safe/cookie-header/")
        self.assertEqual(set(headers), {("alice", True), ("bob", True), ("dora", True), ("", False)})

    def test_what_is_right_for_everybody_is_no_finding(self) -> None:
        report = self.report("/safe/by-reader/", "/safe/same/", "/safe/noisy/", "/safe/live/")
        self.assertTrue(report.ok and not report)
        self.assertEqual([each.verdict for each in report.visits], ["shared", "shared", "shared", "not cached"])

    @override_settings(ROOT_URLCONF=type("urls", (), {"urlpatterns": urlpatterns[:-2]}))
    def test_every_page_is_found_by_itself_and_users_are_made_up_where_there_are_none(self) -> None:
        User.objects.all().delete()
        report = audit()
        self.assertEqual(report.leaks, ["/leaks/button/", "/leaks/page/", "/leaks/value/"])
        self.assertEqual(len(report.visits), len(urlpatterns) - 2)
        self.assertEqual(User.objects.count(), 0)

    def test_what_cannot_be_audited_is_said_and_the_rest_is_audited(self) -> None:
        report = self.report("/odd/raises/", "/odd/never-ends/", "/nowhere/", "/leaks/page/", seconds=0.3)
        said = {each.url: each.why for each in report.visits}
        self.assertIn("ZeroDivisionError: one of those days", said["/odd/raises/"])
        self.assertEqual(said["/odd/never-ends/"], "no answer within 0.3 s")
        self.assertIn("no pattern", said["/nowhere/"])
        self.assertEqual(report.leaks, ["/leaks/page/"])

    def test_nothing_stays_behind(self) -> None:
        cache.set("points", "mine")
        held, before = caches["default"], caches["default"]._cache.copy()  # type: ignore[attr-defined]
        with translation.override("de"):
            self.report("/odd/writes/", "/leaks/value/", "/odd/never-ends/", seconds=0.3)
            self.assertEqual(translation.get_language(), "de")
        self.assertIs(caches["default"], held)
        self.assertEqual(held._cache, before)  # type: ignore[attr-defined]
        self.assertEqual(sorted(User.objects.values_list("username", flat=True)), ["alice", "bob", "dora"])

    def test_nothing_stays_behind_when_the_user_interrupts_it(self) -> None:
        held, signals = caches["default"], [len(each.receivers) for each in (request_started, request_finished)]
        with self.assertRaises(KeyboardInterrupt):
            self.report("/leaks/page/", "/odd/interrupted/")
        self.assertIs(caches["default"], held)
        self.assertIsNone(cache.get("half"))
        self.assertEqual([len(each.receivers) for each in (request_started, request_finished)], signals)
        self.assertEqual(self.client.get("/safe/live/").status_code, 200)

    def test_the_command_ends_with_1_where_something_leaks(self) -> None:
        out = StringIO()
        with self.assertRaises(SystemExit) as ended:
            call_command(Command(), "/leaks/page/", "--user=alice", "--user=bob", stdout=out)
        self.assertEqual(ended.exception.code, 1)
        self.assertIn("alice, en wrote; bob, en read content: alice", out.getvalue())
        call_command(Command(), "/safe/same/", "--user=alice", stdout=out)

    def test_who_is_not_there_cannot_visit(self) -> None:
        for options, says in (({"users": ["mallory"]}, "No user 'mallory'"), ({"languages": ["xx"]}, "No language")):
            with self.assertRaisesMessage(AuditError, says):
                self.report("/safe/same/", **options)
        with override_settings(ROOT_URLCONF="nowhere.urls"), self.assertRaisesMessage(AuditError, "ROOT_URLCONF"):
            self.report("/safe/same/")


class AnswerTests(SimpleTestCase):
    """Answers compared, without a project."""

    def pattern(self, *texts: str) -> Pattern:
        pattern = Pattern(texts[0])
        for text in texts[1:]:
            pattern = pattern.learning(text)
        return pattern

    def test_what_changes_with_each_visit_becomes_a_gap(self) -> None:
        pattern = self.pattern("It is 10:31, alice. 0.7", "It is 10:32, alice. 0.9")
        self.assertEqual(pattern.text, f"It is 10:{GAP}, alice. 0.{GAP}")
        self.assertTrue(pattern.fits("It is 10:59, alice. 0.123"))
        self.assertFalse(pattern.fits("It is 10:59, bob. 0.123"))
        self.assertFalse(pattern.fits("It is 10:59, alice"))

    def test_a_gap_takes_nothing_from_its_neighbours(self) -> None:
        self.assertTrue(self.pattern("a x b", "a y b").fits("a  b"))
        self.assertFalse(Pattern("ab").fits("aab"))
        self.assertFalse(self.pattern("a 1 a", "a 2 a").fits("a "))

    def test_only_what_another_was_given_is_borrowed(self) -> None:
        truth = Truth()
        for number in (1, 2):
            answer = Answer(200, f"<b>bob</b> visit {number}")
            truth.learn(answer, answer)
        writer = Answer(200, "<b>alice</b> visit 3")
        self.assertEqual(truth.borrowed(Answer(200, "<b>alice</b> visit 3"), writer, set()), ["alice"])
        self.assertEqual(truth.borrowed(Answer(200, "<b>clara</b> visit 3"), writer, set()), [])
        self.assertTrue(truth.holds(Answer(200, "<b>bob</b> visit 17")))
        self.assertFalse(truth.holds(Answer(403, "<b>bob</b> visit 17")))

    def test_what_only_stands_elsewhere_in_a_restless_page_is_not_borrowed(self) -> None:
        answer, other = Answer(200, "7 <i>y</i><i>x</i>"), Answer(200, "8 <i>y</i><i>x</i>")
        restless, at_rest = Truth(), Truth()
        for number in (1, 2):
            restless.learn(*[Answer(200, f"{number} <i>x</i><i>y</i>")] * 2)
            at_rest.learn(*[Answer(200, "1 <i>x</i><i>y</i>")] * 2)
        self.assertEqual(restless.borrowed(answer, other, set()), [])
        self.assertNotEqual(at_rest.borrowed(answer, other, set()), [])

    def test_one_name_more_in_a_list_in_random_order_is_foreign(self) -> None:
        own, writer = Truth(), Truth()
        for first, second in (("lamps", "bob"), ("bob", "lamps")):
            own.learn(*[Answer(200, f"<i>{first}</i><i>{second}</i>")] * 2)
            writer.learn(*[Answer(200, f"<i>{first}</i><i>{second}</i>".replace("bob", "alice"))] * 2)
        self.assertEqual(own.foreign(Answer(200, "<i>alice</i><i>lamps</i>"), writer), ["alice"])
        self.assertEqual(own.foreign(Answer(200, "<i>lamps</i><i>bob</i>"), writer), [])

    def test_long_texts_are_aligned_in_bounded_time(self) -> None:
        rows = [f"row {n}" for n in range(60_000)]
        changed = [*rows[:100], "new", *rows[200:40_000], *rows[40_001:]]
        started = time.perf_counter()
        pairs = aligned(rows, changed)
        self.assertLess(time.perf_counter() - started, 20)
        self.assertEqual(len(pairs), 60_000 - 101)
        self.assertTrue(all(rows[i] == changed[j] for i, j in pairs))
        self.assertEqual(aligned(["a"] * 3000 + ["b"], ["c"] + ["a"] * 2000 + ["d"]), [])
