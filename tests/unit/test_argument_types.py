"""What people hand to the library's calls in place of an id, a duration or an artifact."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from producer.aio import AsyncProducer
from producer.client import Producer
from producer.contract.config.settings import Settings
from producer.contract.errors import InvalidJob
from producer.contract.jobs import Artifact

ID = "01a202b8-2e5f-7533-81db-221426b72003"
ARTIFACT = Artifact(
    key="k", graph_node="1", index=0, kind="images", type="output", name="a.png",
    media_type="image/png", bytes=1, sha256="0" * 64,
)  # fmt: skip
JOB = object()

WRONG = [
    (lambda fleet: fleet.get(JOB), "job must be text, not object (a record has it as `.id`)"),
    (lambda fleet: fleet.wait(JOB), "job must be text"),
    (
        lambda fleet: fleet.wait(ID, timeout=30),
        "timeout must be a timedelta, not int (as timedelta",
    ),
    (lambda fleet: fleet.wait(ID, timeout="30"), "timeout must be a timedelta, not str"),
    (lambda fleet: fleet.cancel(None), "job must be text, not NoneType"),
    (lambda fleet: fleet.hold(JOB), "job must be text"),
    (lambda fleet: fleet.release(7), "job must be text, not int"),
    (lambda fleet: fleet.retry(JOB), "job must be text"),
    (lambda fleet: fleet.get_many([JOB]), "job must be text"),
    (lambda fleet: fleet.get_many(ID), "'0' is no job id"),
    (lambda fleet: fleet.dead_letters.show(JOB), "job must be text"),
    (lambda fleet: fleet.drain_nodes(7), "node must be text, not int"),
    (lambda fleet: fleet.pause_nodes(["gpu", 7]), "node must be text, not int"),
    (lambda fleet: fleet.quarantine_nodes(["gpu"], reason=None), "reason must be text, not None"),
    (lambda fleet: fleet.quarantine_nodes(["gpu"], reason=" "), "a quarantine needs a reason"),
    (lambda fleet: fleet.resume_nodes(["gpu"], actor=7), "actor must be text, not int"),
    (lambda fleet: fleet.clear_nodes(["gpu"], reason=7), "reason must be text, not int"),
    (lambda fleet: fleet.probe_nodes(["gpu"], origin=7), "origin must be text, not int"),
    (lambda fleet: fleet.drain_nodes(["gpu"], until="08:00"), "until must be datetime, not str"),
    (lambda fleet: fleet.pause_pools(["video"], reason=7), "reason must be text, not int"),
    (lambda fleet: fleet.resume_pools(["video"], reason=7), "reason must be text, not int"),
    (lambda fleet: fleet.dead_letters.redrive(JOB), "job must be text"),
    (lambda fleet: fleet.batch(JOB), "batch must be text, not object"),
    (lambda fleet: fleet.wait_batch(ID, timeout=30.5), "timeout must be a timedelta, not float"),
    (lambda fleet: fleet.cancel_batch(JOB), "batch must be text"),
    (lambda fleet: fleet.url("k"), "artifact must be Artifact, not str"),
    (lambda fleet: fleet.url(ARTIFACT, expires=3600), "expires must be a timedelta, not int"),
    (lambda fleet: fleet.url(ARTIFACT, expires=timedelta(8)), "valid for 1 s to 7 days"),
    (lambda fleet: fleet.url(ARTIFACT, expires=timedelta(0, 0, 9)), "valid for 1 s to 7 days"),
    (lambda fleet: fleet.fetch("k", Path("x")), "artifact must be Artifact"),
]


@pytest.fixture(scope="module")
def settings():
    return Settings(redis_url="redis://127.0.0.1:1/0", s3_endpoint_url="http://127.0.0.1:1")


@pytest.mark.parametrize(("call", "said"), WRONG)
def test_an_argument_of_another_type_is_refused_in_one_sentence(settings, call, said):
    with pytest.raises(InvalidJob) as caught:
        call(Producer(settings))
    assert said in str(caught.value)

    async def story():
        await call(AsyncProducer(settings))

    with pytest.raises(InvalidJob) as caught:
        asyncio.run(story())
    assert said in str(caught.value)


@pytest.mark.parametrize("topic", [JOB, None, ["x"]])
def test_a_topic_of_another_type_is_refused(settings, topic):
    with pytest.raises(InvalidJob, match="topic must be text"):
        Producer(settings).watch(topic)
