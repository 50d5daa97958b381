"""`boot()`: the first code cell of every notebook, and the only set-up there is."""

from __future__ import annotations

import os
import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import environment
from .errors import LabError
from .progress_file import set_notebook

if TYPE_CHECKING:
    from tutorial_project.lab.bench import Lab

GONE = "The cache server has gone away. Run boot() again: it starts it anew, empty; the database is kept."

_lab: Lab | None = None
_unfinished = False  # a boot() that ended in the middle has left Django with addresses of servers that are gone
_booting = threading.Lock()


def boot(notebook: str | None = None) -> Lab:
    """Start the shop inside this kernel and return the lab: a cache server and a database of this kernel's own.

    The second time it returns the same lab, and starts the cache server again if that has died. `notebook` names the
    notebook that progress is kept for, such as "01_why_cache". When the kernel ends, however it ends, nothing stays
    behind. Raises LabError with a line that says what to do.
    """
    global _lab
    set_notebook(notebook)
    with _booting:
        if _lab is None:
            _lab = first_boot(notebook)
        elif news := _lab.environment.revive():
            forget_connections()
            print(news)
    return _lab


def first_boot(notebook: str | None) -> Lab:
    """Start an environment, set Django up in it and make the lab."""
    global _unfinished
    if "django.conf" in sys.modules and sys.modules["django.conf"].settings.configured:
        if _unfinished:
            raise LabError("The last boot() in this kernel did not finish. Restart the kernel and run boot() again.")
        raise LabError(
            "Django runs already in this kernel, with other settings. Restart the kernel and run boot() first."
        )
    _unfinished = True
    shell = ipython()
    if shell:
        # A kernel runs every cell inside an event loop, where Django's ORM refuses to work for fear of blocking other
        # coroutines. A notebook has none: one cell runs at a time.
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    started = environment.start()
    try:
        from tutorial_project.lab.bench import Lab

        lab = Lab(started, notebook)
    except BaseException:
        started.close()
        raise
    if shell:
        explain_errors(shell)
        offer_help(shell)
    return lab


def ipython() -> Any:
    """The IPython shell that this code runs in, or None."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module else None


def forget_connections() -> None:
    """Drop the connections that Django's caches still hold to the server that died."""
    from django.core.cache import caches

    for cache in caches.all(initialized_only=True):
        for pool in getattr(getattr(cache, "_cache", None), "_pools", {}).values():
            pool.disconnect()


def offer_help(shell: Any) -> None:
    """Put what the lab's card names into the notebook's own names, where they are still free."""
    from .checkup import doctor
    from .progress_page import my_surprises, progress
    from .starting_over import reset

    help_names = {"doctor": doctor, "my_surprises": my_surprises, "progress": progress, "reset": reset}
    shell.user_ns.update({name: value for name, value in help_names.items() if name not in shell.user_ns})


def explain_errors(shell: Any) -> None:
    """Show one line in place of a long traceback when a cell fails because the cache server is gone."""
    import redis

    def show(
        shell: Any, kind: type[BaseException], error: BaseException, trace: TracebackType, tb_offset: int | None = None
    ) -> None:
        gone = _lab is not None and not _lab.environment.cache_server.answers()
        failed = LabError(GONE) if gone else error  # it may be another server that the learner talks to
        # The handler is called in place of showtraceback, which would otherwise have come next.
        shell.showtraceback((type(failed), failed, trace), tb_offset=tb_offset)

    shell.set_custom_exc((redis.ConnectionError, redis.TimeoutError), show)
