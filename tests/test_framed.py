"""What stands around the shop in a worker: `framed` below the proxy's address, `named_errors` for those who count."""

import errno
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin
from wsgiref.util import setup_testing_defaults

import pytest

from small_shop import shop, shop_database  # noqa: F401  # sets Django up

# isort: split
from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.files.storage import storages
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import got_request_exception
from django.urls import set_script_prefix
from django.utils.functional import empty

pytest.importorskip("fcntl", reason="gunicorn needs it, and Windows has none")
from tutorial_project.lab import live_page, serving
from tutorial_project.shop.models import Product

PREFIX = "/user/somebody/proxy/40000"
Answer = tuple[str, list[tuple[str, str]], str]


def ask(application: serving.Application, path: str = "/", data: dict[str, Any] | None = None, **more: Any) -> Answer:
    """Status, headers and body of one request; `more` goes into its environ."""
    body = urlencode(data or {}).encode()
    environ: dict[str, Any] = {"SCRIPT_NAME": "", "PATH_INFO": path, "SERVER_PORT": "40000"}
    environ |= {"HTTP_HOST": "localhost:8888", **more}
    if data is not None:
        environ |= {"REQUEST_METHOD": "POST", "CONTENT_TYPE": "application/x-www-form-urlencoded"}
        environ |= {"CONTENT_LENGTH": str(len(body)), "wsgi.input": BytesIO(body)}
    setup_testing_defaults(environ)
    started: list[Any] = []
    text = b"".join(application(environ, lambda status, headers, *rest: started.extend((status, headers)))).decode()
    return started[0], started[1], text


