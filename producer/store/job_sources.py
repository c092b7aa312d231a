"""Where lists of jobs come from: the lists of owners, of bad ends, and few jobs that are known by id.

Each gives entries in an order that stays while jobs come and go: an entry has a position, and reading goes
on after one. So no entry is given twice, and none is passed over that is there all the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from producer.contract.filters.query import Filter
from producer.contract.filters.times import TimeSpan
from producer.contract.ids import JobId
from producer.contract.jobs import Job
from producer.store import keys
from producer.store.connection import translated
from producer.store.job_facts import FEW, answering, judged, predicate_of
from producer.store.job_lists import ENDED_WITH_BATCH
from producer.store.job_store import JobStore
from producer.store.record_reader import read_listed
from producer.store.rows_ended_with_batch import RowsEndedWithBatch
from producer.store.scripts import Scripts

if TYPE_CHECKING:
    from redis import Redis

#: Entries that are read of each of many lists, at least.
_FEWEST: Final = 8


@dataclass(frozen=True)
class Chunk:
    """The next entries of a source.

    Args:
        entries: each one's position, and its job if that answers the filter.
        is_last: the source has no more.
    """

    entries: list[tuple[str, Job | None]]
    is_last: bool


class Source(Protocol):
    """Gives jobs in an order that stays."""

    def read(self, after: str, count: int) -> Chunk:
        """Return the next entries after a position, '' for the first ones; about *count* of them."""


class OwnerLists:
    """Jobs that were submitted singly, the newest first, merged from the lists of their owners.

    Args:
        wanted: what jobs must answer.
        first, last: ids between which all lie; '' for no bound.
    """

    def __init__(
        self,
        redis: Redis,
        scripts: Scripts,
        owners: Sequence[str],
        wanted: Filter,
        *,
        first: str = "",
        last: str = "",
    ) -> None:
        self._redis = redis
        self._scripts = scripts
        self._keys = [keys.jobs(owner) for owner in owners]
        self._wanted = wanted
        self._first = f"[{first}" if first else "-"
        self._last = f"[{last}" if last else "+"

    def read(self, after: str, count: int) -> Chunk:
        """Return the next jobs; a position is an id."""
        of_each = max(_FEWEST, 2 * count // len(self._keys)) if len(self._keys) > 1 else count
        upper = f"({after}" if after else self._last
        if len(self._keys) == 1 and count <= FEW:
            return self._of_one(upper, count)
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for key in self._keys:
                pipe.zrange(key, upper, self._first, desc=True, bylex=True, offset=0, num=of_each)
            found: list[list[str]] = pipe.execute()
        ids, is_last = merged(found, of_each, count)
        return _chunk(self._redis, ids, ids, self._wanted, is_last=is_last)

    def _of_one(self, upper: str, count: int) -> Chunk:
        [key] = self._keys
        readings = read_listed(
            self._redis, self._scripts, key, after=upper, last=self._first, most=count
        )
        jobs = judged(readings, self._wanted)
        entries = [(str(one.job_id), job) for one, job in zip(readings, jobs, strict=True)]
        return Chunk(entries, is_last=len(readings) < count)


class EndedLists:
    """Jobs that ended without success, the last first.

    Args:
        span: those only that ended within it, and perhaps some within the ms after it.
    """

    def __init__(
        self,
        redis: Redis,
        jobs: JobStore,
        statuses: Iterable[str],
        wanted: Filter,
        *,
        span: TimeSpan,
    ) -> None:
        self._redis = redis
        self._jobs = jobs
        self._with_batch = [
            RowsEndedWithBatch(redis, status, wanted)
            for status in ENDED_WITH_BATCH
            if status in statuses
        ]
        self._keys = [keys.ended(status) for status in sorted(statuses)]
        self._wanted = wanted
        self._since = _ms(span.since) if span.since else "-inf"
        self._until = _ms(span.until) if span.until else "+inf"

    def read(self, after: str, count: int) -> Chunk:
        """Return the next jobs; a position is when one ended, ms, and its id."""
        bounds = {"since": self._since, "until": self._until}
        rows = [source.after(after, count, **bounds) for source in self._with_batch]
        # After the rows: one that gets a record meanwhile stands there at the same position.
        lists = [self._after(key, after, count) for key in self._keys]
        listed = {position for found in lists for position in found}
        rows_only = {position for found in rows for position in found} - listed
        positions, is_last = merged([*lists, *rows], count, count)
        positions = list(dict.fromkeys(positions))
        ids = [JobId(position.partition(" ")[2]) for position in positions]
        unfed = [
            job_id for job_id, position in zip(ids, positions, strict=True) if position in rows_only
        ]
        found = self._jobs.find(unfed) if unfed else {}
        others = [job_id for job_id in ids if job_id not in found]
        jobs = dict(zip(others, answering(self._redis, others, self._wanted), strict=True))
        answers = predicate_of(self._wanted)
        jobs |= {id_: job for id_, job in found.items() if answers(job)}
        entries = [
            (position, jobs.get(job_id)) for position, job_id in zip(positions, ids, strict=True)
        ]
        return Chunk(entries, is_last)

    def _after(self, key: str, after: str, count: int) -> list[str]:
        ended, of_one, _ = after.partition(" ")
        ended = ended if of_one else ""
        found: list[str] = []
        offset = 0
        while True:  # many may have ended within the same ms as the last one given
            with translated(self._redis):
                page: Any = self._redis.zrange(
                    key,
                    int(ended) if ended else self._until,
                    self._since,
                    desc=True,
                    byscore=True,
                    offset=offset,
                    num=count,
                    withscores=True,
                )
            positions = [f"{int(score):013d} {job_id}" for job_id, score in page]
            found += [position for position in positions if not after or position < after]
            if len(page) < count or len(found) >= count:
                return found[:count]
            offset += count


class Few:
    """Jobs that are few and known, in the order of their ids.

    Args:
        newest_first: else in the order in which they were made.
        only_newest: leave out what was made again, as another job stands for it now.
    """

    def __init__(
        self,
        redis: Redis,
        ids: Iterable[str],
        wanted: Filter,
        *,
        newest_first: bool,
        only_newest: bool = False,
    ) -> None:
        self._redis = redis
        self._ids = sorted(set(ids), reverse=newest_first)
        self._wanted = wanted
        self._newest_first = newest_first
        self._only_newest = only_newest

    def read(self, after: str, count: int) -> Chunk:
        """Return the next jobs; a position is an id."""
        rest = [
            job_id
            for job_id in self._ids
            if not after or (job_id < after if self._newest_first else job_id > after)
        ]
        page = rest[:count]
        chunk = _chunk(self._redis, page, page, self._wanted, is_last=len(rest) <= count)
        if not self._only_newest:
            return chunk
        entries = [(at, None if job and job.retried_as else job) for at, job in chunk.entries]
        return Chunk(entries, chunk.is_last)


def merged(lists: Sequence[Sequence[str]], asked: int, count: int) -> tuple[list[str], bool]:
    """Merge lists that fall, each cut off after *asked* entries; return up to *count*, and whether that is all.

    Entries below the last one of a list that was cut off are left out: those of that list may lie between.
    """
    cut_off = [found[-1] for found in lists if len(found) >= asked]
    floor = max(cut_off, default="")
    whole = sorted((entry for found in lists for entry in found if entry >= floor), reverse=True)
    return whole[:count], not cut_off and len(whole) <= count


def _ms(at: datetime) -> str:
    return str(int(at.timestamp() * 1000))


def _chunk(
    redis: Redis,
    positions: Sequence[str],
    ids: Sequence[str],
    wanted: Filter,
    *,
    is_last: bool,
) -> Chunk:
    jobs = answering(redis, [JobId(job_id) for job_id in ids], wanted)
    return Chunk(list(zip(positions, jobs, strict=True)), is_last)
