"""Pages of lists of jobs."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from producer.contract.jobs import Job

#: Jobs of a page, at most.
LONGEST_PAGE: Final = 1_000


class JobPage(BaseModel):
    """A part of a list of jobs.

    `cursor` is where the next page goes on: hand it in with the same filter. It is None where the list ends.
    A page may be shorter than asked for, or empty, and yet have one: the work of one call is bounded.
    """

    model_config = ConfigDict(frozen=True)

    jobs: list[Job] = Field(default_factory=list)
    cursor: str | None = None
