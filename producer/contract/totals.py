"""Totals of the fleet: what a pool has counted since its first job; the numbers only rise."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from producer.contract.jobs import JobStatus

#: The bounds of stages, s; `_totals.lua` has the same.
STAGE_BOUNDS: Final = (
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    *(60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0),
)


class Recovery(StrEnum):
    """How a job went on that would have stayed where it was; a newer version may count others."""

    TAKEN_BACK = (
        "taken_back"  #: A worker that came back goes on with the attempt of the one before it.
    )
    REQUEUED = "requeued"  #: The lease of its attempt ran out, and it waits again.
    RESENT = "resent"  #: Its message was lost, and was sent again.


class Durations(BaseModel):
    """How long something took, often.

    Args:
        seconds: of all together.
        within: how often by the smallest bound, s, that was kept, from the lowest on; `inf` has what was slower than
            all. A bound that is not there is one that nothing kept as the first.
    """

    model_config = ConfigDict(frozen=True)

    seconds: float = 0
    within: dict[float, int] = Field(default_factory=dict)


class StageTotals(Durations):
    """How long a stage of the jobs took that succeeded; its bounds are those of `STAGE_BOUNDS`."""

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
        recovered: jobs by how they went on after something was lost, see `Recovery`.
    """

    model_config = ConfigDict(frozen=True)

    ended: dict[JobStatus, dict[str, int]] = Field(default_factory=dict)
    attempts: dict[str, AttemptTotals] = Field(default_factory=dict)
    rendered_s: float = 0
    stages: dict[str, StageTotals] = Field(default_factory=dict)
    recovered: dict[str, int] = Field(default_factory=dict)
