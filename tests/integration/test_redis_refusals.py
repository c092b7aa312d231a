"""What Redis refuses is an outage to be waited for, in words that a person can act on."""

from __future__ import annotations

import pytest

from producer.contract.errors import FleetUnreachable
from producer.store.connection import translated


@pytest.fixture
def without_replicas(redis_client):
    """Redis, which misses the replicas that it was told to have."""
    redis_client.config_set("min-replicas-to-write", 1)
    yield redis_client
    redis_client.config_set("min-replicas-to-write", 0)


@pytest.fixture
def without_primary(redis_client):
    """Redis, the replica of a primary that is not there."""
    redis_client.config_set("replica-serve-stale-data", "no")
    redis_client.replicaof("127.0.0.1", 1)
    yield redis_client
    redis_client.replicaof("NO", "ONE")
    redis_client.config_set("replica-serve-stale-data", "yes")


def test_a_redis_that_misses_its_replicas_is_away(without_replicas):
    with pytest.raises(FleetUnreachable, match="bring them back"), translated(without_replicas):
        without_replicas.set("key", "value")


def test_it_is_so_within_a_pipeline_too(without_replicas):
    with without_replicas.pipeline(transaction=False) as pipe:
        pipe.set("key", "value")
        with pytest.raises(FleetUnreachable, match="bring them back"), translated(pipe):
            pipe.execute()


def test_a_replica_without_its_primary_is_away(without_primary):
    with pytest.raises(FleetUnreachable, match="at that"), translated(without_primary):
        without_primary.get("key")
