"""A store that does not serve stops claims; one that serves again lets them go on."""

from __future__ import annotations

from contextlib import closing

import pytest

from producer.contract.errors import BucketMissing, StorageUnreachable
from producer.contract.settings import load_settings
from producer.storage.object_store import ObjectStore
from worker.store_breaker import StoreBreaker

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


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_moment_of_trouble_is_nobodys_business(objects):
    broken, clock = [], Clock()
    with closing(objects()) as store:
        breaker = StoreBreaker(store, on_broken=lambda: broken.append(1), clock=clock)
        breaker.failed(REFUSED)
        clock.now += 2
        breaker.failed(REFUSED)
        assert (breaker.reason, broken) == (None, [])
        breaker.worked()
        clock.now += 2
        breaker.failed(REFUSED)
        assert breaker.reason is None


def test_trouble_that_lasts_stops_claims_and_a_look_ends_it(objects):
    broken, clock = [], Clock()
    with closing(objects()) as store:
        breaker = StoreBreaker(store, on_broken=lambda: broken.append(1), clock=clock)
        for _ in range(3):
            breaker.failed(REFUSED)
            clock.now += 2
        assert (breaker.reason, broken) == ("nobody answers", [1])
        breaker.look()
        assert breaker.reason is None


def test_a_look_at_a_missing_bucket_says_so(objects):
    with closing(objects("no-such-bucket")) as store:
        breaker = StoreBreaker(store, on_broken=lambda: None)
        with pytest.raises(BucketMissing):
            breaker.look()
        assert "no-such-bucket" in str(breaker.reason)
