"""Previews in the store: the newest picture of a job that runs, and the word that somebody watches."""

from __future__ import annotations

import json
import time
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from producer.contract.ids import JobId
from producer.contract.json_texts import read_json
from producer.contract.previews import Preview, PreviewNote
from producer.store import keys, limits
from producer.store.attempts import Hold
from producer.store.connection import translated
from producer.store.scripts import Scripts
from producer.store.times import utc

if TYPE_CHECKING:
    from redis import Redis

#: How often a process says that a job's previews are watched, s; a third of how long that holds.
_TELL_EVERY_S: Final = limits.PREVIEW_MS / 3_000


class Picture(NamedTuple):
    """A preview as a worker hands it on.

    Args:
        graph_node: the id of the one that renders; None where the node does not say.
        media_type: `image/jpeg` or `image/png`.
    """

    graph_node: str | None
    media_type: str
    content: bytes


class Previews:
    """Writes and reads previews. Thread-safe.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)
        self._told: dict[JobId, float] = {}
        self._lock = Lock()

    def write(self, hold: Hold, picture: Picture) -> None:
        """Keep a preview for 15 s, in place of the one before; not if the attempt does not hold the job any more.

        Raises:
            FleetUnreachable: Redis did not answer, or is full.
        """
        about = {
            "attempt": hold.attempt,
            "graph_node": picture.graph_node,
            "media_type": picture.media_type,
            "bytes": len(picture.content),
        }
        self._scripts.run(
            "preview",
            keys=[keys.job(hold.job_id), keys.preview(hold.job_id)],
            args=[hold.attempt, hold.worker, json.dumps(about), picture.content],
        )

    def find(self, job_id: JobId) -> Preview | None:
        """Return the newest preview of a job, if there is one; who asks watches."""
        self._say_watched(job_id)
        at_ms, about, content = self._read(job_id, "at_ms", "about", "picture")
        if not (at_ms and about and content):
            return None
        return Preview(job=job_id, at=utc(at_ms.decode()), **read_json(about), content=content)

    def find_note(self, job_id: JobId) -> PreviewNote | None:
        """Return the same without its picture."""
        self._say_watched(job_id)
        at_ms, about = self._read(job_id, "at_ms", "about")
        if not (at_ms and about):
            return None
        return PreviewNote(job=job_id, at=utc(at_ms.decode()), **read_json(about))

    def _read(self, job_id: JobId, *fields: str) -> list[bytes | None]:
        with translated(self._redis):
            found: Any = self._redis.execute_command(  # type: ignore[no-untyped-call]
                "HMGET", keys.preview(job_id), *fields, NEVER_DECODE=True
            )
        return list(found)

    def _say_watched(self, job_id: JobId) -> None:
        """Tell the workers, at most every 5 s. A call: what nobody watches costs no worker a look."""
        now = time.monotonic()
        with self._lock:
            self._told = {job: at for job, at in self._told.items() if now - at < _TELL_EVERY_S}
            if job_id in self._told:
                return
            self._told[job_id] = now
        with translated(self._redis):
            self._redis.publish(keys.CALLS, f"preview {job_id}")
