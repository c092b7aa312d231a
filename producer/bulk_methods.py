"""One action for all jobs that a filter means; `producer.client.Producer` inherits it."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from producer.contract.arguments import action_id_of, checked, event_id_of
from producer.contract.errors import InvalidJob, InvalidQuery, KeyReused
from producer.contract.filters.parser import parse_filter
from producer.contract.filters.query import Filter, TimeTerm, said
from producer.contract.filters.times import TimeSpan
from producer.contract.graph.json_values import printable, text_flaw
from producer.contract.ids import keyed_action_id, new_job_id
from producer.contract.job_pages import LONGEST_PAGE
from producer.contract.operations import Action
from producer.contract.outcomes import Acted, ActionRecord, ActionState, BulkAction
from producer.dispatch import Dispatch
from producer.listing.move_methods import MoveMethods
from producer.store.action_records import ActionRecords, shown_filter
from producer.store.times import now_ms, utc
from producer.threaded_calls import in_thread
from producer.upkeep.bulk_actions import fits, fitting
from producer.upkeep.job_verbs import JobVerbs

if TYPE_CHECKING:
    from redis import Redis

#: Jobs that one call acts on: a second's work.
_AT_ONCE: Final = 500
#: How long one call counts, s, but for the page that it is at.
_COUNT_S: Final = 1.0


class BulkMethods(MoveMethods):
    """Act on the jobs that a filter means."""

    _redis: Redis
    _dispatch: Dispatch

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
        already does not count again. `begin_action` has upkeep do it with all of them.

        Args:
            cursor: of the call before.
            dry_run: only count, as many as are found within a second.
            limit: act on so many at most, in place of 500.
            actor: who wants it, for the log of actions.
            origin: from where, as `cli@host` or an address.
            reason: why, in a sentence.

        Raises:
            InvalidJob: there is no such action.
            InvalidQuery: filter or cursor makes no sense, or the filter is empty: all jobs are meant by `all`.
            OwnerBacklogFull: jobs are not made again, as too many of their owner's wait.
            FleetUnreachable: some may have been changed.
        """
        verb = _as_action(action)
        wanted = _as_filter(filter)
        if dry_run:
            return self._counted(verb, fitting(verb, wanted), cursor)
        page = self.jobs(fitting(verb, wanted), cursor, min(limit, _AT_ONCE))
        jobs = [job for job in page.jobs if fits(verb, job)]
        verbs = JobVerbs(self._jobs, self._retries, self._dispatch)
        done = sum(verbs(verb, job.id) is None for job in jobs)
        if done:
            self._actions.write(
                verb,
                actor=actor,
                origin=origin,
                selection=wanted.readable,
                count=done,
                reason=reason,
            )
        return Acted(len(jobs), done, page.cursor)

    def begin_action(
        self,
        action: BulkAction | str,
        filter: str | Filter,  # noqa: A002
        *,
        owner: str = "",
        idempotency_key: str | None = None,
        max_waiting: int | None = None,
        actor: str = "",
        origin: str = "",
        reason: str = "",
    ) -> ActionRecord:
        """Have upkeep cancel, hold, release or retry all jobs that a filter means and that have been handed in by now.

        Workers run upkeep; `action` tells how far it is. It is written into the log of actions at once.

        Args:
            owner: whose action it is, and whose limit of actions counts; it is no term of the filter.
            idempotency_key: the same key again, for the same owner, returns the same action, while that is kept.
            max_waiting: make a job again only while fewer of the owner's wait.
            actor, origin, reason: as of `act`.

        Raises:
            InvalidJob: there is no such action.
            InvalidQuery, BatchNotFound, InvalidBatch: the filter makes no sense, or is empty (all jobs are `all`), or its batch is not there, or open.
            KeyReused: the idempotency key belongs to another action.
            TooManyActions: ten of the owner's have not ended yet.
            FleetUnreachable: it may have been begun.
        """
        verb, given = _as_action(action), _as_filter(filter)
        action_id = _new_id(owner, idempotency_key)
        if idempotency_key and (before := ActionRecords(self._redis).find(action_id)):
            return _same(before, verb, given, key=idempotency_key)
        now = utc(now_ms(self._redis))
        until = TimeSpan(until=now + timedelta(milliseconds=1))
        wanted = Filter((*given.terms, TimeTerm("created", until)))
        meant = fitting(verb, wanted)
        cursor = self._lists.begin(meant)
        counted = self._counted(verb, meant, cursor)
        record = ActionRecord(
            id=action_id,
            owner=owner,
            action=verb,
            filter=shown_filter(given),
            actor=actor,
            reason=reason,
            state=ActionState.WAITING,
            created_at=now,
            counted=counted.matched,
            counted_all=counted.cursor is None,
        )
        made = ActionRecords(self._redis).add(
            record,
            wanted,
            cursor=cursor,
            origin=origin,
            max_waiting=max_waiting,
        )
        return _same(made, verb, given, key=idempotency_key or "")

    def action(self, action_id: str) -> ActionRecord:
        """Return how far an action is that `begin_action` began; raises ActionNotFound."""
        return ActionRecords(self._redis).get(action_id_of(action_id))

    def actions(self, limit: int = 50, *, owner: str | None = None) -> list[ActionRecord]:
        """Return the last such actions of an owner, or of all, the newest first; 100 of each are kept."""
        return ActionRecords(self._redis).newest(limit, owner=owner)

    def action_log(self, limit: int = 50, *, before: str | None = None) -> list[Action]:
        """Return what persons and programs have done to many jobs, batches, nodes, or what owners keep; the newest first.

        About 20,000 entries are kept. Single jobs that were cancelled, held, released or made again have none.

        Args:
            before: the id of the last entry that was read: go on with what is older.

        Raises:
            InvalidQuery: *limit* is not 1 to 1,000, or *before* is no id of an entry.
        """
        if not 1 <= checked(limit, int, field="limit") <= LONGEST_PAGE:
            raise InvalidQuery(f"limit is {limit}; expected 1 to {LONGEST_PAGE:,}", field="limit")
        after = None if before is None else event_id_of(before, field="before")
        return self._actions.newest(limit, before=after)

    def cancel_action(
        self, action_id: str, *, actor: str = "", origin: str = "", reason: str = ""
    ) -> ActionRecord:
        """Stop such an action, and return it: what is done stays done, and is counted exactly.

        Jobs that upkeep is about, a hundred at most, are done to the end; `cancel_asked_at` tells that it will stop then.
        One that has ended is unchanged.

        Args:
            actor, origin, reason: as of `act`.

        Raises:
            ActionNotFound: there is none.
        """
        wanted = action_id_of(action_id)
        return ActionRecords(self._redis).cancel(
            wanted,
            actor=checked(actor, str, field="actor"),
            origin=checked(origin, str, field="origin"),
            reason=checked(reason, str, field="reason"),
        )

    def _counted(self, verb: BulkAction, meant: Filter, cursor: str | None) -> Acted:
        ends, matched = time.monotonic() + _COUNT_S, 0
        while True:
            page = self.jobs(meant, cursor, _AT_ONCE)
            matched += sum(fits(verb, job) for job in page.jobs)
            cursor = page.cursor
            if cursor is None or time.monotonic() > ends:
                return Acted(matched, 0, cursor)


