"""What a producer can ask of lists of jobs; `producer.client.Producer` is the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.contract.arguments import checked
from producer.contract.classes.catalog import Catalog
from producer.contract.figures import FleetFigures
from producer.contract.filters.parser import parse_filter
from producer.contract.filters.query import Filter
from producer.contract.ids import BatchId
from producer.contract.job_pages import JobPage
from producer.contract.queue_lines import QueueLine
from producer.contract.totals import PoolTotals
from producer.listing.figures import figures_of
from producer.listing.job_lists import JobLists
from producer.listing.owner_methods import OwnerMethods
from producer.listing.queue_view import QueueView
from producer.store.batch_names import find_batch
from producer.store.batch_store import BatchStore
from producer.store.job_store import JobStore
from producer.store.node_store import NodeStore
from producer.store.scripts import Scripts
from producer.store.totals import Totals
from producer.store.waiting import needs_of_queues, waiting

if TYPE_CHECKING:
    from redis import Redis


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
        wanted = filter if isinstance(filter, Filter) else parse_filter(filter)
        return self._lists.page(wanted, cursor, limit)

    @property
    def _lists(self) -> JobLists:
        return JobLists(self._redis, self._jobs, self._batches)

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

    def figures(self) -> FleetFigures:
        """Return what metrics tell: nodes, totals, and counts of what waits, which take as long however many jobs do.

        Raises:
            FleetUnreachable: Redis did not answer.
        """
        return figures_of(self._redis, self._nodes)

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
