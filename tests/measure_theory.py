"""Theory against simulation: `python tests/measure_theory.py` prints each formula beside both simulations.

The last lines of each table say the largest relative error.
"""

from __future__ import annotations

import small_shop  # noqa: F401  # sets Django up
from theory_cases import Case, vectorised_cases
from theory_engine_cases import engine_cases

HEADER = f"{'':<46} {'predicted':>10} {'measured':>10}   relative error of the tolerance"


def report(title: str, cases: list[Case]) -> None:
    """Print the cases and the furthest of them."""
    print(f"\n{title}\n{HEADER}")
    for case in cases:
        print(case if case.off <= case.tolerance else f"{case}  TOO FAR")
    furthest = max(cases, key=lambda case: case.relative)
    print(f"Largest relative error of {len(cases)}: {furthest.relative:.3%} ({furthest.name})")
    exact = [case for case in cases if case.tolerance < 0.02 * case.predicted]
    furthest = max(exact, key=lambda case: case.relative)
    print(f"Of the {len(exact)} measured to within 2 %: {furthest.relative:.3%} ({furthest.name})")


if __name__ == "__main__":
    report("A million requests, vectorised", list(vectorised_cases()))
    report("A hundred thousand requests through the engine", list(engine_cases()))
