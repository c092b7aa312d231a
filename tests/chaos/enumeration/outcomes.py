"""What came of each case of the enumeration, and the report that all of them make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.checker.history import Violation


@dataclass
class Outcome:
    """What came of one case.

    Args:
        struck: whether its fault struck at all.
        recovered: whether the worker took work again.
        is_fine: whether the job ended as it must.
        moved_to: which repetition was struck when the listed one did not come; 0: the listed one.
    """

    case: str
    job: str
    struck: bool
    status: str
    recovered: bool
    seconds: float
    is_fine: bool
    moved_to: int = 0
    violations: list[Violation] = field(default_factory=list)

    @property
    def is_green(self) -> bool:
        """Whether the fault struck and nobody was harmed."""
        return self.struck and self.is_fine and self.recovered and not self.violations


def of_the_fleet(violation: Violation) -> Outcome:
    """Return the outcome that carries a violation of a job, if any, that no case ended with."""
    return Outcome(
        case="the fleet",
        job=violation.job,
        struck=True,
        status="-",
        recovered=True,
        seconds=0,
        is_fine=True,
        violations=[violation],
    )


def report(outcomes: Sequence[Outcome], *, seconds: float) -> dict[str, Any]:
    """Return counts, and every case that is not green, as JSON."""
    red = [outcome for outcome in outcomes if not outcome.is_green]
    return {
        "cases": len(outcomes),
        "struck": sum(outcome.struck for outcome in outcomes),
        "green": len(outcomes) - len(red),
        "not_struck": [outcome.case for outcome in red if not outcome.struck],
        "moved": {outcome.case: outcome.moved_to for outcome in outcomes if outcome.moved_to},
        "red": [
            {
                "case": outcome.case,
                "job": outcome.job,
                "status": outcome.status,
                "is_fine": outcome.is_fine,
                "recovered": outcome.recovered,
                "violations": [vars(violation) for violation in outcome.violations],
            }
            for outcome in red
        ],
        "slowest": sorted(((o.seconds, o.case) for o in outcomes), reverse=True)[:8],
        "seconds": round(seconds),
    }