def saying(*headers: tuple[str, str], seen: dict[str, Any] | None = None) -> serving.Application:
    """An application that answers with these headers and keeps what it was asked in `seen`."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if seen is not None:
            seen.update(environ)
        start_response("200 OK", list(headers))
        return [b""]

    return answer


def seen_by_the_shop(**environ: Any) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    ask(serving.framed(saying(seen=seen)), **environ)
    return seen


@pytest.fixture(autouse=True)
def at_the_root() -> Iterator[None]:
    """A process keeps the address that its last request, and its first stylesheet, stood below: forget it."""

    def forget() -> None:
        set_script_prefix("/")
        vars(settings).pop("STATIC_URL", None)
        storages._storages.pop("staticfiles", None)  # type: ignore[attr-defined]
        staticfiles_storage._wrapped = empty  # type: ignore[attr-defined]

    forget()
    yield
    forget()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/somebody/")


def test_a_request_that_comes_straight_is_left_as_it_is() -> None:
    answer = ask(serving.framed(saying(("Location", "/cart/"), ("Set-Cookie", "a=1; Path=/"))))
    assert answer[1] == [("Location", "/cart/"), ("Set-Cookie", "a=1; Path=/")]
    seen = seen_by_the_shop(HTTP_HOST="evil.example", HTTP_ORIGIN="https://evil.example")
    assert (seen["HTTP_HOST"], seen["HTTP_ORIGIN"]) == ("evil.example", "https://evil.example")
    assert not seen["SCRIPT_NAME"]


def test_behind_the_proxy_the_shop_stands_below_its_address_as_127_0_0_1() -> None:
    seen = seen_by_the_shop(
        HTTP_X_PROXYCONTEXTPATH=PREFIX, HTTP_ORIGIN="https://localhost:8888", **{"wsgi.url_scheme": "https"}
    )
    assert (seen["SCRIPT_NAME"], seen["HTTP_HOST"]) == (PREFIX, "127.0.0.1:40000")
    assert (seen["HTTP_ORIGIN"], seen["wsgi.url_scheme"]) == ("http://127.0.0.1:40000", "http")


def test_an_origin_from_elsewhere_stays_foreign() -> None:
    seen = seen_by_the_shop(HTTP_X_PROXYCONTEXTPATH=PREFIX, HTTP_ORIGIN="https://evil.example")
    assert seen["HTTP_ORIGIN"] == "https://evil.example"


@pytest.mark.parametrize("host", ["127.0.0.1:8888", "localhost:8888", "localhost", "[::1]:8888"])
def test_on_ones_own_machine_its_own_names_are_taken(host: str) -> None:
    assert seen_by_the_shop(HTTP_X_PROXYCONTEXTPATH=PREFIX, HTTP_HOST=host)["HTTP_HOST"] == "127.0.0.1:40000"


@pytest.mark.parametrize("host", ["evil.example:40000", "127.0.0.1.evil.example", "", "["])
def test_on_ones_own_machine_no_other_name_is_taken(host: str) -> None:
    seen = seen_by_the_shop(HTTP_X_PROXYCONTEXTPATH=PREFIX, HTTP_HOST=host)
    assert seen["HTTP_HOST"] == host and not seen["SCRIPT_NAME"]


def test_behind_a_hub_any_name_is_taken(hub: None) -> None:
    seen = seen_by_the_shop(HTTP_X_PROXYCONTEXTPATH=PREFIX, HTTP_HOST="hub.example")
    assert (seen["HTTP_HOST"], seen["SCRIPT_NAME"]) == ("127.0.0.1:40000", PREFIX)


@pytest.mark.parametrize(
    ("listens_on", "anywhere"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True), ("lab.example", True)]
)
def test_a_jupyter_server_on_a_network_has_names_of_its_own(
    monkeypatch: pytest.MonkeyPatch, listens_on: str, anywhere: bool
) -> None:
    monkeypatch.setattr(live_page, "jupyter_server", lambda: {"hostname": listens_on})
    assert live_page.seen_from_anywhere() is anywhere


@pytest.mark.parametrize("prefix", ["/proxy/40000", PREFIX])
@pytest.mark.parametrize("path", ["/", "/cart/", "/product/7/", "/cart/add/", "/favicon.ico", "/a/b/c/d"])
@pytest.mark.parametrize("target", ["/", "/cart/?next=/a/", "/product/1/#reviews"])
def test_a_redirect_stays_below_the_proxys_address(prefix: str, path: str, target: str) -> None:
    page = f"http://localhost:8888{prefix}{path}"
    for location in (prefix + target, target):  # Django puts its prefix in front, all but its "/" for want of a page
        application = serving.framed(saying(("Location", location)))
        sent = dict(ask(application, path, HTTP_X_PROXYCONTEXTPATH=prefix)[1])["Location"]
        assert not sent.startswith("/")  # one version of the proxy puts its path in front of these, and another not
        assert urljoin(page, sent) == f"http://localhost:8888{prefix}{target}"


@pytest.mark.parametrize("target", ["https://example.org/a", "//example.org/a", "?page=2", "next/"])
def test_a_redirect_to_another_site_or_a_relative_one_is_not_touched(target: str) -> None:
    application = serving.framed(saying(("Location", target)))
    assert ask(application, HTTP_X_PROXYCONTEXTPATH=PREFIX)[1] == [("Location", target)]


def test_cookies_are_for_the_shops_own_address() -> None:
    cookies = ["csrftoken=x; Path=/; SameSite=Lax", "sessionid=y; HttpOnly; Path=/", "c=d; Path=/admin/", "e=Path=/"]
    answer = ask(serving.framed(saying(*(("Set-Cookie", c) for c in cookies))), HTTP_X_PROXYCONTEXTPATH=PREFIX)
    own = f"Path={PREFIX}/"
    assert [value for _, value in answer[1]] == [
        f"csrftoken=x; {own}; SameSite=Lax",
        f"sessionid=y; HttpOnly; {own}",
        *cookies[2:],
    ]


def test_an_address_with_a_backslash_is_taken_as_it_is() -> None:
    application = serving.framed(saying(("Set-Cookie", "a=1; Path=/")))
    assert ask(application, HTTP_X_PROXYCONTEXTPATH=r"/a\1b\g")[1] == [("Set-Cookie", r"a=1; Path=/a\1b\g/")]


@pytest.mark.parametrize(
    ("number", "said"), [(errno.EADDRINUSE, "in use. Leave port="), (errno.EACCES, "not allow it. Leave port=")]
)
def test_a_port_that_cannot_be_had_is_said_and_any_other_trouble_is_not_called_that(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, said: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(serving.socket, "create_server", refuse)
    with pytest.raises(SystemExit, match=said):
        serving.listen(8123)
    with pytest.raises(OSError):
        serving.listen()  # any port will do: it is not for want of one
    (tmp_path / "plan.json").write_text('{"workers": 1, "threads": 1, "port": 0, "path": []}')
    with pytest.raises(SystemExit, match=rf"^error: \[Errno {number}\] "):
        serving.main(tmp_path)


@pytest.mark.parametrize("user", ["somebody", "J%C3%BCrgen", "two%20words", "me@example.org"])
def test_every_link_and_form_of_a_page_stays_below_the_proxys_address(shop: None, user: str) -> None:  # noqa: F811
    prefix = f"/user/{user}/proxy/40000"
    status, _, page = ask(serving.framed(WSGIHandler()), "/", HTTP_X_PROXYCONTEXTPATH=prefix)
    assert status == "200 OK"
    addresses = re.findall(r'<(?:a|link|form|script|img)\b[^>]*? (?:href|action|src)="([^"#]+)"', page)
    assert len(addresses) > 20
    for address in addresses:
        # A browser escapes in the same way what a page has left unescaped.
        assert address.replace(" ", "%20").replace("ü", "%C3%BC").startswith((f"{prefix}/", "data:")), address


def buy(host: str, origin: str) -> Answer:
    """Read a product's page and send its form, as a browser does that shows it at this host."""
    application = serving.framed(WSGIHandler())
    where: dict[str, Any] = {"HTTP_X_PROXYCONTEXTPATH": PREFIX, "HTTP_HOST": host}
    pk = Product.objects.values_list("pk", flat=True)[0]
    _, headers, page = ask(application, f"/product/{pk}/", **where)
    cookie = "; ".join(value.partition(";")[0] for name, value in headers if name == "Set-Cookie")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    data = {"product": pk, "quantity": 1, "csrfmiddlewaretoken": token[1] if token else ""}
    return ask(application, "/cart/add/", data, HTTP_COOKIE=cookie, HTTP_ORIGIN=origin, **where)


