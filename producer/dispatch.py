"""Dispatch: puts job ids on the broker. A message only wakes a worker; the record says what to do."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from producer.celery_messages import MessageWriter, TaskCall
from producer.contract.config.redis_address import RedisAddress
from producer.contract.config.settings import Settings, without_password
from producer.contract.errors import FleetError, FleetUnreachable
from producer.contract.number_words import how_many
from producer.contract.queues import HOOK_QUEUE, HOOK_TASK, RUN_TASK, Message
from producer.store import keys
from producer.store.connection import advice_on, connect

_log = logging.getLogger(__name__)

#: How long a request waits for a Redis that hangs, s; with the one retry it is twice that.
_ANSWER_TIMEOUT_S: Final = 2.0
_RETRIES: Final = 1


class Dispatch:
    """Sends messages for jobs that have a record. Thread-safe.

    Sending twice is harmless: the second claim finds the job taken. Messages that were not sent are
    sent by upkeep within seconds. That of a job that is handed in singly is sent by the script that records it.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.redis_url
        self._redis = connect(settings, timeout_s=_ANSWER_TIMEOUT_S, retries=_RETRIES)
        self._writer = MessageWriter()

    def send_all(self, messages: Iterable[Message]) -> None:
        """Send messages in one round trip.

        Raises:
            FleetUnreachable: the broker did not take the messages, or perhaps only some.
        """
        self._send([_as_call(message) for message in messages])

    def written(self, message: Message) -> str:
        """Return a message as it lies in its list of the broker, for a script that sends it."""
        return self._writer.write(_as_call(message))

    def wake_senders(self, count: int) -> None:
        """Wake senders of webhooks by *count* messages, which say nothing; errors as of `send_all`."""
        self._send([TaskCall(name=HOOK_TASK, queue=HOOK_QUEUE, priority=0) for _ in range(count)])

    def try_send_all(self, messages: Sequence[Message]) -> None:
        """Call `send_all`, and log an error instead of raising it: upkeep sends the messages then."""
        if not messages:
            return
        try:
            self.send_all(messages)
        except FleetError as exc:
            waiting = messages[0].job_id if len(messages) == 1 else how_many(len(messages), "job")
            _log.warning("%s: not sent, upkeep will do it: %s", waiting, exc)

    def close(self) -> None:
        """Close all connections; they are opened again at the next use."""
        self._redis.close()

    def _send(self, calls: Sequence[TaskCall]) -> None:
        # Imported here: it takes 60 ms, which `comfyfleet --help` should not.
        from redis.exceptions import RedisError  # noqa: PLC0415

        lists: defaultdict[str, list[str]] = defaultdict(list)
        for call in calls:
            # As kombu's transport for Redis does it; the oldest is the tail.
            lists[keys.message_list(call.queue, call.priority)].append(self._writer.write(call))
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                for name, entries in lists.items():
                    pipe.lpush(name, *entries)
                pipe.execute()
        except (RedisError, OSError) as exc:
            raise self._unreachable(exc) from exc

    def _unreachable(self, error: Exception) -> FleetUnreachable:
        return FleetUnreachable(
            f"the broker at {without_password(self._url)} did not take a message: {error}",
            advice=advice_on(error, self._redis),
        )


def _as_call(message: Message) -> TaskCall:
    return TaskCall(
        name=RUN_TASK,
        args=(message.job_id, message.attempt),
        id=f"{message.job_id}.{message.attempt}",
        queue=message.queue,
        priority=message.priority,
    )


def broker_url(redis_url: str) -> str:
    """Return the fleet's Redis address as Celery's broker URL."""
    return RedisAddress.parse(redis_url).broker_url
