"""What every benchmark prints: one JSON object on its last line, or a table for a person."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Case:
    """One measured case against its goal.

    Args:
        value, floor: measured interleaved in one run.
        unit: of both; None for the result's.
        plain: what a plain set-up did in the same run, or None.
        goal: in words, as `<= 8 x floor, or 50 ms`.
    """

    name: str
    value: float
    floor: float
    plain: float | None
    goal: str
    holds: bool
    unit: str | None = None

    @property
    def has_goal(self) -> bool:
        """Whether it is more than shown."""
        return not self.goal.startswith("none")

    @property
    def ratio(self) -> float:
        """Value over floor; the figure that may be compared between machines."""
        return self.value / self.floor


@dataclass(frozen=True, kw_only=True)
class Result:
    """A benchmark's outcome; its own value, floor and so on are those of its worst case.

    Args:
        figures: further ones of the whole, by the names they have in the JSON.
    """

    name: str
    unit: str
    cases: Sequence[Case]
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether every case reaches its goal."""
        return all(case.holds for case in self.cases)

    def print(self, *, as_json: bool) -> bool:
        """Print it and tell whether every case holds."""
        if as_json:
            print(json.dumps(self.as_dict()), flush=True)
        else:
            Console().print(self._as_table())
        return self.holds

    def as_dict(self) -> dict[str, Any]:
        """Return it as the JSON object that is printed, and kept in docs/figures.json."""
        worst = min([case for case in self.cases if case.has_goal] or self.cases, key=_standing)
        return {
            "name": self.name,
            "unit": self.unit,
            "value": round(worst.value, 4),
            "floor": round(worst.floor, 4),
            "ratio": round(worst.ratio, 4),
            "plain": worst.plain and round(worst.plain, 4),
            **_rounded(self.figures),
            "machine": f"{os.cpu_count()} x {platform.machine()}, "
            f"Python {platform.python_version()}",
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "cases": [
                {**_rounded(asdict(case)), "ratio": round(case.ratio, 4)} for case in self.cases
            ],
        }

    def _as_table(self) -> Table:
        table = Table(title=f"{self.name}, {self.unit}", box=None, padding=(0, 2, 0, 0))
        for column in ("case", "value", "floor", "ratio", "plain", "goal", "holds"):
            table.add_column(column)
        for case in self.cases:
            plain = "-" if case.plain is None else f"{case.plain:.2f}"
            table.add_row(
                case.name,
                f"{case.value:.2f}",
                f"{case.floor:.2f}",
                f"{case.ratio:.2f}",
                plain,
                case.goal,
                "yes" if case.holds else "NO",
            )
        return table


def measured(
    name: str,
    values: Sequence[float],
    floors: Sequence[float],
    *,
    goal: str,
    holds: Callable[[float, float], bool],
    unit: str | None = None,
) -> Case:
    """Return a case of the medians of what was measured in turns; *holds* is asked with both."""
    value, floor = median(values), median(floors)
    return Case(
        name=name,
        value=value,
        floor=floor,
        plain=None,
        goal=goal,
        holds=holds(value, floor),
        unit=unit,
    )


def median(samples: Sequence[float]) -> float:
    """Return the middle of *samples*."""
    return statistics.median(samples)


def percentile(samples: Sequence[float], percent: int) -> float:
    """Return the value that *percent* of 100 samples do not exceed."""
    return statistics.quantiles(samples, n=100, method="inclusive")[percent - 1]


def _standing(case: Case) -> tuple[bool, float]:
    """Return what is least for the worst case: one that fails, then the nearest to failing."""
    return case.holds, case.ratio if case.goal.startswith(">=") else -case.ratio


def _rounded(values: Mapping) -> dict:
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in values.items()
    }
