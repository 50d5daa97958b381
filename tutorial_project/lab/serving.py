"""The process behind `lab.workers`: gunicorn over the shop, as its own master with n worker processes.

    python -m tutorial_project.lab.serving FOLDER

`FOLDER/plan.json` says how many workers and threads; `FOLDER/arrangement` holds what the notebook mounted and swapped.
The shop is loaded once and then forked. All workers listen on one port, as they would in production, and the kernel
chooses who answers; besides, each has a port of its own, so that a request can be sent to one of them. The master holds
these ports: a worker that dies is replaced by one that listens where it did. `FOLDER/ports` and `FOLDER/worker-0`, …
tell who listens where and under which process id.

Why gunicorn: it is what most Django projects run on, so what a reader sees here is what they have at work; it forks a
loaded application (eight workers are ready in a second, where servers that spawn import Django eight times); its master
replaces a worker that dies; and its hooks allow the ports above. Granian is as quick with four workers and runs on
Windows too, but spawns. Threads (`gthread`) because a shop waits for its database and its cache most of the time.
"""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from textwrap import indent
from traceback import format_exc
from typing import Any
from urllib.parse import unquote

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from tutorial_project.lab import arrangement
from tutorial_project.lab.live_page import LOCAL, seen_from_anywhere
from tutorial_project.lab.reaper import LIBC, die_with_parent

GRACE = 1  # seconds that requests get to end in when the server is told to stop
Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class Server(BaseApplication):
    """Gunicorn with n workers, each reachable by itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = json.loads((folder / "plan.json").read_text())
        # The modules that lie beside the notebook; at the end, so that they hide none of the course's.
        sys.path += [entry for entry in self.plan["path"] if entry not in sys.path]
        self.shared = listen(self.plan["port"])
        self.own = [listen() for _ in range(self.plan["workers"])]
        ports = [listener.getsockname()[1] for listener in (self.shared, *self.own)]
        write(folder / "ports", json.dumps(ports))
        super().__init__()

    def load_config(self) -> None:
        settings = {
            "bind": f"fd://{self.shared.detach()}",
            "workers": self.plan["workers"],
            "worker_class": "gthread",
            "threads": self.plan["threads"],
            "preload_app": True,
            "graceful_timeout": GRACE,
            "keepalive": 1,
            "worker_tmp_dir": str(self.folder),
            "control_socket_disable": True,
            "pre_fork": self.pre_fork,
            "post_fork": self.post_fork,
            "post_worker_init": self.post_worker_init,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Application:
        from django.conf import settings
        from django.core.wsgi import get_wsgi_application

        application = get_wsgi_application()
        arrangement.load(self.folder / "arrangement")
        import_module(settings.ROOT_URLCONF)  # the views are imported here, and not by each worker's first visitor
        return framed(named_errors(application))

    def run(self) -> None:
        Master(self).run()

    def pre_fork(self, arbiter: Arbiter, worker: Worker) -> None:
        """In the master: the new worker takes the first number that nobody has."""
        taken = {other.number for other in arbiter.WORKERS.values()}
        worker.number = min(set(range(self.plan["workers"])) - taken)

    def post_fork(self, arbiter: Arbiter, worker: Worker) -> None:
        """In the worker: it listens on its own port too, and does not outlive a master that is killed."""
        worker.sockets = [*worker.sockets, self.own[worker.number]]
        if LIBC:
            die_with_parent(worker.ppid)()

    def post_worker_init(self, worker: Worker) -> None:
        write(self.folder / f"worker-{worker.number}", str(os.getpid()))


class Master(Arbiter):
    """Ends when its folder is gone: whoever started it has forgotten it, or was interrupted before it knew its id."""

    def manage_workers(self) -> None:
        if not self.app.folder.exists():
            raise StopIteration  # as gunicorn does when it is told to end
        super().manage_workers()


def listen(port: int = 0) -> socket.socket:
    """A socket that listens on this port of 127.0.0.1, or on any free one. A port that is taken ends it with a line."""
    try:
        return socket.create_server(("127.0.0.1", port), backlog=256)
    except OSError as problem:
        if not port or problem.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = "it is in use" if problem.errno == errno.EADDRINUSE else "this machine does not allow it"
        sys.exit(f"error: port {port} cannot be had: {why}. Leave port= out, and a free one is taken.")


def write(path: Path, text: str) -> None:
    """Write a file so that nobody reads half of it."""
    half = path.with_suffix(".half")
    half.write_text(text)
    half.replace(path)


def named_errors(application: Application) -> Application:
    """Put the name of an exception that a view raised into the header `X-Error`: the page says "Server Error" alone."""
    from threading import local

    from django.core.signals import got_request_exception

    failed = local()

    def remember(sender: object, **_: Any) -> None:
        kind, error, _trace = sys.exc_info()
        failed.line = f"{kind.__name__}: {error}" if kind else ""
        print(indent(format_exc(), "  "), file=sys.stderr, flush=True)  # Django would mail it to the admins

    got_request_exception.connect(remember, weak=False)

    def call(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        failed.line = ""

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            if failed.line:
                one_line = " ".join("".join(c if c.isprintable() else " " for c in failed.line).split())[:500]
                headers = [*headers, ("X-Error", one_line.encode("ascii", "replace").decode())]
            return start_response(status, headers, *rest)

        return application(environ, start)

    return call


def framed(application: Application) -> Application:
    """Let the shop stand below the address at which JupyterLab's proxy shows it.

    The proxy takes its own path off a request and names it in `X-ProxyContextPath`; links must have it in front again,
    cookies are for it alone, and redirects are relative, for the proxy's versions differ in what they do to others.
    It keeps the Host of whoever looks, and behind a hub that may be any: the shop answers as 127.0.0.1, and an Origin
    of that same Host counts as its own. On a machine of one's own only the machine's own names are taken, or a web
    page from elsewhere could lead its name here and read the answers (DNS rebinding).
    """
    anywhere = seen_from_anywhere()

    def call(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        prefix, host = environ.get("HTTP_X_PROXYCONTEXTPATH", "").rstrip("/"), environ.get("HTTP_HOST", "")
        name = re.sub(r":\d+$", "", host).strip("[]")
        if not prefix or not (anywhere or name in LOCAL):
            return application(environ, start_response)
        own = f"127.0.0.1:{environ['SERVER_PORT']}"
        if environ.get("HTTP_ORIGIN", "").partition("://")[2] == host:
            environ["HTTP_ORIGIN"] = f"http://{own}"
        environ |= {"SCRIPT_NAME": unquote(prefix, "latin-1"), "HTTP_HOST": own, "wsgi.url_scheme": "http"}
        up = "./" + "../" * (environ["PATH_INFO"].count("/") - 1)

        def outward(name: str, value: str) -> str:
            if name.lower() == "location" and value.startswith("/") and not value.startswith("//"):
                return up + value.removeprefix(prefix).lstrip("/")
            if name.lower() == "set-cookie":
                return re.sub(r"; Path=/(?=;|$)", lambda _: f"; Path={prefix}/", value, flags=re.IGNORECASE)
            return value

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [(name, outward(name, value)) for name, value in headers], *rest)

        return application(environ, start)

    return call


def main(folder: Path) -> None:
    """Serve until told to stop. Where that cannot be, it ends with a line."""
    try:
        server = Server(folder)
    except OSError as problem:
        sys.exit(f"error: {problem}")
    server.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
