"""Methods for actions on many jobs; `producer.http_client.HttpProducer` inherits them."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any, Final

from producer.contract.arguments import action_id_of, checked
from producer.contract.filters.query import Filter
from producer.contract.operations import Action
from producer.contract.outcomes import Acted, ActionRecord, BulkAction
from producer.long_waits import AsyncLongWaits, LongWaits
from producer.over_http.answers import each
from producer.over_http.connection import Connection
from producer.threaded_calls import in_thread

_PATH: Final = "/v1/actions"
#: How long `act` waits for upkeep.
_ACT_WITHIN: Final = timedelta(minutes=5)


class HttpActionMethods(LongWaits):
    """The methods of `HttpProducer` for actions on many jobs."""

    _connection: Connection

    def act(
        self,
        action: BulkAction | str,
        filter: str | Filter,  # noqa: A002 - as it is called everywhere
        *,
        cursor: str | None = None,
        dry_run: bool = False,
        reason: str = "",
    ) -> Acted:
        """Cancel, hold, release or retry all jobs that a filter means, and return once upkeep has done it.

        Workers run upkeep, so one must run. `begin_action` does not wait.

        Args:
            cursor: of the count before; only with *dry_run*.
            dry_run: only count, as many as are found within a second.
            reason: why, in a sentence.

        Raises:
            InvalidJob: there is no such action.
            InvalidQuery: filter or cursor makes no sense.
            OwnerBacklogFull, TooManyActions: jobs are not made again, or ten actions have not ended yet.
            ActionFailed: it ended before all were looked at.
            WaitTimeout: it has not ended within five minutes; it goes on.
        """
        if not (dry_run or cursor):
            begun = self.begin_action(action, filter, reason=reason)
            ended = self.wait_action(begun.id, timeout=_ACT_WITHIN)
            return Acted(ended.matched, ended.done, None)
        body = {**_body(action, filter, reason), "dry_run": dry_run}
        if cursor:
            body["cursor"] = cursor
        return self._connection.read(_acted, "POST", _PATH, body=body)

    def begin_action(
        self,
        action: BulkAction | str,
        filter: str | Filter,  # noqa: A002
        *,
        idempotency_key: str | None = None,
        reason: str = "",
    ) -> ActionRecord:
        """Have upkeep do one thing with all jobs that a filter means; all as of `Producer.begin_action`.

        It has an idempotency key of its own where none is given, so that it may be sent again.
        """
        key = idempotency_key or f"own-{uuid.uuid4()}"
        body = {**_body(action, filter, reason), "idempotency_key": key}
        return self._connection.read(
            ActionRecord.model_validate, "POST", _PATH, body=body, is_safe=True
        )

    def action(self, action_id: str) -> ActionRecord:
        """Return how far an action is; raises ActionNotFound where there is none, or it is another owner's."""
        path = f"{_PATH}/{action_id_of(action_id)}"
        return self._connection.read(ActionRecord.model_validate, "GET", path)

    def actions(self, limit: int = 50) -> list[ActionRecord]:
        """Return the last actions of the key's owner, the newest first."""
        form = each(ActionRecord, "actions")
        return self._connection.read(form, "GET", _PATH, params={"limit": limit})

    def action_log(self, limit: int = 50, *, before: str | None = None) -> list[Action]:
        """Return what was done to many jobs, batches, nodes; with the scope `admin`, all as of `Producer.action_log`."""
        query = {"limit": limit, **({} if before is None else {"before": before})}
        return self._connection.read(each(Action, "entries"), "GET", "/v1/action-log", params=query)

    def cancel_action(self, action_id: str, *, reason: str = "") -> ActionRecord:
        """Stop an action, and return it; all as of `Producer.cancel_action`."""
        body = {"reason": checked(reason, str, field="reason")}
        path = f"{_PATH}/{action_id_of(action_id)}/cancel"
        return self._connection.read(
            ActionRecord.model_validate, "POST", path, body=body, is_safe=True
        )


class AsyncHttpActionMethods(AsyncLongWaits):
    """The same for asyncio."""

    _sync: HttpActionMethods

    async def act(
        self,
        action: BulkAction | str,
        filter: str | Filter,  # noqa: A002
        *,
        cursor: str | None = None,
        dry_run: bool = False,
        reason: str = "",
    ) -> Acted:
        """Do one thing with all jobs that a filter means; all as of `HttpProducer.act`."""
        if dry_run or cursor:
            return await self._act(action, filter, cursor=cursor, dry_run=dry_run, reason=reason)
        begun = await self.begin_action(action, filter, reason=reason)
        ended = await self.wait_action(begun.id, timeout=_ACT_WITHIN)
        return Acted(ended.matched, ended.done, None)

    _act = in_thread(HttpActionMethods.act)
    begin_action = in_thread(HttpActionMethods.begin_action)
    action = in_thread(HttpActionMethods.action)
    actions = in_thread(HttpActionMethods.actions)
    action_log = in_thread(HttpActionMethods.action_log)
    cancel_action = in_thread(HttpActionMethods.cancel_action)


def _acted(told: Any) -> Acted:
    return Acted(int(told["matched"]), int(told["done"]), told.get("cursor"))


def _body(action: str, given: str | Filter, reason: str) -> dict[str, str | bool]:
    text = given.readable if isinstance(given, Filter) else given
    return {"action": action, "filter": text, "reason": reason}
