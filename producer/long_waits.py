"""Waits for batches and actions, by reading their records now and then; clients on Redis and over HTTP inherit them."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from producer.contract.batches import Batch
from producer.contract.outcomes import ActionRecord
from producer.contract.waits import Deadline, carried_out, late

#: How often the record of a batch is read, whatever the number of its rows; and that of an action.
_BATCH_EVERY: Final = timedelta(seconds=0.3)
_ACTION_EVERY: Final = timedelta(seconds=0.2)


class LongWaits:
    """Waits in the caller's thread."""

    _read_batch_every = _BATCH_EVERY

    def wait_batch(
        self,
        batch: str,
        *,
        timeout: timedelta | None = None,
        on_poll: Callable[[Batch], None] | None = None,
    ) -> Batch:
        """Return a batch once all of its jobs have ended, in whatever status.

        Args:
            on_poll: called with the batch after each read, about three times a second; over HTTP once.

        Raises:
            BatchNotFound: there is none.
            WaitTimeout: some jobs have not ended within *timeout*; the batch is unaffected.
        """
        deadline = Deadline(timeout)
        while True:
            found = self.batch(batch)
            if on_poll:
                on_poll(found)
            if found.done:
                return found
            if deadline.is_over:
                raise late(found, timeout)
            time.sleep(min(self._read_batch_every, deadline.left).total_seconds())

    def wait_action(self, action_id: str, *, timeout: timedelta | None = None) -> ActionRecord:
        """Return an action once all its jobs were looked at.

        Raises:
            ActionFailed: it has ended before, or was stopped.
            WaitTimeout: it has not ended within *timeout*; it goes on.
            ActionNotFound: there is none.
        """
        deadline = Deadline(timeout)
        while not (record := self.action(action_id)).has_ended and not deadline.is_over:
            time.sleep(min(_ACTION_EVERY, deadline.left).total_seconds())
        return carried_out(record, timeout)

    @abstractmethod
    def batch(self, batch: str) -> Batch:
        """Return one batch."""

    @abstractmethod
    def action(self, action_id: str) -> ActionRecord:
        """Return how far an action is."""


class AsyncLongWaits:
    """The same for asyncio: it waits on the event loop."""

    _read_batch_every = _BATCH_EVERY

    async def wait_batch(
        self,
        batch: str,
        *,
        timeout: timedelta | None = None,  # noqa: ASYNC109 - as the sync one
        on_poll: Callable[[Batch], None] | None = None,
    ) -> Batch:
        """Return a batch once all of its jobs have ended; errors as of `Producer.wait_batch`."""
        deadline = Deadline(timeout)
        while True:
            found = await self.batch(batch)
            if on_poll:
                on_poll(found)
            if found.done:
                return found
            if deadline.is_over:
                raise late(found, timeout)
            await asyncio.sleep(min(self._read_batch_every, deadline.left).total_seconds())

    async def wait_action(
        self,
        action_id: str,
        *,
        timeout: timedelta | None = None,  # noqa: ASYNC109
    ) -> ActionRecord:
        """Return an action once all its jobs were looked at; errors as of `Producer.wait_action`."""
        deadline = Deadline(timeout)
        while True:
            record = await self.action(action_id)
            if record.has_ended or deadline.is_over:
                return carried_out(record, timeout)
            await asyncio.sleep(min(_ACTION_EVERY, deadline.left).total_seconds())

    @abstractmethod
    async def batch(self, batch: str) -> Batch:
        """Return one batch."""

    @abstractmethod
    async def action(self, action_id: str) -> ActionRecord:
        """Return how far an action is."""
