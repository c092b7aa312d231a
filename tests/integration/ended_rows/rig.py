"""Batches whose rows have ended, and what packs them in upkeep, hours later."""

from __future__ import annotations

from datetime import timedelta

from producer.contract.ids import row_id
from producer.store.scripts import Scripts
from producer.store.sweeps import Sweeps
from tests.integration.batch_feeding import GRAPH, feed, seeds
from tests.integration.test_upkeep import KEEP

HOURS_AHEAD = "local t = redis.call('TIME') return t[1] * 1000 + {hours} * 3600000"


def packing(led, *, hours=2):
    """Return what packs rows in upkeep, so many hours from now."""
    scripts = Scripts(led.redis, clock_lua=HOURS_AHEAD.format(hours=hours))
    sweeps = Sweeps(led.redis, keep_ended=KEEP, scripts=scripts)
    return sweeps.row_packing(after=timedelta(hours=1))


def pack(led, *, hours=2):
    """Pack all that ended an hour before, and return how many rows that were."""
    packs, packed = packing(led, hours=hours), 0
    while some := packs.pack():
        packed += some
    return packed


def submitted(led, rows, **options):
    """Return the rows of a new batch as jobs, all of them fed."""
    batch = led.fleet.submit_many(GRAPH, seeds(rows), **options).id
    feed(led.fleet)
    return batch, [led.fleet.get(row_id(batch, row)) for row in range(1, rows + 1)]
