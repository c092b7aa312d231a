"""The library and the client of the HTTP API, called alike, and what is compared of them."""

from __future__ import annotations

import pytest

from producer.contract.errors import (
    FleetError,
)
from producer.http_client import HttpProducer

#: What differs from one job to the next, and the key that the client makes.
OWN = {"id", "created_at", "start_deadline", "queued_at", "idempotency_key", "batch"}


class Library:
    """The library with the owner that a key would have, so that both are called alike."""

    def __init__(self, fleet, owner="shop"):
        self.fleet = fleet
        self.owner = owner

    def __getattr__(self, name):
        call = getattr(self.fleet, name)
        if name not in {"submit", "submit_once", "submit_many", "begin_batch", "upload", "batches"}:
            return call
        return lambda *given, **options: call(*given, owner=self.owner, **options)


def client(key, **options):
    return HttpProducer(key.url, key.key, **options)


def seen(job):
    """Return what two jobs of equal requests have in common."""
    return job.model_dump(exclude=OWN)


def raised(call, fleet):
    with pytest.raises(FleetError) as caught:
        call(fleet)
    return caught.value
