"""Fetching and storing are tried again, never the render: the picture is there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential_jitter,
)

from producer.contract.errors import NodeError, ObjectConflict, StorageError
from worker.comfyui.outputs import Spooled
from worker.lease import Lease

_log = logging.getLogger(__name__)

#: Long enough for a store's restart, short enough that the job may go elsewhere, s.
_GIVE_UP_AFTER_S: Final = 600.0


#: A file that came damaged so often is damaged on its node.
_FETCHES: Final = 3


class _Transient(Exception):
    """Carries a storage error that another try may mend."""


def until_stored(store: Callable[[], None], lease: Lease) -> None:
    """Call *store* until S3 has done as asked.

    Raises:
        StorageError: it has not for ten minutes, or never will (the key holds other bytes).
        LeaseLost, JobCancelled: there is nothing to store for any more.
    """

    def tried() -> None:
        lease.check()
        try:
            store()
        except ObjectConflict:
            raise
        except StorageError as exc:
            raise _Transient from exc

    retrying = Retrying(
        retry=retry_if_exception_type(_Transient),
        stop=stop_after_delay(_GIVE_UP_AFTER_S),
        wait=wait_exponential_jitter(initial=0.2, max=15),
        before_sleep=_say,
        sleep=lambda seconds: _sleep(seconds, lease),
        reraise=True,
    )
    try:
        retrying(tried)
    except _Transient as exc:
        raise exc.__cause__ or exc from None


def until_fetched(fetch: Callable[[], Spooled], lease: Lease) -> Spooled:
    """Call *fetch* until it brings the file whole, a few times.

    Raises:
        NodeError: it did not.
        LeaseLost, JobCancelled: there is nothing to fetch for any more.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(NodeError),
        stop=stop_after_attempt(_FETCHES),
        wait=wait_exponential_jitter(initial=0.5, max=5),
        sleep=lambda seconds: _sleep(seconds, lease),
        reraise=True,
    )
    for attempt in retrying:
        with attempt:
            lease.check()
            return fetch()
    raise AssertionError("tenacity ends with a result or an error")


def _sleep(seconds: float, lease: Lease) -> None:
    """Wait, but no longer than the lease is ours."""
    lease.lost.wait(seconds)


def _say(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.warning("storing failed, trying again: %s", error.__cause__ if error else "?")
