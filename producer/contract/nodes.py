"""Nodes: the states of a node, and its record as read (one ComfyUI with its worker); pools of nodes."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from producer.contract.config.addresses import bare
from producer.contract.operations import Desired
from producer.contract.totals import Durations

#: The bounds of gaps between renders, s.
GAP_BOUNDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
#: The reason of a node whose worker left in good order.
LEFT: Final = "stopped"


class NodeState(StrEnum):
    """Whether a node takes jobs, and if not, why."""

    JOINING = "joining"  #: Its worker is up and checks its ComfyUI for the first time.
    READY = "ready"
    SUSPECT = "suspect"  #: It failed a job; a canary prompt must succeed before the next one.
    QUARANTINED = "quarantined"  #: It failed several; it takes none for a time, then one on trial.
    UNREACHABLE = "unreachable"  #: Its ComfyUI does not answer; it takes nothing.
    BLOCKED = "blocked"  #: S3 is not available, or its worker's disk cannot be written.
    DRAINING = "draining"  #: Finishes what it holds, takes nothing.
    PAUSED = "paused"  #: A person wants it to take nothing, and it holds nothing that it drains.
    OFFLINE = "offline"  #: Its worker stopped, or has been silent for longer than a lease.


class NodeWork(BaseModel):
    """What a node has done since its worker began.

    Args:
        rendered_s: seconds for which prompts of the fleet were in its queue; what it renders now counts.
        gaps: how long no prompt was, between two renders, while the next job waited.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    rendered_s: float = 0
    gaps: Durations = Field(default_factory=Durations)


class Node(BaseModel):
    """One node, as its record has it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    pool: str
    url: str
    state: NodeState
    reason: str = ""
    worker: str = ""  #: The boot id of the worker that serves it; empty when none does.
    host: str = ""
    comfyui_version: str = ""
    device: str = ""
    vram_total: int = 0  #: Bytes; 0 on a CPU.
    vram_free: int | None = None  #: Bytes, rounded to 256 MiB; known only with the companion.
    companion: bool | None = None  #: Whether its ComfyUI has the companion; None: nobody knows.
    companion_gained_s: int = 0  #: Of encoding that no render waited for, since ComfyUI began.
    catalog_sha: str = ""
    rules_sha: str = ""  #: Of its input rules; empty if its worker's version has none.
    rules_for: str = ""  #: SHA of the catalog that the rules belong to.
    pace: str = ""  #: How many jobs its worker takes ahead, and why.
    desired: Desired | None = None  #: What a person wants of it, if that is anything special.
    quarantine: Desired | None = None  #: That a person has set it aside, until it is cleared.
    pool_desired: Desired | None = None  #: What a person wants of each node of its pool.
    probe: str = ""  #: What came of the canary that a person asked for last, and when.
    can_restart: bool = False  #: Whether its worker has a command that restarts its ComfyUI.
    restart: str = ""  #: What came of the restart that a person asked for last, and when.
    warm: tuple[str, ...] = ()  #: The base models of its last job, which it has loaded.
    work: NodeWork | None = None  #: None of a worker of an earlier version.
    silent_s: float = 0  #: Seconds since its last beat.

    @field_validator("url")
    @classmethod
    def _holds_no_secret(cls, value: str) -> str:
        return bare(value)  # workers of earlier versions announced it with credentials

    @property
    def wishes(self) -> list[str]:
        """Each thing that a person wants of it or of its pool, by whom, until when and why."""
        own = [wish.told for wish in (self.quarantine, self.desired) if wish is not None]
        of_pool = self.pool_desired
        return own if of_pool is None else [*own, f"pool {self.pool} {of_pool.told}"]

    @property
    def is_wanted(self) -> bool:
        """Whether it should take jobs: nobody wants it to rest, and its worker has not left in good order."""
        has_left = self.state is NodeState.OFFLINE and self.reason == LEFT
        return not self.wishes and not has_left

    @property
    def is_living(self) -> bool:
        """Whether a worker serves it now, able to take work at this moment or not."""
        return self.state is not NodeState.OFFLINE


class Pool(BaseModel):
    """A pool: how many nodes it has in each state, and what a person wants of all of them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    nodes: dict[str, int] = {}
    desired: Desired | None = None  #: Of each of its nodes, of those that join later, too.

    @property
    def wishes(self) -> list[str]:
        """What a person wants of it, by whom, until when and why."""
        return [] if self.desired is None else [self.desired.told]


class NodeTimes(BaseModel):
    """How long things take on a node, as workers have seen it on its device, s."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    loads: dict[str, dict[str, float]] = {}  #: Of each base model, by the class that loads it.
    steps: dict[
        str, float
    ] = {}  #: One step of each graph node class; all of it where it has no steps.
