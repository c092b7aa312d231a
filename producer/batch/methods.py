"""Methods for batches: submit, read, cancel, hold; `producer.client.Producer` inherits them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Unpack

from producer.batch.hooks import check_batch_hook
from producer.batch.parts import BatchPartMethods
from producer.batch.result_methods import ResultMethods
from producer.batch.rows import RowLike
from producer.batch.submission import open_batch, submit_rows
from producer.batch.writer import BatchWriter
from producer.contract.arguments import batch_id_of
from producer.contract.batches import BadRow, Batch
from producer.contract.cancel_outcomes import BatchCancelled
from producer.contract.config.settings import Settings
from producer.contract.deliver import Deliver
from producer.contract.graph.graph import GraphLike
from producer.contract.ids import JobId
from producer.contract.queues import Message, Tier
from producer.dispatch import Dispatch
from producer.intake.admission import Intake
from producer.intake.files import InputLike
from producer.intake.request import JobOptions, Request, request_of
from producer.store.actions import Actions
from producer.webhooks.methods import Webhooks

if TYPE_CHECKING:
    from redis import Redis

#: Rows whose jobs are read in one round trip.
_AT_ONCE: Final = 500


class BatchOptions(JobOptions, total=False):
    """The keyword arguments of `submit_many`, typed for code that passes them on."""

    name: str
    max_failed: int | str | None
    skip_invalid: bool
    on_skipped: Callable[[BadRow], None] | None
    on_progress: Callable[[int], None] | None


class BatchMethods(ResultMethods, BatchPartMethods):
    """The batch methods of `Producer`."""

    settings: Settings
    _actions: Actions
    _intake: Intake
    _redis: Redis
    _dispatch: Dispatch
    webhooks: Webhooks

    def submit_many(
        self,
        graph: GraphLike,
        rows: Iterable[RowLike],
        *,
        params: Mapping[str, Any] | None = None,
        inputs: Mapping[str, InputLike] | None = None,
        extra_data: Mapping[str, Any] | None = None,
        pool: str = "default",
        tier: Tier | str = Tier.BATCH,
        pin: str | None = None,
        metadata: Mapping[str, str] | None = None,
        owner: str = "",
        hook: str = "",
        deliver: Mapping[str, Any] | Deliver | None = None,
        idempotency_key: str | None = None,
        name: str = "",
        start_within: timedelta | None = None,
        run_within: timedelta | None = None,
        max_failed: int | str | None = None,
        skip_invalid: bool = False,
        on_skipped: Callable[[BadRow], None] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> Batch:
        """Submit many jobs that share a graph, and return their batch once all are accepted.

        All rows are checked before any is accepted. They may come from a generator: memory does
        not grow with their number. With an idempotency key, an interrupted call is resumed by
        calling again with the same arguments.

        Args:
            rows: params by address, or `Row` where a job has inputs or metadata of its own. The
                job of the n-th row, from 1, keeps the number n.
            params, inputs, extra_data, metadata: shared by all rows; a row's own values override.
            idempotency_key: the same key again, for the same owner, returns the same batch.
            name: shown to people.
            start_within: counts from the moment when all rows are accepted.
            max_failed: once as many have failed for good by their own fault, a number or a share of the rows as
                `5%`, no further row begins, until somebody releases or cancels the batch.
            skip_invalid: leave out bad rows instead of refusing all.
            on_skipped: called with each row that is left out.
            on_progress: called with the number of rows read, every 1,000 rows.
            deliver: as of `submit`; its template names `{batch}` and `{row}`, or `{job}`.
            pool, tier, pin, owner, run_within: see `submit`. A `hook` is told of the batch's end.

        Raises:
            InvalidRows: bad rows, each with number and column; nothing was accepted.
            InvalidJob: what all rows share is invalid, or there are no rows.
            KeyReused, InvalidBatch: the idempotency key belongs to another request.
            BacklogFull: the number of waiting jobs would exceed its limit, or that of its owner.
            FleetUnreachable, StorageError: Redis, or S3 for input files, failed.
        """
        request = Request(
            graph=graph,
            params=params or {},
            inputs=inputs or {},
            extra_data=extra_data or {},
            pool=pool,
            tier=tier,
            pin=pin,
            metadata=metadata or {},
            owner=owner,
            hook=hook,
            deliver=deliver,
            idempotency_key=idempotency_key,
            start_within=start_within,
            run_within=run_within,
        )
        return submit_rows(
            self._open(request, name=name, replays=True, max_failed=max_failed),
            rows,
            is_resumable=idempotency_key is not None,
            on_skipped=on_skipped or _ignore if skip_invalid else None,
            on_progress=on_progress,
        )

    def open_batch(
        self,
        graph: GraphLike,
        *,
        name: str = "",
        max_failed: int | str | None = None,
        **options: Unpack[JobOptions],
    ) -> BatchWriter:
        """Open a batch to which rows are added one by one; options and errors as of `submit_many`.

        With the idempotency key of an open batch, that batch is continued; see `BatchWriter`.
        """
        request = request_of(graph, {"tier": Tier.BATCH, **options})
        return self._open(request, name=name, replays=False, max_failed=max_failed)

    def batch(self, batch: str) -> Batch:
        """Return one batch.

        Raises:
            BatchNotFound: there is none, or its record has expired.
        """
        return self._batches.get(batch_id_of(batch))

    def batches(self, limit: int = 50, owner: str | None = None) -> list[Batch]:
        """Return up to *limit* batches, the newest first; only those of one *owner*, if it is named."""
        return self._batches.newest(limit, owner=owner)

    def open_rows(self, owner: str) -> int:
        """Return how many rows an owner has handed in to batches that are not sealed yet."""
        return self._batches.open_rows(owner)

    def cancel_batch(self, batch: str) -> BatchCancelled:
        """Request that all jobs of a batch be cancelled; return the outcome, with counts.

        Raises:
            BatchNotFound: there is none.
        """
        wanted = batch_id_of(batch)
        outcome = self._batches.cancel(wanted)
        if outcome is not BatchCancelled.ENDED:
            self._actions.write("batch.cancel", selection=wanted, detail=outcome)
        return outcome

    def hold_batch(self, batch: str) -> Batch:
        """Hold all jobs of a batch that do not run yet, and return the batch.

        Raises:
            BatchNotFound: there is none.
            InvalidBatch: it is still open, or has ended.
        """
        self._batches.hold(batch_id_of(batch))
        found = self.batch(batch)
        self._actions.write("batch.hold", selection=found.id, owner=found.owner)
        return found

    def release_batch(self, batch: str) -> Batch:
        """Release a held batch and return it; errors as of `hold_batch`."""
        self._wake_all(self._batches.release(batch_id_of(batch)))
        found = self.batch(batch)
        self._actions.write("batch.release", selection=found.id, owner=found.owner)
        return found

    def _open(
        self, request: Request, *, name: str, replays: bool, max_failed: int | str | None
    ) -> BatchWriter:
        check_batch_hook(self.webhooks, self._redis, request)
        return open_batch(
            *(self._batches, self._intake, self.settings, request),
            begun=self._begun,
            name=name,
            replays=replays,
            max_failed=max_failed,
        )

    def _wake_all(self, job_ids: Sequence[JobId]) -> None:
        jobs = self._jobs.find(job_ids).values()
        self._dispatch.try_send_all(
            [Message(job.id, job.attempt, job.queue, job.tier.priority) for job in jobs]
        )


def _ignore(_: BadRow) -> None:
    return None
