"""Finds owners whose counts of what waits and runs are not those of their jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from producer.checking.findings import Finding, Kind
from producer.checking.record_summary import RecordSummary
from producer.contract.graph.json_values import short
from producer.contract.jobs import JobStatus
from producer.contract.text_cleaning import escaped
from producer.store.batch_audit import BatchAudit
from producer.store.owner_audit import OwnerAudit

#: What no record tells.
_ANEW: Final = {
    "gpu_ms": ("ms of cards used", "nothing else tells it: it should begin anew at 0"),
    "moves": ("changes", "it should begin anew"),
}


class OwnerCheck:
    """Checks the counts of every owner whose jobs have not moved while they were counted.

    Args:
        repair: put them right.
    """

    def __init__(self, audit: OwnerAudit, batches: BatchAudit, *, repair: bool) -> None:
        self._audit = audit
        self._batches = batches
        self._repair = repair
        self._finding = partial(Finding, mended=repair)

    def begin(self) -> Mapping[str, str]:
        """Return what `findings` must know of the time before the records are read."""
        return self._audit.moves()

    def findings(self, summary: RecordSummary, begun: Mapping[str, str]) -> Iterator[Finding]:
        """Yield the counts that are wrong."""
        yield from self._torn_limits()
        waiting, running = summary.of_owners(running=False), summary.of_owners(running=True)
        for owner, status in self._audit.unreadable(summary.unreadable):
            running[owner] += status == JobStatus.RUNNING
            waiting[owner] += status in {JobStatus.QUEUED, JobStatus.HELD}
        unknown: set[str] = set()
        for owner, rows in self._batches.waiting_rows():
            waiting[owner] += rows or 0
            unknown |= {owner} if rows is None else set()
        for owner in sorted({*begun, *waiting, *running} - {""}):
            for field, found, recount in self._audit.mend(
                owner,
                moves=begun.get(owner, ""),
                waiting=None if owner in unknown else waiting[owner],
                running=running[owner],
                mend=self._repair,
            ):
                what, expected = _ANEW.get(field, (f"jobs {field}", f"its records say {recount}"))
                yield self._finding(
                    kind=Kind.WRONG_COUNT,
                    about=owner,
                    found=f"owner {escaped(owner)} counts {found} {what}",
                    expected=expected,
                )

    def _torn_limits(self) -> Iterator[Finding]:
        for owner, text in self._audit.torn_limits(mend=self._repair).items():
            yield self._finding(
                kind=Kind.TORN_WISH,
                about=owner,
                found=f"the limit of owner {owner} is no number: '{escaped(short(text))}'",
                expected="it should be set anew: comfyfleet owner limit",
            )
