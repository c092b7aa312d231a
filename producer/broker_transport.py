"""Broker transport: kombu's for Redis, changed to skip list entries that are no messages of the fleet.

kombu 5.7.0 hands every entry of a list to Celery unchecked. A torn one, or one that is no message,
raises while it is read, and that ends the worker's event loop; then the next worker pops the next one.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from typing import Any, Final

import kombu.transport
from kombu.transport import redis

from producer.celery_app import celery_app

_log = logging.getLogger(__name__)

#: What kombu 5.7.0 raises for an entry that is no message; connection errors are other types.
_NO_MESSAGE: Final = (ValueError, TypeError, LookupError, AttributeError, RecursionError)


class Channel(redis.Channel):
    """Skips entries that are no JSON; if one was a job's message, upkeep sends it again."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except _NO_MESSAGE as exc:
            skip(repr(exc))
            return True


class Transport(redis.Transport):
    """kombu's Redis transport, which delivers only messages for tasks of this worker."""

    Channel = Channel

    def _deliver(self, message: Any, queue: str) -> None:
        if flaw := flaw_of(message):
            skip(f"in {queue}: {flaw}")
        else:
            super()._deliver(message, queue)  # type: ignore[no-untyped-call]


def use(*, on_message_skipped: Callable[[], None]) -> None:
    """Register this transport for `redis://` and `rediss://` in kombu.

    Args:
        on_message_skipped: called for each entry that was popped and starts no task.
    """
    global _on_message_skipped  # noqa: PLW0603 - kombu makes transports by itself, from a class
    _on_message_skipped = on_message_skipped
    for scheme in ("redis", "rediss"):
        kombu.transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"


def skip(why: str) -> None:
    """Log an entry that was popped and starts no task, and report it."""
    _log.error("skipped an entry of a broker list that is no message of ours: %.200s", why)
    _on_message_skipped()


def flaw_of(message: Any) -> str:
    """Return why a list's entry is no message for a task of ours; "" if it is one."""
    match message:
        case {
            "headers": {"task": str(task), "id": str()},
            "properties": {
                "delivery_tag": str(),
                "delivery_info": {"exchange": str(), "routing_key": str()},
            },
            "body": str(body),
        }:
            if task not in celery_app().tasks:
                return f"task {task!r} is unknown"
            return "" if _is_base64(body) else "its body is torn"
        case _:
            return "no message of Celery's"


def _is_base64(body: str) -> bool:
    try:
        base64.b64decode(body, validate=True)
    except ValueError:
        return False
    return True


def _ignore() -> None:
    """Default callback: do nothing."""


_on_message_skipped: Callable[[], None] = _ignore
