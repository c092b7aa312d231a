"""Calls to workers over Redis pub/sub, for what should not wait until their next beat."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from producer.store import keys
from producer.store.connection import translated
from producer.store.outlook import Outlook, read_models

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import PubSub

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """One call.

    `watched`: somebody begins to read the events; `queue NAME`: a queue is new; `cancel JOB`: a running job is to
    be cancelled; `warm NODE MODELS`: a node loads other models; `rescan NODE` (or `*`): it is to read its models
    and classes again; `desired NODE`: a person wants something else of it, which its next beat tells; `contradicted NODE JOB MESSAGE`: a job that failed on the node has succeeded on another;
    `outlook JSON`: about once a second, see `outlook`; `swept`: some process sweeps; `sweep WORKER`: it leaves
    that to the others; `preview JOB ...`: somebody watches previews of these jobs, for 15 s from now.

    Args:
        outlook, models: what *about* holds, read.
    """

    what: str
    about: str
    outlook: Outlook | None = field(default=None, compare=False)
    models: frozenset[str] = field(default=frozenset(), compare=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a call; one that a newer version makes has a `what` that nobody here acts on.

        Raises:
            ValueError: it makes no sense. Whoever reaches Redis can publish anything.
        """
        what, _, about = text.partition(" ")
        try:
            if what == "outlook":
                return cls(what, about, outlook=Outlook.parse(about))
            if what == "warm":
                return cls(what, about, models=read_models(about.partition(" ")[2]))
        except (LookupError, TypeError, OverflowError, RecursionError) as exc:
            raise ValueError(f"{type(exc).__name__}: {exc}") from exc
        return cls(what, about)


def listen(redis: Redis, *, timeout: timedelta) -> Iterator[Call | None]:
    """Yield the calls as they come, and None whenever none came for *timeout*.

    One that makes no sense is passed over; the first of them is logged.

    Calls are not stored: those sent while no connection existed are missed. The first value is None,
    once the subscription is made, so that the caller can then read what it missed.

    Raises:
        FleetUnreachable: the connection broke; listen again.
    """
    is_told = False
    with translated(redis), _pubsub(redis) as subscription:
        subscription.subscribe(keys.CALLS)
        yield None
        while True:
            message: Any = subscription.get_message(timeout=timeout.total_seconds())
            if message is None:
                yield None
                continue
            try:
                call = Call.parse(message["data"])
            except ValueError as exc:
                if not is_told:
                    _log.warning("a call makes no sense and is passed over: %s", exc)
                is_told = True
                continue
            yield call


def _pubsub(redis: Redis) -> PubSub:
    pubsub: PubSub = redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    return pubsub
