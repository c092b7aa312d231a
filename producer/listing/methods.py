"""What a producer can ask of lists of jobs; `producer.client.Producer` is the whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from producer.contract.arguments import checked
from producer.contract.classes.catalog import Catalog
from producer.contract.errors import InvalidQuery
from producer.contract.filters.parser import parse_filter
from producer.contract.filters.query import Filter, Term
from producer.contract.ids import BatchId
from producer.contract.job_pages import LONGEST_PAGE, JobPage
from producer.contract.jobs import Job
from producer.contract.queue_lines import QueueLine
from producer.contract.totals import PoolTotals
from producer.listing.cursors import Cursor, query_of, read_cursor
from producer.listing.owner_methods import OwnerMethods
from producer.listing.plans import Plans
from producer.listing.queue_view import QueueView
from producer.store.batch_names import find_batch
from producer.store.batch_store import BatchStore
from producer.store.job_sources import Source
from producer.store.job_store import JobStore
from producer.store.node_store import NodeStore
from producer.store.scripts import Scripts
from producer.store.times import now_ms
from producer.store.totals import Totals
from producer.store.waiting import needs_of_queues, waiting

if TYPE_CHECKING:
    from redis import Redis

#: Jobs that one call looks at, at most: 0.1 s.
_MOST_LOOKED_AT: Final = 5_000
#: A number that a message shows.
_SHOWN: Final = 10**15
#: In order after all ids of jobs.
_HIGHEST_ID: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"
#: Jobs that are looked at together, at most.
_AT_ONCE: Final = 500


class ListMethods(OwnerMethods):
    """List and search jobs."""

    _redis: Redis
    _jobs: JobStore
    _batches: BatchStore
    _nodes: NodeStore

    def jobs(
        self,
        filter: str | Filter = "",  # noqa: A002 - as it is called everywhere
        cursor: str | None = None,
        limit: int = 50,
    ) -> JobPage:
        """Return a page of the jobs that answer a filter, the newest first.

        Rows of a batch are listed with it (`batch:NAME`), in their order, each as the newest job that
        was made of it; and where the filter leaves no other statuses than running, failed, cancelled and
        expired: what runs comes first, then the others by their end, the last first; those included that ended
        with their batch before they had a record.

        What is there all the time while pages are read is given once; what comes meanwhile is not given.

        Args:
            filter: see `producer.contract.filters.fields`; all jobs when empty.
            cursor: of the page before, which had the same filter; None or "" for the first.
            limit: jobs of a page, 1 to 1,000; it may have fewer, and yet a cursor.

        Raises:
            InvalidQuery: filter, cursor or limit makes no sense; the field says which.
            BatchNotFound, InvalidBatch: a batch of the filter is not there, or still open.
        """
        _check_limit(limit)
        wanted = filter if isinstance(filter, Filter) else parse_filter(filter)
        query = query_of(wanted.text)
        at = read_cursor(cursor, query=query) if cursor else self._begin(wanted, query)
        wanted, batches = self._with_ids(wanted, at.batches)
        sources = Plans(self._redis, self._jobs, self._batches).sources(
            at.plan, wanted, batches=batches, began_ms=at.began_ms
        )
        jobs, place = _read(sources, (at.source, at.after), limit)
        if place is None:
            return JobPage(jobs=jobs)
        source, after = place
        next_ = Cursor(query, at.plan, source, after, at.began_ms, at.batches)
        return JobPage(jobs=jobs, cursor=next_.text)

    def queue(self) -> list[QueueLine]:
        """Return what waits, by pool, tier and reason, with the nodes that could take it.

        Pinned jobs have lines of their own. Every job that waits is looked at, which takes 3 s of a million;
        what comes or goes meanwhile may be counted or not.
        """
        nodes = self._nodes.nodes()
        catalogs: dict[str, Catalog] = {}
        for pool in {node.pool for node in nodes}:
            catalogs |= self._nodes.catalogs(pool, among=nodes)
        view = QueueView(nodes, catalogs, needs_of_queues(self._redis))
        return view.lines(waiting(self._redis, Scripts(self._redis)))

    def totals(self) -> dict[str, PoolTotals]:
        """Return what each pool has counted since its first job; the numbers only rise, also over restarts.

        Jobs that are pinned to a node have the pool "". What workers of an earlier version ended is not counted.

        Raises:
            FleetUnreachable: Redis did not answer.
        """
        return Totals(self._redis).read()

    def find_batch(self, name: str, *, owner: str | None = None) -> BatchId:
        """Return the id of the batch that *name* stands for: that id, or the name that it alone has.

        Args:
            owner: only batches of this one count; None: everybody's.

        Raises:
            BatchNotFound: there is none.
            InvalidQuery: several have this name; the message tells some of their ids.
        """
        owners = None if owner is None else (owner,)
        return find_batch(self._redis, checked(name, str, field="batch"), owners=owners)

    def _begin(self, wanted: Filter, query: str) -> Cursor:
        names = [value for term in _batch_terms(wanted) for value in term.values]
        owners = wanted.wanted("owner")
        batches = tuple(find_batch(self._redis, name, owners=owners) for name in names)
        plan = Plans(self._redis, self._jobs, self._batches).choose(wanted)
        began_ms = now_ms(self._redis) if plan == "ended" else 0
        return Cursor(query, plan, 0, "", began_ms, batches)

    def _with_ids(self, wanted: Filter, ids: tuple[str, ...]) -> tuple[Filter, list[str]]:
        """Return the filter with ids in place of batches' names, and the batches whose rows are listed."""
        rest = iter(ids)
        terms: list[Term] = []
        listed: list[str] = []
        for term in _batch_terms(wanted):
            found = [next(rest, "") for _ in term.values]
            terms.append(Term("batch", tuple(found), term.is_not))
            listed = listed if term.is_not else sorted(set(found), reverse=True)
        others = tuple(term for term in wanted.terms if term.field != "batch")
        return Filter((*others, *terms)), listed


