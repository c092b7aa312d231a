"""Dispatch: puts job ids on the broker. A message only wakes a worker; the record says what to do."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final

from producer.celery_app import celery_app
from producer.contract.config.redis_address import RedisAddress
from producer.contract.config.settings import Settings, without_password
from producer.contract.errors import FleetError, FleetUnreachable
from producer.contract.queues import HOOK_QUEUE, HOOK_TASK, RUN_TASK, Message
from producer.store.connection import NOT_THERE, advice_on

_log = logging.getLogger(__name__)

#: How long a request waits for a Redis that hangs, s; with the one retry it is twice that.
_ANSWER_TIMEOUT_S: Final = 2.0


class Dispatch:
    """Sends messages for jobs that have a record. Thread-safe.

    Sending twice is harmless: the second claim finds the job taken. Messages that were not sent are
    sent by upkeep within seconds.

    Args:
        free_within: how long a thread waits for a free connection of the process.
    """

    def __init__(
        self, settings: Settings, *, free_within: timedelta = timedelta(seconds=10)
    ) -> None:
        self._url = settings.redis_url
        self._free_within_s = free_within.total_seconds()
        self._pools: dict[int, Any] = {}  # by process

    def send_all(self, messages: Iterable[Message]) -> None:
        """Send messages in one round trip.

        Raises:
            FleetUnreachable: the broker did not take the messages, or perhaps only some.
        """
        self._send([_as_task(message) for message in messages])

    def wake_senders(self, count: int) -> None:
        """Wake senders of webhooks by *count* messages, which say nothing; errors as of `send_all`."""
        self._send([{"name": HOOK_TASK, "queue": HOOK_QUEUE, "priority": 0}] * count)

    def _send(self, tasks: list[dict[str, Any]]) -> None:
        # Imported here: it takes 0.2 s, which `comfyfleet --help` should not.
        from kombu.exceptions import KombuError, LimitExceeded  # noqa: PLC0415
        from redis.exceptions import RedisError  # noqa: PLC0415

        try:
            with self._producers.acquire(block=True, timeout=self._free_within_s) as producer:
                self._publish(producer, tasks)
        except LimitExceeded as exc:
            why = f"all {exc} connections of this process were busy for {self._free_within_s:g} s"
            raise self._unreachable(why, "hand in fewer at once, or from more processes") from exc
        except (KombuError, RedisError, OSError) as exc:
            raise self._unreachable(str(exc), advice_on(exc.__cause__ or exc)) from exc
        except AttributeError as exc:
            # If a connection is cut while it is opened, kombu 5.7.0 goes on with None in its place.
            raise self._unreachable("the connection broke", None) from exc

    def try_send_all(self, messages: Sequence[Message]) -> None:
        """Call `send_all`, and log an error instead of raising it: upkeep sends the messages then."""
        if not messages:
            return
        try:
            self.send_all(messages)
        except FleetError as exc:
            waiting = messages[0].job_id if len(messages) == 1 else f"{len(messages):,} jobs"
            _log.warning("%s: not sent, upkeep will do it: %s", waiting, exc)

    def _unreachable(self, why: str, advice: str | None) -> FleetUnreachable:
        return FleetUnreachable(
            f"the broker at {without_password(self._url)} did not take a message: {why}",
            advice=advice or NOT_THERE,
        )

    def _publish(self, producer: Any, tasks: list[dict[str, Any]]) -> None:
        app = celery_app()

        def send(task: dict[str, Any]) -> None:
            app.send_task(
                **task,
                producer=producer,
                ignore_result=True,
                retry_policy={"max_retries": 1, "interval_start": 0.1},
                # Else Celery copies the arguments as text into the headers.
                argsrepr="-",
                kwargsrepr="-",
            )

        if len(tasks) == 1:
            send(tasks[0])
            return
        with producer.batch():
            for task in tasks:
                send(task)

    @property
    def _producers(self) -> Any:
        """A pool of broker connections apart from the app's, whose settings stay unchanged.

        A forked process makes a new one: Celery closes pools inherited from the parent.
        """
        pool = self._pools.get(os.getpid())
        if pool is None:
            pool = self._pools[os.getpid()] = self._pool()
        return pool

    def _pool(self) -> Any:
        from kombu.pools import producers  # noqa: PLC0415

        app = celery_app()
        options = {**app.conf.broker_transport_options, "socket_timeout": _ANSWER_TIMEOUT_S}
        connection = app.connection_for_write(broker_url(self._url), transport_options=options)
        return producers[connection]


def _as_task(message: Message) -> dict[str, Any]:
    return {
        "name": RUN_TASK,
        "args": (message.job_id, message.attempt),
        "task_id": f"{message.job_id}.{message.attempt}",
        "queue": message.queue,
        "priority": message.priority,
    }


def broker_url(redis_url: str) -> str:
    """Return the fleet's Redis address as Celery's broker URL."""
    return RedisAddress.parse(redis_url).broker_url
