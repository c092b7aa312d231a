"""Manifests tell what a job was, in either version; what is none is refused in one sentence."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from producer.contract.manifests import job_of_manifest

STORED = datetime(2026, 11, 28, 12, tzinfo=UTC)
JOB = "01a202fc-72b0-7acb-9f17-73fc8595814e"
FIRST = {
    "version": 1,
    "job": JOB,
    "attempt": 2,
    "node": "gpu-01",
    "template": "5" * 64,
    "params": {"6.text": "a fox"},
    "metadata": {"order": "7"},
    "created_at": "2026-11-28T11:00:00+00:00",
    "artifacts": [],
    "values": {"8": {"text": ["made"]}},
    "notes": ["one picture lacks"],
}


def test_a_manifest_of_version_1_is_read_with_the_defaults_of_its_time():
    job = job_of_manifest(FIRST, stored_at=STORED)
    assert (job.status, job.done, job.ended_at, job.attempt) == ("succeeded", True, STORED, 2)
    assert (job.params, job.metadata, job.values, job.notes) == (
        FIRST["params"],
        FIRST["metadata"],
        FIRST["values"],
        FIRST["notes"],
    )
    assert (job.tier, job.pool, job.queue) == ("default", "default", "comfyfleet.pool.default.any")


def test_fields_of_a_newer_version_are_passed_over():
    newer = {**FIRST, "tier": "rush", "version": 3, "colour": "red"}
    with pytest.raises(ValueError, match="pool makes no sense"):
        job_of_manifest(newer, stored_at=STORED)
    whole = job_of_manifest(FIRST, stored_at=STORED).model_dump(mode="json")
    assert job_of_manifest({**whole, **newer}, stored_at=STORED).tier == "rush"


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        ([], "this is no manifest"),
        ("text", "this is no manifest"),
        ({}, "names no job"),
        ({**FIRST, "version": 2}, "tier makes no sense"),
        ({**FIRST, "attempt": "two"}, "attempt makes no sense"),
        ({**FIRST, "created_at": "yesterday"}, "created_at makes no sense"),
        ({**FIRST, "created_at": None}, "created_at makes no sense"),
        ({**FIRST, "created_at": "2026-11-28T11:00:00"}, "created_at makes no sense"),
        ({**FIRST, "artifacts": [{"key": 7}]}, r"artifacts\.0\.key makes no sense"),
        ({**FIRST, "artifacts": None}, "artifacts makes no sense"),
    ],
)
def test_what_is_no_manifest_is_refused_in_one_sentence(manifest, problem):
    with pytest.raises(ValueError, match=problem) as caught:
        job_of_manifest(manifest, stored_at=STORED)
    assert "\n" not in str(caught.value)
