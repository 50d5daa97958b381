"""The audit: visits a project's cached pages as several people and in each language, and reports what leaks to whom.

    report = audit()                                          # each page: two ordinary users, anonymous, each language
    report = audit(["/cart/"], users=["alice", "bob"])        # one page: these two and anonymous
    print(report)                                             # falsy, and `report.ok`, where nothing leaks

Each visitor first reads a page from empty caches: that is their truth. Then everybody reads it after everybody else. An
answer that is not the reader's own and holds what another was given is a finding: a whole page, a fragment, a single
value, a status, a redirect, a CSRF token, a cookie, or a button that is missing because another has none.

Guarantee: it reads the pages of the project as it is (its URLconf, middleware, templates, database), through caches in
this process's memory, in transactions that are rolled back: the project's own caches and databases stay as they are.
What a page changes by itself with each visit (clocks, random numbers, counters, tokens) is no finding.
Limit: it sees what GET answers to the visitors it has. Two users between whom a page does not differ find no leak in
it, and what differs by a header needs that header (`headers`). A page is "cached" when a visit stores something; what
a project keeps outside Django's caches is not replaced, nor is what a view sends elsewhere held back. A transaction
stays open throughout: run it on a copy, or where nobody writes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from .isolation_addresses import EXAMPLE, check_urlconf, every_page, named
from .isolation_inspection import REFUSES, Finding, Inspection
from .isolation_rehearsal import AuditError, rehearsal
from .isolation_visitors import Visitors

__all__ = ["AuditError", "Audited", "Finding", "Report", "audit"]

VERDICTS = ("leaks", "shared", "not cached", "not audited")
PAUSE = 1.1  # seconds before a suspected page is read again: a clock has gone on by then


@dataclass(frozen=True)
class Audited:
    """One page: `verdict` is "leaks", "shared" (cached, and right for everybody), "not cached" or "not audited"."""

    url: str
    view: str
    verdict: str
    why: str = ""


@dataclass
class Report:
    """What an audit found. It prints as a table; it is true where something leaks."""

    visits: list[Audited]
    findings: list[Finding]
    visitors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def leaks(self) -> list[str]:
        """The addresses of the pages that leak, sorted."""
        return sorted({finding.url for finding in self.findings})

    @property
    def ok(self) -> bool:
        """Whether nothing leaks."""
        return not self.findings

    def __bool__(self) -> bool:
        return bool(self.findings)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        lines = [f"{_pages(len(self.visits))} read by {'; '.join(self.visitors)}"]
        shown = [each for each in self.visits if not self._is_folded(each)]
        width = max((len(each.url) for each in shown), default=0)
        for verdict in VERDICTS:
            for each in (each for each in shown if each.verdict == verdict):
                why = f" ({each.why})" if each.why else ""
                lines.append(f"{verdict:<11}  {each.url:<{width}}  {each.view}{why}".rstrip())
                lines += self._leaks_of(each.url)
            folded = [each for each in self.visits if each.verdict == verdict and self._is_folded(each)]
            if folded:
                lines.append(f"{verdict:<11}  and {_pages(len(folded))} of Django itself, {folded[0].url} the first")
        leaking, shared = (sum(each.verdict == verdict for each in self.visits) for verdict in VERDICTS[:2])
        cached = leaking + shared
        last = f"{cached} cached, {leaking} leaking." if cached else "No page puts anything into a cache."
        if all(each.verdict == "not audited" for each in self.visits):
            last = "No page could be audited."
        return [*lines, *self.notes, last]

    def _is_folded(self, each: Audited) -> bool:
        """Whether it is one of Django's own pages, the admin's above all, with nothing to say about it."""
        nothing = each.verdict == "not cached" or each.why in (REFUSES, EXAMPLE)
        return each.view.startswith("django.") and nothing

    def _leaks_of(self, url: str) -> list[str]:
        """For each kind of leak the pair of visitors that shows it best, and how many pairs there are."""
        lines = []
        found = [finding for finding in self.findings if finding.url == url]
        for kind in dict.fromkeys(finding.kind for finding in found):
            pairs = [finding for finding in found if finding.kind == kind]
            best = min(pairs, key=_plainness)
            more = f" (and {len(pairs) - 1} more pairs)" if len(pairs) > 1 else ""
            lines.append(f"{'':11}  {best.wrote} wrote; {best.read} read {kind}: {' | '.join(best.leaked)}{more}")
        return lines


def _plainness(finding: Finding) -> tuple[bool, bool]:
    """Sorts first what shows the name of one person to another."""
    name, reader = finding.wrote.partition(",")[0], finding.read.partition(",")[0]
    return (not any(name in text for text in finding.leaked), name == reader)


def _pages(count: int) -> str:
    return f"{count} page" + ("" if count == 1 else "s")


def audit(
    urls: Sequence[str] | None = None,
    users: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    seconds: float = 5.0,
    headers: Sequence[dict[str, str]] = (),
) -> Report:
    """Visit pages as several people and report what leaks.

    `urls`: addresses ("/product/1/"); every pattern of the URLconf if None. `users`: names; if None, two ordinary users
    as unlike as can be, one of the staff and one superuser (made up for the audit where there are none). An anonymous
    visitor always comes too. `languages`: codes of settings.LANGUAGES; all, but three at most, if None. `seconds`: the
    time limit of one request. `headers`: each set is sent by the anonymous visitor and by the first user, as further
    visitors.
    Raises AuditError where nothing can be audited: no such user or language, a database or URLconf that does not work.
    """
    check_urlconf()
    with rehearsal() as memory:
        visitors = Visitors(memory, seconds)
        visitors.invite(users, languages, headers)
        pages = every_page(visitors.languages) if urls is None else named(urls)
        inspections = [Inspection(page, visitors) for page in pages]
        for inspection in inspections:
            inspection.run()
        doubtful = [inspection for inspection in inspections if inspection.doubtful]
        if doubtful:
            time.sleep(PAUSE)
        findings = [finding for inspection in doubtful for finding in inspection.confirm()]
    visits = [Audited(each.page.url, each.page.view, each.verdict, each.why) for each in inspections]
    return Report(visits, findings, [str(each) for each in visitors.identities], visitors.notes)