class AsyncBulkMethods:
    """The same for asyncio."""

    _sync: BulkMethods

    act = in_thread(BulkMethods.act)
    begin_action = in_thread(BulkMethods.begin_action)
    action = in_thread(BulkMethods.action)
    actions = in_thread(BulkMethods.actions)
    action_log = in_thread(BulkMethods.action_log)
    cancel_action = in_thread(BulkMethods.cancel_action)


def _new_id(owner: str, key: str | None) -> str:
    if not key:
        return new_job_id()
    if flaw := text_flaw(key):
        raise InvalidJob(f"idempotency_key {flaw}", field="idempotency_key")
    return keyed_action_id(owner, key)


def _same(found: ActionRecord, verb: BulkAction, given: Filter, *, key: str) -> ActionRecord:
    """Return an action that was begun, if it is the one that was asked for."""
    if (found.action, found.filter) != (verb, shown_filter(given)):
        raise KeyReused(key, found.id, what="action")
    return found


def _as_filter(given: str | Filter) -> Filter:
    return said(given if isinstance(given, Filter) else parse_filter(given))


def _as_action(value: BulkAction | str) -> BulkAction:
    try:
        return BulkAction(value)
    except ValueError:
        raise InvalidJob(
            f"there is no action {printable(str(value))}; expected one of {', '.join(BulkAction)}",
            field="action",
            allowed=list(BulkAction),
        ) from None
