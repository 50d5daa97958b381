"""`lab.show`: what it displays where, and the process behind it. `test_browser.py` tries it in a real JupyterLab."""

import json
import os
import re
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import IPython
import pytest
from django.http import HttpResponse

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.lab import live_page, workers
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.errors import LabError
from tutorial_project.shop import selectors

FORKS = pytest.mark.skipif(os.name == "nt", reason="worker processes are forked, and Windows cannot fork")


@pytest.fixture
def page(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[live_page.LivePage]:
    """The lab's live page in a kernel that no Jupyter server has started; its process is ended afterwards."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    yield lab._live_page
    if lab._live_page.pool is not None:
        lab._live_page.pool.stop()
        lab._live_page.pool = None


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What is displayed, bundle after bundle."""
    bundles: list[dict[str, str]] = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: bundles.append(bundle))
    return bundles


def jupyter(monkeypatch: pytest.MonkeyPatch, base_url: str = "/", status: int = 302, **more: Any) -> Iterator[str]:
    """A server that answers a stranger as Jupyter's does; its note stands where this kernel looks for it."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    about = {"hostname": "localhost", "port": server.server_port, "base_url": base_url, "secure": False, "sock": ""}
    file = Path(os.environ["JUPYTER_RUNTIME_DIR"]) / "jpserver-4242.json"
    file.write_text(json.dumps({**about, **more}))
    monkeypatch.setenv("JPY_PARENT_PID", "4242")
    yield base_url
    server.shutdown()
    server.server_close()
    assert set(asked) == {f"{base_url}server-proxy/servers-info"}


@pytest.fixture(params=["/", "/user/somebody/"])
def base(request: pytest.FixtureRequest, page: live_page.LivePage, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The base URL of a Jupyter server with the proxy."""
    yield from jupyter(monkeypatch, request.param)


