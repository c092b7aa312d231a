"""Carries out actions on many jobs, a turn of a hundred at a time.

Which jobs a turn is about is written down before anything is done with them, and what came of it afterwards. A process
that is killed in between leaves a turn that the next one does again, for the same jobs, which changes nothing twice. Of
two that do the same turn, one writes down what came of it.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from producer.contract.crashpoints import crashpoint
from producer.contract.errors import (
    BacklogFull,
    FleetError,
    FleetUnreachable,
    KeyOfAnotherType,
    OwnerBacklogFull,
    UnreadableBatch,
)
from producer.contract.filters.query import Filter, Term
from producer.contract.ids import JobId
from producer.contract.jobs import Job
from producer.contract.outcomes import BulkAction, Refusal
from producer.dispatch import Dispatch
from producer.listing.job_lists import JobLists
from producer.store.action_records import ActionRecords
from producer.store.action_turns import Turn
from producer.store.batch_reader import BatchReader
from producer.store.owner_limits import usage_of
from producer.store.retries import Retries
from producer.upkeep.fault_isolation import stopping_no_other
from producer.upkeep.job_verbs import JobVerbs

if TYPE_CHECKING:
    from redis import Redis

    from producer.store.job_store import JobStore

_log = logging.getLogger(__name__)

#: Jobs of one turn.
A_TURN: Final = 100
#: Actions that one sweep comes to, and how long it begins turns, s: other steps should not wait long.
_ACTIONS_A_SWEEP: Final = 20
_A_SWEEP_S: Final = 0.5
_BUG: Final = "upkeep could not go on, by a bug; the log of the worker has more"


def fitting(action: BulkAction, wanted: Filter) -> Filter:
    """Return a filter for those of the jobs meant with which an action does something."""
    return Filter((*wanted.terms, Term("status", tuple(action.statuses))))


def fits(action: BulkAction, job: Job) -> bool:
    """Tell whether an action does something with a job that answers `fitting`."""
    return action is not BulkAction.RETRY or job.retried_as is None


class BulkActions:
    """Carries out actions; any number of processes may do so at once.

    Args:
        redis: connected with `decode_responses=True`.
        a_turn: jobs of one turn.
        sweep_s: how long one sweep begins turns, s.
    """

    def __init__(
        self,
        redis: Redis,
        jobs: JobStore,
        dispatch: Dispatch,
        *,
        a_turn: int = A_TURN,
        sweep_s: float = _A_SWEEP_S,
    ) -> None:
        self._a_turn = a_turn
        self._sweep_s = sweep_s
        self._redis = redis
        self._records = ActionRecords(redis)
        self._lists = JobLists(redis, jobs, BatchReader(redis))
        self._verbs = JobVerbs(jobs, Retries(redis), dispatch)

    def carry_out(self) -> None:
        """Do some turns of the actions that wait, one of each after the other.

        Raises:
            FleetUnreachable: Redis does not answer; what was begun is done again.
        """
        ends = time.monotonic() + self._sweep_s
        while ids := self._records.waiting(_ACTIONS_A_SWEEP):
            has_begun = False
            for action_id in ids:
                with stopping_no_other(_log, "action %s cannot be carried out", action_id):
                    has_begun = self._take_turn(action_id) or has_begun
                if time.monotonic() > ends:
                    return
            if not has_begun:
                return

    def _take_turn(self, action_id: str) -> bool:
        """Do one turn of an action; return whether there was one."""
        turn = self._records.turn(action_id)
        if turn is None:
            return False
        try:
            if turn.jobs:
                self._do(turn)
            else:
                self._begin(turn)
        except UnreadableBatch as exc:  # it would be so in every sweep
            self._fail(turn, exc.message)
        except (FleetUnreachable, KeyOfAnotherType):
            raise
        except FleetError as exc:
            self._fail(turn, exc.message)
        except Exception:  # noqa: BLE001 - it would fail so in every sweep
            _log.exception("action %s fails", action_id)
            self._fail(turn, _BUG)
        return True

    def _fail(self, turn: Turn, why: str) -> None:
        self._records.end_turn(replace(turn, jobs=()), error=why)

    def _begin(self, turn: Turn) -> None:
        """Choose the next jobs, and write them down."""
        action = turn.record.action
        page = self._lists.page(fitting(action, turn.wanted), turn.cursor, self._room(turn))
        jobs = [job.id for job in page.jobs if fits(action, job)]
        if jobs:
            self._records.begin_turn(turn, jobs, page.cursor)
            crashpoint("action.begun")
        else:
            self._records.end_turn(replace(turn, next_cursor=page.cursor))

    def _do(self, turn: Turn) -> None:
        refusals: list[Refusal] = []
        for number, job_id in enumerate(turn.jobs):
            try:
                reason = self._refused(turn.record.action, job_id)
            except BacklogFull as exc:
                reached = replace(turn, jobs=turn.jobs[:number])
                self._records.end_turn(reached, refusals, error=exc.message)
                return
            if reason is not None:
                refusals.append(Refusal(job=job_id, reason=reason))
        crashpoint("action.done")
        self._records.end_turn(turn, refusals)

    def _refused(self, action: BulkAction, job_id: JobId) -> str | None:
        try:
            return self._verbs(action, job_id)
        except (BacklogFull, FleetUnreachable):
            raise
        except (
            KeyOfAnotherType
        ) as exc:  # the message names addresses within the fleet; owners see this one
            _log.warning("action %s on job %s: %s", action, job_id, exc)
            return "what the fleet has on record makes no sense; its log names the key"
        except Exception:  # noqa: BLE001 - what is wrong with one job keeps the action from no other
            _log.exception("action %s on job %s fails", action, job_id)
            return "a bug; the log of the worker has more"

    def _room(self, turn: Turn) -> int:
        """Return how many jobs the next turn may be about.

        Raises:
            OwnerBacklogFull: none, by the limit of the access key that asked.
        """
        if turn.max_waiting is None or turn.record.action is not BulkAction.RETRY:
            return self._a_turn
        [usage] = usage_of(self._redis, [turn.record.owner])
        if usage.waiting >= turn.max_waiting:
            raise OwnerBacklogFull(turn.record.owner, usage.waiting, turn.max_waiting)
        return min(self._a_turn, turn.max_waiting - usage.waiting)
