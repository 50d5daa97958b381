"""Django's command line for the shop: `python tutorial_project/manage.py runserver` shows it in a browser.

`runserver` starts a cache server, a database and the outside service of its own, whatever DATABASE_URL and REDIS_URL
name: they may be another project's. It takes them along when it ends. `audit_cache` does the same where neither is set.
Every other command works with what they name.
"""

import os
import secrets
import sys
import threading
import time
from pathlib import Path

# Run by its path, this file finds the package beside it, not the modules in it.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tutorial_project.lab import take_home  # noqa: E402
from tutorial_project.lab.errors import LabError  # noqa: E402

WHO = ("admin", "alice", "dora")
ALSO = (
    "Besides these, `take` copies a pattern of caching/ into a project of yours: `manage.py take` says which there are."
)


def main(argv: list[str]) -> None:
    """Run a management command; an error that has a known cause ends in one line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tutorial_project.settings")
    command = argv[1] if len(argv) > 1 else "help"
    if command == "take" or argv[1:] == ["help", "take"]:
        return take_pattern(argv[2:] if command == "take" else [])
    from django.core.management import execute_from_command_line
    from django.db import OperationalError
    from redis import RedisError

    try:
        # The autoreloader starts this file again as a child, which finds the environment of its parent.
        if command == "runserver" and os.environ.get("RUN_MAIN") != "true":
            print(start_shop(), flush=True)
        if command == "audit_cache" and not {"DATABASE_URL", "REDIS_URL"} & set(os.environ):
            from tutorial_project.lab import environment

            environment.start()
        if os.environ.get("RUN_MAIN") == "true":
            end_with_parent()
        execute_from_command_line(argv)
        if command in ("help", "-h", "--help") and len(argv) <= 2:
            print(f"\n{ALSO}")
    except LabError as error:
        sys.exit(str(error))
    except OperationalError as error:
        sys.exit(blame("database", "DATABASE_URL", error))
    except RedisError as error:
        sys.exit(blame("cache server", "REDIS_URL", error))


def take_pattern(arguments: list[str]) -> None:
    """Copy a pattern, or say in one line why not. Django is not asked: it would look for the shop's settings."""
    try:
        print(take_home.command(arguments))
    except LabError as error:
        sys.exit(str(error))


def blame(what: str, variable: str, error: Exception) -> str:
    """One line that says what does not work, who names it, and how to have one."""
    named = "names it" if variable in os.environ else "would name it, and is not set"
    return f"The {what} does not work ({error}). {variable} {named}; `manage.py runserver` starts one of its own."


def end_with_parent() -> None:
    """End this process when its parent is gone: the autoreloader's child would go on serving a shop without servers."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def start_shop() -> str:
    """Start an environment that ends with this process, let three people sign in, and tell where and how."""
    os.environ.setdefault("DJANGO_DEBUG", "1")
    from tutorial_project.lab import environment

    started = environment.start()
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import User
    from django.db import connections

    password = secrets.token_urlsafe(9)
    User.objects.filter(username__in=WHO).update(password=make_password(password))
    connections.close_all()
    return (
        f"The shop's database is {started.database.where}, gone when this ends. Sign in as {', '.join(WHO)}"
        f" with the password {password}"
    )


if __name__ == "__main__":
    main(sys.argv)