@pytest.fixture
def without_proxy(page: live_page.LivePage, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    yield from jupyter(monkeypatch, status=404)


def ask(page: live_page.LivePage, path: str) -> str:
    """What the process answers now."""
    assert page.pool is not None
    with urllib.request.urlopen(page.pool.url + path, timeout=10) as answer:
        return str(answer.read().decode())


# Where no page can be shown


def test_outside_jupyterlab_a_line_is_printed_and_nothing_is_started(
    lab: Lab, page: live_page.LivePage, shown: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    lab.show()
    lab.show("/product/1/")
    assert capsys.readouterr().out == 2 * f"{live_page.ELSEWHERE}\n"
    assert page.pool is None and not shown


@pytest.mark.parametrize("note", [None, "", "{", "[]"])
def test_a_build_on_a_hub_is_no_open_notebook(
    page: live_page.LivePage, monkeypatch: pytest.MonkeyPatch, note: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/somebody/")
    monkeypatch.setenv("JPY_PARENT_PID", "4242")  # nbclient's, say; and half a file is none
    if note is not None:
        (Path(os.environ["JUPYTER_RUNTIME_DIR"]) / "jpserver-4242.json").write_text(note)
    page.show("/")
    assert capsys.readouterr().out == f"{live_page.ELSEWHERE}\n" and page.pool is None


def test_a_jupyter_server_without_the_proxy_shows_no_frame(
    page: live_page.LivePage, without_proxy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page.show("/")
    assert capsys.readouterr().out == f"{live_page.ELSEWHERE}\n" and page.pool is None


@pytest.mark.parametrize("path", ["", "product/1", "http://127.0.0.1/", "//evil.example/", "/a\nb", None, 7])
def test_what_is_no_path_of_the_shop_is_refused(lab: Lab, page: live_page.LivePage, path: Any) -> None:
    with pytest.raises(LabError, match="with a slash in front"):
        lab.show(path)


def test_jupyterlab_on_windows_says_what_is_missing_and_a_build_there_does_not(
    page: live_page.LivePage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(os, "fork", raising=False)
    page.show("/")
    assert capsys.readouterr().out == f"{live_page.ELSEWHERE}\n"
    monkeypatch.setenv("JPY_SESSION_NAME", "work/a.ipynb")
    with pytest.raises(LabError, match="Windows cannot fork"):
        page.show("/")


def test_a_server_that_cannot_be_asked_counts_as_having_the_proxy(without_proxy: str) -> None:
    server = live_page.jupyter_server()
    assert server is not None and not live_page.has_proxy(server)
    assert live_page.has_proxy({**server, "secure": True}) and live_page.has_proxy({**server, "sock": "/tmp/s"})
    assert live_page.has_proxy({**server, "port": 9})  # nobody listens there


# What is shown


@FORKS
def test_in_jupyterlab_a_frame_shows_the_page_below_the_servers_address(
    lab: Lab, page: live_page.LivePage, base: str, shown: list[dict[str, str]]
) -> None:
    lab.show()
    lab.show('/search/?q=größe&x="><b>')
    assert page.pool is not None and page.pool.n == 1  # one process for both
    start = f"{base}proxy/{page.pool.port}"
    found = [
        re.findall(r'^<iframe src="([^"]*)" title="([^"]*)" style="[^"]*"></iframe>$', b["text/html"]) for b in shown
    ]
    assert found == [
        [(f"{start}/", "Live page of the shop: /")],
        [
            (
                f"{start}/search/?q=gr%C3%B6%C3%9Fe&amp;x=%22%3E%3Cb%3E",
                "Live page of the shop: /search/?q=größe&amp;x=&quot;&gt;&lt;b&gt;",
            )
        ],
    ]
    assert [bundle["text/plain"] for bundle in shown] == [
        "Live page of the shop: /",
        'Live page of the shop: /search/?q=größe&x="><b>',
    ]


@FORKS
def test_in_vscode_it_is_a_link(
    page: live_page.LivePage, monkeypatch: pytest.MonkeyPatch, shown: list[dict[str, str]]
) -> None:
    shell = SimpleNamespace(user_ns={"__vsc_ipynb_file__": "/home/me/a.ipynb"})
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    page.show("/cart/")
    assert page.pool is not None
    assert shown[0]["text/html"].startswith(f'<a href="http://127.0.0.1:{page.pool.port}/cart/" ')
    assert shown[0]["text/plain"] == "Live page of the shop: /cart/"
    shell.user_ns.clear()
    assert not live_page.in_vscode()


# The process behind it


@FORKS
def test_the_process_serves_what_is_arranged_at_the_time(lab: Lab, page: live_page.LivePage) -> None:
    first = page.running()
    assert page.running() is first
    lab.mount("hello/", lambda request: HttpResponse("hello"))
    lab.swap("popular_products", lambda: [])
    second = page.running()
    assert second is not first and second.port == first.port  # frames that stand above go on
    assert ask(page, "/hello/") == "hello"
    assert "Nothing has been sold yet." in ask(page, "/")
    assert page.running() is second
    lab.restore()
    assert page.running() is not second
    assert "Nothing has been sold yet." not in ask(page, "/")
    assert selectors.popular_products()


@FORKS
def test_a_view_that_cannot_travel_leaves_the_page_that_was_there(lab: Lab, page: live_page.LivePage) -> None:
    first, lock = page.running(), threading.Lock()
    lab.mount("lock/", lambda request: HttpResponse(str(lock)))
    with pytest.raises(LabError, match="cannot go to another process"):
        page.running()
    assert "<h1" in ask(page, "/")
    lab.restore()
    assert page.running() is first
    assert not list(Path(lab.environment.folder).glob("arrangement-*"))


@FORKS
def test_a_process_that_was_killed_is_replaced(page: live_page.LivePage) -> None:
    first = page.running()
    os.killpg(first._pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while first.running and time.monotonic() < deadline:
        time.sleep(0.02)
    assert first.folder.exists()  # to look ends nothing
    second = page.running()
    assert second is not first and second.port == first.port
    assert "<h1" in ask(page, "/")
    second.stop()
    with socket.create_server(("127.0.0.1", first.port)):  # somebody has taken it meanwhile
        assert page.running().port != first.port
        assert "<h1" in ask(page, "/")


@FORKS
def test_it_is_none_of_the_sixteen_that_a_reader_may_start(
    page: live_page.LivePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, fifteen = (SimpleNamespace(n=n, _stopped=False) for n in (1, 15))
    with monkeypatch.context() as patched:
        patched.setattr(workers, "_running", [one, fifteen])
        assert page.running().running
    workers.check(16, 1, 0)
    monkeypatch.setattr(workers, "_running", [one])
    with pytest.raises(LabError, match="1 worker process runs already, and 16 more would be over 16"):
        workers.check(16, 1, 0)


@FORKS
def test_it_listens_on_this_machine_alone_and_under_its_own_names(page: live_page.LivePage) -> None:
    pool = page.running()
    foreign = urllib.request.Request(pool.url, headers={"Host": "evil.example", "X-ProxyContextPath": "/proxy/1"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(foreign, timeout=10)
    listening = Path("/proc/net/tcp")
    if listening.exists():
        at = [row.split()[1] for row in listening.read_text().splitlines()[1:] if row.split()[3] == "0A"]
        assert [address for address in at if address.endswith(f":{pool.port:04X}")] == [f"0100007F:{pool.port:04X}"]
