"""The lists of jobs live as long as what they list, and lose what has expired."""

from __future__ import annotations

from datetime import timedelta

from producer.contract.ids import new_job_id
from producer.contract.jobs import JobStatus
from producer.store import keys
from producer.store.job_lists import forget_expired
from producer.store.scripts import Scripts
from tests.integration.hand_led import HandLed


def lists(led: HandLed) -> list[str]:
    patterns = (f"{keys.JOBS}*", keys.OWNERS, f"{keys.ENDED}*")
    return sorted(key for pattern in patterns for key in led.redis.scan_iter(pattern))


def test_jobs_are_listed_by_owner_and_by_their_bad_end_and_rows_by_their_batch(led):
    mine, none = led.queued(owner="shop"), led.failed()
    row = led.of_batch("b1")
    ended_row = led.cancelled(led.of_batch("b1"))
    assert led.redis.zrange(keys.jobs("shop"), 0, -1) == [mine.id]
    assert led.redis.zrange(keys.JOBS, 0, -1) == [none.id]
    assert led.redis.zrange(keys.OWNERS, 0, -1) == ["shop"]
    assert led.redis.zrange(keys.ended("failed"), 0, -1) == [none.id]
    assert led.redis.zrange(keys.ended("cancelled"), 0, -1) == [ended_row.id]
    assert row.status is JobStatus.QUEUED


def test_a_list_outlives_what_it_lists(led):
    job = led.failed(led.queued(owner="shop", start_within=timedelta(days=900)))
    for key in (keys.jobs("shop"), keys.OWNERS, keys.ended("failed")):
        assert led.redis.pttl(key) >= led.redis.pttl(keys.job(job.id)) - 1
    assert led.redis.ttl(keys.jobs("shop")) > 900 * 86_400


def test_what_has_expired_is_forgotten_and_with_the_last_job_its_owner(led):
    gone = led.failed(led.queued(owner="shop"))
    stays, other = led.cancelled(led.queued(owner="else")), led.queued()
    led.redis.delete(keys.job(gone.id))
    assert forget_expired(led.redis, Scripts(led.redis)) == 2
    assert lists(led) == sorted(
        [keys.JOBS, keys.jobs("else"), keys.OWNERS, keys.ended("cancelled")]
    )
    assert led.redis.zrange(keys.OWNERS, 0, -1) == ["else"]
    led.redis.delete(keys.job(stays.id), keys.job(other.id))
    assert forget_expired(led.redis, Scripts(led.redis)) == 3
    assert lists(led) == []


def test_of_a_long_list_so_much_is_forgotten_that_little_is_left(led):
    job = led.queued()
    led.redis.zadd(keys.JOBS, {new_job_id(): 0 for _ in range(5_000)})
    led.redis.zadd(keys.ended("failed"), {new_job_id(): 1 for _ in range(5_000)})
    assert forget_expired(led.redis, Scripts(led.redis)) > 9_000
    assert led.redis.zcard(keys.JOBS) < 500
    assert led.redis.zscore(keys.JOBS, job.id) == 0
    assert not led.redis.exists(keys.ended("failed"))
