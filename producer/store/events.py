"""Event stream: every change of every job, and those of batches and nodes, in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from producer.contract.fleet_events import FleetEvent
from producer.contract.ids import row_of
from producer.contract.jobs import JobEvent
from producer.store import keys
from producer.store.connection import translated
from producer.store.fleet_entries import fleet_event_of
from producer.store.records import event_of
from producer.store.scripts import Scripts
from producer.store.times import to_ms

if TYPE_CHECKING:
    from redis import Redis

_AT_ONCE: Final = 500
_BEGIN: Final = "0-0"
#: What an entry tells of that names no kind.
_JOB: Final = "job"


class Entry(NamedTuple):
    """One entry of the stream as it stands there."""

    id: str
    fields: dict[str, str]

    @property
    def kind(self) -> str:
        """What it tells of: `job`, `batch`, `node`, or what only a newer version knows."""
        return self.fields.get("kind", _JOB)

    @property
    def is_of_job(self) -> bool:
        """Whether it tells of a job."""
        return self.kind == _JOB

    @property
    def about(self) -> str:
        """The batch, or the node, that it tells of."""
        return self.fields.get("about", "")

    @property
    def job(self) -> str:
        """The job it tells of."""
        return self.fields["job"]

    @property
    def batch(self) -> str:
        """The batch of that job; one that nobody has heard of if it is of none."""
        return self.fields.get("batch") or row_of(self.job)[0]

    def decoded(self) -> JobEvent:
        """Return what it says of a job.

        Raises:
            ValueError, KeyError: a newer version wrote it, in words that we do not know.
        """
        return event_of(self.id, self.fields)

    def fleet_event(self) -> FleetEvent:
        """Return what it says of a batch or a node; errors as of `decoded`."""
        return fleet_event_of(self.id, self.fields)


class EventStream:
    """Reads the stream from any point that it still holds.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)

    def say_watched(self) -> None:
        """Say that somebody watches: workers then write down progress as it comes, for 15 s."""
        self._scripts.run("watched")

    def end(self) -> str:
        """Return the id after which only what happens from now on is read."""
        with translated(self._redis):
            newest: Any = self._redis.xrevrange(keys.EVENTS, count=1)
        return str(newest[0][0]) if newest else _BEGIN

    def read(self, after: str, *, wait: timedelta) -> list[JobEvent]:
        """Return what came of jobs after the entry *after*; wait for something up to *wait*."""
        entries = self.entries(after, wait=wait)
        return [entry.decoded() for entry in entries if entry.is_of_job]

    def entries(self, after: str, *, wait: timedelta) -> list[Entry]:
        """Return what came after the entry *after*, of jobs and all else, as it stands there."""
        with translated(self._redis):
            reply: Any = self._redis.xread(
                {keys.EVENTS: after}, count=_AT_ONCE, block=max(1, to_ms(wait))
            )
        if not reply:
            return []
        # RESP3 answers with a dict of lists of entries, RESP2 with a list of pairs.
        found = reply[keys.EVENTS][0] if isinstance(reply, dict) else reply[0][1]
        return [Entry(entry_id, fields) for entry_id, fields in found]

    def between(self, after: str, until: str) -> Iterator[JobEvent]:
        """Give what the stream still holds of the jobs' events after *after*, up to *until*."""
        for entry in self._between(after, until):
            if entry.is_of_job:
                with suppress(KeyError, ValueError):  # a newer version's word for something
                    yield entry.decoded()

    def all_between(self, after: str, until: str) -> Iterator[JobEvent | FleetEvent]:
        """Give the same with those of batches and nodes."""
        for entry in self._between(after, until):
            with suppress(KeyError, ValueError):
                yield entry.decoded() if entry.is_of_job else entry.fleet_event()

    def _between(self, after: str, until: str) -> Iterator[Entry]:
        while True:
            with translated(self._redis):
                found: Any = self._redis.xrange(keys.EVENTS, f"({after}", until, count=_AT_ONCE)
            for entry_id, fields in found:
                yield Entry(entry_id, fields)
            if len(found) < _AT_ONCE:
                return
            after = found[-1][0]

    def page_after(self, after: str, count: int) -> list[Entry] | None:
        """Return up to *count* entries after one; None if that is there no more, so that others may lack, too.

        Args:
            after: the id of an entry; `0-0` for the beginning, which is whole while nothing was trimmed.
        """
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            pipe.xrange(keys.EVENTS, f"({after}", "+", count=count)
            # Looked at after the entries were read: if it is there now, nothing was trimmed before.
            pipe.xrange(keys.EVENTS, after, after, count=1)
            pipe.exists(keys.EVENTS)
            found, anchor, is_there = pipe.execute()
            is_whole = bool(anchor)
            if after == _BEGIN:
                is_whole = not is_there or self._was_never_trimmed()
        return [Entry(entry_id, fields) for entry_id, fields in found] if is_whole else None

    def _was_never_trimmed(self) -> bool:
        told: Any = self._redis.xinfo_stream(keys.EVENTS)
        return bool(told.get("entries-added") == told["length"])

    def holds(self, *entry_ids: str) -> bool:
        """Tell whether the stream still has all of these entries.

        It is trimmed from its beginning, so if an entry is there, all that came after it is.
        """
        wanted = {entry_id for entry_id in entry_ids if entry_id != _BEGIN}
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for entry_id in wanted:
                pipe.xrange(keys.EVENTS, entry_id, entry_id, count=1)
            return all(pipe.execute())


class Cursor:
    """Reads on through the stream, and notices when something was lost before it was read."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self.position = stream.end()  #: The last entry that was read.
        self._seen_before = self.position

    def read(self, *, wait: timedelta) -> list[Entry]:
        """Return what has come since the last time; wait for it up to *wait*."""
        entries = self._stream.entries(self.position, wait=wait)
        if entries:
            self.position = entries[-1].id
        return entries

    def is_whole(self) -> bool:
        """Tell whether everything since the last such look was read; else go on from the end.

        It was not if the stream was trimmed past us, flushed, or lost its end with a crash or a
        failover: then an entry that we have read is there no more. The newest would not tell of
        a flush and what came after, so one from before is asked for too.
        """
        whole = self._stream.holds(self._seen_before, self.position)
        if not whole:
            self.position = self._stream.end()
        self._seen_before = self.position
        return whole
