"""Cancel outcomes: what a request to cancel a job or a batch has done."""

from __future__ import annotations

from enum import StrEnum


class Cancelled(StrEnum):
    """The outcome of a request to cancel a job."""

    CANCELLED = "cancelled"  #: It waited, and is cancelled now.
    REQUESTED = "requested"  #: It runs; its worker will cancel it, unless it is committed first.
    ENDED = "ended"  #: It had ended before.


class BatchCancelled(StrEnum):
    """The outcome of a request to cancel a batch."""

    CANCELLED = "cancelled"  #: Waiting jobs are cancelled; running ones are asked to end.
    DISCARDED = "discarded"  #: It was still open, and is deleted with its rows.
    ENDED = "ended"  #: All of its jobs had ended before.
