"""The figure of a TTL's trade tells its dots and what theory says of them."""

from typing import Any

import pytest

from tutorial_project.lab import draw
from tutorial_project.lab.tradeoff import tradeoff


def test_the_figure_tells_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(draw, "display", lambda bundle, **_: shown.append(bundle))
    tradeoff(0.2, 1 / 120, {5: (0.51, 0.02), 60: (0.92, 0.2)})
    assert shown[0]["text/plain"].splitlines() == [
        "Figure: from a TTL of 5 s to one of 60 s the hit ratio goes from 0.51 to 0.92, the share of stale answers "
        "from 0.02 to 0.20",
        "5 s: hit ratio 0.51 (predicted 0.50), stale 0.02 (predicted 0.01)",
        "60 s: hit ratio 0.92 (predicted 0.92), stale 0.20 (predicted 0.20)",
    ]
    tradeoff(0.2, 1 / 120, {60: (0.92, 0.2)}, alt="one dot, at the bend of the curve")
    assert 'alt="one dot, at the bend of the curve"' in shown[1]["text/html"]
