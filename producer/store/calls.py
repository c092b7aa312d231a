"""Calls to workers over Redis pub/sub, for what should not wait until their next beat."""

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

    `watched`: somebody begins to read the events; `queue NAME`: a queue is new; `cancel JOB`: a running job is to
    be cancelled; `warm NODE MODELS`: a node loads other models; `rescan NODE` (or `*`): it is to read its models
    and classes again; `contradicted NODE JOB MESSAGE`: a job that failed on the node has succeeded on another;
    `outlook JSON`: about once a second, see `outlook`.
    """

    what: str
    about: str


def listen(redis: Redis, *, timeout: timedelta) -> Iterator[Call | None]:
    """Yield the calls as they come, and None whenever none came for *timeout*.

    Calls are not stored: those sent while no connection existed are missed. The first value is None,
    once the subscription is made, so that the caller can then read what it missed.

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
