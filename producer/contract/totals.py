"""Totals of the fleet: what a pool has counted since its first job; the numbers only rise."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from producer.contract.jobs import JobStatus


class StageTotals(BaseModel):
    """How long a stage of jobs that succeeded took.

    Args:
        seconds: of all together.
        within: jobs by the smallest bound, s, that they kept; `inf` has those that were slower than all.
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
