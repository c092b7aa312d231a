"""Webhooks: who is told of ends outside the fleet, what of, and what has come of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from producer.contract.errors import InvalidJob
from producer.contract.graph.json_values import printable

#: Webhooks of one owner.
MOST_WEBHOOKS: Final = 100


class EventType(StrEnum):
    """What a webhook can be told of; the wire value is what its receiver reads."""

    JOB_SUCCEEDED = "job.succeeded"  #: Its artifacts are stored and listed.
    JOB_FAILED = "job.failed"  #: It is not tried again.
    JOB_CANCELLED = "job.cancelled"
    JOB_EXPIRED = "job.expired"  #: No node started it before its start deadline.
    BATCH_FINISHED = "batch.finished"  #: None of its jobs waits or runs any more.
    JOB_STARTED = "job.started"  #: A node has it for the first time.
    BATCH_SEALED = "batch.sealed"  #: All of its rows are accepted.
    BATCH_PROGRESS = "batch.progress"  #: Another tenth of its rows has ended, or more than one.
    BATCH_BRAKED = (
        "batch.braked"  #: It is held, as too many of its jobs have failed by their own fault.
    )
    NODE_QUARANTINED = "node.quarantined"  #: It is set aside, after faults or by a person.
    NODE_RECOVERED = "node.recovered"  #: It takes jobs again after that, on trial at first.


#: What a webhook is told of that names no events: each end.
ENDS: Final = (
    *(EventType.JOB_SUCCEEDED, EventType.JOB_FAILED, EventType.JOB_CANCELLED),
    *(EventType.JOB_EXPIRED, EventType.BATCH_FINISHED),
)

#: What is told of nodes: to every webhook that names it, whichever jobs there are. Over HTTP it takes the scope `operate`.
OF_NODES: Final = (EventType.NODE_QUARANTINED, EventType.NODE_RECOVERED)

#: What `Webhooks.test` sends.
TEST_EVENT: Final = "webhook.test"

#: `thin`: id, status, metadata and links; `full`: the whole record as well.
BodyForm = Literal["thin", "full"]


class _Read(BaseModel):
    # A newer version may tell more; an older reader passes that over.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Webhook(_Read):
    """One registered receiver; times are aware and UTC. Its secrets are stored apart, and never shown again."""

    name: str  #: What jobs name as their `hook`; one of its kind for its owner.
    owner: str = ""
    url: str
    events: list[str] = Field(default_factory=list)  #: Values of `EventType`.
    body: BodyForm = "thin"
    created_at: datetime
    disabled_at: datetime | None = None  #: It is told nothing from then on.
    disabled_why: str | None = None


class NewWebhook(_Read):
    """A webhook just registered, with the secret by which its receiver verifies messages."""

    webhook: Webhook
    secret: SecretStr


class DeliveryState(StrEnum):
    """What has come of a message to a webhook."""

    WAITING = "waiting"  #: It is, or will be, tried.
    DELIVERED = "delivered"  #: The receiver answered with a status of 200 to 299.
    FAILED = "failed"  #: Every try of the ladder failed.
    DROPPED = "dropped"  #: The webhook is disabled.


class DeliveryTry(_Read):
    """One try; `status` is HTTP's, None where there was no answer: `error` says why."""

    at: datetime
    status: int | None = None
    latency_ms: int = 0
    said: str = ""  #: The answer's first bytes, control characters escaped.
    error: str = ""


class Delivery(_Read):
    """One message to a webhook, with its tries, the last ones at the end."""

    id: str  #: As the receiver sees it, `webhook-id`: the same in every try.
    webhook: str
    owner: str = ""
    event: str
    subject: str = ""  #: How it stood in the outbox, as `job:<id>`.
    state: DeliveryState
    created_at: datetime
    due_at: datetime | None = None  #: The next try.
    tries: list[DeliveryTry] = Field(default_factory=list)


def checked_events(events: Sequence[str]) -> list[str]:
    """Return the event types that a webhook is to be told of: all ends where none is named.

    Raises:
        InvalidJob: there is none of a name; lists them.
    """
    if isinstance(events, str) or not isinstance(events, Sequence):
        raise InvalidJob("events must be a list of event types", field="events")
    known = [str(event) for event in EventType]
    for event in events:
        if event not in known:
            raise InvalidJob(
                f"there is no event {printable(str(event))}; events are {', '.join(known)}",
                field="events",
            )
    return [event for event in known if event in events] or [str(event) for event in ENDS]
