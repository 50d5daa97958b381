"""`manage.py audit_cache`: what the caches of this project leak, and to whom."""

from tutorial_project.caching.isolation_command import Command as Command
