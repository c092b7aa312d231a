"""A single job's life in fast motion: once its record has expired nothing of it is left in Redis."""

from __future__ import annotations

from datetime import timedelta

import pytest

from producer.contract.errors import JobNotFound
from producer.contract.jobs import JobError
from producer.store import keys
from producer.store.outbox import Outbox
from producer.store.sweeps import Sweeps
from tests.integration.checks import check
from tests.integration.hand_led import WORKER, hold
from tests.integration.test_upkeep import KEEP

GRAPH = {"1": {"class_type": "PreviewAny", "inputs": {"source": "x"}}}
KEY, SECRET = "order-77", "sk-of-nobody"
NOW = timedelta(0)


@pytest.fixture
def led(led_with_s3):
    led_with_s3.fleet.webhooks.create("shop", "https://shop.example/hook", owner="shop")
    return led_with_s3


def submitted(led, number, **options):
    return led.fleet.submit(
        GRAPH,
        params={"1.source": f"picture {number}"},
        owner="shop",
        hook="shop",
        idempotency_key=f"{KEY}-{number}",
        extra_data={"api_key_comfy_org": SECRET, "client": "x"},
        metadata={"order": "77"},
        **options,
    )


def ended(led):
    """Let jobs end in every way, one after a second attempt and one that was made again; return them and the retry."""
    succeeded, failed, cancelled, expired, retried = (submitted(led, n) for n in range(5))
    led.running(succeeded)
    error = JobError(cause="node_fault", message="it went away", node="gpu-01")
    led.store.requeue(succeeded.id, attempt=1, worker=WORKER, error=error, charged=True)
    led.succeeded(led.fleet.get(succeeded.id))
    led.failed(failed)
    led.fleet.hold(cancelled.id)
    led.fleet.cancel(cancelled.id)
    led.redis.hset(keys.job(expired.id), "start_by_ms", 1)
    led.redis.zadd(keys.DELAYED, {expired.id: 1})
    Sweeps(led.redis, keep_ended=KEEP).due()
    again = led.fleet.retry(led.failed(retried).id, secrets={"api_key_comfy_org": SECRET})
    led.running(again)
    led.store.end_cancelled(hold(again))
    return [
        led.fleet.get(job.id) for job in (succeeded, failed, cancelled, expired, retried, again)
    ]


def key_of(number):
    return keys.idempotency("shop", f"{KEY}-{number}")


def test_an_idempotency_key_lives_exactly_as_long_as_its_record(led):
    jobs = [submitted(led, number, start_within=timedelta(days=90)) for number in range(4)]
    led.fleet.hold(jobs[1].id)
    led.running(jobs[2])
    led.failed(jobs[3])
    Sweeps(led.redis, keep_ended=KEEP).packing(after=NOW).pack()
    for number, job in enumerate(jobs):
        life = led.redis.pexpiretime(keys.job(job.id))
        assert led.redis.pexpiretime(key_of(number)) == life > 0


def test_nothing_of_a_single_job_is_left_when_its_life_is_over(led):
    jobs = ended(led)
    sweeps, outbox = Sweeps(led.redis, keep_ended=KEEP), Outbox(led.redis)
    told, *_ = outbox.take_due(limit=1, within=NOW)
    outbox.done(told)
    assert not any(SECRET in text for text in texts(led)), "secrets end with their job"
    assert sweeps.packing(after=NOW).pack() == len(jobs)
    ends = max(led.redis.pexpiretime(keys.job(job.id)) for job in jobs)
    mortal = [key for key in led.redis.scan_iter() if 0 < led.redis.pexpiretime(key) <= ends]
    led.redis.delete(*mortal)  # what time does to them

    led.fleet.dead_letters.prune()
    sweeps.forget_expired()
    for end in outbox.take_due(limit=100, within=NOW):  # the sender finds no record
        outbox.done(end)
    with pytest.raises(JobNotFound):
        led.fleet.get(jobs[0].id)
    names = [*(job.id for job in jobs), KEY, SECRET, "picture"]
    assert [text for text in texts(led) if any(name in text for name in names)] == []
    usage = led.fleet.owner("shop")
    assert (usage.waiting, usage.running) == (0, 0)
    assert check(led) == []
    assert submitted(led, 0).id != jobs[0].id, "the key stands for nothing any more"


def texts(led):
    """Yield all that Redis holds but for its two bounded streams and the broker's lists."""
    for key in led.redis.scan_iter():
        kind = led.redis.type(key)
        if kind in {"stream", "list"}:
            continue
        yield key
        if kind == "zset":
            yield from led.redis.zrange(key, 0, -1)
        elif kind == "hash":
            yield from (part for pair in led.redis.hgetall(key).items() for part in pair)
        elif kind == "string" and not key.startswith(
            ("comfyfleet:template:", "comfyfleet:extra_data:")
        ):
            yield led.redis.get(key)
