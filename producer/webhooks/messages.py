"""Messages: what a webhook is told of an end, and the headers that prove who says it (Standard Webhooks 1.0)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, SecretStr

from producer.contract.batches import Batch
from producer.contract.errors import InvalidSettings
from producer.contract.jobs import Job
from producer.contract.webhooks import TEST_EVENT, EventType, Webhook

if TYPE_CHECKING:
    from standardwebhooks import Webhook as Signer

#: Bytes of a body; a record that would make it longer is left out of it.
_LONGEST: Final = 256 << 10


class NodeTold(BaseModel):
    """What the outbox says of a node: how it was when that was written; `at` is Unix ms there."""

    node: str
    pool: str = ""
    state: str
    reason: str = ""
    at: datetime


def job_message(job: Job, webhook: Webhook) -> tuple[str, str]:
    """Return event type and body about a job that has ended."""
    event = EventType(f"job.{job.status}")
    return event, _body(event, job.ended_at, _told(job), record=("job", job), webhook=webhook)


def batch_message(batch: Batch, webhook: Webhook) -> tuple[str, str]:
    """Return event type and body about a batch that has finished."""
    event = EventType.BATCH_FINISHED
    body = _body(event, batch.ended_at, _told(batch), record=("batch", batch), webhook=webhook)
    return event, body


def event_message(
    event: EventType, about: Job | Batch, webhook: Webhook, *, at: datetime | None, **more: Any
) -> str:
    """Return the body about what happened before the end; the rest of it says how things are by now.

    Args:
        at: when it happened; None: now.
        more: what is told besides.
    """
    kind = "job" if isinstance(about, Job) else "batch"
    return _body(event, at, _told(about) | more, record=(kind, about), webhook=webhook)


def node_message(event: EventType, told: NodeTold, webhook: Webhook) -> str:
    """Return the body about a node, as it was then."""
    data = {
        "id": told.node,
        "status": told.state,
        "pool": told.pool,
        "reason": told.reason,
        "links": {"self": "/v1/nodes"},
    }
    return _body(event, told.at, data, record=None, webhook=webhook)


def _told(about: Job | Batch) -> dict[str, Any]:
    """Return what is told of a job or batch, whatever has happened to it."""
    if isinstance(about, Job):
        return {
            "id": about.id,
            "status": about.status,
            "owner": about.owner,
            "metadata": about.metadata,
            "cause": about.cause,
            "batch": about.batch,
            "artifacts": len(about.artifacts),
            "links": {"self": f"/v1/jobs/{about.id}"},
        }
    return {
        "id": about.id,
        "name": about.name,
        "status": about.state,
        "owner": about.owner,
        "rows": about.rows,
        "counts": about.counts.model_dump(mode="json"),
        "links": {"self": f"/v1/batches/{about.id}"},
    }


def test_message(webhook: Webhook) -> tuple[str, str]:
    """Return event type and body that only show that messages come in."""
    told = {"webhook": webhook.name, "owner": webhook.owner}
    return TEST_EVENT, _body(TEST_EVENT, None, told, record=None, webhook=webhook)


def signed_headers(
    delivery_id: str, body: str, secrets: Sequence[SecretStr], *, at: datetime
) -> dict[str, str]:
    """Return the headers of a message, with one signature for each secret.

    Raises:
        InvalidSettings: the library that signs is not installed.
    """
    signer = _signer()
    signatures = [
        signer(secret.get_secret_value()).sign(delivery_id, at.astimezone(UTC), body)
        for secret in secrets
    ]
    return {
        "Content-Type": "application/json",
        "webhook-id": delivery_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def check_signing() -> None:
    """Check that the library that signs is installed; raises InvalidSettings."""
    _signer()


def _signer() -> type[Signer]:
    try:
        from standardwebhooks import Webhook as Found  # noqa: PLC0415 - only senders need it
    except ImportError:
        raise InvalidSettings(
            "the extra 'hooks' is not installed", advice="pip install 'comfyfleet[hooks]'"
        ) from None
    return Found


def _body(
    event: str,
    at: datetime | None,
    told: dict[str, Any],
    *,
    record: tuple[str, BaseModel] | None,
    webhook: Webhook,
) -> str:
    message = {
        "type": event,
        "timestamp": (at or datetime.now(UTC)).isoformat(),
        "data": {name: value for name, value in told.items() if value not in (None, "", {})},
    }
    if record is not None and webhook.body == "full":
        name, model = record
        full = {**message, "data": {**message["data"], name: model.model_dump(mode="json")}}  # type: ignore[dict-item]
        if len(text := _text(full)) <= _LONGEST:
            return text
    return _text(message)


def _text(message: dict[str, Any]) -> str:
    # ASCII: what is signed is the same text wherever it is read.
    return json.dumps(message, separators=(",", ":"))
