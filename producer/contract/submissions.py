"""Submissions: a job, checked and complete, before it has a record; and the content stored beside it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, NamedTuple

from producer.contract.deliver import Deliver
from producer.contract.graph.graph import template_of
from producer.contract.ids import JobId, new_job_id
from producer.contract.jobs import InputFile
from producer.contract.queues import Needs, Tier, node_queue

#: The limit of `start_within` and `run_within`: ten years, in seconds. Records expire months later,
#: and Python's dates end with the year 9999.
LONGEST_WITHIN_S: Final = 3_650 * 86_400


class Content(NamedTuple):
    """What is stored beside a record, each as canonical JSON; b"" if there is none.

    Args:
        graph: stored once for all jobs that share it, as is `extra_data`.
        secrets: the secret part of the extra data; stored for this job or its batch alone.
    """

    graph: bytes
    extra_data: bytes = b""
    secrets: bytes = b""

    def __repr__(self) -> str:
        """Show sizes only, so that logging it by mistake shows no secret."""
        return f"Content(graph={len(self.graph)} bytes, extra_data={len(self.extra_data)} bytes)"

    @property
    def template(self) -> str:
        """The id of the graph as a template."""
        return template_of(self.graph)

    @property
    def extra_sha(self) -> str | None:
        """SHA-256 of `extra_data`, under which it is stored; None if there is none."""
        return hashlib.sha256(self.extra_data).hexdigest() if self.extra_data else None


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One job before it is recorded.

    Args:
        template: SHA-256 of the canonical JSON of the graph that is stored.
        params: `{"6.text": value}`, addresses already resolved to graph node ids.
        graph_values: likewise, what stood in the graph that was handed in and is left out of the stored one.
        handed_in: what the request had in its place, where that is another one: SHA-256 of a graph, or `template NAME`.
        inputs: `{"34.image": where the file is}`.
        pin: the one node that may run it.
        start_within: the time from its submission to its start deadline.
        run_within: the time limit of one attempt.
        extra_data: SHA-256 of the extra data that is posted beside the graph, without its secrets; None without any.
        secrets: the keys of the extra data that are secret, and stored under a Redis key of their own.
        added_secrets: those of them that come from a setting instead of the request.
        shape: of the graph with the params, see `shapes.shape_of`; empty where nobody knows it.
        hook: who is to be told of its end outside the fleet; empty for nobody. It stands in the outbox then.
        deliver: where copies of its artifacts are put; None for nowhere.
    """

    template: str
    needs: Needs
    start_within: timedelta
    run_within: timedelta
    params: dict[str, Any] = field(default_factory=dict)
    graph_values: dict[str, Any] = field(default_factory=dict)
    handed_in: str = ""
    inputs: dict[str, InputFile] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    tier: Tier = Tier.DEFAULT
    pin: str | None = None
    owner: str = ""
    idempotency_key: str | None = None
    batch: str | None = None
    retry_of: JobId | None = None
    extra_data: str | None = None
    secrets: tuple[str, ...] = ()
    added_secrets: tuple[str, ...] = ()
    shape: str = ""
    hook: str = ""
    deliver: Deliver | None = None
    id: JobId = field(default_factory=new_job_id)

    @property
    def queue(self) -> str:
        """The queue for its message."""
        return node_queue(self.pin) if self.pin else self.needs.queue

    @property
    def secrets_of(self) -> str:
        """The id under which its secrets are stored; see `secrets_holder`."""
        return secrets_holder(self.id, batch=self.batch, retry_of=self.retry_of)

    @property
    def fingerprint(self) -> str:
        """Hash of the request, compared when its idempotency key comes again.

        It covers all that decides the outcome: of files the content, not the name; of secrets the
        keys, not the values.
        """
        request = [
            self.handed_in or self.template,
            self.params,
            {address: file.sha256 or file.source for address, file in self.inputs.items()},
            self.metadata,
            [self.tier, self.needs.pool, self.pin],
            [self.start_within.total_seconds(), self.run_within.total_seconds()],
            [self.extra_data, *(name for name in self.secrets if name not in self.added_secrets)],
            *([self.hook] if self.hook else []),
            *([self.deliver.model_dump()] if self.deliver else []),
        ]
        return f"2-{_digest(request)}"

    @property
    def first_fingerprint(self) -> str:
        """The fingerprint as the first version computed it, to compare with its records."""
        inputs = {
            address: {
                "source": file.source,
                "name": file.name,
                "sha256": file.sha256,
                "bytes": file.bytes,
            }
            for address, file in self.inputs.items()
        }
        graph = self.handed_in or self.template
        return _digest([graph, self.params, inputs, self.metadata])


def secrets_holder(job: str, *, batch: str | None, retry_of: str | None) -> str:
    """Return the id under which the secrets of a job are stored.

    The rows of a batch share theirs. A retry has its own: the batch's may be deleted by then.
    """
    return batch if batch and not retry_of else job


def _digest(request: list[Any]) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:32]
