"""Batch record: a batch as a Redis hash, written, and read as a `Batch`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Final

from producer.contract.batches import (
    BUCKET_ROWS,
    Batch,
    BatchCounts,
    BatchSpec,
    BatchState,
    PackedRow,
    Places,
    RowShapes,
)
from producer.contract.causes import Cause
from producer.contract.deliver import Deliver
from producer.contract.ids import BatchId, row_id
from producer.contract.jobs import InputFile, Job, JobStatus
from producer.contract.json_texts import check_characters, read_json
from producer.contract.queues import Needs, Tier, node_queue
from producer.contract.submissions import Submission
from producer.store.records import RECORD_VERSION, fields_of, job_of, version_of
from producer.store.times import maybe_utc, to_ms, utc
from producer.store.unreadable_batches import sense_of, unreadable

#: How rows are told apart: from version 2 on without the names of their files.
DIGESTS_VERSION: Final = 2

#: Fields of a record that are numbers, if they are there.
_NUMBERS: Final = (
    *("fed", "received", "buckets", "edits", "switches", "skipped"),
    *("sealed_ms", "start_by_ms", *BatchCounts.model_fields),
)
#: Of what its rows share.
_TEXTS: Final = ("template", "pool", "pin", "owner", "extra_data")


@dataclass(frozen=True)
class BatchRecord:
    """What the store knows of a batch.

    Args:
        fields: the hash as it is.
    """

    id: BatchId
    fields: Mapping[str, str]

    @property
    def is_readable(self) -> bool:
        """Whether it is whole, and this version understands it; a newer one may have written it."""
        try:
            for field in _NUMBERS:
                int(self.fields.get(field, 0))
            is_known = "spec" in self.fields and int(self.fields.get("v", 0)) <= RECORD_VERSION
        except ValueError:
            return False
        return is_known and self._has_room

    @property
    def _has_room(self) -> bool:
        """Whether its buckets may hold as many rows as it says; whoever counts to a number beyond all never ends."""
        buckets = self.number("buckets")
        return not buckets or self.received <= buckets * BUCKET_ROWS

    @property
    def is_open(self) -> bool:
        """Whether its rows are not accepted yet."""
        return "sealed_ms" not in self.fields

    @property
    def is_held(self) -> bool:
        """Whether a person keeps it back."""
        return "held_ms" in self.fields

    @property
    def moving(self) -> str:
        """What is still to be done to its live jobs: `cancel`, `release` or nothing."""
        return self.fields.get("moving", "")

    @property
    def fed(self) -> int:
        """Its first so many rows have been made records."""
        return self.number("fed")

    @property
    def received(self) -> int:
        """How many rows were handed in, those included that are left out."""
        return self.number("received")

    @property
    def spec(self) -> BatchSpec:
        """What its rows share."""
        with sense_of(self.id):
            return self._spec()

    def _spec(self) -> BatchSpec:
        check_characters(self.fields["spec"])
        given = read_json(self.fields["spec"])
        if not all(isinstance(given.get(name) or "", str) for name in _TEXTS):
            raise ValueError(f"one of {', '.join(_TEXTS)} is no text")
        given["tier"] = Tier(given["tier"])
        inputs = given.get("inputs", {})
        for names in ("secrets", "added_secrets"):
            given[names] = tuple(given.get(names, ()))
        given["inputs"] = {name: InputFile.model_validate(file) for name, file in inputs.items()}
        text = self.fields.get("deliver")
        deliver = Deliver.model_validate_json(text) if text else None
        return BatchSpec(
            **given,
            hook=self.fields.get("hook", ""),
            deliver=deliver,
            max_failed=self.fields.get("max_failed", ""),
        )

    @property
    def places(self) -> Places:
        """Where its jobs may go."""
        with sense_of(self.id):
            check_characters(self.fields.get("places", "[]"))
            return read_places(self.fields.get("places", "[]"))

    @cached_property
    def shapes(self) -> RowShapes:
        """The shapes of its jobs."""
        with sense_of(self.id):
            return RowShapes.from_json(self.fields.get("shapes", ""))

    @property
    def rest_cause(self) -> Cause:
        """Why the rows ended that had no record, if they have."""
        is_late = self.fields.get("rest") == JobStatus.EXPIRED
        return Cause.START_DEADLINE if is_late else Cause.CANCELLED

    def has(self, row: int) -> bool:
        """Tell whether it has this row, as a job: one that was accepted."""
        return not self.is_open and 0 < row <= self.received

    def number(self, field: str) -> int:
        """Return a field as a number; 0 if it is not there."""
        try:
            return int(self.fields.get(field, 0))
        except ValueError as exc:
            raise unreadable(self.id, exc) from exc

    def to_batch(self) -> Batch:
        """Return what a reader sees."""
        spec, fields = self.spec, self.fields
        if not self._has_room:
            raise ValueError("it says that it has more rows than its buckets hold")
        counts = {name: self.number(name) for name in BatchCounts.model_fields}
        return Batch(
            id=self.id,
            name=fields.get("name", ""),
            state=self._state(),
            held=self.is_held,
            rows=self.received,
            skipped=self.number("skipped"),
            counts=BatchCounts(**counts),
            owner=spec.owner,
            idempotency_key=fields.get("key") or None,
            tier=spec.tier,
            pool=spec.pool,
            pin=spec.pin,
            template=spec.template,
            hook=spec.hook,
            deliver=spec.deliver,
            max_failed=spec.max_failed or None,
            braked_at=maybe_utc(fields.get("braked_ms")) if self.is_held else None,
            braked_why=fields.get("braked_why") if self.is_held else None,
            created_at=utc(fields["created_ms"]),
            sealed_at=maybe_utc(fields.get("sealed_ms")),
            ended_at=maybe_utc(fields.get("ended_ms")),
            start_deadline=maybe_utc(fields.get("start_by_ms")),
        )

    def job(self, row: int, packed: PackedRow, spec: BatchSpec, places: Places) -> Job:
        """Return the job that a row without a record is."""
        submission = submission_of(self, row, packed, spec, places)
        status = JobStatus(self.fields.get("rest") or ("held" if self.is_held else "queued"))
        record = {name: str(value) for name, value in fields_of(submission).items()}
        record |= {
            "status": status,
            "created_ms": self.fields["sealed_ms"],
            "start_by_ms": self.fields["start_by_ms"],
            "waiting_for": "its_turn",
        }
        if status.is_terminal:
            record["ended_ms"] = self.fields["rest_ms"]
            record["cause"] = self.rest_cause
        return job_of(submission.id, record)

    def _state(self) -> BatchState:
        if self.is_open:
            return BatchState.OPEN
        return BatchState.FINISHED if "ended_ms" in self.fields else BatchState.SEALED


def read_batch(record: BatchRecord) -> Batch:
    """Return what a reader sees of a batch.

    Raises:
        KeyOfAnotherType: a field of it makes no sense.
    """
    with sense_of(record.id):
        return record.to_batch()


def fields_of_batch(spec: BatchSpec, *, name: str, key: str | None) -> dict[str, str | int]:
    """Return the record of a new batch, but for what Redis counts."""
    given = {name: value for name, value in asdict(spec).items() if value not in ({}, (), None, "")}
    if spec.inputs:
        given["inputs"] = {
            address: file.model_dump(exclude_none=True) for address, file in spec.inputs.items()
        }
    # Scripts look at them; earlier versions know none of them in `spec`.
    for part in ("hook", "deliver", "max_failed"):
        given.pop(part, None)
    return {
        **({"hook": spec.hook} if spec.hook else {}),
        **({"deliver": spec.deliver.written()} if spec.deliver else {}),
        **({"max_failed": spec.max_failed} if spec.max_failed else {}),
        "v": version_of(spec),
        "digests": DIGESTS_VERSION,
        "name": name,
        "key": key or "",
        "spec": json.dumps(given, separators=(",", ":")),
        "start_within_ms": to_ms(timedelta(seconds=spec.start_within_s)),
        **({"owner": spec.owner} if spec.owner else {}),
    }


def fingerprint(spec: BatchSpec) -> str:
    """Return what an idempotency key is checked against; the rows have a digest of their own."""
    asked = tuple(name for name in spec.secrets if name not in spec.added_secrets)
    request = replace(spec, secrets=asked, added_secrets=())
    written = fields_of_batch(request, name="", key=None)["spec"]
    # These are no part of what is written as `spec`.
    hook = f" {spec.hook}" if spec.hook else ""
    deliver = f" {spec.deliver.written()}" if spec.deliver else ""
    most = f" max_failed {spec.max_failed}" if spec.max_failed else ""
    return hashlib.sha256(f"batch {written}{hook}{deliver}{most}".encode()).hexdigest()[:32]


def places_json(places: Places) -> str:
    """Write the places of a batch's rows."""
    return f"[{','.join(needs.to_json() for needs in places)}]"


def read_places(text: str) -> Places:
    """Read what `places_json` wrote."""
    return tuple(Needs.from_json(json.dumps(needs)) for needs in read_json(text))


def submission_of(
    record: BatchRecord, row: int, packed: PackedRow, spec: BatchSpec, places: Places
) -> Submission:
    """Return what would have been submitted if the row had come alone."""
    return Submission(
        id=row_id(record.id, row),
        template=spec.template,
        needs=places[packed.place],
        params={**spec.params, **packed.params},
        inputs={**spec.inputs, **packed.inputs},
        metadata={**spec.metadata, **packed.metadata},
        tier=spec.tier,
        pin=spec.pin,
        owner=spec.owner,
        deliver=spec.deliver,
        batch=record.id,
        extra_data=spec.extra_data,
        secrets=spec.secrets,
        shape=record.shapes.of(packed.params),
        start_within=timedelta(seconds=spec.start_within_s),
        run_within=timedelta(seconds=spec.run_within_s),
    )


def queue_of(needs: Needs, spec: BatchSpec) -> str:
    """Return the queue that rows of a place go to."""
    return node_queue(spec.pin) if spec.pin else needs.queue
