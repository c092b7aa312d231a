"""One action for all jobs that a filter means; `producer.client.Producer` inherits it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from producer.contract.cancel_outcomes import Cancelled
from producer.contract.errors import InvalidJob
from producer.contract.filters.parser import parse_filter
from producer.contract.filters.query import Filter, Term
from producer.contract.graph.json_values import printable
from producer.contract.ids import JobId
from producer.contract.jobs import Job, JobStatus
from producer.contract.outcomes import Acted, BulkAction
from producer.listing.move_methods import MoveMethods
from producer.node_methods import NodeMethods
from producer.store.actions import Actions

if TYPE_CHECKING:
    from redis import Redis

#: Jobs that one call acts on: a second's work.
_AT_ONCE: Final = 500


#: The statuses of jobs with which something happens.
_STATUSES: Final = {
    BulkAction.CANCEL: (JobStatus.HELD, JobStatus.QUEUED, JobStatus.RUNNING),
    BulkAction.HOLD: (JobStatus.QUEUED,),
    BulkAction.RELEASE: (JobStatus.HELD,),
    BulkAction.RETRY: (JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED),
}


class BulkMethods(MoveMethods, NodeMethods):
    """Act on the jobs that a filter means."""

    _redis: Redis

    def act(
        self,
        action: BulkAction | str,
        filter: str | Filter,  # noqa: A002 - as it is called everywhere
        *,
        cursor: str | None = None,
        dry_run: bool = False,
        limit: int = _AT_ONCE,
        actor: str = "",
        origin: str = "",
        reason: str = "",
    ) -> Acted:
        """Cancel, hold, release or retry the next 500 of the jobs that a filter means.

        A job that has changed meanwhile is passed over. It may be called again from the beginning: what is done
        already does not count again.

        Args:
            cursor: of the call before.
            dry_run: only count.
            limit: act on so many at most, in place of 500.
            actor: who wants it, for the log of actions.
            origin: from where, as `cli@host` or an address.
            reason: why, in a sentence.

        Raises:
            InvalidJob: there is no such action.
            InvalidQuery: filter or cursor makes no sense.
            FleetUnreachable: some may have been changed.
        """
        verb = _as_action(action)
        wanted = filter if isinstance(filter, Filter) else parse_filter(filter)
        fitting = Filter((*wanted.terms, Term("status", _STATUSES[verb])))
        page = self.jobs(fitting, cursor, min(limit, _AT_ONCE))
        jobs = [job for job in page.jobs if not (verb is BulkAction.RETRY and job.retried_as)]
        done = 0 if dry_run else sum(map(self._verbs[verb], jobs))
        if done:
            Actions(self._redis).write(
                verb, actor=actor, origin=origin, selection=wanted.text, count=done, reason=reason
            )
        return Acted(len(jobs), done, page.cursor)

    @property
    def _verbs(self) -> dict[BulkAction, Callable[[Job], bool]]:
        return {
            BulkAction.CANCEL: lambda job: self._jobs.cancel(job.id) is not Cancelled.ENDED,
            BulkAction.HOLD: lambda job: self._jobs.hold([job.id]) == [JobStatus.HELD],
            BulkAction.RELEASE: self._released,
            BulkAction.RETRY: self._retried,
        }

    def _released(self, job: Job) -> bool:
        ids = self._jobs.release([job.id])
        self._wake_all(ids)
        return bool(ids)

    def _retried(self, job: Job) -> bool:
        try:
            self.retry(job.id)
        except InvalidJob:  # it has changed meanwhile, or its graph has expired
            return False
        return True

    if TYPE_CHECKING:

        def _wake_all(self, job_ids: Sequence[JobId]) -> None:
            """Send messages for jobs that were released."""


def _as_action(value: BulkAction | str) -> BulkAction:
    try:
        return BulkAction(value)
    except ValueError:
        raise InvalidJob(
            f"there is no action {printable(str(value))}; expected one of {', '.join(BulkAction)}",
            field="action",
            allowed=list(BulkAction),
        ) from None
