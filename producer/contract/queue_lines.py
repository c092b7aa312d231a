"""What waits, in lines: so many jobs of one pool and tier, for one reason."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from producer.contract.queues import Tier


class WaitReason(StrEnum):
    """Why jobs wait. A job's record says the same in `waiting_for`, but for what only nodes tell."""

    CAPACITY = "capacity"  #: Nodes that could run it are busy.
    NOT_READY = "not_ready"  #: Nodes that could run it are there, but none is ready.
    NO_NODE = "no_node"  #: No living node could run it.
    RETRY_AT = "retry_at"  #: Its next attempt comes after a pause.
    ANOTHER_NODE = "another_node"  #: It is left to another node than the one it failed on.
    NEWER_WORKER = "newer_worker"  #: Only a newer worker can read its record.
    ITS_TURN = "its_turn"  #: A row of a batch that has not reached the queue.
    HELD = "held"  #: A person keeps it back.


class QueueLine(BaseModel):
    """Jobs that wait in one pool and tier, or for one node, for the same reason."""

    model_config = ConfigDict(frozen=True)

    pool: str
    pin: str | None = None  #: The one node that may run them.
    tier: Tier
    reason: str  #: Of `WaitReason`; a newer version may write others.
    jobs: int
    oldest_at: datetime  #: Since when the one waits that waits longest; aware and UTC.
    nodes: int  #: Ready nodes that could run one of them.
