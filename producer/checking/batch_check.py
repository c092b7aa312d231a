"""Batch check: sealed batches that upkeep does not feed, or whose rows, counts and end disagree."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from typing import Final

from producer.checking.findings import Finding, Kind
from producer.store.batch_audit import BatchAudit, TornBatch
from producer.store.batch_records import BatchRecord

#: What is found, and what should be, by the word of `BatchAudit.mend`.
_FAULTS: Final = {
    "results": (
        Kind.RESULTS_NOT_WRITTEN,
        "{batch} has ended, and nobody will write its results to the bucket",
        "comfyfleet:results should list it; a worker of an older version ended it, or looked too early",
    ),
    "rest": (
        Kind.MISSING_FROM_LIST,
        "{count} rows of {batch} ended with it, and are not listed so",
        "they should be, to be found",
    ),
    "untold": (
        Kind.NOT_TOLD,
        "{batch} has ended, and nobody will tell it outside",
        "comfyfleet:outbox should list it; a worker of an older version ended it",
    ),
}
_NOT_FED: Final = (
    Kind.NOT_FED,
    "{batch} has {count} rows to feed, which upkeep does not know",
    "comfyfleet:feeding should list it",
)


class BatchCheck:
    """Checks every sealed batch.

    Args:
        repair: repair what can be repaired safely.
    """

    def __init__(self, audit: BatchAudit, *, repair: bool) -> None:
        self._audit = audit
        self._repair = repair
        self._finding = partial(Finding, mended=repair)

    def unlisted(self, batches: Collection[str]) -> Iterator[Finding]:
        """Yield those of *batches* that are there, and not listed; before anything is counted by the list."""
        for batch in self._audit.unlisted(batches, mend=self._repair):
            yield self._finding(
                kind=Kind.MISSING_FROM_LIST,
                about=batch,
                found=f"batch {batch} is there, and comfyfleet:batches does not list it",
                expected="it should, to be found by its name",
            )

    def findings(self) -> Iterator[Finding]:
        """Yield the findings about batches and about the count of all waiting rows."""
        for record in self._audit.sealed():
            try:
                if isinstance(record, TornBatch):
                    raise record
                yield from self._check(record)
            except TornBatch as exc:
                yield _unreadable(exc)
        found, recount = self._audit.waiting(mend=self._repair)
        if found != recount:
            yield self._miscounted(
                "comfyfleet:waiting", f"comfyfleet:waiting says {found}", recount
            )

    def _check(self, record: BatchRecord) -> Iterator[Finding]:
        to_feed = self._audit.to_feed(record)
        if to_feed is None:
            again = self._audit.to_feed(record)  # it may have been fed meanwhile
            faults = self._audit.mend(record, 0, mend=False) if again is None else ()
            if any(fault == "waiting" for fault, _, _ in faults):
                yield _lost(record)
            return
        for fault, found, recount in self._audit.mend(record, to_feed, mend=self._repair):
            if fault == "waiting":
                counted = f"batch {record.id} counts {found} rows waiting"
                yield self._miscounted(record.id, counted, recount)
            elif fault == "end":
                yield self._wrongly_ended(record.id, found)
            elif fault.startswith("torn "):
                yield self._torn(record.id, fault.removeprefix("torn "), found)
            else:
                kind, told, expected = _FAULTS.get(fault, _NOT_FED)
                yield self._finding(
                    kind=kind,
                    about=record.id,
                    found=told.format(batch=f"batch {record.id}", count=found),
                    expected=expected,
                )

    def _torn(self, batch: str, field: str, found: object) -> Finding:
        return self._finding(
            kind=Kind.WRONG_COUNT,
            about=batch,
            found=f"batch {batch} has {found} as {field}",
            expected="it should be a number, which may begin anew",
        )

    def _wrongly_ended(self, batch: str, left: int | str) -> Finding:
        if left:
            found = f"batch {batch} has finished, though {left} of its jobs have not"
            expected = "it should go on, so that it can be held or cancelled"
        else:
            found = f"batch {batch} has not finished, though all of its jobs have"
            expected = "it should have, or whoever waits for it waits for ever"
        return self._finding(
            kind=Kind.WRONG_END,
            about=batch,
            found=found,
            expected=expected,
        )

    def _miscounted(self, about: str, counted: str, recount: int) -> Finding:
        return self._finding(
            kind=Kind.WRONG_COUNT,
            about=about,
            found=counted,
            expected=f"the rows say {recount}",
        )


def _unreadable(error: TornBatch) -> Finding:
    return Finding(
        kind=Kind.UNREADABLE_RECORD,
        about=error.batch,
        found=f"batch {error.batch} cannot be read: {error}",
        expected="a newer version may have written it; else cancel it, and submit its rows anew",
    )


def _lost(record: BatchRecord) -> Finding:
    return Finding(
        kind=Kind.LOST_ROWS,
        about=record.id,
        found=f"batch {record.id} has rows to feed, but some of them are gone",
        expected="Redis has lost them: cancel it, and submit what is missing anew",
    )
