"""The audit, as a reader's own project would have it."""

from tutorial_project.caching.isolation_command import Command as Command
