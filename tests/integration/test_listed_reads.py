"""A page of one owner's jobs is read by a script: as commands would read it, wherever these are answered."""

from __future__ import annotations

import pytest

from producer.client import Producer
from producer.contract.errors import KeyOfAnotherType, UnreadableRecord
from producer.store import keys, record_reader

pytestmark = pytest.mark.writes_keys

#: More keys than are looked through for the one that an error is about.
MANY = 20_001


def listed(fleet, limit=50):
    return [job.id for job in fleet.jobs("owner:shop", limit=limit).jobs]


def test_what_only_reads_is_answered_where_nothing_may_be_written(led):
    """Redis lacks a replica, as while it fails over; a full disk and a replica refuse writes alike."""
    job = led.queued(owner="shop")
    led.redis.config_set("min-replicas-to-write", 1)
    try:
        assert listed(led.fleet) == listed(led.fleet, limit=200) == [job.id]
        assert led.fleet.queue()[0].jobs == 1
        assert led.fleet.figures().waiting
    finally:
        led.redis.config_set("min-replicas-to-write", 0)


@pytest.mark.parametrize("most", [0, 1_000, 1 << 20])
def test_large_records_are_read_in_parts_and_all_are_there(led, monkeypatch, most):
    monkeypatch.setattr(record_reader, "_LARGE_BYTES", most)
    jobs = [led.queued(owner="shop") for _ in range(7)]
    for number, job in enumerate(jobs):
        led.redis.hset(keys.job(job.id), "of_a_newer_version", number * 200_000 * "x")
    led.redis.delete(keys.job(jobs[1].id), keys.job(jobs[5].id))
    for number in (1, 5):
        led.redis.set(keys.job(jobs[number].id), "somebody's")
    assert listed(led.fleet) == [jobs[number].id for number in (6, 4, 3, 2, 0)]
    led.redis.delete(keys.job(jobs[0].id))
    assert listed(led.fleet) == [jobs[number].id for number in (6, 4, 3, 2)]


@pytest.mark.parametrize("limit", [50, 200])
@pytest.mark.parametrize("rights", ["+@all", "+@all -scan"])
def test_a_list_of_another_type_is_named_among_many_keys(led, rights, limit):
    led.redis.mset({f"comfyfleet:node:{number}:x": "" for number in range(MANY)})
    led.redis.set(keys.jobs("shop"), "somebody's")
    led.redis.execute_command(f"ACL SETUSER odd reset on >p allkeys allchannels {rights}")
    address = f"redis://odd:p@{led.settings.redis_url.rpartition('@')[2]}"
    try:
        with (
            Producer(led.settings.model_copy(update={"redis_url": address})) as fleet,
            pytest.raises(KeyOfAnotherType, match="jobs:shop is a string") as caught,
        ):
            listed(fleet, limit)
        assert caught.value.key == keys.jobs("shop")
    finally:
        led.redis.acl_deluser("odd")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("created_ms", "9" * 30),
        ("created_ms", "9" * 400),
        ("queued_ms", "-" + "9" * 30),
        ("at:preparing", "9" * 400),
        ("spec", "[" * 5_000),
        ("spec", '{"a":' * 5_000),
        ("result", "[" * 5_000),
    ],
)
def test_a_record_with_a_value_beyond_all_bounds_takes_no_other_with_it(led, field, value):
    jobs = [led.queued(owner="shop") for _ in range(3)]
    led.redis.hset(keys.job(jobs[1].id), field, value)
    assert listed(led.fleet) == listed(led.fleet, limit=200) == [jobs[2].id, jobs[0].id]
    with pytest.raises(UnreadableRecord, match="comfyfleet check"):
        led.fleet.get(jobs[1].id)
