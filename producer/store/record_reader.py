"""Record reader: reads many job records in one round trip; one that is torn is reported, and hides no other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from producer.contract.ids import JobId
from producer.contract.jobs import Job
from producer.contract.json_texts import check_characters
from producer.store import keys
from producer.store.connection import replies_of, translated
from producer.store.ended_rows import find_ended_rows
from producer.store.packed_records import unpacked
from producer.store.records import job_of, pairs
from producer.store.scripts import Scripts

if TYPE_CHECKING:
    from redis import Redis

T = TypeVar("T")

#: Fields that hold JSON as a caller, or a node, has written it.
_JSONS: Final = ("spec", "result")
#: Of records that one script reads: nobody else is answered meanwhile, 1 ms, or 3 where the last is of 4 MB.
_LARGE_BYTES: Final = 1 << 20


class Reading(NamedTuple):
    """What reading one record gave.

    Args:
        job: None if there is no record, or no sense in it.
        flaw: why it cannot be read.
    """

    job_id: JobId
    job: Job | None
    flaw: str | None = None

    @property
    def is_gone(self) -> bool:
        """Whether there is no record: it has expired, or never was."""
        return self.job is None and self.flaw is None


def read_jobs(redis: Redis, job_ids: Sequence[JobId]) -> list[Reading]:
    """Read records, in the order asked for; those of packed rows are unpacked."""
    return _readings(redis, job_ids, _records(redis, job_ids))


def read_listed(
    redis: Redis, scripts: Scripts, listed: str, *, after: str, last: str, most: int
) -> list[Reading]:
    """Read the newest jobs of a list and their records, in one round trip unless these are large.

    See `lua/read_listed.lua`.

    Args:
        listed: the list's key.
        after, last: bounds of ids, as BYLEX has them: the higher one first.
    """
    arguments = [after, last, most, _LARGE_BYTES]
    job_ids, replies = scripts.run("read_listed", keys=[listed], args=arguments)
    records = [reply if isinstance(reply, Exception) else pairs(reply) for reply in replies]
    return _readings(redis, job_ids, [*records, *_records(redis, job_ids[len(records) :])])


def _records(redis: Redis, job_ids: Sequence[JobId]) -> list[Any]:
    if not job_ids:
        return []
    with translated(redis), redis.pipeline(transaction=False) as pipe:
        for job_id in job_ids:
            pipe.hgetall(keys.job(job_id))
        return replies_of(pipe)


def _readings(
    redis: Redis, job_ids: Sequence[JobId], replies: Sequence[Mapping[str, str] | Exception]
) -> list[Reading]:
    found = [reading_of(job_id, reply) for job_id, reply in zip(job_ids, replies, strict=True)]
    gone = [reading.job_id for reading in found if reading.is_gone]
    if not gone:
        return found
    ended = find_ended_rows(redis, gone)
    return [reading._replace(job=ended.get(reading.job_id, reading.job)) for reading in found]


def in_pages(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Give *items* in lists of *size*, the last one shorter."""
    rest = iter(items)
    while page := list(islice(rest, size)):
        yield page


def reading_of(job_id: JobId, reply: Mapping[str, str] | Exception) -> Reading:
    """Return what HGETALL of a record gave."""
    if isinstance(reply, Exception):
        return Reading(job_id, None, f"Redis holds no hash there ({reply})")
    if not reply:
        return Reading(job_id, None)
    try:
        return Reading(job_id, _checked(job_id, reply))
    except KeyError as exc:
        return Reading(job_id, None, f"the field {exc} is missing")
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as exc:
        return Reading(job_id, None, first_line(exc))


def _checked(job_id: JobId, record: Mapping[str, Any]) -> Job:
    """Read a record, the fields that only scripts look at included."""
    whole = unpacked(job_id, record)
    int(whole["priority"])
    int(whole.get("v", 1))
    for name in _JSONS:
        check_characters(whole.get(name, ""))
    return job_of(job_id, whole)


def first_line(exc: Exception) -> str:
    """Return what an error says, on one line."""
    return str(exc).partition("\n")[0] or type(exc).__name__
