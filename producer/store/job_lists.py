"""The lists of jobs: by owner, and of those that have ended without success.

A record expires by itself; what lists it is told by nobody, and looked through now and then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from producer.contract.jobs import JobStatus
from producer.store import keys
from producer.store.connection import translated
from producer.store.record_reader import in_pages
from producer.store.scripts import Scripts

if TYPE_CHECKING:
    from redis import Redis

#: How jobs end that are listed by it.
ENDED_BADLY: Final = (JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED)

#: And how rows end with their batch before they have a record.
ENDED_WITH_BATCH: Final = (JobStatus.CANCELLED, JobStatus.EXPIRED)

#: Jobs of a list that one script looks at, which takes a millisecond.
_AT_ONCE: Final = 500
#: A list of which more than this share is gone is looked at again.
_GONE: Final = 0.05
#: But not more often than this; the next sweep takes the rest.
_ROUNDS: Final = 50
_LISTS_AT_ONCE: Final = 100


def ended_with_batch(status: str) -> str:
    """Return the key of the batches of which rows ended so before they had a record."""
    return f"{keys.ended(status)}:batches"


def owners(redis: Redis) -> list[str]:
    """Return every owner of whom jobs are listed, the default one first."""
    with translated(redis):
        found: Any = redis.zrange(keys.OWNERS, 0, -1)
    return ["", *found]


def forget_expired(redis: Redis, scripts: Scripts) -> int:
    """Take jobs off the lists whose record has expired, and return how many.

    Of a long list a sample is looked at, again and again until few of it are gone.
    """
    wanted = [([keys.ended(status)], [_AT_ONCE, "random", ""]) for status in ENDED_BADLY]
    wanted += [([ended_with_batch(s)], [_AT_ONCE, "random", ""]) for s in ENDED_WITH_BATCH]
    wanted += [([keys.jobs(owner)], [_AT_ONCE, "random", owner]) for owner in owners(redis)]
    forgotten = 0
    for _ in range(_ROUNDS):
        again = []
        for page in in_pages(wanted, _LISTS_AT_ONCE):
            replies = scripts.run_all("forget_listed", page)
            forgotten += sum(gone for _, gone in replies)
            again += [
                call
                for call, (looked, gone) in zip(page, replies, strict=True)
                if looked == _AT_ONCE and gone > _GONE * looked
            ]
        if not again:
            break
        wanted = again
    return forgotten