def _batch_terms(wanted: Filter) -> list[Term]:
    """Return the terms that name batches, all in the same order for filters that ask the same."""
    found = (t for t in wanted.terms if isinstance(t, Term) and t.field == "batch")
    return sorted(
        (replace(term, values=tuple(sorted(term.values))) for term in found),
        key=lambda term: term.text,
    )


def _read(
    sources: list[Source], place: tuple[int, str], limit: int
) -> tuple[list[Job], tuple[int, str] | None]:
    """Return the next jobs, and where to go on; None at the end."""
    jobs: list[Job] = []
    source, after = shown = place
    looked_at, count = 0, limit + 1
    while source < len(sources):
        chunk = sources[source].read(after, min(count, max(_AT_ONCE, limit + 1)))
        for position, job in chunk.entries:
            if job and len(jobs) == limit:
                return jobs, shown
            after = position
            if job:
                jobs.append(job)
                shown = source, after
        looked_at += len(chunk.entries)
        if chunk.is_last:
            source, after = source + 1, ""
        elif len(jobs) == limit or looked_at >= _MOST_LOOKED_AT:
            # What was passed over may be another owner's, so a cursor names none of it.
            return jobs, shown if jobs else (source, _nameless(after, before=place[1]))
        # Few of these were meant: look at more of the next.
        count = max(count, _AT_ONCE)
    return jobs, None


def _nameless(position: str, *, before: str) -> str:
    """Return the position before all that ended within the same ms as a job; as it is, if that leads nowhere."""
    at, _, job_id = position.partition(" ")
    nameless = f"{at} {_HIGHEST_ID}"
    is_further = not before or nameless < before
    return nameless if len(job_id) == len(_HIGHEST_ID) and is_further else position


def _check_limit(limit: object) -> None:
    found = f"a {type(limit).__name__}"
    if isinstance(limit, int) and not isinstance(limit, bool):
        if 1 <= limit <= LONGEST_PAGE:
            return
        found = f"{limit:,}" if abs(limit) < _SHOWN else "beyond all bounds"
    raise InvalidQuery(
        f"limit is {found}; expected a whole number from 1 to {LONGEST_PAGE:,}", field="limit"
    )
