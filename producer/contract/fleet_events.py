"""Events of batches and nodes, which stand in one stream with those of jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from producer.contract.batches import BatchCounts
from producer.contract.ids import BatchId


class _Event(BaseModel):
    # A newer version may tell more; an older reader passes that over.
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str  #: The stream's id: resume after it.
    type: str
    at: datetime


class BatchEvent(_Event):
    """A change of a batch as a whole, in the order of its number `n`; rows have events of their own.

    `type` is `sealed`, `progress` (another tenth of its jobs has ended), `held`, `braked` (held, as too many have
    failed), `released`, `cancelled`, `finished` or `reopened`: one of its jobs is made again. `counts` are those of that moment, `rows` how many
    were accepted.
    """

    kind: Literal["batch"] = "batch"
    batch: BatchId
    n: int
    name: str = ""
    owner: str = ""
    rows: int
    counts: BatchCounts
    reason: str = ""  #: Why it is braked.


class NodeEvent(_Event):
    """A node's state is another one; `type` is `state`.

    `state` and `was` are values of `NodeState`, or words of a newer version; `was` is empty for a new node.
    One that has fallen silent is `offline`, though it could write nothing itself.
    """

    kind: Literal["node"] = "node"
    node: str
    pool: str = ""
    state: str
    was: str = ""
    reason: str = ""


FleetEvent = BatchEvent | NodeEvent
