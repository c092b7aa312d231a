"""Puts job ids on the broker. The message only wakes a worker; the record says what to do."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from producer.contract.errors import FleetUnreachable
from producer.contract.ids import JobId
from producer.contract.queues import RUN_TASK
from producer.contract.settings import Settings, without_password

#: How long a Redis that hangs may hold up a request, s; with the one retry it is twice that.
_PATIENCE_S: Final = 2.0


class Dispatch:
    """Sends messages for jobs that have a record; may be shared by threads.

    Sending twice is harmless: the claim of the second finds the job taken. Not sending is
    mended by upkeep within seconds.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.redis_url

    def send(self, job_id: JobId, *, attempt: int, queue: str, priority: int) -> None:
        """Wake a worker for one attempt at a job.

        Raises:
            FleetUnreachable: the broker did not take the message, or not for sure.
        """
        # Here and not above: 0.2 s that `comfyfleet --help` need not pay.
        from kombu.exceptions import OperationalError  # noqa: PLC0415

        from celery_config import app  # noqa: PLC0415

        try:
            with self._producers.acquire(block=True, timeout=10) as producer:
                app.send_task(
                    RUN_TASK,
                    args=(job_id, attempt),
                    task_id=f"{job_id}.{attempt}",
                    queue=queue,
                    priority=priority,
                    producer=producer,
                    ignore_result=True,
                    retry_policy={"max_retries": 1, "interval_start": 0.1},
                    # Celery would copy the arguments' text into the headers.
                    argsrepr="-",
                    kwargsrepr="-",
                )
        except OperationalError as exc:
            raise FleetUnreachable(
                f"the broker at {without_password(self._url)} did not take a message: {exc}",
                advice="is Redis running, and is COMFYFLEET_REDIS_URL right?",
            ) from exc

    @cached_property
    def _producers(self) -> Any:
        """A pool of broker connections of our own, so that the app's settings stay untouched."""
        from kombu.pools import producers  # noqa: PLC0415

        from celery_config import app  # noqa: PLC0415

        options = {**app.conf.broker_transport_options, "socket_timeout": _PATIENCE_S}
        connection = app.connection_for_write(broker_url(self._url), transport_options=options)
        return producers[connection]


def broker_url(redis_url: str) -> str:
    """Return how Celery spells the address of our Redis."""
    return redis_url.replace("unix://", "redis+socket://", 1)
