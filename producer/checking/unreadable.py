"""Findings about keys and records that cannot be read."""

from __future__ import annotations

from producer.checking.findings import Finding, Kind
from producer.contract.graph.json_values import short
from producer.contract.text_cleaning import escaped
from producer.store.audit import Index
from producer.store.ended_buckets import TornBucket
from producer.store.ended_rows import EndedBucket
from producer.store.key_types import ForeignKey
from producer.store.record_reader import Reading


def unreadable(reading: Reading) -> Finding:
    """Return that a record cannot be read."""
    return Finding(
        kind=Kind.UNREADABLE_RECORD,
        about=reading.job_id,
        found=f"the record of job {reading.job_id} cannot be read: {reading.flaw}",
        expected="a newer version may have written it; else delete it and submit the job anew",
    )


def torn(bucket: EndedBucket, why: TornBucket, expected: str) -> Finding:
    """Return that packed rows cannot be read, and what can be done."""
    first, last = bucket.rows
    return Finding(
        kind=Kind.TORN_ROWS,
        about=bucket.batch,
        found=f"rows {first:,} to {last:,} of batch {bucket.batch} have ended, and cannot be read: {why}",
        expected=f"a newer version may have packed them; else {expected}",
    )


def foreign_key(key: ForeignKey) -> Finding:
    """Return that an index or a count is a key of another type."""
    return Finding(
        kind=Kind.UNREADABLE_RECORD,
        about=key.key,
        found=key.sentence,
        expected="rename or delete it, and run check --repair, which makes it anew where records tell it",
    )


def no_index(index: Index) -> Finding:
    """Return that an index of jobs is a key of another type."""
    return Finding(
        kind=Kind.UNREADABLE_RECORD,
        about=index.key,
        found=f"{index.key} lists no jobs: it is a key of another type than a sorted set",
        expected="delete it, and run check --repair, which lists its jobs again",
    )


def not_checked(part: str, why: str) -> Finding:
    """Return that a part of the fleet was not looked at to its end."""
    return Finding(
        kind=Kind.NOT_CHECKED,
        about=part,
        found=f"{part} could not be checked to the end: {escaped(short(why))}",
        expected="mend what is told above, and run check again",
    )
