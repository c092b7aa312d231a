"""Outages of S3, Redis and the node: retries calls within an attempt, so that no render is lost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    retry_if_not_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from producer.contract.errors import (
    BucketForbidden,
    BucketMissing,
    FleetUnreachable,
    ForeignBucketFault,
    ObjectConflict,
    ObjectMissing,
    StorageError,
    StorageFault,
    StorageRefused,
)
from producer.contract.jobs import Job, Phase
from producer.store.attempts import AttemptStore
from worker.attempt.bounded_call import bounded_call
from worker.attempt.lease import JobCancelled, Lease
from worker.attempt.shutdown import Shutdown
from worker.errors import NodeError, OutputUnwritten, PromptLost
from worker.node.storage_breaker import StorageBreaker

_log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

#: Fetches of a file; if all are damaged, the file is damaged on its node.
_FETCHES: Final = 3

#: Errors that no further try changes.
_FINAL: Final = (ObjectConflict, ObjectMissing, StorageRefused)

#: What no further fetch brings.
_ENDED: Final = (OutputUnwritten, PromptLost)

#: Errors that may concern the whole bucket, or one request alone.
_REFUSALS: Final = (BucketForbidden, BucketMissing, StorageFault)

#: Answers of that kind after which the bucket itself is probed.
_REFUSALS_BEFORE_PROBE: Final = 3


class _OneRequest:
    """Tells when a refusal is about one request: it is refused again once the bucket was seen to work.

    Seen to work after a refusal proves nothing: the bucket may have been opened in between.
    """

    def __init__(self, breaker: StorageBreaker) -> None:
        self._breaker = breaker
        self._was_well = False

    def __call__(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, (*_REFUSALS, ForeignBucketFault)):
            return False
        if state.attempt_number < _REFUSALS_BEFORE_PROBE:
            return False
        was_well, self._was_well = self._was_well, self._breaker.probe_succeeds()
        return was_well and self._was_well


class Outages:
    """Repeats calls to S3, Redis and the node, as long as a further try may help.

    Each method returns what its call returns, or raises: an error that no further try would mend,
    LeaseLost or JobCancelled when the attempt is over, Stopping when the worker shuts down.

    Args:
        breaker: counts every failure and success of the storage.
        on_damage: called whenever a file has come damaged, or not at all.
    """

    def __init__(
        self, breaker: StorageBreaker, shutdown: Shutdown, *, on_damage: Callable[[], None]
    ) -> None:
        self._breaker = breaker
        self._shutdown = shutdown
        self._on_damage = on_damage

    def until_storage_answers(self, ask: Callable[[], _Answer], lease: Lease) -> _Answer:
        """Repeat *ask* until S3 answers: the fleet's own bucket for as long as the attempt may take.

        Raises:
            ObjectConflict, ObjectMissing: the object is not as it should be.
            StorageRefused: the bucket works, and refuses this request.
            ForeignBucketFault: a bucket that is not the fleet's does not work, and the fleet's does.
        """

        def tried() -> _Answer:
            self._check(lease)
            try:
                answer = bounded_call(ask, check=lambda: self._check(lease))
            except (*_FINAL, ForeignBucketFault):
                raise
            except StorageError as exc:
                self._breaker.on_failure(exc)
                raise
            self._breaker.on_success()
            return answer

        try:
            return Retrying(
                retry=retry_if_exception_type(StorageError) & retry_if_not_exception_type(_FINAL),
                stop=_OneRequest(self._breaker),
                wait=wait_exponential_jitter(multiplier=0.2, max=15),
                before_sleep=_log_retry,
                sleep=lambda seconds: self.pause(seconds, lease),
                reraise=True,
            )(tried)
        except _REFUSALS as exc:
            raise StorageRefused(exc.message, advice=exc.advice) from exc

    def until_redis_answers(self, write: Callable[[], _Answer], lease: Lease) -> _Answer:
        """Repeat *write* until Redis answers: an hour's render outlasts a restart of Redis."""

        def tried() -> _Answer:
            self._shutdown.check_storing()
            return write()

        return Retrying(
            retry=retry_if_exception_type(FleetUnreachable),
            wait=wait_exponential_jitter(multiplier=0.1, max=2),
            before_sleep=_log_retry,
            # The lease is not checked: whether it still holds Redis decides, once it answers.
            sleep=lambda seconds: _wait(seconds, lease),
        )(tried)

    def enter_phase(self, phase: Phase, lease: Lease, store: AttemptStore) -> Job:
        """Write into the record that the attempt has come to *phase*, and return it."""
        lease.check()
        job, is_cancelled = self.until_redis_answers(
            lambda: store.enter_phase(lease.hold, phase), lease
        )
        if is_cancelled:
            raise JobCancelled
        return job

    def until_fetched(
        self, fetch: Callable[[], _Answer], lease: Lease, *, is_back: Callable[[NodeError], bool]
    ) -> _Answer:
        """Repeat *fetch* until the file comes whole, a few times.

        Args:
            is_back: returns whether an error came from an absence of the node that is now over:
                then the try does not count. It may take its time.

        Raises:
            NodeError: it did not.
        """

        def tried() -> _Answer:
            while True:
                self._check(lease)
                try:
                    return fetch()
                except NodeError as exc:
                    self._on_damage()
                    if not is_back(exc):
                        raise

        return Retrying(
            retry=retry_if_exception_type(NodeError) & retry_if_not_exception_type(_ENDED),
            stop=stop_after_attempt(_FETCHES),
            wait=wait_exponential_jitter(multiplier=0.5, max=5),
            before_sleep=_log_retry,
            sleep=lambda seconds: self.pause(seconds, lease),
            reraise=True,
        )(tried)

    def _check(self, lease: Lease) -> None:
        lease.check()
        self._shutdown.check_storing()

    def pause(self, seconds: float, lease: Lease) -> None:
        """Wait, but not past the end of the lease or of the worker's grace."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not lease.lost.wait(min(0.5, seconds)):
            self._check(lease)


def _wait(seconds: float, lease: Lease) -> None:
    lease.lost.wait(seconds)


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.warning("trying again: %s", error)
