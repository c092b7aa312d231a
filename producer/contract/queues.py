"""Queues that jobs wait in: their names, needs and priorities, and the messages on them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Self

from producer.contract.ids import JobId
from producer.contract.json_texts import read_json

#: The Celery task of workers; never rename it: a worker that does not know a task's name drops its message.
RUN_TASK: Final = "comfyfleet.run"
#: That of the senders of webhooks, and their queue.
HOOK_TASK: Final = "comfyfleet.tell"
HOOK_QUEUE: Final = "comfyfleet.hooks"

_OF_POOL: Final = "comfyfleet.pool."
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class Tier(StrEnum):
    """How urgent a job is; a more urgent tier goes first, whatever models are loaded."""

    RUSH = "rush"
    DEFAULT = "default"
    BATCH = "batch"
    IDLE = "idle"

    @property
    def priority(self) -> int:
        """The kombu priority: 0 is served first, and is also that of a message without one."""
        return PRIORITIES[self]


PRIORITIES: Final = {Tier.RUSH: 0, Tier.DEFAULT: 3, Tier.BATCH: 6, Tier.IDLE: 9}


class Message(NamedTuple):
    """A message on the broker that wakes a worker for one attempt at a job."""

    job_id: JobId
    attempt: int
    queue: str
    priority: int


@dataclass(frozen=True)
class Needs:
    """What a node must have to serve a queue.

    Args:
        models: base models, parts joined by `/`.
        classes: graph node classes that not every node of the pool has.
    """

    pool: str
    models: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, pool: str, *, models: Iterable[str] = (), classes: Iterable[str] = ()) -> Self:
        """Return the needs with each list sorted and without duplicates."""
        return cls(pool, tuple(sorted(set(models))), tuple(sorted(set(classes))))

    @property
    def queue(self) -> str:
        """The queue for jobs with these needs: `comfyfleet.pool.<pool>.<12 hex, or any>`."""
        wanted = [*self.models, *(f"class:{name}" for name in self.classes)]
        if not wanted:
            return f"{_OF_POOL}{self.pool}.any"
        digest = hashlib.sha256("\n".join(wanted).encode()).hexdigest()
        return f"{_OF_POOL}{self.pool}.{digest[:12]}"

    def to_json(self) -> str:
        """Return it as the value of one field of the `comfyfleet:queues` hash."""
        return json.dumps({"pool": self.pool, "models": self.models, "classes": self.classes})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; fields of newer versions are ignored.

        Raises:
            ValueError, TypeError, KeyError: it is no such JSON.
        """
        found = read_json(text)
        return cls.of(found["pool"], models=found["models"], classes=found["classes"])


def readable_needs(queues: Mapping[str, str]) -> dict[str, Needs]:
    """Return the needs of queues by name, without those whose JSON is invalid.

    Args:
        queues: JSON by queue, as `Needs.to_json` writes it.
    """
    found = {}
    for queue, text in queues.items():
        with suppress(ValueError, TypeError, KeyError):
            found[queue] = Needs.from_json(text)
    return found


def node_queue(node: str) -> str:
    """Return the queue of the jobs pinned to *node*."""
    return f"comfyfleet.node.{node}"


def pinned_node(queue: str) -> str | None:
    """Return the node whose own queue it is, or None for a pool's queue."""
    return queue.removeprefix("comfyfleet.node.") if queue.startswith("comfyfleet.node.") else None


def is_name(text: str) -> bool:
    """Tell whether *text* may name a node or a pool: it becomes a part of keys and queues."""
    return _NAME.fullmatch(text) is not None


def pool_of(queue: str) -> str | None:
    """Return the pool that a queue is of, or None for a node's queue."""
    is_pools = queue.startswith(_OF_POOL)
    return queue.removeprefix(_OF_POOL).rpartition(".")[0] or None if is_pools else None
