"""Part of `isolation`: the management command. A file `management/commands/audit_cache.py` of an app needs one line:

from tutorial_project.caching.isolation_command import Command as Command
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser

from .isolation import AuditError, audit
from .isolation_addresses import NOWHERE


class Command(BaseCommand):
    """Exit status 0: nothing leaks. 1: something does. 2: it could not run, or a page that was named does not exist."""

    help = "Visit the project's pages as several people, in each language, and report what its caches leak to whom."
    requires_system_checks = []  # what is wrong with the settings is said in one line

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("url", nargs="*", help="an address, such as /product/1/ (default: every page)")
        parser.add_argument("--user", action="append", help="visit as this user, and so on (default: two unlike ones)")
        parser.add_argument("--language", action="append", help="visit in this language (default: settings.LANGUAGES)")
        parser.add_argument("--seconds", type=float, default=5.0, help="the time limit of one request (default: 5)")
        parser.add_argument(
            "--header",
            action="append",
            default=[],
            metavar='"NAME: VALUE"',
            help='visit with this header too; several of one visitor: "X-Region: at; X-Store: 1"',
        )

    def handle(self, *args: Any, **options: Any) -> None:
        threads = set(threading.enumerate())
        headers = [_headers(given) for given in options["header"]]
        if options["seconds"] <= 0:
            raise CommandError("--seconds must be more than 0.", returncode=2)
        try:
            report = audit(options["url"] or None, options["user"], options["language"], options["seconds"], headers)
        except AuditError as error:
            raise CommandError(str(error), returncode=2) from None
        except Exception as error:  # a middleware that cannot be loaded, say
            said = " ".join(str(error).split())
            raise CommandError(f"It could not run: {type(error).__name__}: {said}", returncode=2) from None
        self.stdout.write(str(report))
        status = 1 if report else 0
        nothing = not any(each.verdict != "not audited" for each in report.visits)
        if not status and (nothing or any(each.why.startswith(NOWHERE) for each in report.visits)):
            self.stderr.write("Not all that was to be audited could be: see above.")
            status = 2
        if cast(Any, self)._called_from_command_line:  # only then is the process this command's own
            _end_at_once(status, threads)
        if status:
            sys.exit(status)


def _headers(given: str) -> dict[str, str]:
    """What --header was given, as a dict: "X-Region: at; X-Store: 1" holds two."""
    pairs = [part.partition(":") for part in given.split(";")]
    if not all(name.strip() and colon for name, colon, _ in pairs):
        raise CommandError(f'--header {given!r} is not of the form "NAME: VALUE".', returncode=2)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _end_at_once(status: int, known: set[threading.Thread]) -> None:
    """End this process where a view left a thread running that will not end: Python would wait for it."""
    left = [each for each in threading.enumerate() if each not in known and not each.daemon]
    for thread in left:
        thread.join(1)
    if any(thread.is_alive() for thread in left):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
