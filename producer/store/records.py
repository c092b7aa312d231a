"""Job record: a job as a Redis hash, written, and read as a `Job`."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from pydantic_core import from_json

from producer.contract.batches import BatchSpec
from producer.contract.copies import planned_copies
from producer.contract.deliver import Copy, Deliver
from producer.contract.errors import InvalidJob
from producer.contract.ids import JobId, row_of
from producer.contract.jobs import (
    Artifact,
    Attempt,
    Job,
    JobError,
    JobEvent,
    JobStatus,
    Phase,
    Progress,
)
from producer.contract.json_texts import read_json
from producer.contract.own_params import told, told_apart
from producer.contract.submissions import Submission
from producer.store.packed_records import unpacked
from producer.store.times import utc

#: Raised when a field changes its meaning; readers pass over fields they do not know.
#: A record of version 2 has extra data, which workers of the first version would leave out; one of version 3
#: asks for copies, which earlier ones would not note when they commit it.
RECORD_VERSION: Final = 3

#: Bytes of graphs whose packed form is remembered of many; of larger ones, of two.
_SMALL: Final = 32 << 10
#: With the number of an attempt that ended without success, the field that tells of it.
_ATTEMPT: Final = "attempt:"
#: Attempts whose fields are looked for by name; a record may say any number.
_MANY: Final = 10
#: The name of each phase in `Timings`, and the field that says when it began.
_STAMPS: Final = (("queued", "queued_ms"), *((str(phase), f"at:{phase}") for phase in Phase))
#: What a `Job` takes from its record: as it is, unless it is empty, and from two JSONs in it; and its times.
_AS_IT_IS: Final = ("batch", "retried_as", "hook", "node", "prompt_id")
_OR_NOTHING: Final = ("phase", "shape", "cause")
_OF_SPEC: Final = ("retry_of", "pin", "inputs", "metadata", "extra_data", "secrets")
_OF_RESULT: Final = ("artifacts", "values", "notes")
_TIMES: Final = (
    ("queued_at", "queued_ms"),
    ("started_at", "started_ms"),
    ("ended_at", "ended_ms"),
)


def fields_of(submission: Submission) -> dict[str, str | int]:
    """Return the record of a new job without its status and its times: scripts set both.

    What scripts look at has a field of its own; the rest is one JSON, which costs less.
    """
    spec = {
        "owner": submission.owner,
        "key": submission.idempotency_key,
        "retry_of": submission.retry_of,
        "tier": submission.tier,
        "pool": submission.needs.pool,
        "pin": submission.pin,
        "template": submission.template,
        **told(submission.params, submission.graph_values),
        "inputs": {
            address: file.model_dump(exclude_none=True)
            for address, file in submission.inputs.items()
        },
        "metadata": submission.metadata,
        "extra_data": submission.extra_data,
        "secrets": list(submission.secrets),
        "run_within_s": submission.run_within.total_seconds(),
    }
    given = {
        name: value
        for name, value in spec.items()
        if value not in ({}, [], None, "") or name == "own"
    }
    return {
        "v": version_of(submission),
        "attempt": 1,
        "queue": submission.queue,
        "priority": submission.tier.priority,
        "shape": submission.shape,
        "spec": json.dumps(given, separators=(",", ":")),
        **({"batch": submission.batch} if submission.batch else {}),
        # Also in `spec`, where readers of the version before look for it.
        **({"owner": submission.owner} if submission.owner else {}),
        **({"hook": submission.hook} if submission.hook else {}),
        **({"deliver": submission.deliver.written()} if submission.deliver else {}),
    }


def version_of(what: Submission | BatchSpec) -> int:
    """Return the version that a reader must understand."""
    if what.deliver:
        return 3
    return 2 if what.extra_data or what.secrets else 1


def job_of(job_id: JobId, record: Mapping[str, str]) -> Job:
    """Read a record, packed or not."""
    record = unpacked(job_id, record)
    spec = _value_of(record["spec"])
    status = JobStatus(record["status"])
    params, graph_values = told_apart(spec)
    # A page of a list spends half of its time here: what a record does not have is left to the model's defaults.
    found: dict[str, Any] = {
        **{name: record[name] for name in _AS_IT_IS if name in record},
        **{name: record[name] for name in _OR_NOTHING if record.get(name)},
        **{name: spec[name] for name in _OF_SPEC if name in spec},
        **{name: utc(record[stamp]) for name, stamp in _TIMES if record.get(stamp)},
        "id": job_id,
        "status": status,
        "done": status.is_terminal,
        "attempt": int(record["attempt"]),
        "charged_attempts": int(record.get("charged", 0)),
        "free_attempts": int(record.get("free", 0)),
        "attempts": _attempts(record),
        "owner": record.get("owner", spec.get("owner", "")),
        "idempotency_key": spec.get("key"),
        "row": _row(job_id, record),
        "tier": spec["tier"],
        "pool": spec["pool"],
        "queue": record["queue"],
        "template": spec["template"],
        "params": params,
        "graph_values": graph_values,
        "waiting_for": _waiting_for(status, record),
        "cancel_requested": "cancel" in record,
        "timings": phase_seconds(record),
        "created_at": utc(record["created_ms"]),
        "start_deadline": utc(record["start_by_ms"]),
        "run_within_s": spec["run_within_s"],
    }
    if error := record.get("error"):
        found["error"] = JobError.model_validate_json(error)
    if progress := record.get("progress"):
        found["progress"] = Progress.model_validate_json(progress)
    artifacts: list[Any] = []
    if "result" in record:
        result = read_json(record["result"])
        artifacts = result.get("artifacts", [])
        found |= {name: result[name] for name in _OF_RESULT if name in result}
    if status is JobStatus.SUCCEEDED or "copies" in record:
        found["copies"] = _copies(job_id, status, record, artifacts)
    if "deliver" in record:
        found["deliver"] = _deliver(record)
    return Job.model_validate(found)


def _value_of(text: str) -> Any:
    """Return what a JSON of our own says; pydantic reads it in a third of the time, but no half characters."""
    try:
        return from_json(text)
    except ValueError:
        return read_json(text)


def event_of(entry_id: str, entry: Mapping[str, str]) -> JobEvent:
    """Read one entry of the event stream."""
    progress = entry.get("progress")
    return JobEvent(
        id=entry_id,
        job=JobId(entry["job"]),
        n=int(entry["n"]),
        type=entry["type"],
        status=JobStatus(entry["status"]),
        attempt=int(entry["attempt"]),
        node=entry["node"] or None,
        phase=Phase(entry["phase"]) if "phase" in entry else None,
        progress=Progress.model_validate_json(progress) if progress else None,
        cause=entry.get("cause") or None,
        owner=entry.get("owner", ""),
        at=utc(entry["at"]),
    )


def attempt_json(
    *, number: int, node: str | None, charged: bool, error: JobError, fingerprint: str = ""
) -> str:
    """Return an `Attempt` that ends now without success, as JSON; scripts add when it began."""
    attempt = Attempt(
        number=number,
        node=node,
        charged=charged,
        error=error,
        ended_at=datetime.now(UTC),
        fingerprint=fingerprint or None,
    )
    unknown = {"started_ms", "render_ms"} | (set() if fingerprint else {"fingerprint"})
    return attempt.model_dump_json(exclude=unknown)


def result_json(
    artifacts: Iterable[Artifact], values: Mapping[str, Any], notes: Iterable[str]
) -> str:
    """Return what a job has made as its record keeps it."""
    result = {
        "artifacts": [
            artifact.model_dump(exclude_none=True, exclude={"url"}) for artifact in artifacts
        ],
        "values": values,
        **({"notes": list(notes)} if notes else {}),
    }
    return json.dumps(result, separators=(",", ":"))


def pairs(flat: Iterable[str]) -> dict[str, str]:
    """Make a dict of a flat reply `[field, value, ...]`."""
    items = iter(flat)
    return dict(zip(items, items, strict=True))


def flat(fields: Mapping[str, Any]) -> list[Any]:
    """Make the flat argument list that scripts take."""
    return [part for pair in fields.items() for part in pair]


def packed(content: bytes) -> bytes:
    """Return *content* as it is kept; nothing stays nothing."""
    if not content:
        return b""
    return _small(content) if len(content) <= _SMALL else _large(content)


# A backend's jobs share their graph, which is handed in with each of them.
_small: Final = lru_cache(maxsize=64)(zlib.compress)
_large: Final = lru_cache(maxsize=2)(zlib.compress)


def _attempts(record: Mapping[str, str]) -> list[Attempt]:
    number = int(record["attempt"])
    if number > _MANY:
        found = [record[name] for name in record if name.startswith(_ATTEMPT)]
        return sorted(map(Attempt.model_validate_json, found), key=lambda attempt: attempt.number)
    names = (f"{_ATTEMPT}{n}" for n in range(1, number + 1))
    return [Attempt.model_validate_json(record[name]) for name in names if name in record]


def _deliver(record: Mapping[str, str]) -> Deliver | None:
    text = record.get("deliver")
    return Deliver.model_validate_json(text) if text else None


def _copies(
    job_id: JobId, status: JobStatus, record: Mapping[str, str], artifacts: list[Any]
) -> list[Copy]:
    """Return what has come of a job's copies; before the first was tried, which there will be."""
    if "copies" in record:
        return [Copy.model_validate(copy) for copy in read_json(record["copies"])]
    deliver = _deliver(record)
    if deliver is None or status is not JobStatus.SUCCEEDED:
        return []
    planned = planned_copies(
        deliver,
        [Artifact.model_validate(artifact) for artifact in artifacts],
        job=job_id,
        owner=record.get("owner", ""),
        batch=record.get("batch"),
        row=_row(job_id, record),
    )
    try:
        return list(planned)
    except InvalidJob as exc:
        raise ValueError(f"where copies are put makes no sense ({exc.message})") from exc


def _row(job_id: JobId, record: Mapping[str, str]) -> int | None:
    """Return which row a job is: its id tells it, or as the retry of a row its record."""
    if "batch" not in record:
        return None
    batch, row = row_of(job_id)
    if batch == record["batch"]:
        return row
    return int(record["row"]) if "row" in record else None


def phase_seconds(record: Mapping[str, str]) -> dict[str, float]:
    """Return what each phase took, s: from its stamp to the next one, or to the end."""
    stamps = [(name, int(record[stamp])) for name, stamp in _STAMPS if stamp in record]
    if len(stamps) == 1 and "ended_ms" not in record:
        return {}
    stamps.sort(key=lambda stamp: stamp[1])
    ends = [at for _, at in stamps[1:]]
    if "ended_ms" in record:
        ends.append(int(record["ended_ms"]))
    return {name: (end - at) / 1000 for (name, at), end in zip(stamps, ends, strict=False)}


def _waiting_for(status: JobStatus, record: Mapping[str, str]) -> str | None:
    if status is not JobStatus.QUEUED:
        return None
    return record.get("waiting_for", "capacity")
