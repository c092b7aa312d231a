"""The copier: a thread of a worker that makes copies, one job after the other, one file at a time.

What happens if the worker ends between any two lines:

* after the commit, before the copier has taken the job: it stands in `comfyfleet:copies`, due; any worker takes it.
* after it was taken: nobody renews the hold, so it is due again within a minute.
* after an object was put, before that is noted: it is put once more, the same bytes under the same key.
* after that was noted for some copies: the others are made by whoever takes the job next, and those of the last seconds
  that are not noted are put once more.

So no copy is forgotten, and one may be made twice. Nothing of it is the job's concern: that has succeeded.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from producer.contract.config.deliver_buckets import DeliverBuckets
from producer.contract.config.settings import Settings
from producer.contract.deliver import Copy
from producer.contract.errors import FleetError, FleetUnreachable
from producer.contract.jobs import Job
from producer.storage.copies import CopyStore
from producer.store.copies import CopyQueue, TakenCopies
from producer.store.job_store import JobStore
from worker.attempt.bounded_call import bounded_call
from worker.copies.copying import Copying, failed
from worker.copies.ladder import wait_after
from worker.errors import CopyFailed

if TYPE_CHECKING:
    from redis import Redis

_log = logging.getLogger(__name__)

#: How long a job is the copier's without a word of it, and how often it says one.
_HOLD: Final = timedelta(seconds=60)
_RENEW_S: Final = 15.0
#: How long one artifact may take, s: ten gigabytes at 3 MB/s.
_WITHIN_S: Final = 3_600.0
#: At most so long the copier waits between two looks, s.
_LOOK_EVERY_S: Final = 30.0
_AFTER_TROUBLE_S: Final = 5.0
#: How often it is noted what has come of a job's first copies while more are made, s.
_NOTE_EVERY_S: Final = 5.0


class _Stopped(Exception):
    """The worker stops, or the job is somebody else's; what is not noted is made again."""


class Copier:
    """Makes the copies that are due, until `stop`.

    Args:
        folder: where files lie between two buckets; None: the system's temporary one.
    """

    def __init__(
        self,
        queue: CopyQueue,
        jobs: JobStore,
        copying: Copying,
        *,
        folder: Callable[[], Path | None] = lambda: None,
    ) -> None:
        self._queue = queue
        self._jobs = jobs
        self._copying = copying
        self._folder = folder
        self._woken = Event()
        self._is_stopped = False

    def start(self) -> None:
        """Start the thread, unless the operator lets this worker put copies nowhere: others may, and are to take them."""
        if self._copying.buckets.places:
            Thread(target=self._run, name="copier", daemon=True).start()

    def stop(self) -> None:
        """Have the thread end; what it is busy with is made by another worker."""
        self._is_stopped = True
        self._woken.set()

    def close(self) -> None:
        """Close its connections to S3."""
        self._copying.objects.close()

    def wake(self) -> None:
        """Have it look at once: a job with copies was committed."""
        self._woken.set()

    def _run(self) -> None:
        while not self._is_stopped:
            self._woken.clear()
            wait_s = _AFTER_TROUBLE_S
            try:
                wait_s = self.make_next()
            except FleetError as exc:
                _log.warning("copies: %s", exc)
            except Exception:  # noqa: BLE001 - the thread must live; what it failed at is due again
                if not self._is_stopped:
                    _log.exception("copies: this is a bug; it goes on")
            self._woken.wait(min(wait_s, _LOOK_EVERY_S))

    def make_next(self) -> float:
        """Make the copies of the job that is due; return how long there is nothing more to do, s."""
        taken = self._queue.take(within=_HOLD)
        if taken is None:
            return _LOOK_EVERY_S
        if isinstance(taken, timedelta):
            return taken.total_seconds()
        self._make(taken)
        return 0.0

    def _make(self, taken: TakenCopies) -> None:
        job = self._jobs.find([taken.job_id]).get(taken.job_id)
        if job is None or job.deliver is None:
            self._queue.settle(taken, None, wait=None)
            return
        copies = list(job.copies)
        waiting = [copy for copy in copies if not copy.state.is_final]
        if waiting and job.retried_as and "{job}" not in job.deliver.to:
            copies = [_overtaken(copy, job) for copy in copies]
            waiting = []
        if waiting and (left_s := self._copying.troubled_s(waiting[0].bucket)):
            self._queue.settle(taken, None, wait=timedelta(seconds=left_s))
            return
        noted_at = time.monotonic()
        for n in dict.fromkeys(copy.n for copy in waiting):
            try:
                made = self._of_artifact(taken, job, [copy for copy in waiting if copy.n == n])
            except _Stopped:
                return
            new = {(copy.n, copy.is_thumbnail): copy for copy in made}
            copies = [new.get((copy.n, copy.is_thumbnail), copy) for copy in copies]
            if (
                time.monotonic() - noted_at > _NOTE_EVERY_S
            ):  # not each, as each time all are written
                noted_at = time.monotonic()
                if not self._queue.settle(taken, copies, wait=_HOLD):
                    return  # somebody else has it
        self._settle(taken, job, copies)

    def _of_artifact(self, taken: TakenCopies, job: Job, waiting: Sequence[Copy]) -> list[Copy]:
        ends, renews = time.monotonic() + _WITHIN_S, time.monotonic() + _RENEW_S

        def check() -> None:
            nonlocal renews
            now = time.monotonic()
            if now > ends:
                raise CopyFailed(f"it took longer than {_WITHIN_S:g} s", is_final=False)
            if now > renews:
                renews = now + _RENEW_S
                if not self._queue.settle(taken, None, wait=_HOLD):
                    raise _Stopped
            if self._is_stopped:
                raise _Stopped

        try:
            with tempfile.TemporaryDirectory(prefix="copy-", dir=self._folder()) as folder:
                made = partial(self._copying.make, job, waiting, Path(folder))
                return bounded_call(made, check=check)
        except (_Stopped, FleetUnreachable):
            raise
        except CopyFailed as exc:
            error = exc
        except OSError as exc:
            error = CopyFailed(f"its worker's disk: {exc.strerror}", is_final=False)
        except Exception as exc:  # noqa: BLE001 - a copy that meets a bug each time is to be given up, too
            _log.exception("job %s: copies failed by a bug", job.id)
            error = CopyFailed(f"the worker failed: {exc!r}", is_final=False)
        return [failed(copy, error) for copy in waiting]

    def _settle(self, taken: TakenCopies, job: Job, copies: Sequence[Copy]) -> None:
        waits = [wait_after(copy.tries) for copy in copies if not copy.state.is_final]
        wait = max(filter(None, waits), default=None)
        self._queue.settle(taken, copies, wait=wait)
        for copy in copies:
            if copy.error:
                _log.warning("job %s: the copy %s: %s", job.id, copy.key, copy.error)


def copier_of(
    settings: Settings, redis: Redis, jobs: JobStore, *, folder: Callable[[], Path | None]
) -> Copier:
    """Return the copier of a worker with these settings; `folder` as of `Copier`."""
    copying = Copying(
        objects=CopyStore(settings),
        bucket=settings.s3_bucket,
        prefix=settings.s3_prefix,
        buckets=DeliverBuckets.parse(settings.deliver_buckets),
    )
    return Copier(CopyQueue(redis), jobs, copying, folder=folder)


def _overtaken(copy: Copy, job: Job) -> Copy:
    """Return a copy that is not made any more, as its key may be that of the job that was made again."""
    if copy.state.is_final:
        return copy
    return failed(
        copy, CopyFailed(f"the job was made again as {job.retried_as}, whose copies count")
    )
