"""Nodes: what the fleet knows of one ComfyUI and its worker."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, field_validator

from producer.contract.config.addresses import bare


class NodeState(StrEnum):
    """Whether a node takes work, and if not, why."""

    JOINING = "joining"  #: Its worker is up and looks at its ComfyUI for the first time.
    READY = "ready"
    SUSPECT = "suspect"  #: It failed a job; a canary prompt must succeed before the next one.
    QUARANTINED = "quarantined"  #: It failed several; set aside for a while, then a trial job.
    UNREACHABLE = "unreachable"  #: Its ComfyUI does not answer; it takes nothing.
    BLOCKED = "blocked"  #: S3 does not serve, or its worker cannot write; it takes nothing.
    DRAINING = "draining"  #: Finishes what it holds, takes nothing.
    OFFLINE = "offline"  #: Its worker stopped, or has been silent for longer than a lease.


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
    vram_free: int | None = None  #: Bytes, to 256 MiB; known of nodes with the companion alone.
    catalog_sha: str = ""
    rules_sha: str = ""  #: Of what its classes take; empty if its worker is too old to say.
    rules_for: str = ""  #: The catalog that they were told with; an older worker tells that alone.
    pace: str = ""  #: How many jobs its worker takes ahead, and why.
    warm: tuple[str, ...] = ()  #: The base models that its last job had it load.
    silent_s: float = 0  #: Seconds since its last beat.

    @field_validator("url")
    @classmethod
    def _holds_no_secret(cls, value: str) -> str:
        return bare(value)  # workers of earlier versions announce it as it was given to them

    @property
    def is_living(self) -> bool:
        """Whether a worker serves it now, able to take work at this moment or not."""
        return self.state is not NodeState.OFFLINE
