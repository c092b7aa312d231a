"""Messages as Celery writes them: one that it wrote itself, with what differs from message to message put in.

Celery and kombu (5.7.0) take 0.3 ms to write one, ten times as long as Redis takes to keep it. All of it but the task's
id, its arguments, list and priority is the same in each; that part is Celery's own, taken once a process.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from producer.celery_app import celery_app


@dataclass(frozen=True, kw_only=True)
class TaskCall:
    """A task that a worker is to run.

    Args:
        name: of the task.
        queue: with the priority it names the list, see `keys.message_list`.
    """

    name: str
    queue: str
    priority: int
    args: Sequence[Any] = ()
    id: str = field(default_factory=lambda: str(uuid4()))


class MessageWriter:
    """Writes messages. Thread-safe; a forked process takes a pattern of its own, as it names the process."""

    def __init__(self) -> None:
        self._patterns: dict[int, dict[str, Any]] = {}

    def write(self, call: TaskCall) -> str:
        """Return the entry of a broker's list that `send_task` would write, but for the id of its delivery."""
        pattern = self._patterns.get(os.getpid()) or self._take_pattern()
        headers, properties = pattern["headers"], pattern["properties"]
        _, kwargs, embedded = pattern["body"]
        body = json.dumps([list(call.args), kwargs, embedded]).encode()
        message = {
            **pattern,
            "body": base64.b64encode(body).decode(),
            "headers": {**headers, "task": call.name, "id": call.id, "root_id": call.id},
            "properties": {
                **properties,
                "correlation_id": call.id,
                "priority": call.priority,
                "delivery_info": {**properties["delivery_info"], "routing_key": call.queue},
                "delivery_tag": str(uuid4()),
            },
        }
        return json.dumps(message)

    def _take_pattern(self) -> dict[str, Any]:
        from kombu.connection import Connection  # noqa: PLC0415 - 0.2 s that `comfyfleet --help` need not pay

        app, queue = celery_app(), f"comfyfleet.pattern.{uuid4()}"
        with (
            Connection("memory://") as connection,  # type: ignore[no-untyped-call]
            connection.channel() as channel,
        ):
            app.send_task(
                "pattern",
                queue=queue,
                priority=0,
                producer=app.amqp.Producer(channel),
                ignore_result=True,
                # Else Celery copies the arguments as text into the headers.
                argsrepr="-",
                kwargsrepr="-",
            )
            message: dict[str, Any] = channel._get(queue)  # noqa: SLF001 - as it lies in the list
            channel.queue_delete(queue)
        body = json.loads(base64.b64decode(message["body"]))
        self._patterns[os.getpid()] = {**message, "body": body}
        return self._patterns[os.getpid()]
