"""Takes messages off the broker, whatever stands in its lists.

kombu 5.7.0 hands an entry of a list to Celery as it comes. One that is torn, or no message at all,
raises where it is read, and that ends the worker's event loop; the next worker takes the next one.
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

#: What kombu 5.7.0 raises over an entry that is no message. Errors of a connection are others.
_NO_MESSAGE: Final = (ValueError, TypeError, LookupError, AttributeError, RecursionError)


class Channel(redis.Channel):
    """Passes over what is no JSON; the job that it may have been is sent again by upkeep."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except _NO_MESSAGE as exc:
            pass_over(repr(exc))
            return True


class Transport(redis.Transport):
    """kombu's Redis transport, which delivers nothing but messages for a task that we have."""

    Channel = Channel

    def _deliver(self, message: Any, queue: str) -> None:
        if flaw := flaw_of(message):
            pass_over(f"in {queue}: {flaw}")
        else:
            super()._deliver(message, queue)  # type: ignore[no-untyped-call]


def use(*, on_passed_over: Callable[[], None]) -> None:
    """Have the worker's connections to Redis made by this transport.

    Args:
        on_passed_over: called for each message that was taken and begins no task.
    """
    global _on_passed_over  # noqa: PLW0603 - kombu makes transports by itself, from a class
    _on_passed_over = on_passed_over
    for scheme in ("redis", "rediss"):
        kombu.transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"


def pass_over(why: str) -> None:
    """Tell of an entry that is gone from its list and begins nothing."""
    _log.error("an entry of the broker that is no message of ours is passed over: %.200s", why)
    _on_passed_over()


def flaw_of(message: Any) -> str:
    """Say why a list's entry is no message for a task of ours; empty if it is one."""
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
    """Nobody has asked to be told."""


_on_passed_over: Callable[[], None] = _ignore
