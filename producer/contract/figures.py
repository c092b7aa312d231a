"""Figures of the fleet at one moment, as metrics tell them: none takes a look at each job to count."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from producer.contract.nodes import Node
from producer.contract.queues import Tier
from producer.contract.totals import PoolTotals


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True)


class WaitingJobs(_Read):
    """Jobs of one pool and tier that wait.

    Held ones that are no rows of a held batch, and those in the pause before their next attempt, stand in no queue: they
    are counted together, with the pool "" and without a tier.
    """

    pool: str
    tier: Tier | None
    is_held: bool  #: Held, or in such a pause.
    jobs: int
    oldest_at: datetime | None = (
        None  #: Since when the one waits that waits longest; None if `is_held`.
    )


class RedisMemory(_Read):
    """What Redis has in memory, bytes.

    Args:
        limit: its `maxmemory`; None if it has none.
    """

    used: int
    limit: int | None = None


class WebhookFigures(_Read):
    """Messages to webhooks that are not delivered yet.

    Args:
        undelivered: how many; those for webhooks that are disabled do not count.
        oldest_due_at: when the one was due that is due longest, None if none is. Of a webhook whose last message was
            not taken, none counts: that is its receiver's fault.
        failing: webhooks whose last message was not taken.
    """

    undelivered: int
    oldest_due_at: datetime | None
    failing: int


class ActionFigures(_Read):
    """Actions on many jobs that have not ended.

    Args:
        open: how many.
        oldest_at: when the first of them was asked for.
        oldest_turn_at: when the one had its last turn that waits longest for its next.
    """

    open: int
    oldest_at: datetime | None
    oldest_turn_at: datetime | None


class FleetFigures(_Read):
    """All of it; times are aware, in UTC, and by Redis' clock."""

    at: datetime
    nodes: list[Node]
    waiting: list[WaitingJobs]
    totals: dict[str, PoolTotals]
    memory: RedisMemory
    webhooks: WebhookFigures
    actions: ActionFigures
