"""Actions on many jobs, carried out by hand as upkeep does."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Event, Thread

from redis import ConnectionPool, Redis
from redis.connection import Connection

from producer.store import keys
from producer.store.job_store import JobStore
from producer.upkeep.bulk_actions import BulkActions
from tests.integration.test_upkeep import KEEP

#: Seconds of a sweep: as many turns as there are, however slow the machine.
_SWEEP_S = 60.0


def carrier(led, *, a_turn=2, redis=None) -> BulkActions:
    redis = redis or led.redis
    store = JobStore(redis, keep_ended=KEEP)
    return BulkActions(redis, store, led.fleet._dispatch, a_turn=a_turn, sweep_s=_SWEEP_S)


def carry_all(led) -> None:
    """Sweep until no action waits: one sweep leaves what another process has in its hands."""
    while led.redis.exists(keys.ACTIONS_WAITING):
        carrier(led).carry_out()


def carried_out(led, action, words="all", **options):
    """Begin an action, carry it out, and return its record."""
    begun = led.fleet.begin_action(action, words, **options)
    carry_all(led)
    return led.fleet.action(begun.id)


@contextmanager
def carrying_out(led):
    """Carry out what is asked for within the block."""
    is_over = Event()

    def carry():
        while not is_over.wait(0.02):
            carrier(led).carry_out()

    thread = Thread(target=carry)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(20)


def figures(record):
    return record.state, record.matched, record.done, record.refused


def statuses(led, jobs):
    return [led.fleet.get(job.id).status for job in jobs]


class Killed(BaseException):
    """The process has ended here."""


def dying(url, *, after: int) -> Redis:
    """Return a connection that ends its process when so many commands, or pipelines of them, were sent."""
    sent = 0

    class Dying(Connection):
        def send_packed_command(self, command, check_health=True):  # noqa: FBT002 - redis-py's
            nonlocal sent
            super().send_packed_command(command, check_health)
            sent += 1
            if sent == after:
                raise Killed

    pool = ConnectionPool.from_url(url, connection_class=Dying, decode_responses=True)
    return Redis(connection_pool=pool)
