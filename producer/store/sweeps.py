"""Sweeps of upkeep: leases that have run out, deadlines that fall due, queued jobs without a message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from producer.contract.causes import Cause
from producer.contract.ids import JobId
from producer.contract.jobs import JobError
from producer.contract.queues import PRIORITIES, Message
from producer.store import keys, limits
from producer.store.batch_feeds import BatchFeeds
from producer.store.connection import replies_of, translated
from producer.store.job_lists import forget_expired
from producer.store.job_store import JobStore
from producer.store.packing import Packing
from producer.store.result_files import ResultFiles
from producer.store.row_packing import RowPacking
from producer.store.scripts import Scripts
from producer.store.times import now_ms, to_ms

if TYPE_CHECKING:
    from redis import Redis

#: At most so many jobs a step; the next sweep takes the rest.
_AT_ONCE: Final = 200
#: A job that has begun once may wait so long past its start deadline: well within its record's life.
_LAST_CALL: Final = timedelta(milliseconds=limits.LIVE_MS) / 2
_NOT_RESUMED: Final = JobError(
    cause=Cause.NOT_RESUMED,
    message=(
        f"it had begun, then no node took it up again for {_LAST_CALL.days} days,"
        " and its start deadline has passed"
    ),
    advice="see `comfyfleet node list` for a node that can run it, then make it again",
)
#: A worker that dies so soon after it took a job has perhaps died of it. One that a person restarts
#: now and then has not: a good render of hours must outlast that.
_DIES_WITHIN: Final = timedelta(seconds=60)
#: A hundred nodes are told of each other every second more; ten a node would be a flood.
_OUTLOOK_MS_A_NODE: Final = 10


@dataclass(frozen=True)
class TakenBack:
    """A job that a worker has from its predecessor.

    Args:
        deaths: how often a worker has died of this attempt, as far as anybody can tell.
    """

    job_id: JobId
    attempt: int
    deaths: int


class Sweeps:
    """The store as upkeep sees it.

    Args:
        redis: connected with `decode_responses=True`.
        keep_ended: how long the record of an ended job is kept.
    """

    def __init__(
        self, redis: Redis, *, keep_ended: timedelta, scripts: Scripts | None = None
    ) -> None:
        self._redis = redis
        self._scripts = scripts or Scripts(redis)
        self._keep_ms = to_ms(keep_ended)

    def feeds(self, *, lease: timedelta) -> BatchFeeds:
        """Return the same store as the feeder of batches sees it."""
        keep_ended = timedelta(milliseconds=self._keep_ms)
        return BatchFeeds(self._redis, keep_ended=keep_ended, lease=lease, scripts=self._scripts)

    def packing(self, *, after: timedelta) -> Packing:
        """Return the same store as what packs the records of ended jobs sees it."""
        return Packing(self._scripts, after=after)

    def row_packing(self, *, after: timedelta) -> RowPacking:
        """Return the same store as what packs the ended rows of batches sees it."""
        keep_ended = timedelta(milliseconds=self._keep_ms)
        return RowPacking(self._redis, self._scripts, after=after, keep_ended=keep_ended)

    def result_files(self, jobs: JobStore, *, after: timedelta) -> ResultFiles:
        """Return the same store as whoever writes the results of batches sees it."""
        return ResultFiles(self._redis, self._scripts, jobs, after=after)

    def lead(self, who: str, *, length: timedelta, what: str = "upkeep") -> bool:
        """Return whether *who* may do *what* now; only one does, until *length* has passed."""
        with translated(self._redis):
            taken = self._redis.set(keys.lock(what), who, nx=True, px=to_ms(length))
            return bool(taken)

    def say_swept(self) -> None:
        """Publish a call that some process sweeps."""
        self._publish("swept")

    def leave_sweeping(self, who: str) -> None:
        """Publish a call that *who* leaves sweeping to others."""
        self._publish(f"sweep {who}")

    def _publish(self, call: str) -> None:
        with translated(self._redis):
            self._redis.publish(keys.CALLS, call)

    def forget_expired(self) -> int:
        """Take jobs off the lists whose record has expired, and return how many."""
        return forget_expired(self._redis, self._scripts)

    def started_ago(self) -> timedelta:
        """Return how long Redis has been up: right after a start, silence proves nothing."""
        with translated(self._redis):
            info: Any = self._redis.info("server")
        return timedelta(seconds=info["uptime_in_seconds"])

    def leases(self) -> tuple[list[tuple[JobId, float]], float]:
        """Return running jobs with the end of their lease, the first to end first, and the time.

        All in Unix ms by Redis' clock, which may be stepped: `producer.upkeep.lapse_evidence` says what
        they prove.
        """
        with translated(self._redis):
            found: Any = self._redis.zrange(keys.LEASES, 0, -1, withscores=True)
        return [(JobId(job_id), ends) for job_id, ends in found], now_ms(self._redis)

    def forget_lease(self, job_id: JobId) -> None:
        """Drop a lease whose job has no record any more, or does not run."""
        self._scripts.run("forget_lease", keys=[keys.job(job_id)], args=[job_id])

    def due(self) -> list[JobId]:
        """End what nobody took in time; return delayed jobs that now need a message."""
        ready: Iterable[str] = self._scripts.run(
            "due",
            args=[
                *(_AT_ONCE, self._keep_ms, to_ms(_LAST_CALL)),
                *(_NOT_RESUMED.cause, _NOT_RESUMED.model_dump_json()),
            ],
        )
        return [JobId(job_id) for job_id in ready]

    def unsent(self, queues: Iterable[str], *, sightings_apart: timedelta) -> list[JobId]:
        """Return queued jobs whose message is gone; they count as sent from now on."""
        gone: list[JobId] = []
        for queue, priority in self._waited_in(queues):
            gone += self._scripts.run(
                "unsent",
                keys=[keys.queued(queue, priority), keys.message_list(queue, priority)],
                args=[_AT_ONCE, to_ms(sightings_apart)],
            )
        return gone

    def messages(self, job_ids: Sequence[JobId]) -> list[Message]:
        """Return the messages for the jobs' attempts; those without a record are left out.

        Of a record only this is looked at, so that one that makes no sense, or only to a newer
        version, keeps no other from its message.
        """
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hmget(keys.job(job_id), "attempt", "queue", "priority")
            found = zip(job_ids, replies_of(pipe), strict=True)
        return [
            Message(job_id, int(fields[0]), fields[1], int(fields[2]))
            for job_id, fields in found
            if isinstance(fields, list) and fields[1]  # not a key of another type
            if _is_whole(fields[0]) and _is_whole(fields[2])
        ]

    def retire_queues(self, *, idle: timedelta) -> list[str]:
        """Close queues that are empty and to which no job has come for so long; return them.

        One opens again with the next job that comes to it.
        """
        lists = [
            part
            for priority in PRIORITIES.values()
            for part in (priority, keys.message_list("", priority))
        ]
        retired: list[str] = self._scripts.run(
            "retire_queues", args=[to_ms(idle), _AT_ONCE, keys.KOMBU_BINDINGS, *lists]
        )
        return retired

    def queues(self) -> Mapping[str, str]:
        """Return every queue that jobs were sent to lately, with what it needs as JSON."""
        with translated(self._redis):
            found: Any = self._redis.hgetall(keys.QUEUES)
        return dict(found)

    def tell_outlook(self, *, every: timedelta, lease: timedelta) -> bool:
        """Tell every worker what waits and which models nodes have; return whether it was time.

        Args:
            lease: how long a node may be silent before it counts as gone.
        """
        return bool(
            self._scripts.run(
                "outlook",
                keys=[keys.lock("outlook")],
                args=[
                    to_ms(lease),
                    to_ms(every),
                    _OUTLOOK_MS_A_NODE,
                    *PRIORITIES.values(),
                ],
            )
        )

    def take_back(self, node: str, *, worker: str, lease: timedelta) -> list[TakenBack]:
        """Give *worker* the jobs that its predecessor on *node* held; asked again, the same ones."""
        reply: list[str] = self._scripts.run(
            "take_back", args=[node, worker, to_ms(lease), to_ms(_DIES_WITHIN)]
        )
        items = iter(reply)
        return [
            TakenBack(JobId(job), attempt=int(attempt), deaths=int(deaths))
            for job, attempt, deaths in zip(items, items, items, strict=True)
        ]

    def _waited_in(self, queues: Iterable[str]) -> list[tuple[str, int]]:
        """Return the queues and priorities in which jobs wait, in one round trip."""
        asked = [(queue, priority) for queue in queues for priority in PRIORITIES.values()]
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for queue, priority in asked:
                pipe.exists(keys.queued(queue, priority))
            there = pipe.execute()
        return [where for where, exists in zip(asked, there, strict=True) if exists]


def _is_whole(number: str | None) -> bool:
    return number is not None and number.isdecimal()
