"""`comfyfleet check --objects`: the bucket beside the records."""

from __future__ import annotations

from datetime import timedelta

import pytest

from producer.checking.check import Check
from producer.checking.findings import Kind
from producer.contract.ids import new_job_id
from producer.store import keys
from tests.integration.checks import check


@pytest.fixture
def led(led_with_s3):
    return led_with_s3


AT_ONCE = {"orphan_age": timedelta(0), "objects": True}


def test_objects_of_every_job_are_well(led):
    led.succeeded()
    led.succeeded(contents=())
    led.failed()
    led.put("renders/inputs/" + "0" * 64, b"an input")
    led.put("renders/jobs/readme.txt", b"somebody else's")
    led.put("jobs/elsewhere", b"somebody else's")
    running = led.running()
    led.put(led.artifact_key(running), b"not committed yet")
    assert check(led, repair=True, **AT_ONCE) == []


def test_a_missing_artifact_and_a_missing_manifest_are_told(led):
    partly, wholly = led.succeeded(contents=(b"one", b"two")), led.succeeded()
    lost = {partly.artifacts[1].key, wholly.artifacts[0].key, led.manifest_key(wholly)}
    for key in lost:
        led.delete(key)
    findings = check(led, repair=True, **AT_ONCE)
    assert {finding.about for finding in findings} == lost
    assert {finding.kind for finding in findings} == {Kind.MISSING_OBJECT}
    assert all(finding.is_left for finding in findings)


def test_an_artifact_of_another_size_is_told(led):
    [artifact] = led.succeeded().artifacts
    led.put(artifact.key, b"cut")
    [finding] = check(led, **AT_ONCE)
    assert (finding.kind, finding.about) == (Kind.WRONG_SIZE, artifact.key)
    assert "has 3 bytes" in finding.found
    assert str(artifact.bytes) in finding.expected


def test_what_lies_under_an_earlier_prefix_is_still_there(led):
    led.succeeded()
    moved = led.settings.model_copy(update={"s3_prefix": "elsewhere"})
    with Check(moved) as checking:
        assert list(checking.run(objects=True)) == []


def test_orphans_are_removed_once_they_are_old(led):
    done, failed = led.succeeded(), led.failed()
    orphans = {led.artifact_key(done, attempt=2), led.artifact_key(failed)}
    for key in orphans:
        led.put(key, b"left by an attempt")
    before = led.stored_keys()
    young = check(led, objects=True, repair=True)
    assert {finding.about for finding in young} == orphans
    assert not any(finding.is_left or finding.mended for finding in young)
    assert led.stored_keys() == before
    old = check(led, **AT_ONCE)
    assert {finding.about for finding in old if finding.is_left} == orphans
    assert all(finding.mended for finding in check(led, repair=True, **AT_ONCE))
    assert led.stored_keys() == before - orphans
    assert check(led, **AT_ONCE) == []


def test_objects_of_a_job_without_a_record_are_kept(led):
    job = led.succeeded()
    led.redis.delete(keys.job(job.id))
    assert [one for one in check(led, repair=True, **AT_ONCE) if not one.is_note] == []
    assert led.manifest_key(job) in led.stored_keys()


def begin_upload(led, key):
    answer = led.s3.create_multipart_upload(Bucket=led.settings.s3_bucket, Key=key)
    return key, answer["UploadId"]


def test_parts_that_killed_workers_left_are_dropped_once_they_are_old(led):
    failed, running, forgotten = led.failed(), led.running(), new_job_id()
    left = {
        led.artifact_key(failed): Kind.UNFINISHED_UPLOAD,
        led.artifact_key(running, attempt=9): Kind.UNFINISHED_UPLOAD,
        f"renders/jobs/{forgotten}/1/9-0.mp4": Kind.UNFINISHED_UPLOAD,
    }
    kept = [led.artifact_key(running), "renders/jobs/readme", "elsewhere/jobs/1/1/9-0.mp4"]
    uploads = dict(begin_upload(led, key) for key in [*left, *kept])
    young = check(led, objects=True, repair=True)
    assert {found.about: found.kind for found in young} == left
    assert not any(found.is_left or found.mended for found in young)
    old = check(led, repair=True, **AT_ONCE)
    assert {found.about: found.kind for found in old} == left
    assert all(found.mended for found in old)
    assert check(led, **AT_ONCE) == []
    bucket = led.settings.s3_bucket
    open_ = led.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", ())
    assert {upload["Key"] for upload in open_} == set(kept)
    for key in kept:
        led.s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=uploads[key])
