"""Copies of what a job made, by real workers: none is forgotten by one that dies right after the commit."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import requests

from producer.client import Producer
from producer.contract.config.settings import load_settings
from producer.contract.deliver import CopyState
from producer.storage.s3_client import LazyClient
from tests.acceptance.test_recovery import KILLED, PATIENCE
from tests.graphs import sleeping
from tests.polling import wait_until

_buckets = itertools.count(1)


@pytest.fixture
def bucket(stack) -> str:
    name = f"copies-{next(_buckets)}"
    s3(stack).create_bucket(Bucket=name)
    return name


def s3(stack) -> Any:
    """Return boto3's client of the stack's S3."""
    return LazyClient(load_settings(**stack.settings)).get()


def test_a_copy_is_made_by_the_next_worker_if_one_dies_right_after_the_commit(stack, bucket, serve):
    allowed = {"COMFYFLEET_DELIVER_BUCKETS": bucket}
    deliver = {"to": f"s3://{bucket}/{{owner}}/{{job}}-{{n}}{{ext}}", "metadata": "strip"}
    with Producer(load_settings(**stack.settings, deliver_buckets=bucket)) as fleet:
        with serve("copying", "copying", COMFYFLEET_CRASHPOINT="commit.done", **allowed) as worker:
            job = fleet.submit(sleeping(), pool="copying", owner="ann", deliver=deliver)
            assert worker.wait(timeout=60) == KILLED
        job = fleet.wait(job.id, timeout=PATIENCE)
        assert [copy.key for copy in job.copies] == [f"ann/{job.id}-0.png"]

        with serve.begun("copying", "copying", **allowed):
            wait_until(
                lambda: all(copy.state is CopyState.DONE for copy in fleet.get(job.id).copies),
                description="the copy is made",
                within_s=PATIENCE.total_seconds(),
            )
        stripped = s3(stack).get_object(Bucket=bucket, Key=job.copies[0].key)["Body"].read()
        whole = requests.get(fleet.url(job.artifacts[0]), timeout=10).content
        assert b"tEXtprompt" in whole
        assert b"prompt" not in stripped
