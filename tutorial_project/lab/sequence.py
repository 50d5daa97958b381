"""The shortest bad order as a sequence diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import LabError

if TYPE_CHECKING:
    import pandas as pd

    from .scheduler import Step


def table(steps: list[Step]) -> pd.DataFrame:
    """A row a step: `step`, `actor`, `what`."""
    import pandas as pd

    return pd.DataFrame(
        {"step": range(1, len(steps) + 1), "actor": [s.actor for s in steps], "what": [s.what for s in steps]}
    )


def draw(steps: list[Step], actors: list[str], says: str, word: str) -> None:
    raise LabError("not yet")
