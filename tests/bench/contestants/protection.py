"""This project's `tutorial_project/caching/stampede.py`, as its docstring says: one Protection a process.

`invalidate` is called where a project would call `invalidate_on_commit`.
"""

from typing import Any

from tutorial_project.caching.stampede import Protection

ABOUT = {
    "name": "caching/stampede.py",
    "library": "",
    "documentation": "tutorial_project/caching/stampede.py",
    "settings": "grace, lease, limit, patience, backoff and slots of the demands; RedisCache, socket_timeout",
    "async": False,
    "without a server": True,  # locmem, one process
    "memcached": False,
}


class Contestant:
    """Lease, previous value, background refresh, breaker."""

    def __init__(self, setup: Any) -> None:
        self.setup = setup
        self.limit, self.slots = setup.limit, setup.slots
        self.protection = Protection(
            grace=setup.grace,
            lease=setup.lease,
            limit=setup.limit,
            patience=setup.patience,
            backoff=setup.backoff,
            slots=setup.slots,
        )

    def get(self, key: str) -> Any:
        return self.protection.get_or_set(key, lambda: self.setup.compute(key), self.setup.timeout)

    def invalidate(self, key: str) -> None:
        self.protection.invalidate(key)
