"""`lab.show("/")`: a live page of the shop in a frame below the cell, for reading, clicking and buying.

One worker process serves it, with the notebook's own database and cache server. The browser reaches it through the
Jupyter server that it talks to anyway (jupyter-server-proxy), at `…/proxy/<port>/`: so it works on Binder too, and the
process itself listens on 127.0.0.1 alone. `serving.framed` is the shop's side of that.
"""

from __future__ import annotations

import html
import http.client
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from . import arrangement
from .errors import LabError

if TYPE_CHECKING:  # the workers import this file, and have no use for all that starting them needs
    from . import workers
    from .bench import Lab

ELSEWHERE = "Open this notebook in JupyterLab, and a live page of the shop is shown here."
LOCAL = ("127.0.0.1", "localhost", "::1")


class LivePage:
    """The process behind the frames of one notebook. It is started for the first one and ends with the kernel."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.pool: workers.Workers | None = None

    def show(self, path: str) -> None:
        """Display the shop's page at `path`: framed in JupyterLab, a link in VS Code, a line of text elsewhere.

        Raises LabError where `path` is none of the shop's, or the process cannot be started.
        """
        check(path)
        title = f"Live page of the shop: {path}"
        address = quote(path, safe="/?&=%#+,;:@!$'()*~")
        if in_vscode():
            url = html.escape(f"{self.running().url}{address}")
            shown = f'<a href="{url}" target="_blank" rel="noopener">{html.escape(title)}</a>'
        elif (base := proxied_at()) is not None:
            url = html.escape(f"{base}proxy/{self.running().port}{address}")
            shown = (
                f'<iframe src="{url}" title="{html.escape(title)}" '
                'style="display: block; box-sizing: border-box; width: 100%; height: 480px; border: 1px solid #8A8A8A; '
                'border-radius: 4px"></iframe>'
            )
        else:
            print(ELSEWHERE)
            return
        from IPython.display import display

        display({"text/html": shown, "text/plain": title}, raw=True)

    def running(self) -> workers.Workers:
        """The process. One that has died, or serves what the notebook has since arranged otherwise, is replaced.

        The arrangements are compared as they are sent to a process, byte by byte: a view whose list has grown is
        another one. The new process takes the old one's port, so that frames that stand above go on working.
        """
        port = 0
        if (pool := self.pool) is not None:
            if pool.running and arrangement.packed(*self.lab.arranged()) == arrangement_of(pool):
                return pool
            port, self.pool = pool.port, None
            pool.stop()
        try:
            self.pool = self._started(port)
        except LabError:
            if not port:
                raise
            self.pool = self._started()  # somebody may have taken the port meanwhile
        return self.pool

    def _started(self, port: int = 0) -> workers.Workers:
        from .workers import Workers

        return Workers(self.lab, 1, port=port, counted=False)


def arrangement_of(pool: workers.Workers) -> bytes:
    """What these processes were told; nothing, where their folder is gone."""
    try:
        return (pool.folder / "arrangement").read_bytes()
    except OSError:
        return b""


def check(path: str) -> None:
    """Raise LabError for what is no path of the shop."""
    if not isinstance(path, str) or not path.startswith("/") or path.startswith("//") or not path.isprintable():
        raise LabError(f'lab.show({path!r}): give a path of the shop, with a slash in front, such as "/product/1/".')


def in_vscode() -> bool:
    """Whether the notebook is open in VS Code, which leaves this name in its kernels and can show no frame of ours."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module else None
    return shell is not None and "__vsc_ipynb_file__" in shell.user_ns


def jupyter_server() -> dict[str, Any] | None:
    """What the Jupyter server that started this kernel has written down about itself; None where none started it.

    The kernels of a build (nbclient, nbval) have a parent too, but that one is no server and writes nothing.
    """
    from jupyter_core.paths import jupyter_runtime_dir

    file = Path(jupyter_runtime_dir()) / f"jpserver-{os.environ.get('JPY_PARENT_PID', '')}.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def proxied_at() -> str | None:
    """The path at which the notebook's Jupyter server begins ("/", or a hub's "/user/…/"); None without its proxy."""
    if not hasattr(os, "fork") and "JPY_SESSION_NAME" in os.environ:
        from . import workers

        workers.check(1, 1, 0)  # JupyterLab on Windows: its servers cannot be told by their process id; say what is so
    server = jupyter_server()
    if server is None or not has_proxy(server):
        return None
    return str(server["base_url"])


def has_proxy(server: dict[str, Any]) -> bool:
    """Whether jupyter-server-proxy is loaded there: without it that address is unknown, with it a stranger may not in.

    A server that cannot be asked this way (TLS, a Unix socket) counts as having it, as everyone's own has.
    """
    if server.get("secure") or server.get("sock"):
        return True
    host = server["hostname"] if server["hostname"] in LOCAL else "127.0.0.1"
    asked = http.client.HTTPConnection(host, server["port"], timeout=5)
    try:
        asked.request("GET", f"{server['base_url']}server-proxy/servers-info")
        return asked.getresponse().status != 404
    except (OSError, http.client.HTTPException):
        return True
    finally:
        asked.close()


def seen_from_anywhere() -> bool:
    """Whether that Jupyter server is asked by names that this machine does not know: a hub's, or a network's."""
    server = jupyter_server()
    return "JUPYTERHUB_SERVICE_PREFIX" in os.environ or (server is not None and server["hostname"] not in LOCAL)
