"""`manage.py load_shop`: the files of `data/` into the database of the settings."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tutorial_project.shop.loading import LoadError, load


class Command(BaseCommand):
    """Loads the shop into an empty, migrated database, and says how many rows went where."""

    help = "Load the shop (data/*.csv) into an empty, migrated database."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--folder", type=Path, default=settings.DATA, help="where the files lie (default: data/)")
        parser.add_argument("--database", default="default", help='alias of the database (default: "default")')

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            counts = load(options["folder"], options["database"])
        except LoadError as error:
            raise CommandError(str(error)) from error
        for name, rows in counts.items():
            self.stdout.write(f"{rows:>9,}  {name}")
