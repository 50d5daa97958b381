"""Part of `isolation`: one page, looked at until it is known whether it gives one visitor what another was given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from django.middleware import csrf

from .isolation_addresses import Page
from .isolation_answers import GAP, Answer, Truth, excerpts, words
from .isolation_visitors import Identity, State, Visitors

_matches = vars(csrf)["_does_token_match"]
TOKEN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]{64}(?![A-Za-z0-9])")
REFUSES = "refuses a GET (405)"
AGAIN = 3  # times that a suspected page is read again
# (who wrote, who read, kind) -> what leaked
Suspicions = dict[tuple[Identity, Identity, str], tuple[str, ...]]
NEAR = 100  # characters before a token, in which the word "csrf" says what it is


@dataclass(frozen=True)
class Finding:
    """A visitor was given what the cache had kept of another's answer.

    `kind` is "content", "status", "csrf token" or "cookie"; `wrote` and `read` name two visitors ("alice, en").
    `leaked` holds short excerpts of what was the other's. One that begins with "no" names what was withheld.
    """

    url: str
    view: str
    kind: str
    wrote: str
    read: str
    leaked: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.url}: {self.wrote} wrote, {self.read} read {', '.join(self.leaked)} ({self.kind})"


class Unanswered(Exception):
    """A visit that got no answer, and why."""


class Inspection:
    """The audit of one page: `scout`, then `suspicions`, then `confirm` what was suspected."""

    def __init__(self, page: Page, visitors: Visitors) -> None:
        self.page, self._visitors, self._memory = page, visitors, visitors.memory
        self.verdict, self.why = "", page.why
        self.suspected: Suspicions = {}
        self._truths: dict[Identity, Truth] = {}
        self._samples: dict[Identity, Answer] = {}
        self._sessions: list[tuple[Identity, Answer, State]] = []
        self._restless: set[tuple[str, str]] = set()

    def run(self) -> None:
        """All of it but confirming; afterwards there is a verdict or something is suspected."""
        if self.why:
            self.verdict = "not audited"
            return
        try:
            if self.scout():
                for _ in range(2):
                    self.learn()
                self.suspected = self.suspicions()
                self._begin_sessions()
                self.verdict = "shared"
        except Unanswered as error:
            self._give_up(error)

    def scout(self) -> bool:
        """Whether any visit puts something into a cache. If none does, there is a verdict."""
        answers: dict[Identity, Answer] = {}
        for identity in self._visitors.scouts():
            self._memory.put_back()
            answers[identity] = self._visit(identity)
        self.why = _remark(answers)
        if all(answer.status == 405 for answer in answers.values()):
            self.verdict, self.why = "not audited", REFUSES
        elif all(answer.raised for answer in answers.values()):
            self.verdict = "not audited"
        elif not any(answer.stored for answer in answers.values()):
            self.verdict = "not cached"
        return not self.verdict

    def learn(self, who: Iterable[Identity] = ()) -> None:
        """Let everybody, or those given, visit from empty caches, and once more: what they are given is theirs."""
        for identity in who or self._visitors.identities:
            self._memory.put_back()
            cold = self._visit(identity)
            again = self._visit(identity)
            truth = self._truths.setdefault(identity, Truth())
            truth.learn(cold, again)
            self._restless |= truth.restless
            self._samples[identity] = cold

    def suspicions(self, among: Suspicions | None = None) -> Suspicions:
        """Everybody reads after everybody else, alone and in a row; of those `among`, if given, only what is there too.

        Somebody who is not signed in reads after another such person too: a token or a cookie may be the other's.
        """
        found: Suspicions = {}
        everybody = self._visitors.identities
        pairs = None if among is None else {(writer, reader) for writer, reader, _ in among}
        for writer in everybody:
            readers = [each for each in everybody if each != writer or writer.user is None]
            readers = readers if pairs is None else [each for each in readers if (writer, each) in pairs]
            if not readers:
                continue
            self._memory.put_back()
            wrote = self._visit(writer)
            left = self._memory.kept()
            for reader in readers if wrote.stored else []:
                self._memory.put_back(left)
                answer = self._visit(reader)
                for kind, leaked in self._leaks(writer, wrote, reader, answer):
                    found[writer, reader, kind] = leaked
        for row in (everybody, everybody[::-1]):
            self._in_a_row(row, found)
        return found if among is None else {key: found[key] for key in among if key in found}

    def confirm(self) -> list[Finding]:
        """Look again, with what more visits teach about the page's own changes; returns what is still there."""
        try:
            self._look_again()
        except Unanswered as error:
            self._give_up(error)
        self.verdict = "leaks" if self.suspected else self.verdict
        page = self.page
        return [
            Finding(page.url, page.view, kind, str(writer), str(reader), leaked)
            for (writer, reader, kind), leaked in self.suspected.items()
        ]

    def _look_again(self) -> None:
        involved = {each for writer, reader, _ in self.suspected for each in (writer, reader)}
        for _ in range(AGAIN):
            self.learn(involved)
        for _ in range(AGAIN):
            self.suspected = self.suspected and self.suspicions(self.suspected)
        self.suspected |= {key: leaked for key, leaked in self._of_sessions() if key not in self.suspected}

    def _give_up(self, error: Unanswered) -> None:
        self.verdict, self.why, self.suspected, self._sessions = "not audited", str(error), {}, []

    def _visit(self, identity: Identity, returning: State | None = None) -> Answer:
        answer = self._visitors.visit(identity, self.page.url, returning)
        if answer.failed:
            raise Unanswered(answer.failed)
        return answer

    @property
    def doubtful(self) -> bool:
        """Whether there is anything to confirm."""
        return bool(self.suspected or self._sessions)

    def _begin_sessions(self) -> None:
        """Where a page changes with each visit, it may be a clock, or a value of the session: some will come again."""
        for writer in self._one_of_each():
            cold = self._truths[writer].cold
            if cold and GAP in cold.text:
                self._memory.put_back()
                wrote = self._visit(writer)
                if wrote.stored:
                    self._sessions.append((writer, wrote, self._visitors.state(writer)))

    def _of_sessions(self) -> Iterator[tuple[tuple[Identity, Identity, str], tuple[str, ...]]]:
        """Values that came to stay with one visitor's session, that nobody else is given, and that others read."""
        changing = {word for pair in self._restless for text in pair for word in words(text)}
        for writer, wrote, state in self._sessions:
            cold = self._truths[writer].cold
            own = words(wrote.text) - changing - (cold.stable if cold else set())
            for _ in range(AGAIN):
                self._memory.put_back()
                own &= words(self._visit(writer, state).text)
                self._memory.put_back()
                own -= words(self._visit(self._one_of_each()[-1]).text)
            for reader in self._one_of_each() if own else []:
                self._memory.put_back(state.kept)
                if (reader != writer or writer.user is None) and own & words(self._visit(reader).text):
                    yield (writer, reader, "content"), (f"a value of the session of {writer.user or 'a stranger'}",)

    def _one_of_each(self) -> list[Identity]:
        """The first two users and nobody, in one language."""
        people = dict.fromkeys([*self._visitors.people[:2], None])
        return [next(each for each in self._visitors.identities if each.user == name) for name in people]

    def _in_a_row(self, row: list[Identity], found: Suspicions) -> None:
        """One after the other, without emptying the caches: some pages are stored by a second visit only."""
        self._memory.put_back()
        earlier: list[tuple[Identity, Answer]] = []
        for reader in row:
            answer = self._visit(reader)
            if self._truths[reader].holds(answer):
                earlier.append((reader, answer))
                continue
            if any((writer, reader, kind) in found for writer, _ in earlier for kind in ("content", "status")):
                continue  # known, and from whom
            for writer, wrote in reversed(earlier):
                leaks = list(self._text(writer, wrote, reader, answer))
                found.update({(writer, reader, kind): leaked for kind, leaked in leaks})
                if leaks:
                    break

    def _leaks(
        self, writer: Identity, wrote: Answer, reader: Identity, answer: Answer
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        yield from self._text(writer, wrote, reader, answer)
        yield from self._token(writer, wrote, reader, answer)
        yield from self._cookies(writer, wrote, reader, answer)

    def _text(
        self, writer: Identity, wrote: Answer, reader: Identity, answer: Answer
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        truth, own, theirs = self._truths[reader], self._samples[reader], self._truths[writer]
        if answer.text == own.text:
            return
        kind = "content" if (answer.status, answer.target) == (own.status, own.target) else "status"
        pieces = [] if truth.holds(answer) else truth.borrowed(answer, wrote, self._restless)
        if kind == "status" and answer.status != wrote.status:
            return
        stable = theirs.cold.stable if theirs.cold else set()
        if not pieces:
            pieces = truth.foreign(answer, theirs)
            stable = set(pieces)
        if pieces:
            yield kind, excerpts(pieces, stable, writer.user or "")

    def _token(
        self, writer: Identity, wrote: Answer, reader: Identity, answer: Answer
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        """A CSRF token is masked anew for each answer: one that two visitors hold is no good to the second."""
        theirs, own = self._visitors.secret(writer, wrote), self._visitors.secret(reader, answer)
        for token in _tokens(wrote.text):
            at = answer.text.find(token)
            if at < 0 or (own and _matches(token, own)):
                continue
            if "csrf" in answer.text[max(0, at - NEAR) : at].lower() or (theirs and _matches(token, theirs)):
                yield "csrf token", (f"the token made for {writer.user or 'a stranger'}",)
                return

    def _cookies(
        self, writer: Identity, wrote: Answer, reader: Identity, answer: Answer
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        """A cookie whose value was made for the writer."""
        own, theirs = self._truths[reader].cookies, self._truths[writer].cookies
        leaked = []
        for name, value in answer.cookies.items():
            if wrote.cookies.get(name) == value and value not in own.get(name, []):
                leaked.append(f"{name}={value[:30]}" if value in theirs.get(name, []) else name)
        if leaked:
            yield "cookie", tuple(leaked)


@lru_cache(maxsize=8)
def _tokens(text: str) -> list[str]:
    """What may be a CSRF token."""
    return TOKEN.findall(text)


def _remark(answers: dict[Identity, Answer]) -> str:
    """What a reader of the report should know about the page."""
    given = list(answers.values())
    raised = {str(identity): answer.raised for identity, answer in answers.items() if answer.raised}
    if raised:
        who = "everybody" if len(raised) == len(given) else next(iter(raised))
        return f"raises for {who}: {next(iter(raised.values()))[:80]}"
    if all(answer.target for answer in given):
        targets = {answer.target for answer in given}
        return "redirects everybody" + (f" to {given[0].target}" if len(targets) == 1 else "")
    if all(answer.status == given[0].status for answer in given) and given[0].status != 200:
        return f"answers {given[0].status} to everybody"
    return "streams" if any(answer.streams for answer in given) else ""
