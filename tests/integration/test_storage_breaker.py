"""A store that does not serve stops claims; one that serves again lets them go on."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event

import pytest

from producer.contract.config.settings import load_settings
from producer.contract.errors import (
    BucketForbidden,
    BucketFull,
    BucketMissing,
    ForeignBucketFault,
    LeaseLost,
    StorageError,
    StorageFault,
    StorageRefused,
    StorageUnreachable,
)
from producer.contract.ids import new_job_id
from producer.storage.object_store import ObjectStore
from producer.store.attempts import Hold
from tests.clock import Clock
from worker.attempt.lease import JobCancelled, Lease
from worker.attempt.outages import Outages
from worker.attempt.shutdown import Shutdown
from worker.node.storage_breaker import StorageBreaker

REFUSED = StorageUnreachable("nobody answers")


@pytest.fixture
def objects(s3_server, s3_bucket, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)

    def store(bucket=s3_bucket):
        return ObjectStore(
            load_settings(
                s3_endpoint_url=s3_server.endpoint_url,
                s3_bucket=bucket,
                s3_addressing_style="path",
            )
        )

    return store


def test_a_moment_of_trouble_is_nobodys_business(objects):
    broken, clock = [], Clock()
    with closing(objects()) as store:
        breaker = StorageBreaker(store, clock=clock)
        breaker.set_on_broken(lambda: broken.append(1))
        breaker.on_failure(REFUSED)
        clock.now += 2
        breaker.on_failure(REFUSED)
        assert (breaker.reason, broken) == (None, [])
        breaker.on_success()
        clock.now += 2
        breaker.on_failure(REFUSED)
        assert breaker.reason is None


def test_trouble_that_lasts_stops_claims_and_a_look_ends_it(objects):
    broken, clock = [], Clock()
    with closing(objects()) as store:
        breaker = StorageBreaker(store, clock=clock)
        breaker.set_on_broken(lambda: broken.append(1))
        for _ in range(3):
            breaker.on_failure(REFUSED)
            clock.now += 2
        assert (breaker.reason, broken) == ("nobody answers", [1])
        breaker.probe()
        assert breaker.reason is None


def test_a_look_at_a_missing_bucket_says_so(objects):
    with closing(objects("no-such-bucket")) as store:
        breaker = StorageBreaker(store)
        with pytest.raises(BucketMissing):
            breaker.probe()
        assert "no-such-bucket" in str(breaker.reason)


def test_a_bad_answer_while_the_bucket_is_well_stops_no_claims(objects):
    clock = Clock()
    with closing(objects()) as store:
        breaker = StorageBreaker(store, clock=clock)
        for _ in range(5):
            breaker.on_failure(StorageError("answered 500"))
            clock.now += 2
        assert breaker.reason is None
    with closing(objects("no-such-bucket")) as store:
        breaker = StorageBreaker(store, clock=clock)
        for _ in range(3):
            breaker.on_failure(BucketMissing("no such bucket"))
            clock.now += 2
        assert breaker.reason == "no such bucket"


def test_a_full_bucket_stops_claims_although_a_few_bytes_still_fit(objects):
    clock = Clock()
    with closing(objects()) as store:
        breaker = StorageBreaker(store, clock=clock)
        for _ in range(3):
            breaker.on_failure(BucketFull("no room"))
            clock.now += 2
        with pytest.raises(BucketFull, match="no room"):
            breaker.probe()
        assert breaker.reason == "no room"
        clock.now += 60
        breaker.probe()
        assert breaker.reason is None


class Asking:
    """Asks a store that always answers the same, as an attempt would."""

    def __init__(self, store, answer):
        self.times, self._answer = 0, answer
        self.breaker = StorageBreaker(store)
        self.outages = Outages(self.breaker, Shutdown("gpu-01"), on_damage=lambda: None)

    def __call__(self):
        self.outages.until_storage_answers(self._ask, Lease(Hold(new_job_id(), 1, "worker")))

    def _ask(self):
        self.times += 1
        raise self._answer


@pytest.mark.parametrize(
    ("answer", "raised", "times"),
    [
        (StorageRefused("answered 400"), StorageRefused, 1),
        (BucketForbidden("refuses us PutObject"), StorageRefused, 4),
        (StorageFault("answered not as S3 does"), StorageRefused, 4),
        (ForeignBucketFault("does not answer"), ForeignBucketFault, 4),
    ],
)
def test_what_a_bucket_that_is_well_refuses_is_not_asked_for_without_end(
    objects, answer, raised, times
):
    with closing(objects()) as store:
        asking = Asking(store, answer)
        with pytest.raises(raised, match=answer.message):
            asking()
        assert (asking.times, asking.breaker.reason) == (times, None)


def test_a_bucket_that_opens_after_a_refusal_is_asked_once_more(objects):
    with closing(objects()) as store:
        asking = Asking(store, BucketForbidden("refuses us PutObject"))

        def opened_after_the_third():
            asking.times += 1
            if asking.times <= 3:
                raise BucketForbidden("refuses us PutObject")

        asking._ask = opened_after_the_third
        asking()
        assert asking.times == 4


def test_the_end_of_the_lease_ends_the_wait_for_a_bucket_that_is_away(objects):
    with closing(objects("no-such-bucket")) as store:
        asking = Asking(store, BucketMissing("no such bucket"))
        lease = Lease(Hold(new_job_id(), 1, "worker"))

        def ask():
            if asking.times == 2:
                lease.lost.set()
            asking._ask()

        with pytest.raises(LeaseLost):
            asking.outages.until_storage_answers(ask, lease)


def test_a_store_that_never_ends_its_answer_holds_no_cancelled_job(objects):
    with closing(objects()) as store:
        asking = Asking(store, None)
        lease, asked, over = Lease(Hold(new_job_id(), 1, "worker")), Event(), Event()

        def ask():
            asked.set()
            over.wait(30)

        def cancel():
            asked.wait(30)
            lease.cancel.set()

        with ThreadPoolExecutor(1) as other:
            other.submit(cancel)
            began = time.monotonic()
            with pytest.raises(JobCancelled):
                asking.outages.until_storage_answers(ask, lease)
            assert time.monotonic() - began < 10
        over.set()
