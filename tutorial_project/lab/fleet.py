"""A fleet: worker processes of one machine under one cache server of their own, to try a defence against stampedes on.

    with Fleet("tutorial_project.lab.defences:lease", processes=4, clients=8) as fleet:
        fleet.ask("key")                  # all 32 clients, together; a row an answer
        len(fleet.computations)           # counted by the origin, outside the cache

Real processes, a real server, real signals: the holder of a lock can be killed or paused in the middle, the server
frozen or taken away. A contestant is a function of a module, "module:function", or a function of the notebook; in each
worker it gets a `Setup` (fleet_worker.py) and returns an object with `get(key)` and `invalidate(key)`; both may be
`async def`. Whatever becomes of this process, nothing is left of the fleet: a reaper sees to it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .fleet_log import Answer
from .fleet_processes import Processes, Round

if TYPE_CHECKING:
    import pandas as pd

AHEAD = 0.03  # seconds from the order until all clients begin


@dataclass(frozen=True)
class Invalidated:
    """What came of an invalidation: when it was begun and when it returned, and what it raised, if anything."""

    began: float
    returned: float | None  # None: it did not return in time
    error: str | None


class Fleet(Processes):
    """n worker processes with m clients each, over one cache server; see the module. Times in seconds."""

    def begin(
        self,
        *keys: str,
        seconds: float = 0,
        pause: float = 0.05,
        language: str | None = None,
        pids: Sequence[int] | None = None,
        clients: int | None = None,
    ) -> Round:
        """Let all clients (of these processes; so many of each) ask for these keys, in turn, and do not wait for them.

        Each asks once, or, for `seconds`, again and again with a pause.
        """
        number, at = next(self._numbers), time.monotonic() + AHEAD
        clients = clients or self.clients
        asked = [pid for pid in (self.pids if pids is None else pids) if pid in self._wire.links]
        round_ = self._rounds[number] = Round(number, at, {(pid, client) for pid in asked for client in range(clients)})
        order: dict[str, Any] = {"do": "ask", "number": number, "keys": list(keys), "clients": clients}
        order |= {"at": at, "until": at + seconds, "pause": pause if seconds else 0, "language": language}
        for pid in asked:
            self._wire.send(self._wire.links[pid], **order)
        return round_

    def finish(self, round_: Round, limit: float = 20.0) -> list[Answer]:
        """Let a round come to its end, and return its answers. Who has none in `limit` seconds is not waited for."""
        for link in self._wire.workers():
            self._wire.send(link, do="stop", number=round_.number)
        self.until(lambda: not self.silent(round_), limit)
        return self.answers_of(round_)

    def ask(self, *keys: str, limit: float = 20.0, **how: Any) -> pd.DataFrame:
        """Let all clients ask once, together, and wait for their answers: a row an answer. For `how`, see `begin`."""
        answers = self.finish(self.begin(*keys, **how), limit)
        return self.log.answers_frame(answers)

    def traffic(self, *keys: str, seconds: float, limit: float = 20.0, **how: Any) -> pd.DataFrame:
        """Let all clients ask again and again for so many seconds: a row an answer. For `how`, see `begin`."""
        round_ = self.begin(*keys, seconds=seconds, **how)
        self.until(lambda: time.monotonic() > round_.at + seconds, seconds + 1)
        return self.log.answers_frame(self.finish(round_, limit))

    def answers_of(self, round_: Round) -> list[Answer]:
        """The answers of a round so far."""
        self.log.read()
        return [answer for answer in self.log.answers if answer.round == round_.number]

    def invalidate(self, key: str, pid: int | None = None, limit: float = 10.0) -> Invalidated:
        """Invalidate a key in one process (the first), as its contestant recommends, and wait until that returns."""
        began = time.monotonic()
        said = self._request(pid or self.pids[0], limit, do="invalidate", key=key)
        return Invalidated(began, said.get("returned"), said.get("error"))

    def left_open(self) -> int:
        """Database connections that are still open in threads that have ended, in all living processes."""
        return sum(self._request(pid, 5.0, do="look").get("left_open", 0) for pid in self.pids)

    @property
    def computations(self) -> pd.DataFrame:
        """All computations since the last `afresh`, a row each."""
        self.log.read()
        return self.log.computations_frame()

    @property
    def answers(self) -> pd.DataFrame:
        """All answers since the last `afresh`, a row each."""
        self.log.read()
        return self.log.answers_frame()
