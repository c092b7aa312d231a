"""Figures for metrics: counts of what waits, by the indexes and records of batches; Redis' memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from producer.contract.figures import ActionFigures, RedisMemory, WaitingJobs, WebhookFigures
from producer.contract.queue_lines import WaitReason
from producer.contract.queues import PRIORITIES, Tier, pinned_node, pool_of
from producer.store.connection import translated
from producer.store.scripts import Scripts
from producer.store.times import maybe_utc, utc
from producer.store.waiting import unfed_rows

if TYPE_CHECKING:
    from redis import Redis

_TIERS: Final = {priority: tier for tier, priority in PRIORITIES.items()}


class Counted(NamedTuple):
    """What one look has counted, and when, by Redis' clock."""

    at: datetime
    waiting: list[WaitingJobs]
    webhooks: WebhookFigures
    actions: ActionFigures


def count(redis: Redis, scripts: Scripts, *, pool_of_node: Callable[[str], str]) -> Counted:
    """Count what waits, which takes as long however many jobs there are; rows of batches by their batch.

    Args:
        redis: connected with `decode_responses=True`.
        pool_of_node: returns the pool of a node by its name.

    Raises:
        FleetUnreachable: Redis did not answer.
    """
    now, in_no_queue, lines, webhooks, actions = scripts.run(
        "figures", args=list(PRIORITIES.values())
    )
    apart = WaitingJobs(pool="", tier=None, is_held=True, jobs=in_no_queue)
    return Counted(
        at=utc(now),
        waiting=[
            *_in_queues(lines, pool_of_node),
            *_of_batches(redis, pool_of_node),
            *([apart] if in_no_queue else []),
        ],
        webhooks=WebhookFigures(
            undelivered=webhooks[0], oldest_due_at=maybe_utc(webhooks[1]), failing=webhooks[2]
        ),
        actions=ActionFigures(
            open=actions[0],
            oldest_at=maybe_utc(actions[1]),
            oldest_turn_at=maybe_utc(actions[2]),
        ),
    )


def memory_of(redis: Redis) -> RedisMemory:
    """Return what Redis has in memory; raises FleetUnreachable."""
    with translated(redis):
        found: Any = redis.info("memory")
    return RedisMemory(used=found["used_memory"], limit=found["maxmemory"] or None)


def _in_queues(lines: list[Any], pool_of_node: Callable[[str], str]) -> Iterator[WaitingJobs]:
    for queue, priority, jobs, since in lines:
        tier: Tier = _TIERS[priority]
        yield WaitingJobs(
            pool=_pool(queue, pool_of_node),
            tier=tier,
            is_held=False,
            jobs=jobs,
            oldest_at=utc(since),
        )


def _of_batches(redis: Redis, pool_of_node: Callable[[str], str]) -> Iterator[WaitingJobs]:
    for rows in unfed_rows(redis):
        is_held = rows.reason == WaitReason.HELD
        pool = rows.pool or (_pool(rows.queues[0], pool_of_node) if rows.queues else "")
        yield WaitingJobs(
            pool=pool,
            tier=rows.tier,
            is_held=is_held,
            jobs=rows.jobs,
            oldest_at=None if is_held else rows.since,
        )


def _pool(queue: str, pool_of_node: Callable[[str], str]) -> str:
    node = pinned_node(queue)
    return pool_of(queue) or "" if node is None else pool_of_node(node)
