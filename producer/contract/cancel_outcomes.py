"""What a request to cancel a job or a batch met."""

from __future__ import annotations

from enum import StrEnum


class Cancelled(StrEnum):
    """What a request to cancel a job met."""

    CANCELLED = "cancelled"  #: It waited; it is over now.
    REQUESTED = "requested"  #: It runs; its worker will end it, or commit it if quicker.
    ENDED = "ended"  #: It was over before.


class BatchCancelled(StrEnum):
    """What a request to cancel a batch met."""

    CANCELLED = "cancelled"  #: What waited is over, what runs was asked for its end.
    DISCARDED = "discarded"  #: It was still open: nothing is left of it.
    ENDED = "ended"  #: It was over before.
