"""How a producer has what waits change its place; `producer.client.Producer` is the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from producer.contract.arguments import checked, job_id_of
from producer.contract.errors import InvalidJob, InvalidQuery
from producer.contract.filters.parser import parse_filter
from producer.contract.filters.query import Filter, Term, said
from producer.contract.graph.json_values import printable
from producer.contract.job_pages import LONGEST_PAGE
from producer.contract.jobs import Job, JobStatus
from producer.contract.queues import Tier, is_name
from producer.dispatch import Dispatch
from producer.intake.request import as_tier, check_place
from producer.listing.methods import ListMethods
from producer.listing.move_targets import MoveTarget
from producer.store.moves import Moves, is_elsewhere
from producer.store.retries import Retries

if TYPE_CHECKING:
    from producer.contract.config.settings import Settings

_WAITING: Final = (JobStatus.QUEUED, JobStatus.HELD)
#: A batch that is held, fed or cancelled meanwhile is read again.
_TRIES: Final = 10


class MoveMethods(ListMethods):
    """Have jobs that wait go to another tier or pool."""

    settings: Settings
    _retries: Retries
    _dispatch: Dispatch

    def move(
        self,
        filter: str | Filter,  # noqa: A002 - as it is called everywhere
        *,
        tier: Tier | str | None = None,
        pool: str | None = None,
        dry_run: bool = False,
        most: int | None = None,
    ) -> int:
        """Have the jobs that a filter means wait elsewhere, if they wait; return how many that were.

        Those that were handed in first stay first among them, behind what waits there already. Jobs that are
        pinned stay with their node. Rows of batches are moved as a whole, see `move_batch`.

        Args:
            dry_run: only count them.
            most: refuse it where more jobs wait than that.

        Raises:
            InvalidQuery: the filter makes no sense, is empty (all jobs are meant by `all`), means rows of batches, or too many jobs.
            InvalidJob: there is no such tier or pool, or neither is given.
            NoNodeCanRun: no living node of the pool has what one of them needs; nothing was moved.
        """
        target = self._target(tier, pool)
        wanted = said(filter if isinstance(filter, Filter) else parse_filter(filter))
        if wanted.wanted("batch") is not None:
            raise InvalidQuery(
                "filter means rows of a batch; expected jobs that were submitted singly",
                field="filter",
                advice="comfyfleet batch move moves all rows of a batch",
            )
        waiting = Term("status", tuple(_WAITING))
        fitting = Filter((*wanted.terms, waiting))
        found = [*self._all(fitting, most=most)] if _may_wait(wanted) else []
        moved = self._move(sorted(found, key=_arrival), target, dry_run=dry_run)
        if moved and not dry_run:
            self._actions.write(
                "move", selection=wanted.readable, count=moved, detail=target.readable
            )
        return moved

    def move_job(
        self,
        job_id: str,
        *,
        tier: Tier | str | None = None,
        pool: str | None = None,
        dry_run: bool = False,
    ) -> int:
        """Have one job that waits do so elsewhere, as `move` does; return 1, or 0 where it is there already.

        Raises:
            JobNotFound: no such job.
            InvalidJob: it does not wait, is a row of a batch, or there is no such tier or pool.
            NoNodeCanRun: no living node of the pool has what it needs.
        """
        target = self._target(tier, pool)
        wanted = job_id_of(job_id)
        job = self._jobs.get(wanted)
        if job.batch:
            raise InvalidJob(
                f"job {job.id} is a row of a batch, and is moved with all that wait of it",
                field="job",
                advice=f"comfyfleet batch move {job.batch} moves them",
            )
        moved = self._move([job], target, dry_run=dry_run)
        if not moved and (job := self._jobs.get(wanted)).status not in _WAITING:
            raise InvalidJob(
                f"job {job.id} is {job.status}; only one that waits can be moved", field="job"
            )
        if moved and not dry_run:
            self._actions.write(
                "job.move", selection=job.id, owner=job.owner, detail=target.readable
            )
        return moved

    def move_batch(
        self,
        batch: str,
        *,
        tier: Tier | str | None = None,
        pool: str | None = None,
        dry_run: bool = False,
    ) -> int:
        """Have all jobs of a batch that wait do so elsewhere, and its rows that have no record yet; as `move`.

        What is there already is not counted. A dry run refuses what the real one would.

        Args:
            batch: its id, or the name that it alone has.

        Raises:
            BatchNotFound: there is none.
            InvalidBatch: it is still open, or over.
            InvalidJob, NoNodeCanRun: as of `move`.
        """
        target = self._target(tier, pool)
        moves, id_ = Moves(self._redis), self.find_batch(batch)
        for _ in range(_TRIES):
            record = self._batches.record(id_)
            spec = record.spec
            places = [target.needs(needs, spec.template, spec.pin) for needs in record.places]
            new_tier, new_pool = target.tier or spec.tier, target.pool_of(spec.pool, spec.pin)
            # Rows without a record are all elsewhere, or none is.
            is_same = (spec.tier, spec.pool, [*record.places]) == (new_tier, new_pool, places)
            if dry_run:
                moves.expect_movable(record)
                live = list(self._jobs.find(moves.live(record)).values())
                waiting = 0 if is_same else record.number("waiting")
                return waiting + self._move(live, target, dry_run=True)
            if moves.move_rows(record, tier=new_tier, pool=new_pool, places=places):
                # What was fed before the rows were moved is among the live ones now.
                live = list(self._jobs.find(moves.live(record)).values())
                waiting = 0 if is_same else self._batches.record(id_).number("waiting")
                if moved := waiting + self._move(live, target, dry_run=False):
                    self._actions.write(
                        "batch.move",
                        selection=id_,
                        count=moved,
                        owner=spec.owner,
                        detail=target.readable,
                    )
                return moved
        raise InvalidJob(f"batch {id_} changes all the time", field="batch", advice="try again")

    def _all(self, wanted: Filter, *, most: int | None) -> Iterator[Job]:
        count: int = 0
        cursor: str | None = None
        while True:
            page = self.jobs(wanted, cursor, LONGEST_PAGE)
            count, cursor = count + len(page.jobs), page.cursor
            if most is not None and count > most:
                raise InvalidQuery(
                    f"filter means more than {most:,} jobs that wait; expected fewer at once",
                    field="filter",
                    advice="narrow it, as by created:<2026-11-27T18, and send it again for the rest",
                )
            yield from page.jobs
            if not cursor:
                return

    def _move(self, jobs: Sequence[Job], target: MoveTarget, *, dry_run: bool) -> int:
        places = {job.id: target.place(job) for job in jobs if job.status in _WAITING}
        old = {job.id: (job.queue, job.tier.priority) for job in jobs}
        by_id = {job.id: job for job in jobs}
        places = {id_: place for id_, place in places.items() if is_elsewhere(by_id[id_], place)}
        if dry_run or not places:
            return len(places)
        moves = Moves(self._redis)
        moved, messages = moves.move(places)
        self._dispatch.try_send_all(messages)
        for queue, priority in {old[id_] for id_ in places}:
            moves.drop_moved(queue, priority)
        return moved

    def _target(self, tier: Tier | str | None, pool: str | None) -> MoveTarget:
        if tier is None and pool is None:
            raise InvalidJob(
                "nothing says where to; expected a tier, a pool, or both", field="tier"
            )
        if pool is not None and not is_name(checked(pool, str, field="pool")):
            raise InvalidJob(
                f"pool {printable(pool)} is no name, so no node can have it", field="pool"
            )
        check_place(self._nodes.nodes(), pool=pool, pin=None)
        return MoveTarget(
            None if tier is None else as_tier(tier),
            pool,
            jobs=self._jobs,
            nodes=self._nodes,
            retries=self._retries,
        )


def _may_wait(wanted: Filter) -> bool:
    return bool(wanted.statuses & set(_WAITING))


def _arrival(job: Job) -> tuple[object, str]:
    return job.queued_at or job.created_at, job.id
