"""Totals of the fleet: what a pool has counted since its first job; the numbers only rise."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from producer.contract.jobs import JobStatus

#: The bounds of stages, s; `_totals.lua` has the same.
STAGE_BOUNDS: Final = (
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    *(60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0),
)


class StageTotals(BaseModel):
    """How long a stage of jobs that succeeded took.

    Args:
        seconds: of all together.
        within: jobs by the smallest bound, s, that they kept, from the lowest on; `inf` has those that were slower
            than all. A bound of `STAGE_BOUNDS` that is not there is one that no job kept as the first.
    """

    model_config = ConfigDict(frozen=True)

    seconds: float = 0
    within: dict[float, int] = Field(default_factory=dict)

    @property
    def jobs(self) -> int:
        """How many jobs went through the stage."""
        return sum(self.within.values())


class AttemptTotals(BaseModel):
    """Attempts that ended without success, by what they counted as."""

    model_config = ConfigDict(frozen=True)

    charged: int = 0
    free: int = 0
    uncounted: int = 0


class PoolTotals(BaseModel):
    """What the jobs of one pool have come to.

    Args:
        ended: jobs by status and cause; those that succeeded have the cause "".
        attempts: attempts that ended without success, by cause.
        rendered_s: seconds that nodes rendered, in vain or not.
        stages: by name, as in `Timings`.
    """

    model_config = ConfigDict(frozen=True)

    ended: dict[JobStatus, dict[str, int]] = Field(default_factory=dict)
    attempts: dict[str, AttemptTotals] = Field(default_factory=dict)
    rendered_s: float = 0
    stages: dict[str, StageTotals] = Field(default_factory=dict)
