"""Ends: makes deliveries of what stands in the outbox."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from producer.contract.batches import Batch
from producer.contract.crashpoints import crashpoint
from producer.contract.errors import BatchNotFound
from producer.contract.ids import BatchId, JobId
from producer.contract.jobs import Job
from producer.contract.webhooks import Webhook
from producer.store.batch_store import BatchStore
from producer.store.deliveries import Deliveries
from producer.store.job_store import JobStore
from producer.store.outbox import DueEnd, Outbox
from producer.store.webhook_store import WebhookStore, webhook_key
from producer.webhooks.messages import batch_message, job_message

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
        about = self._about(end)
        webhook = self._webhooks.find(webhook_key(about.hook, about.owner)) if about else None
        message = _message(about, webhook) if about and webhook else None
        if webhook is None or message is None or message[0] not in webhook.events:
            self._outbox.done(end)  # nobody wants to hear it
            return
        event, body, ended_ms = message
        self._deliveries.add(
            webhook_key(webhook.name, webhook.owner),
            f"{end.kind}_{end.id}_{ended_ms}",  # the same, if a sender dies here and another takes it
            event=event,
            body=body,
            end=end,
            is_disabled=webhook.disabled_at is not None,
        )
        crashpoint("webhook.recorded")

    def _about(self, end: DueEnd) -> Job | Batch | None:
        """Return the ended job or batch; None if its record has expired, or it goes on again."""
        if end.kind == "job":
            found = self._jobs.find([JobId(end.id)])
            job = found.get(JobId(end.id))
            return job if job and job.done else None
        try:
            batch = self._batches.get(BatchId(end.id))
        except BatchNotFound:
            return None
        return batch if batch.done else None


def _message(about: Job | Batch, webhook: Webhook) -> tuple[str, str, int]:
    event, body = (
        job_message(about, webhook) if isinstance(about, Job) else batch_message(about, webhook)
    )
    ended_ms = int(about.ended_at.timestamp() * 1000) if about.ended_at else 0
    return event, body, ended_ms
