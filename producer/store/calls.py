"""Calls to workers over Redis pub/sub: news that should not wait for the next beat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from producer.store import keys
from producer.store.connection import translated

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import PubSub


@dataclass(frozen=True)
class Call:
    """One call.

    `queue NAME` when a queue is new, `cancel JOB` when a running job should end, `warm NODE MODELS`
    when a node turns to other models, `rescan NODE` (or `*`) when files were put on a node,
    `contradicted NODE JOB MESSAGE` when a job that a node failed has succeeded elsewhere, `outlook
    JSON` about once a second.
    """

    what: str
    about: str


def listen(redis: Redis, *, timeout: timedelta) -> Iterator[Call | None]:
    """Yield the calls as they come, and None whenever none came for *timeout*.

    Calls are not kept: whoever was not connected has missed them. The first value is None, as soon
    as the subscription stands, so that the listener can catch up with what it missed.

    Raises:
        FleetUnreachable: the connection broke; listen again.
    """
    with translated(redis), _pubsub(redis) as subscription:
        subscription.subscribe(keys.CALLS)
        yield None
        while True:
            message: Any = subscription.get_message(timeout=timeout.total_seconds())
            if message is None:
                yield None
                continue
            what, _, about = message["data"].partition(" ")
            yield Call(what, about)


def _pubsub(redis: Redis) -> PubSub:
    pubsub: PubSub = redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    return pubsub
