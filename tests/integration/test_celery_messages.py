"""The messages that dispatch writes, against those of Celery's own `send_task` on the same Redis."""

from __future__ import annotations

import base64
import json
import multiprocessing

import pytest

from celery_config import app
from producer.celery_messages import MessageWriter, TaskCall
from producer.contract.config.settings import Settings
from producer.contract.ids import new_job_id
from producer.contract.queues import RUN_TASK, Message, Tier
from producer.dispatch import Dispatch, broker_url

QUEUE = "comfyfleet.test.messages"


def sent_by_celery(client, url, task_id, args, priority):
    with app.connection_for_write(broker_url(url)) as connection:
        app.send_task(
            RUN_TASK,
            args,
            task_id=task_id,
            queue=QUEUE,
            priority=priority,
            connection=connection,
            ignore_result=True,
            argsrepr="-",
            kwargsrepr="-",
        )
    return taken(client)


def taken(client):
    """Return the one message, and the list that it lay in."""
    [name] = client.keys(f"{QUEUE}*")
    raw = client.rpop(name)
    return name, raw


@pytest.mark.parametrize("tier", Tier)
def test_a_message_is_celerys_own_but_for_the_id_of_its_delivery(redis_server, redis_client, tier):
    job = new_job_id()
    expected = sent_by_celery(redis_client, redis_server.url, f"{job}.2", (job, 2), tier.priority)
    Dispatch(Settings(redis_url=redis_server.url)).send_all([Message(job, 2, QUEUE, tier.priority)])
    written = taken(redis_client)
    assert written[0] == expected[0]
    ours, its = (json.loads(raw) for _, raw in (written, expected))
    tags = [found["properties"].pop("delivery_tag") for found in (ours, its)]
    assert ours == its
    assert tags[0] != tags[1]
    assert len(tags[0]) == len(tags[1])
    # And byte for byte, so that no reader of kombu's can tell them apart.
    assert written[1].replace(tags[0], tags[1]) == expected[1]


def test_a_forked_process_names_itself():
    writer = MessageWriter()
    origin = json.loads(writer.write(call()))["headers"]["origin"]
    context = multiprocessing.get_context("fork")
    mine, its = context.Pipe()
    child = context.Process(
        target=lambda: its.send(json.loads(writer.write(call()))["headers"]["origin"])
    )
    child.start()
    assert mine.poll(20)
    assert mine.recv() != origin
    child.join(20)


def test_arguments_come_as_they_were():
    message = json.loads(MessageWriter().write(call(args=["a job", 3])))
    args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
    assert (args, kwargs) == (["a job", 3], {})


def call(args=()):
    return TaskCall(name=RUN_TASK, queue=QUEUE, priority=3, args=args)
