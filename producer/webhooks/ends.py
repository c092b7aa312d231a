"""Ends, and what happened before them: makes deliveries of what stands in the outbox."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple

from producer.contract.batches import Batch
from producer.contract.crashpoints import crashpoint
from producer.contract.errors import BatchNotFound
from producer.contract.ids import BatchId, JobId
from producer.contract.jobs import Job
from producer.contract.webhooks import EventType, Webhook
from producer.store.batch_store import BatchStore
from producer.store.deliveries import Deliveries
from producer.store.job_store import JobStore
from producer.store.outbox import DueEnd, Outbox
from producer.store.webhook_store import WebhookStore, webhook_key
from producer.webhooks.messages import (
    NodeTold,
    batch_message,
    event_message,
    job_message,
    node_message,
)

_log = logging.getLogger(__name__)

#: Ends taken at once, and how long they may take.
_AT_ONCE: Final = 100
_WITHIN: Final = timedelta(seconds=30)
#: When an end is looked at again whose record makes no sense.
_LATER: Final = timedelta(hours=1)


class Ends:
    """Takes ends from the outbox and has them delivered to the webhooks that they name."""

    def __init__(
        self,
        outbox: Outbox,
        deliveries: Deliveries,
        webhooks: WebhookStore,
        *,
        jobs: JobStore,
        batches: BatchStore,
    ) -> None:
        self._outbox = outbox
        self._deliveries = deliveries
        self._webhooks = webhooks
        self._jobs = jobs
        self._batches = batches

    def sweep(self) -> int:
        """Make deliveries of up to a hundred ends that are due; return how many were taken."""
        ends = self._outbox.take_due(limit=_AT_ONCE, within=_WITHIN)
        for end in ends:
            try:
                self._pass_on(end)
            except (ValueError, TypeError, LookupError):
                _log.exception("%s: its record makes no sense; tried again in an hour", end.entry)
                self._outbox.later(end, wait=_LATER)
        return len(ends)

    def _pass_on(self, end: DueEnd) -> None:
        if end.kind == "node":
            self._pass_on_to_all(end)
            return
        about = self._about(end)
        webhook = self._webhooks.find(webhook_key(about.hook, about.owner)) if about else None
        wanted = _message(end, about, webhook) if about and webhook else None
        if webhook is None or wanted is None or wanted.type not in webhook.events:
            self._outbox.done(end)  # nobody wants to hear it
            return
        self._deliveries.add(
            webhook_key(webhook.name, webhook.owner),
            wanted.id,
            event=wanted.type,
            body=wanted.body,
            end=end,
            is_disabled=webhook.disabled_at is not None,
        )
        crashpoint("webhook.recorded")

    def _pass_on_to_all(self, end: DueEnd) -> None:
        """Tell every webhook that asks for it what was said of a node; one that was told already is not told again."""
        told = NodeTold.model_validate_json(end.id)
        asking = [webhook for webhook in self._webhooks.all() if end.event in webhook.events]
        add = partial(self._deliveries.add, event=end.event, end=end, is_for_others=True)
        for webhook in asking:
            add(
                webhook_key(webhook.name, webhook.owner),
                f"{end.event}_{told.node}_{_ms(told.at)}",
                body=node_message(EventType(end.event), told, webhook),
                is_disabled=webhook.disabled_at is not None,
            )
        self._outbox.done(end)

    def _about(self, end: DueEnd) -> Job | Batch | None:
        """Return the job or batch; None if its record has expired."""
        if end.kind == "job":
            return self._jobs.find([JobId(end.id)]).get(JobId(end.id))
        try:
            return self._batches.get(BatchId(end.id))
        except BatchNotFound:
            return None


class _Wanted(NamedTuple):
    """A message; its id is the same if a sender dies and another takes what it is about."""

    id: str
    type: str
    body: str


def _message(end: DueEnd, about: Job | Batch, webhook: Webhook) -> _Wanted | None:
    """Return what is to be told; None if it is not so any more: what has ended goes on again, or has ended meanwhile."""
    if not end.event:
        if not about.done:
            return None
        type_, body = (
            job_message(about, webhook) if isinstance(about, Job) else batch_message(about, webhook)
        )
        return _Wanted(f"{end.kind}_{end.id}_{_ms(about.ended_at)}", type_, body)
    event = EventType(end.event)
    if isinstance(about, Job):
        body = event_message(event, about, webhook, at=about.started_at)
        return _Wanted(f"{event}_{end.id}_{_ms(about.started_at)}", event, body)
    return _batch_event(event, about, webhook)


def _batch_event(event: EventType, batch: Batch, webhook: Webhook) -> _Wanted | None:
    """Return what is to be told of a batch before its end; None if it is not so any more."""
    if event is EventType.BATCH_SEALED:
        body = event_message(event, batch, webhook, at=batch.sealed_at)
        return _Wanted(f"{event}_{batch.id}_{_ms(batch.sealed_at)}", event, body)
    if batch.done:
        return None
    if event is EventType.BATCH_PROGRESS:
        body = event_message(event, batch, webhook, at=None, progress=batch.tenths / 10)
        return _Wanted(f"{event}_{batch.id}_{batch.tenths}", event, body)
    if batch.braked_at is None:  # somebody has released it
        return None
    body = event_message(event, batch, webhook, at=batch.braked_at, reason=batch.braked_why)
    return _Wanted(f"{event}_{batch.id}_{_ms(batch.braked_at)}", event, body)


def _ms(at: datetime | None) -> int:
    return int(at.timestamp() * 1000) if at else 0
