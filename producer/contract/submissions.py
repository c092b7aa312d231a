"""What a producer hands in, checked and complete, before there is a record of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from producer.contract.ids import JobId, new_job_id
from producer.contract.jobs import InputFile
from producer.contract.queues import Needs, Tier, node_queue

#: The longest time within which a job may have to start, or may run: ten years, in seconds. Records
#: outlive it by some months, and dates end with the year 9999.
LONGEST_WITHIN_S: Final = 3_650 * 86_400


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One job to be.

    Args:
        template: sha256 of the graph's canonical JSON.
        params: `{"6.text": value}`, addresses already resolved to graph node ids.
        inputs: `{"34.image": where the file is}`.
        pin: the one node that may run it.
        start_within: after that, nobody will start it any more.
        run_within: so long one attempt may take.
    """

    template: str
    needs: Needs
    start_within: timedelta
    run_within: timedelta
    params: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, InputFile] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    tier: Tier = Tier.DEFAULT
    pin: str | None = None
    owner: str = ""
    idempotency_key: str | None = None
    batch: str | None = None
    retry_of: JobId | None = None
    id: JobId = field(default_factory=new_job_id)

    @property
    def queue(self) -> str:
        """The queue its message goes to."""
        return node_queue(self.pin) if self.pin else self.needs.queue

    @property
    def fingerprint(self) -> str:
        """Equal for equal requests: what an idempotency key is checked against."""
        inputs = {address: file.model_dump() for address, file in self.inputs.items()}
        request = [self.template, self.params, inputs, self.metadata]
        return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:32]
