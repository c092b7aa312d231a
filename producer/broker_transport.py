"""Broker transport: kombu's for Redis, changed in two ways.

It skips list entries that are no messages of the fleet: kombu 5.7.0 hands every entry of a list to Celery
unchecked. A torn one raises while it is read, and that ends the worker's event loop; then the next worker
pops the next one.

Its blocking pops last long, so that an idle node costs Redis little, and are ended once the worker would
ask other queues, or none: kombu repeats them every second to notice that.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

import kombu.transport
from kombu.transport import redis
from redis.exceptions import ResponseError

from producer.celery_app import celery_app

_log = logging.getLogger(__name__)

#: What kombu 5.7.0 raises for an entry that is no message; connection errors are other types.
_NO_MESSAGE: Final = (ValueError, TypeError, LookupError, AttributeError, RecursionError)

#: How long a pop waits for a message, s; kombu's own second where Redis does not let us end one.
_POP_S: Final = 10
_UNENDED_POP_S: Final = 1
#: How often it is checked whether a pop asks the right queues, s: not every change is told.
_CHECK_EVERY_S: Final = 0.5


class Channel(redis.Channel):
    """Skips entries that are no JSON: if one was a job's message, upkeep sends it again. Ends stale pops."""

    _asked: frozenset[str] = frozenset()  #: The queues that the pop in progress asks.
    _socket: Any = (
        None  #: That of the pops, and the id that Redis gave it; None if it cannot be ended.
    )
    _client_id: int | None = None

    def _brpop_start(self, timeout: float | None = None) -> None:
        self._asked = frozenset(self._queues_to_ask())
        if self._asked:
            self._identify(self.client.connection)
        super()._brpop_start(timeout or (_POP_S if self._client_id else _UNENDED_POP_S))  # type: ignore[no-untyped-call]

    def end_stale_pop(self) -> None:
        """End the pop in progress if it asks other queues than it should by now."""
        if self._in_poll and self._asked != frozenset(self._queues_to_ask()):
            self.end_pop()

    def end_pop(self) -> None:
        """Have Redis answer the pop in progress now. A message that it has given already is not lost."""
        if not self._in_poll or self._client_id is None:
            return
        try:
            with self.conn_or_acquire() as client:
                client.client_unblock(self._client_id)
        except ResponseError as exc:
            _log.info("pops are short, as Redis does not let us end one: %s", exc)
            self._client_id = None
        except self.connection_errors as exc:
            _log.debug("a pop was not ended: %s", exc)  # its own connection will fail, too

    def basic_cancel(self, consumer_tag: str) -> Any:
        self.end_pop()  # it asks that queue, too
        return super().basic_cancel(consumer_tag)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        self.end_pop()  # kombu waits for it
        super().close()  # type: ignore[no-untyped-call]

    def _queues_to_ask(self) -> list[str]:
        order = self._queue_cycle
        # kombu's own orders have no `peek`, as their `consume` only looks.
        asked: list[str] = getattr(order, "peek", order.consume)(len(self.active_queues))
        return asked

    def _identify(self, connection: Any) -> None:
        """Ask for the id of a new connection, before its first pop."""
        if connection._sock is not None and connection._sock is self._socket:  # noqa: SLF001 - redis-py has no other sign of it
            return
        self._client_id = None
        connection.send_command("CLIENT", "ID")
        with suppress(ResponseError):  # no right to: its pops cannot be ended
            self._client_id = int(connection.read_response())
        self._socket = connection._sock  # noqa: SLF001 - as above

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except _NO_MESSAGE as exc:
            skip(repr(exc))
            return True


class Transport(redis.Transport):
    """kombu's Redis transport, which delivers only messages for tasks of this worker."""

    Channel = Channel
    #: After this and the interval of health checks kombu takes a pop's connection for dead.
    brpop_timeout = _POP_S

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        super().register_with_event_loop(connection, loop)  # type: ignore[no-untyped-call]
        _polling.add(self)
        # After each reconnect Celery registers a new transport with its loop, whose timers it may have cleared.
        if former := _checks.get(loop):
            former.cancel()
        _checks[loop] = loop.call_repeatedly(_CHECK_EVERY_S, end_stale_pops)

    def end_stale_pops(self) -> None:
        """See `Channel.end_stale_pop`."""
        for channel in list(self.channels or ()):
            channel.end_stale_pop()

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


def end_stale_pops() -> None:
    """End each pop that asks other queues than the worker should by now; call it on the event loop."""
    for transport in list(_polling):
        transport.end_stale_pops()


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


#: The transports that an event loop polls.
_polling: Final[WeakSet[Transport]] = WeakSet()
#: The timer of each event loop that checks its pops.
_checks: Final[WeakKeyDictionary[Any, Any]] = WeakKeyDictionary()
_on_message_skipped: Callable[[], None] = _ignore
