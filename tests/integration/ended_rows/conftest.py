"""Fixtures of rows that have ended."""

from __future__ import annotations

import pytest

from producer.store import keys
from tests.integration.ended_rows.rig import pack, submitted


@pytest.fixture
def led(led_with_s3):
    return led_with_s3


@pytest.fixture
def ended(led):
    """A batch whose rows ended in every way, packed; what each was before, and its counts then."""
    batch, jobs = submitted(led, 5)
    led.succeeded(jobs[0], contents=(b"one", b"two"))
    led.failed(jobs[1])
    led.cancelled(jobs[2])
    led.succeeded(jobs[3], contents=())
    led.failed(jobs[4], dead=False)
    before = dict(led.fleet.batch_jobs(batch))
    counts = led.fleet.batch(batch).counts
    assert pack(led) == 5
    assert not led.redis.exists(*(keys.job(job.id) for job in jobs))
    return batch, before, counts
