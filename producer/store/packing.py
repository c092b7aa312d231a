"""Packs the records of jobs that ended a while ago; whoever reads them meets no difference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

from producer.contract.ids import JobId
from producer.store.packed_records import is_packed, packed
from producer.store.records import flat, job_of, pairs
from producer.store.scripts import Scripts
from producer.store.times import to_ms

#: Records a script: it keeps Redis for about 1 ms.
_AT_ONCE: Final = 50
#: Scripts a sweep: a fleet that ends more jobs than that a second packs them later.
_MOST_SCRIPTS: Final = 10


class Packing:
    """The store as upkeep packs it.

    Args:
        after: how long the record of an ended job stays as it is: as long as others may be busy with it.
    """

    def __init__(self, scripts: Scripts, *, after: timedelta) -> None:
        self._scripts = scripts
        self._after_ms = to_ms(after)

    def pack(self) -> int:
        """Pack some of the records whose time has come, the oldest first, and return how many."""
        total = 0
        for _ in range(_MOST_SCRIPTS):
            due = self._scripts.run("to_pack", args=[self._after_ms, _AT_ONCE])
            if due:
                total += self._scripts.run("pack", args=list(_arguments(due)))
            if len(due) < _AT_ONCE:
                break
        return total


def _arguments(due: Iterable[tuple[str, Sequence[str]]]) -> Iterator[str | int]:
    """Give what `pack.lua` takes; nothing to write for what is no record of an ended job."""
    for job_id, fields in due:
        record = pairs(fields)
        new = flat(_packed(JobId(job_id), record))
        yield from (job_id, record.get("ended_ms", ""), len(new), *new)


def _packed(job_id: JobId, record: Mapping[str, str]) -> dict[str, str]:
    """Return a record in its packed form; nothing for one that makes no sense, which is left as evidence."""
    if is_packed(record):
        return {}
    try:
        job = job_of(job_id, record)
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}
    # Records of earlier versions have no field for it, and scripts look at it.
    return packed(job_id, {**record, "owner": job.owner} if job.owner else record)
