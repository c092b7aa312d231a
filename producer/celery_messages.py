"""Messages as Celery writes them: one that it wrote itself, with what differs from message to message put in.

Celery and kombu (5.7.0) take 0.3 ms to write one, ten times as long as Redis takes to keep it. All of it but the task's
id, its arguments, list and priority is the same in each; that part is Celery's own, taken once a process.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import uuid4

from producer.celery_app import celery_app

#: Where something is put into the text of a message, quotes included.
_PLACE: Final = re.compile(r'"@([a-z]+)@"')


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
        self._patterns: dict[int, _Pattern] = {}

    def write(self, call: TaskCall) -> str:
        """Return the entry of a broker's list that `send_task` would write, but for the id of its delivery."""
        pattern = self._patterns.get(os.getpid()) or self._take_pattern()
        body = f"[{json.dumps(list(call.args))}, {pattern.after_args}]".encode()
        put_in = {
            "body": f'"{base64.b64encode(body).decode()}"',
            "task": json.dumps(call.name),
            "id": json.dumps(call.id),
            "queue": json.dumps(call.queue),
            "priority": str(call.priority),
            "tag": f'"{uuid4()}"',
        }
        pieces = pattern.pieces.copy()
        pieces[1::2] = [put_in[name] for name in pieces[1::2]]
        return "".join(pieces)

    def _take_pattern(self) -> _Pattern:
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
        self._patterns[os.getpid()] = _pattern_of(message)
        return self._patterns[os.getpid()]


class _Pattern(NamedTuple):
    """What is alike in all messages.

    Args:
        pieces: the text of an entry; each second one is the name of what is put in there.
        after_args: the text of its body after the arguments.
    """

    pieces: list[str]
    after_args: str


def _pattern_of(message: dict[str, Any]) -> _Pattern:
    _, kwargs, embedded = json.loads(base64.b64decode(message["body"]))
    properties = message["properties"]
    marked = {
        **message,
        "body": "@body@",
        "headers": {**message["headers"], "task": "@task@", "id": "@id@", "root_id": "@id@"},
        "properties": {
            **properties,
            "correlation_id": "@id@",
            "priority": "@priority@",
            "delivery_info": {**properties["delivery_info"], "routing_key": "@queue@"},
            "delivery_tag": "@tag@",
        },
    }
    after_args = json.dumps([kwargs, embedded])[1:-1]
    return _Pattern(_PLACE.split(json.dumps(marked)), after_args)
