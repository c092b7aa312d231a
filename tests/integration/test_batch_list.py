"""The list of batches: who has expired goes from it, in whatever order that happens."""

from __future__ import annotations

from datetime import timedelta

from producer.store import keys
from tests.integration.batch_feeding import GRAPH, seeds


def test_batches_that_live_long_keep_no_expired_one_on_the_list(led):
    def submit(start_within=timedelta(days=1)):
        return led.fleet.submit_many(GRAPH, seeds(1), start_within=start_within).id

    long_lived = [submit(timedelta(days=365)) for _ in range(2)]
    expired = [submit() for _ in range(20)]
    led.redis.delete(*map(keys.batch, expired), *map(keys.rows, expired))
    new = [submit() for _ in range(10)]
    listed = set(led.redis.zrange(keys.BATCHES, 0, -1))
    assert listed >= {*long_lived, *new}
    assert len(listed & set(expired)) < 10
