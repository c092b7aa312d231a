"""The evidence of one run, read from its folder."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

TERMINAL: Final = frozenset({"succeeded", "failed", "cancelled", "expired"})

#: The product's promise of how a prompt's id follows from job and attempt, written down again.
_PROMPT_NAMESPACE: Final = uuid.UUID("6d0a8f0e-5b3c-5f0b-9d6e-c0f1ee7c0f1e")


@dataclass(frozen=True)
class Violation:
    """An invariant that did not hold, for which job (empty: none), and how we know."""

    invariant: str
    job: str
    evidence: str


@dataclass
class History:
    """All that is known of one run; see `collection` for the files.

    Args:
        events: of jobs only.
        fleet_events: of batches and nodes.
    """

    client: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    fleet_events: list[dict[str, Any]] = field(default_factory=list)
    redis: dict[str, Any] = field(default_factory=dict)
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    prompts: list[dict[str, Any]] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    leftovers: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder of evidence."""
        events = _lines(folder / "events.jsonl")
        return cls(
            client=_lines(folder / "client.jsonl"),
            events=[event for event in events if "kind" not in event],
            fleet_events=[event for event in events if "kind" in event],
            redis=json.loads((folder / "redis.json").read_text()),
            objects={found["key"]: found for found in _lines(folder / "objects.jsonl")},
            prompts=_lines(folder / "prompts.jsonl"),
            faults=_lines(folder / "faults.jsonl"),
            received=_lines(folder / "received.jsonl"),
            waiting=_lines(folder / "waiting.jsonl"),
            leftovers=json.loads((folder / "leftovers.json").read_text()),
        )

    @cached_property
    def jobs(self) -> dict[str, Record]:
        """Every record by its job's id."""
        return {job: Record(job, fields) for job, fields in self.redis.get("jobs", {}).items()}

    @cached_property
    def submissions(self) -> list[dict[str, Any]]:
        """Every submission that was tried, in order."""
        return [said for said in self.client if said["do"] == "submit"]

    @cached_property
    def _asked(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What was asked for, by owner and idempotency key, and by the key alone: the first time that it was."""
        by_key = {("", said["key"]): said for said in reversed(self.submissions)}
        return by_key | {whose(said): said for said in reversed(self.submissions)}

    @cached_property
    def events_of(self) -> dict[str, list[dict[str, Any]]]:
        """The events of each job, in the stream's order."""
        found = defaultdict(list)
        for event in self.events:
            found[event["job"]].append(event)
        return found

    @cached_property
    def prompts_of(self) -> dict[str, list[dict[str, Any]]]:
        """The executions of each job's prompts, by their start, each with its `attempt`."""
        attempts = {
            prompt_id(job, attempt): (job, attempt)
            for job, record in self.jobs.items()
            for attempt in range(1, record.attempt + 1)
        }
        found = defaultdict(list)
        for prompt in sorted(self.prompts, key=lambda note: note["started_ms"]):
            if prompt["prompt_id"] in attempts:
                job, attempt = attempts[prompt["prompt_id"]]
                found[job].append({**prompt, "attempt": attempt})
        return found

    def succeeded(self) -> Iterator[Record]:
        """Yield the records of jobs that succeeded."""
        return (record for record in self.jobs.values() if record.status == "succeeded")

    def asked_of(self, record: Record) -> dict[str, Any]:
        """Return what the client asked for when it asked for this job; empty if it never did."""
        found = self._asked.get((record.owner, record.key)) or self._asked.get(("", record.key))
        return found or {}

    def expected_of(self, record: Record) -> dict[str, Any]:
        """Return what should have come of the job, as the client said."""
        expected: dict[str, Any] = self.asked_of(record).get("expects", {})
        return expected


class Record:
    """One job's hash in Redis."""

    def __init__(self, job: str, fields: dict[str, str]) -> None:
        self.job = job
        self.fields = fields
        self.status = fields.get("status", "")
        self.attempt = int(fields.get("attempt", 0))
        self.batch = fields.get("batch", "")
        self.charged = int(fields.get("charged", 0))
        self.free = int(fields.get("free", 0))
        self.cause = fields.get("cause", "")
        self.spec: dict[str, Any] = json.loads(fields.get("spec", "{}"))
        self.key: str = self.spec.get("key") or job  # a batch's row is known by its id alone
        self.owner: str = fields.get("owner") or self.spec.get("owner", "")
        self.hook = fields.get("hook", "")

    @cached_property
    def artifacts(self) -> list[dict[str, Any]]:
        """What it lists as made."""
        found: list[dict[str, Any]] = json.loads(self.fields.get("result", "{}")).get(
            "artifacts", []
        )
        return found

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.status in TERMINAL

    @property
    def row(self) -> int:
        """Which row of its batch it is, or stands for; 0: none."""
        if self.batch and self.job[:-8] == self.batch[:-8]:
            return int(self.job[-8:], 16)
        return int(self.fields.get("row", 0))

    @property
    def stories(self) -> list[dict[str, Any]]:
        """What it says of attempts that ended without success."""
        told = (value for name, value in self.fields.items() if name.startswith("attempt:"))
        return [json.loads(story) for story in told]


def whose(said: dict[str, Any]) -> tuple[str, str]:
    """Return what a submission is known by: its owner and its idempotency key."""
    return said.get("owner", ""), said["key"]


def prompt_id(job: str, attempt: int) -> str:
    """Return the id that the prompt of an attempt must have."""
    return str(uuid.uuid5(_PROMPT_NAMESPACE, f"{job}/{attempt}"))


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]