def test_a_form_can_be_sent_from_ones_own_page(shop: None) -> None:  # noqa: F811
    assert buy("localhost:8888", "http://localhost:8888")[0] == "302 Found"


def test_a_form_can_be_sent_through_a_hub_with_tls(shop: None, hub: None) -> None:  # noqa: F811
    assert buy("hub.example", "https://hub.example")[0] == "302 Found"


def test_a_form_from_another_site_is_refused(shop: None, hub: None) -> None:  # noqa: F811
    assert buy("hub.example", "https://evil.example")[0] == "403 Forbidden"


def test_a_name_that_was_led_here_is_refused(shop: None) -> None:  # noqa: F811
    assert buy("evil.example:40000", "http://evil.example:40000")[0] == "400 Bad Request"


def failing(with_error: Exception | None) -> serving.Application:
    """An application that fails as Django does: the signal, and then a page all the same."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            if with_error is not None and environ["PATH_INFO"] == "/bad/":
                raise with_error
        except Exception:
            got_request_exception.send(sender=None)
        start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
        return [b""]

    return answer


def test_an_error_of_a_view_is_named_in_a_header_of_one_line() -> None:
    application = serving.named_errors(failing(KeyError("zwei\nZeilen, größer")))
    headers = dict(ask(application, "/bad/")[1])
    assert headers == {"Content-Type": "text/plain", "X-Error": r"KeyError: 'zwei\nZeilen, gr??er'"}
    headers = dict(ask(serving.named_errors(failing(ValueError("a\r\nb" + 600 * "x"))), "/bad/")[1])
    assert headers["X-Error"].startswith("ValueError: a bxxx") and len(headers["X-Error"]) == 500


def test_a_request_answered_in_another_thread_meanwhile_has_no_error_and_takes_none_away() -> None:
    answers: list[Answer] = []

    def fails_slowly(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def meanwhile(*args: Any) -> Any:
            other = threading.Thread(target=lambda: answers.append(ask(application, "/good/")))
            if environ["PATH_INFO"] == "/bad/":
                other.start()
                other.join()
            return start_response(*args)

        return failing(KeyError("x"))(environ, meanwhile)

    application = serving.named_errors(fails_slowly)
    answers.insert(0, ask(application, "/bad/"))
    answers.append(ask(application, "/good/"))
    assert ["X-Error" in dict(headers) for _, headers, _ in answers] == [True, False, False]
