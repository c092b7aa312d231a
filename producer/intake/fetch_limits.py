"""Limits of fetching: what addresses that strangers name may take of a process.

A host that answers slowly, on purpose or not, keeps the thread that asks it. So of the threads of a process, and of the
time of one request, only a part is ever spent on that.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock
from typing import Final

from producer.contract.errors import InvalidInput, TooManyRequests

#: How long one file may take to be fetched, s; and for strangers all of one request together.
FETCHED_WITHIN_S: Final = 60.0
#: When to come again if as much is being fetched as may be.
_AGAIN: Final = timedelta(seconds=5)


@dataclass
class FetchUse:
    """What one request has had fetched so far."""

    files: int = 0
    seconds: float = 0.0


class FetchLimits:
    """The limits of one process, for all its requests. Thread-safe.

    Args:
        at_once: files that are fetched at the same time.
        of_owner: of these for one owner.
        files: of one request.
    """

    def __init__(self, *, at_once: int = 32, of_owner: int = 8, files: int = 100) -> None:
        self._at_once = at_once
        self._of_owner = of_owner
        self._files = files
        self._lock = Lock()
        self._busy: Counter[str] = Counter()

    @contextmanager
    def turn(self, owner: str, use: FetchUse) -> Iterator[float]:
        """Give the seconds that a fetch may take, and count it.

        Raises:
            TooManyRequests: as many files are being fetched as may be.
            InvalidInput: the request has had as much as it may; it is about all of it, not about one row.
        """
        left_s = FETCHED_WITHIN_S - use.seconds
        if use.files >= self._files or left_s <= 0:
            raise InvalidInput(
                f"the request has had {use.files} files fetched in {use.seconds:.0f} s; the limit is "
                f"{self._files} files and {FETCHED_WITHIN_S:g} s in all",
                field="inputs",
                advice="upload the files first, or hand in fewer rows at once",
            )
        self._begin(owner)
        use.files += 1
        began = time.monotonic()
        try:
            yield left_s
        finally:
            use.seconds += time.monotonic() - began
            with self._lock:
                self._busy[owner] -= 1
                self._busy += Counter()  # without those that have none

    def _begin(self, owner: str) -> None:
        with self._lock:
            if self._busy[owner] >= self._of_owner:
                raise TooManyRequests(
                    f"{self._busy[owner]} files are being fetched for this owner already, as many as may be",
                    after=_AGAIN,
                )
            if self._busy.total() >= self._at_once:
                raise TooManyRequests(
                    f"{self._at_once} files are being fetched already, as many as may be",
                    after=_AGAIN,
                )
            self._busy[owner] += 1
