"""Circuit breaker for S3: no job is claimed while the bucket takes no writes."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from threading import Lock
from typing import Final

from producer.contract.errors import BucketFull, StorageError, StorageUnreachable
from producer.storage.object_store import ObjectStore

_log = logging.getLogger(__name__)

#: Failures that pass within so long are nobody's business, s.
_OPENS_AFTER_S: Final = 3.0

#: So long the word of a write that found no room is believed, s.
_FULL_S: Final = 60.0


class StorageBreaker:
    """Open while the storage counts as broken; `reason` says why."""

    def __init__(
        self,
        objects: ObjectStore,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._objects = objects
        self._on_broken: Callable[[], None] = lambda: None
        self._lock = Lock()
        self._failing_since: float | None = None
        self._full_at = -math.inf
        self.reason: str | None = None  #: Why the storage counts as broken; None while it does not.

    def set_on_broken(self, on_broken: Callable[[], None]) -> None:
        """Have *on_broken* called each time the breaker opens."""
        self._on_broken = on_broken

    def on_failure(self, error: StorageError) -> None:
        """Count a failed request; open the breaker if failures have lasted.

        A request that fails time and again may itself be wrong, so the bucket is probed first.
        """
        if isinstance(error, BucketFull):
            self._full_at = self._clock()
        is_plain = isinstance(error, BucketFull | StorageUnreachable)
        if self._count_failure() and (is_plain or not self.probe_succeeds()):
            self._open(error)

    def probe_succeeds(self) -> bool:
        """Return whether the fleet's own bucket is there and takes a write."""
        try:
            self._objects.probe()
        except StorageError as exc:
            _log.debug("the bucket is not well: %s", exc)
            return False
        return True

    def _probe_for_room(self) -> None:
        # A few bytes fit where a picture does not; attempts that wait for room ask all along.
        if self.reason is not None and self._clock() - self._full_at < _FULL_S:
            raise BucketFull(self.reason)
        self._objects.probe()

    def _count_failure(self) -> bool:
        """Tell, once in a while, that trouble has lasted, and nobody was told."""
        with self._lock:
            now = self._clock()
            self._failing_since = self._failing_since or now
            if self.reason is not None or now - self._failing_since < _OPENS_AFTER_S:
                return False
            self._failing_since = now
            return True

    def _open(self, error: StorageError) -> None:
        with self._lock:
            self.reason = error.message
        _log.error("no job is taken until the storage works again: %s", error)
        self._on_broken()

    def on_success(self) -> None:
        """Close the breaker: a request succeeded."""
        with self._lock:
            self._failing_since, self._full_at = None, -math.inf
            was_broken, self.reason = self.reason is not None, None
        if was_broken:
            _log.info("the storage works again")

    def probe(self) -> None:
        """Write to the bucket; close or open the breaker by the result.

        Raises:
            StorageError: it is broken still.
        """
        try:
            self._probe_for_room()
        except StorageError as exc:
            with self._lock:
                self._failing_since = self._failing_since or self._clock()
                self.reason = exc.message
            raise
        self.on_success()
