"""`comfyfleet verify`: artifacts are read again, and each that differs from its record is named."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from producer.checking.verify import Verifier
from producer.contract.errors import BucketMissing, StorageUnreachable
from producer.contract.manifests import manifest_of
from producer.store import keys
from tests.graphs import sleeping

STATUS = Path("/proc/self/status")


@pytest.fixture
def led(led_with_s3):
    return led_with_s3


def flaws_of(led, *jobs, settings=None):
    """Verify some jobs, or all."""
    with Verifier(settings or led.settings) as verifier:
        return list(verifier.flaws(jobs or verifier.succeeded()))


def test_what_is_as_recorded_has_no_flaw(led):
    jobs = [led.succeeded(contents=(b"one", b"two")), led.succeeded(contents=())]
    led.failed()
    led.queued()
    with Verifier(led.settings) as verifier:
        assert {job.id for job in verifier.succeeded()} == {job.id for job in jobs}
        assert list(verifier.flaws(verifier.succeeded())) == []
        assert (verifier.totals.jobs, verifier.totals.artifacts, verifier.totals.bytes) == (2, 2, 6)


def test_bytes_of_the_same_length_that_differ_are_named(led):
    job, other = led.succeeded(contents=(b"one", b"two")), led.succeeded()
    led.put(job.artifacts[1].key, b"TWO")
    [flaw] = flaws_of(led)
    assert (flaw.job, flaw.key, flaw.kind) == (job.id, job.artifacts[1].key, "differs")
    assert "has SHA-256" in flaw.message
    assert "bytes" not in flaw.message
    assert flaws_of(led, other) == []


def test_a_truncated_artifact_is_named_with_both_lengths(led):
    job = led.succeeded(contents=(b"a picture",))
    led.put(job.artifacts[0].key, b"a pic")
    [flaw] = flaws_of(led, job)
    assert "has 5 bytes, the record says 9" in flaw.message


def test_missing_objects_are_named(led):
    job = led.succeeded(contents=(b"one", b"two"))
    gone = [job.artifacts[0].key, led.manifest_key(job)]
    for key in gone:
        led.delete(key)
    flaws = flaws_of(led, job)
    assert {(flaw.key, flaw.kind) for flaw in flaws} == {(key, "missing") for key in gone}


TALES = {
    "does not list .*1.png, which the record does": lambda listed: listed.pop(),
    "lists else, which the record does not": lambda listed: listed.append(
        {**listed[0], "key": "else"}
    ),
    "says other bytes or SHA-256 of .*0.png": lambda listed: listed[0].update(bytes=7),
    "says other bytes or SHA-256 of .*1.png": lambda listed: listed[1].update(sha256="0"),
}


def test_a_manifest_that_tells_another_tale_is_named(led):
    said = {}
    for pattern, change in TALES.items():
        job = led.succeeded(contents=(b"one", b"two"))
        listed = [artifact.model_dump() for artifact in job.artifacts]
        change(listed)
        led.put(led.manifest_key(job), json.dumps({"artifacts": listed}).encode())
        said[job.id] = pattern
    flaws = flaws_of(led)
    assert {flaw.job for flaw in flaws} == said.keys()
    assert len(flaws) == len(said)
    for flaw in flaws:
        assert flaw.kind == "manifest_differs"
        assert re.search(said[flaw.job], flaw.message)


def test_a_manifest_that_is_none_is_named(led):
    keys_of_none = set()
    for content in (b"<html>", b"[]", b'{"artifacts": 7}', b'{"artifacts": [7]}'):
        keys_of_none.add(key := led.manifest_key(led.succeeded()))
        led.put(key, content)
    assert {(flaw.key, flaw.kind) for flaw in flaws_of(led)} == {
        (key, "unreadable") for key in keys_of_none
    }


def test_what_manifests_of_version_2_name_is_looked_at_once(led):
    graph = sleeping()
    jobs = [led.succeeded(led.fleet.submit(graph)) for _ in range(2)]
    for job in jobs:
        manifest = manifest_of(job, artifacts=job.artifacts, values={}, notes=[])
        led.put(led.manifest_key(job), json.dumps(manifest).encode())
    key = f"{led.settings.s3_prefix}/templates/{jobs[0].template}.json"
    assert {(flaw.key, flaw.kind) for flaw in flaws_of(led)} == {(key, "missing")}
    led.put(key, b"{}")
    [flaw] = flaws_of(led)
    assert (flaw.key, flaw.kind) == (key, "differs")
    led.put(key, led.store.graph(jobs[0].template))
    assert flaws_of(led) == []


def test_a_job_that_has_not_succeeded_cannot_be_verified(led):
    job = led.failed()
    [flaw] = flaws_of(led, job)
    assert (flaw.job, flaw.key, flaw.kind) == (job.id, None, "not_succeeded")


def test_a_record_that_cannot_be_read_does_not_stop_the_others(led):
    broken, job = led.succeeded(), led.succeeded()
    led.redis.hset(keys.job(broken.id), "spec", "{")
    led.delete(job.artifacts[0].key)
    assert [flaw.job for flaw in flaws_of(led)] == [job.id]


def test_a_store_that_does_not_serve_ends_it(led):
    led.succeeded()
    nowhere = {"s3_endpoint_url": "http://127.0.0.1:1"}
    with pytest.raises(StorageUnreachable):
        flaws_of(led, settings=led.settings.model_copy(update=nowhere))
    with pytest.raises(BucketMissing):
        flaws_of(led, settings=led.settings.model_copy(update={"s3_bucket": "no-such"}))


MEASURE = """
import json, sys
from pathlib import Path
from producer.contract.config.settings import Settings
from producer.checking.verify import Verifier

def peak_kib():
    [line] = [l for l in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in l]
    return int(line.split()[1])

with Verifier(Settings.model_validate_json(sys.argv[1])) as verifier:
    small, large = sorted(verifier.succeeded(), key=lambda job: job.artifacts[0].bytes)
    assert list(verifier.flaws([small])) == []
    before = peak_kib()
    assert list(verifier.flaws([large])) == []
    print(peak_kib() - before)
"""


@pytest.mark.skipif(not STATUS.exists(), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_artifact(led):
    led.succeeded(contents=(os.urandom(1000),))
    led.succeeded(contents=(os.urandom(40 << 20),))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, led.settings.model_dump_json()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert int(done.stdout) < 10 << 10
