"""The guard that looks after each test for keys that would stay for ever."""

from __future__ import annotations

import pytest

from producer.store import keys
from tests.key_lives import kept_for_ever, without_life


@pytest.mark.writes_keys
def test_a_key_without_a_life_is_seen_unless_it_is_meant_to_stay(redis_client):
    redis_client.set("comfyfleet:job:stray", "x")
    redis_client.set("comfyfleet:job:mortal", "x", ex=60)
    redis_client.zadd(keys.NODES, {"gpu-01": 1})
    redis_client.hset(keys.templates("shop"), "portrait", "{}")
    assert without_life(redis_client) == ["comfyfleet:job:stray"]


def test_what_stays_for_ever_is_what_the_table_of_keys_says():
    jobs = {
        keys.NODES,
        keys.LEASES,
        keys.QUEUES,
        keys.EVENTS,
        keys.DEAD,
        keys.TOTALS,
        keys.RECOVERED,
    }
    webhooks = {keys.WEBHOOKS, keys.WEBHOOK_SECRETS, keys.WEBHOOKS_FAILING}
    persons = {
        keys.DESIRED,
        keys.QUARANTINED,
        keys.POOLS,
        keys.ACTIONS,
        keys.ACCESS_KEYS,
        keys.OWNER_LIMITS,
    }
    templates = {keys.TEMPLATES, keys.templates("<owner>"), keys.named_graphs("<owner>")}
    assert kept_for_ever() == jobs | webhooks | persons | templates
