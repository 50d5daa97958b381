"""One request to a worker process, as a browser sends it, and the answer with what its own header says it cost."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from http.cookies import SimpleCookie
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.utils.encoding import iri_to_uri

from ..caching.server_timing import parse_header
from . import meter
from .errors import LabError

if TYPE_CHECKING:
    from .bench import Lab
    from .workers import Workers

TIMEOUT = 10.0  # seconds without a sign of life after which a request counts as failed
LONGEST = 60.0  # that it can be told to wait


@dataclass(repr=False)
class Answer(meter.Reading):
    """What a worker answered, and what that cost it. `worker` is its number, `error` names what went wrong, if it did.

    `status` is 0 where no answer came; `seconds` is the time as the visitor saw it, `server_seconds` the worker's.
    """

    status: int = 0
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    worker: int | None = None
    server_seconds: float = 0.0
    error: str = ""

    def rows(self) -> list[tuple[str, str]]:
        failed = [("error", self.error)] if self.error else []
        return [("status", str(self.status)), *failed, *super().rows()]


class Browser:
    """Somebody's cookies and language. Several requests may use it at once."""

    def __init__(self, cookies: Mapping[str, Any] | None = None, language: str | None = None) -> None:
        # As they came, in their quotes: that is how they go back.
        self.cookies = {name: morsel.coded_value for name, morsel in (cookies or {}).items()}
        self.language = language
        self._token = secrets.token_hex(16)

    def headers(self, posting: bool) -> dict[str, str]:
        """What is sent with a request. A form's page would have brought the CSRF token: here the browser makes one."""
        cookies, sent = dict(self.cookies), {"Connection": "close"}
        if posting:
            cookies["csrftoken"] = self._token
            sent |= {"X-CSRFToken": self._token, "Content-Type": "application/x-www-form-urlencoded"}
        if cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        if self.language:
            sent["Accept-Language"] = self.language
        return sent

    def keep(self, set_cookies: Iterable[str]) -> None:
        for line in set_cookies:
            self.cookies |= {name: morsel.coded_value for name, morsel in SimpleCookie(line).items()}


def browser_of(lab: Lab, who: str | None, language: str | None) -> Browser:
    """A browser signed in as the user named `who`, a stranger's if None. Raises LabError for an unknown one."""
    check_language(language)
    return Browser(lab.client(who, language).cookies if who else None, language)


class Sender:
    """Sends requests to the workers of one pool; any thread may use it. Raises LabError for no `timeout`."""

    def __init__(self, pool: Workers, timeout: float = TIMEOUT) -> None:
        if not isinstance(timeout, int | float) or not 0 < timeout <= LONGEST:
            raise LabError(f"timeout={timeout!r}: give seconds, above 0 and at most {LONGEST:g}.")
        self.pool, self.timeout = pool, timeout
        self._open: set[HTTPConnection] = set()
        self._numbers: dict[int, int] = {}
        self._learn_numbers()

    def send(self, url: str, worker: int | None, browser: Browser, data: Mapping[str, Any] | None = None) -> Answer:
        """Ask the worker of that number, or whoever takes it. An answer always comes back: see its `status`.

        Raises LabError for `data` that cannot be sent.
        """
        port = self.pool.port if worker is None else self.pool.ports[worker]
        connection = HTTPConnection("127.0.0.1", port, timeout=self.timeout)
        method, body = ("GET", None) if data is None else ("POST", encoded(data))
        answer, started = Answer(worker=worker), perf_counter()
        self._open.add(connection)
        try:
            connection.request(method, iri_to_uri(url), body, browser.headers(posting=data is not None))
            response = connection.getresponse()
            text = response.read().decode(response.headers.get_content_charset() or "utf-8", "replace")
        except TimeoutError:
            answer.error = f"no answer within {self.timeout:g} s"
        except (OSError, HTTPException, ValueError) as problem:
            answer.error = f"no answer: {type(problem).__name__}: {problem}".rstrip(": ")
        else:
            answer.status, answer.text, answer.headers = response.status, text, dict(response.headers)
            answer.error = response.headers.get("X-Error", "")
            browser.keep(response.headers.get_all("Set-Cookie", []))
            self._count(answer)
        finally:
            answer.seconds = perf_counter() - started
            self._open.discard(connection)
            connection.close()
        return answer

    def _count(self, answer: Answer) -> None:
        """What the answer's Server-Timing header says. Gunicorn's own answers, such as a 400, have none."""
        try:
            counted, answer.server_seconds, pid = parse_header(answer.headers.get("Server-Timing", ""))
        except ValueError:
            return
        answer.queries, answer.uses = counted.queries, counted.uses
        answer.sql_seconds, answer.cache_seconds = counted.sql_seconds, counted.cache_seconds
        if pid not in self._numbers:  # it has replaced another
            self._learn_numbers()
        answer.worker = self._numbers.get(pid, answer.worker)

    def _learn_numbers(self) -> None:
        with suppress(OSError):  # their folder is gone, and they end
            self._numbers = {**self._numbers, **{pid: number for number, pid in enumerate(self.pool.pids)}}

    def abort(self) -> None:
        """Break off whatever is under way: those who wait for it get their answers at once, without a status."""
        for connection in list(self._open):
            if sock := connection.sock:
                try:
                    sock.shutdown(2)
                except OSError:
                    continue


def check_paths(*urls: Any) -> None:
    """Raise LabError where there is none, or one of them is no path."""
    if not urls or not all(isinstance(url, str) and re.match(r"/[^\ud800-\udfff]*\Z", url) for url in urls):
        raise LabError('Ask for paths of the shop, such as "/" or ["/product/1/", "/product/2/"].')


def check_language(language: Any) -> None:
    """Raise LabError for what is no value of Accept-Language; None and "" are: nothing is sent then."""
    if language and not (isinstance(language, str) and re.fullmatch(r"[\w*,;=. -]+", language, re.ASCII)):
        raise LabError(f'language={language!r}: give a language code, such as "en" or "de".')


def encoded(data: Any) -> str:
    """`data` as a form sends it; a list is sent value after value. Raises LabError for what no form can send."""
    if not isinstance(data, Mapping):
        raise LabError(f'data is {type(data).__name__}, and no mapping: send fields by name, such as {{"product": 1}}.')
    if files := [name for name, value in data.items() if hasattr(value, "read")]:
        raise LabError(f"data holds a file, {files[0]!r}: the workers are sent plain fields only. Send what is in it.")
    try:
        return urlencode(data, doseq=True)
    except ValueError as problem:
        raise LabError(f"data cannot be sent: {problem}.") from None
