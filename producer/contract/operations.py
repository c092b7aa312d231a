"""What persons want of nodes and pools, and what they have done."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class DesiredState(StrEnum):
    """What a person wants of a node, or of all nodes of a pool; without a wish they take work."""

    DRAINED = "drained"  #: Finishes what it holds, takes nothing, then is paused.
    PAUSED = "paused"  #: Takes nothing until it is resumed.
    QUARANTINED = "quarantined"  #: Set aside as after faults, until a person clears it.


class _Read(BaseModel):
    # A newer version may tell more; an older reader passes that over.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Desired(_Read):
    """One wish; times are aware and UTC.

    `state` is a value of `DesiredState`, or a word of a newer version. With `until` it is over by itself then.
    """

    state: str
    actor: str
    reason: str = ""
    since: datetime
    until: datetime | None = None


class Action(_Read):
    """What somebody has done to jobs, batches, nodes or pools.

    `origin` says from where, as `cli@host` or an address; `what` is the verb; `selection` the filter or the
    names that it was done to, `count` how many these were.
    """

    id: str = ""  #: The stream's id, which tells the order.
    at: datetime
    actor: str
    origin: str = ""
    what: str
    selection: str = ""
    count: int = 0
    reason: str = ""
