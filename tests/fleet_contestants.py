"""Defences that a fleet is tried with: right ones, and for each demand one with the fault that it is there to find."""

import threading
import time
from typing import Any

from django.core.cache import cache

from tutorial_project.lab import defences
from tutorial_project.lab.fleet_origin import OriginFailed
from tutorial_project.lab.fleet_worker import Setup


class Protected(defences.lease):
    """`caching/stampede.py`, told all that it can be told, and with a name."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.setup, self.about = setup, {"name": "protected"}


class Plain:
    """Django's `get_or_set`."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    def get(self, key: str) -> Any:
        return cache.get_or_set(key, lambda: self.setup.compute(key), self.setup.timeout)

    def invalidate(self, key: str) -> None:
        cache.delete(key)


class Awaited(Plain):
    """The same in an event loop."""

    async def get(self, key: str) -> Any:
        value = await cache.aget(key)
        if value is None:
            value = await self.setup.acompute(key)
            await cache.aset(key, value, self.setup.timeout)
        return value

    async def invalidate(self, key: str) -> None:  # type: ignore[override]
        await cache.adelete(key)


class Locked(Plain):
    """A lock with a second look, that ends by itself and that anybody deletes."""

    lives: float | None = 1

    def get(self, key: str) -> Any:
        while (value := cache.get(key)) is None:
            if cache.add(f"{key}:lock", 1, self.lives):
                if (value := cache.get(key)) is None:
                    value = self.setup.compute(key)
                    cache.set(key, value, self.setup.timeout)
                cache.delete(f"{key}:lock")
                break
            time.sleep(0.05)
        return value


class LockedForEver(Locked):
    """A lock without a time, which its owner takes along when it dies."""

    lives = None


class LockKept(Plain):
    """A lock that is kept when the computation raises: whoever comes later waits until it ends by itself."""

    def get(self, key: str) -> Any:
        asked = time.monotonic()
        while (value := cache.get(key)) is None:
            if cache.get(f"{key}:failed", 0) > asked:
                raise OriginFailed("Another's computation has failed.")
            if cache.add(f"{key}:lock", 1, 3):
                try:
                    value = self.setup.compute(key)
                except OriginFailed:
                    cache.set(f"{key}:failed", time.monotonic())
                    raise
                cache.set(key, value, self.setup.timeout)
                cache.delete(f"{key}:lock")
            time.sleep(0.05)
        return value


class Unspeaking(Protected):
    """A refresh in a bare thread, without the caller's language, and with its connection left open."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.lock, self.value, self.until, self.busy = threading.Lock(), None, 0.0, False

    def get(self, key: str) -> Any:
        with self.lock:
            if self.value is None:
                self.refresh(key)
            elif time.monotonic() > self.until and not self.busy:
                self.busy = True
                threading.Thread(target=self.refresh, args=[key], daemon=True).start()
            return self.value

    def refresh(self, key: str) -> None:
        self.value, self.busy = self.setup.compute(key), False
        self.until = time.monotonic() + self.setup.timeout


class Swallowing(Protected):
    """Whoever has no value is given None when the origin fails, and no error."""

    def get(self, key: str) -> Any:
        try:
            return super().get(key)
        except Exception:
            return None


class Unlimited(Protected):
    """As many computations at a time as there are requests, while the cache is away."""

    def get(self, key: str) -> Any:
        try:
            cache.get("is it there?")
        except Exception:
            return self.setup.compute(key)
        return super().get(key)


class Silent(Plain):
    """Never answers."""

    def get(self, key: str) -> Any:
        threading.Event().wait()


class Refusing:
    """Cannot be made."""

    def __init__(self, setup: Setup) -> None:
        raise ValueError("there is no library here")
