"""Stores in the bucket what jobs share: templates, and extra data without its secrets."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from threading import Lock
from typing import Final

from producer.contract.errors import InvalidInput, JobNotFound, StorageError
from producer.contract.jobs import Job
from producer.storage.object_keys import extra_data_key, template_key
from producer.storage.object_store import ObjectStore
from producer.store.job_store import JobStore
from worker.attempt.lease import Lease
from worker.attempt.outages import Outages
from worker.attempt.templates import Templates

_log = logging.getLogger(__name__)

#: Keys that are known to be stored; one takes about 200 bytes.
_REMEMBERED: Final = 10_000
#: How long nothing is stored after the bucket has refused one of them, s. Refusals cost tries and shut the gate
#: meanwhile, and a rule of the bucket that refuses one refuses the next.
_REFUSED_FOR_S: Final = 600.0


class SharedContents:
    """Stores each content once a process, before the first commit of a job that names it.

    A bucket that refuses them costs no job: the picture is what was asked for.

    Args:
        prefix: goes before every key in the bucket.
    """

    def __init__(
        self,
        objects: ObjectStore,
        store: JobStore,
        templates: Templates,
        outages: Outages,
        *,
        prefix: str,
    ) -> None:
        self._objects = objects
        self._store = store
        self._templates = templates
        self._outages = outages
        self._prefix = prefix
        self._stored: OrderedDict[str, None] = OrderedDict()
        self._refused_until = 0.0
        self._lock = Lock()

    def has_new(self, job: Job) -> bool:
        """Tell whether there is anything to store for *job*."""
        return time.monotonic() >= self._refused_until and any(self._new(job))

    def store(self, job: Job, lease: Lease) -> None:
        """Store what is new; wait for a bucket that is away, as for an artifact.

        Raises:
            LeaseLost, JobCancelled, Stopping: the attempt is over.
        """
        for key, read in list(self._new(job)):
            try:
                self._put(key, read, lease)
            except StorageError as exc:
                self._refused_until = time.monotonic() + _REFUSED_FOR_S
                _log.warning("job %s cannot be made again from its manifest: %s", job.id, exc)
                return
            except (JobNotFound, InvalidInput) as exc:  # Redis has lost it meanwhile
                _log.warning("job %s: %s is not stored: %s", job.id, key, exc)

    def _new(self, job: Job) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """Yield the key of each content that is not known to be stored, and what reads it."""
        contents: list[tuple[str, Callable[[], bytes]]] = [
            (
                template_key(self._prefix, sha256=job.template),
                partial(self._templates.content, job.template),
            )
        ]
        if job.extra_data:
            contents.append(
                (
                    extra_data_key(self._prefix, sha256=job.extra_data),
                    partial(self._store.shared_extra_data, job),
                )
            )
        with self._lock:
            yield from [content for content in contents if content[0] not in self._stored]

    def _put(self, key: str, read: Callable[[], bytes], lease: Lease) -> None:
        body = self._outages.until_redis_answers(read, lease)
        self._outages.until_storage_answers(lambda: self._objects.put_json_text(key, body), lease)
        with self._lock:
            self._stored[key] = None
            if len(self._stored) > _REMEMBERED:
                self._stored.popitem(last=False)
