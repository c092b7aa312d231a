"""Errors of what is handed in or asked for, which the caller can mend, and of hosts that it names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from producer.contract.errors.base import FleetError, tidied

if TYPE_CHECKING:
    from producer.contract.batches import BadRow

#: Advice for rows that differ from those accepted under the same idempotency key.
SAME_ROWS: Final = (
    "if these are the same rows, nothing is left to do; other rows need another idempotency key"
)


class InvalidJob(FleetError):
    """The submission is invalid.

    Args:
        field: the argument of the submission at fault, as `params.6.text` or `pool`.
        graph_node: the id of the graph node at fault.
        allowed: what would do in its place, where that is a short list.
    """

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        graph_node: str | None = None,
        advice: str | None = None,
        allowed: Sequence[str] | None = None,
    ) -> None:
        super().__init__(tidied(message), advice=tidied(advice) if advice else None)
        self.field = field
        self.graph_node = graph_node
        self.allowed = allowed


class InvalidGraph(InvalidJob):
    """The graph, or a value that is set in it, is invalid."""


class InvalidParam(InvalidGraph):
    """A value that a job sets in its graph does not fit its input, or its address names no input.

    The field is `params.<address>`, or `inputs.<address>` where the value is a file.
    """


class InvalidInput(InvalidJob):
    """A file that the graph reads is missing, empty, too large, or of another type than required."""


class NoNodeCanRun(InvalidJob):
    """There are nodes, but none has all classes and models that the graph needs."""


class InvalidRows(InvalidJob):
    """Rows of a batch are invalid; none of its rows was accepted.

    Args:
        rows: the first invalid rows.
        count: the number of invalid rows.
        accepted: the batch that was accepted before under the same idempotency key.
    """

    def __init__(self, rows: Sequence[BadRow], *, count: int, accepted: str | None = None) -> None:
        sentences = "\n".join(f"  {row.sentence}" for row in rows)
        more = f"\n  and {count - len(rows):,} more" if count > len(rows) else ""
        bad = f"{count:,} bad row{'' if count == 1 else 's'}"
        if accepted:
            what = (
                f"batch {accepted} was accepted before and stays as it is; "
                f"{bad} cannot be compared with it"
            )
            advice = SAME_ROWS
        else:
            what = f"{bad}, so nothing was submitted"
            advice = "mend them, or leave them out with --skip-invalid (skip_invalid=True)"
        super().__init__(what, field="rows", advice=advice)
        self.message = f"{what}:\n{sentences}{more}"  # each row's was made tidy when it was refused
        self.args = (self.message,)
        self.rows = list(rows)
        self.count = count
        self.accepted = accepted


class InvalidBatch(InvalidJob):
    """The request does not fit the batch's state, or the rows that it has already."""

    def __init__(self, batch: str, message: str, *, advice: str | None = None) -> None:
        super().__init__(f"batch {batch} {message}", field="batch", advice=advice)
        self.batch = batch


class InvalidQuery(InvalidJob):
    """What was asked of a list of jobs makes no sense.

    Args:
        field: `filter`, `cursor` or `limit`.
        position: of the filter's character at fault, from 1.
    """

    def __init__(
        self, message: str, *, field: str, position: int | None = None, advice: str | None = None
    ) -> None:
        super().__init__(message, field=field, advice=advice)
        self.position = position


class AddressRefused(InvalidJob):
    """A web address leads to no public host, or could be read in more than one way; nobody was asked."""

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message, field="url", advice=advice)


class HostFault(FleetError):
    """The host of a web address does not answer, or not within bounds; it may do so later."""
