"""Lists of jobs: what a filter means, page by page, while jobs come and go."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import pytest

from producer.aio import AsyncProducer
from producer.contract.errors import BatchNotFound, InvalidBatch, InvalidQuery
from producer.contract.ids import new_job_id, row_id
from producer.contract.jobs import JobStatus
from producer.store import keys
from producer.store.sweeps import Sweeps
from tests.graphs import sleeping
from tests.integration.hand_led import hold

GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"color": 7}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
}


def rows(count):
    return [{"1.color": number} for number in range(count)]


def ids(page):
    return [job.id for job in page.jobs]


def pages(fleet, filter_="", limit=3, between=lambda: None):
    page = fleet.jobs(filter_, limit=limit)
    found = ids(page)
    while page.cursor:
        between()
        page = fleet.jobs(filter_, page.cursor, limit)
        assert len(page.jobs) <= limit
        found += ids(page)
    return found


@pytest.fixture
def mixed(led):
    """Jobs of every status and three owners; a batch with a row that failed and one made again."""
    made = {"": [], "shop": [], "else": []}
    for owner, jobs in made.items():
        jobs.append(led.queued(owner=owner))
        jobs.append(led.queued(owner=owner, tier="rush"))
        jobs.append(led.running(led.queued(owner=owner), node="gpu-03"))
        jobs.append(led.failed(led.queued(owner=owner), cause="out_of_memory"))
        jobs.append(led.failed(led.queued(owner=owner)))
        jobs.append(led.cancelled(led.queued(owner=owner)))
        led.fleet.hold(jobs[0].id)
    return {job.id: led.fleet.get(job.id) for jobs in made.values() for job in jobs}


FILTERS = [
    ("", lambda _: True),
    ("status:queued", lambda job: job.status == "queued"),
    ("status:held,running", lambda job: job.status in {"held", "running"}),
    ("-status:failed", lambda job: job.status != "failed"),
    ("status:failed", lambda job: job.status == "failed"),
    ("status:failed,cancelled", lambda job: job.status in {"failed", "cancelled"}),
    ("cause:out_of_memory", lambda job: job.cause == "out_of_memory"),
    ("-cause:out_of_memory", lambda job: job.cause != "out_of_memory"),
    ("owner:shop", lambda job: job.owner == "shop"),
    ('owner:"",else', lambda job: job.owner in {"", "else"}),
    ("-owner:shop", lambda job: job.owner != "shop"),
    ("owner:shop status:failed", lambda job: (job.owner, job.status) == ("shop", "failed")),
    ("node:gpu-03", lambda job: job.node == "gpu-03"),
    ("tier:rush", lambda job: job.tier == "rush"),
    ("pool:default tier:default", lambda job: job.tier == "default"),
    ("-pool:default", lambda _: False),
    ("created:>2020-01-01 created:<2100-01-01", lambda _: True),
    ("created:<2020-01-01", lambda _: False),
    ("ended:>2020-01-01", lambda job: job.done),
    ("-ended:>2020-01-01", lambda job: not job.done),
    ("owner:nobody", lambda _: False),
]


def test_a_filter_gives_the_jobs_that_it_means_once_each_also_when_they_are_packed(led, mixed):
    for _ in range(2):
        for filter_, means in FILTERS:
            wanted = {job_id for job_id, job in mixed.items() if means(job)}
            found = pages(led.fleet, filter_)
            assert len(found) == len(set(found)), filter_
            assert set(found) == wanted, filter_
        sweeps = Sweeps(led.redis, keep_ended=timedelta(days=7))
        sweeps.packing(after=timedelta(0)).pack()


def test_jobs_come_the_newest_first_and_bad_ends_the_last_first(led, mixed):
    assert pages(led.fleet) == sorted(mixed, reverse=True)
    [shape] = {job.shape for job in mixed.values()}
    assert pages(led.fleet, f"shape:{shape}") == sorted(mixed, reverse=True)
    assert pages(led.fleet, f"-shape:{shape}") == []
    failed = pages(led.fleet, "status:failed,cancelled")
    ended = [mixed[job_id].ended_at for job_id in failed]
    assert ended == sorted(ended, reverse=True)
    both = pages(led.fleet, "status:running,failed")
    assert [mixed[job_id].status for job_id in both] == ["running"] * 3 + ["failed"] * 6


@pytest.mark.parametrize("filter_", ["", "owner:shop", "tier:default", "status:cancelled,failed"])
def test_pages_are_whole_while_jobs_come_and_go(led, filter_):
    chance = random.Random(filter_)
    stays, goes = set(), []
    for number in range(40):
        owner = chance.choice(["", "shop"])
        job = led.queued(owner=owner)
        if filter_.startswith("status"):
            job = led.cancelled(job)
            # Many end within one ms, when a batch is cancelled.
            led.redis.zadd(keys.ended("cancelled"), {job.id: 1_000_000_000_000 + number // 9})
        if filter_ == "owner:shop" and owner != "shop":
            continue
        if number % 4:
            stays.add(job.id)
        else:
            goes.append(job.id)

    def between():
        led.queued(owner=chance.choice(["", "shop", "new"]))
        if filter_.startswith("status"):
            led.failed()
        if goes:
            led.redis.delete(keys.job(goes.pop(chance.randrange(len(goes)))))

    found = pages(led.fleet, filter_, between=between)
    assert len(found) == len(set(found)), "a job was given twice"
    assert stays <= set(found), "a job that was there all the time was passed over"


def test_a_job_that_ends_while_the_list_is_read_is_given_once(led):
    running = [led.running() for _ in range(5)]
    page = led.fleet.jobs("status:running,failed", limit=2)
    assert ids(page) == [running[4].id, running[3].id]
    led.store.end_cancelled(hold(running[4]))
    rest = led.fleet.jobs("status:running,failed", page.cursor, 10)
    assert ids(rest) == [running[2].id, running[1].id, running[0].id]


# -- rows of batches


def test_rows_are_listed_by_the_name_or_id_of_their_batch_in_their_order(led):
    led.queued()
    batch = led.fleet.submit_many(GRAPH, rows(7), name="night 0412", owner="shop")
    expected = [job.id for _, job in led.fleet.batch_jobs(batch.id)]
    assert pages(led.fleet, f"batch:{batch.id}") == expected
    assert pages(led.fleet, 'batch:"night 0412"') == expected
    assert pages(led.fleet, 'batch:"night 0412" owner:shop status:queued') == expected
    assert pages(led.fleet, 'batch:"night 0412" status:failed') == []
    assert len(pages(led.fleet)) == 1, "rows are not among the jobs that were submitted singly"
    with pytest.raises(BatchNotFound, match="there is no batch night 0412"):
        led.fleet.jobs('batch:"night 0412" owner:else')


def test_of_a_row_that_was_made_again_the_newest_job_is_listed(led):
    batch = led.fleet.submit_many(GRAPH, rows(3), name="n")
    feed(led)
    first, second, third = [job for _, job in led.fleet.batch_jobs(batch.id)]
    led.failed(first)
    led.failed(third)
    again = led.fleet.retry(first.id)
    assert pages(led.fleet, "batch:n") == [again.id, second.id, third.id]
    assert pages(led.fleet, "batch:n status:failed") == [third.id]
    led.running(again)
    assert pages(led.fleet, "batch:n status:running") == [again.id]
    assert set(pages(led.fleet, "status:failed")) == {first.id, third.id}


def feed(led):
    feeds = Sweeps(led.redis, keep_ended=timedelta(days=7)).feeds(lease=timedelta(seconds=15))
    for record in feeds.in_turn():
        feeds.feed(record, feeds.next_rows(record))


def test_several_batches_are_listed_one_after_the_other(led):
    first, second = (led.fleet.submit_many(GRAPH, rows(4), name=name).id for name in "ab")
    expected = [job.id for batch in (second, first) for _, job in led.fleet.batch_jobs(batch)]
    assert pages(led.fleet, "batch:a,b") == expected
    assert pages(led.fleet, "-batch:a") == []


def test_a_name_of_several_batches_is_refused_by_their_ids(led):
    made = {led.fleet.submit_many(GRAPH, rows(1), name="night").id for _ in range(2)}
    with pytest.raises(InvalidQuery, match="2 batches are called 'night'") as caught:
        led.fleet.jobs("batch:night")
    assert all(batch in caught.value.message for batch in made)


def test_a_batch_that_is_open_or_not_there_is_told(led):
    writer = led.fleet.open_batch(GRAPH, name="open")
    writer.add({"1.color": 1})
    with pytest.raises(InvalidBatch, match="still open"):
        led.fleet.jobs("batch:open")
    for name in ("never", new_job_id()):
        with pytest.raises(BatchNotFound):
            led.fleet.jobs(f"batch:{name}")


def test_a_batch_that_ends_while_it_is_listed_keeps_its_pages(led):
    batch = led.fleet.submit_many(GRAPH, rows(3_000), name="n")
    page = led.fleet.jobs("batch:n", limit=1_000)
    led.fleet.cancel_batch(batch.id)
    rest = led.fleet.jobs("batch:n", page.cursor, 1_000)
    found = [*ids(page), *ids(rest), *ids(led.fleet.jobs("batch:n", rest.cursor, 1_000))]
    assert found == [row_id(batch.id, row) for row in range(1, 3_001)]
    cancelled = led.fleet.jobs("batch:n status:cancelled", limit=1_000)
    assert len(cancelled.jobs) == 1_000


# -- what a call may cost, and what breaks no list


def test_the_work_of_one_call_is_bounded_and_the_next_one_goes_on(led):
    job = led.queued(tier="rush")
    many = sorted(new_job_id() for _ in range(12_000))
    led.redis.zadd(keys.JOBS, dict.fromkeys(many, 0))  # their records have expired
    page, calls = led.fleet.jobs("tier:rush"), 1
    while page.cursor and not page.jobs:
        page, calls = led.fleet.jobs("tier:rush", page.cursor), calls + 1
    assert ids(page) == [job.id]
    assert calls == 3


@pytest.mark.writes_keys
def test_a_record_that_cannot_be_read_hides_no_other(led):
    bad, worse, good = led.queued(), led.queued(), led.queued()
    led.redis.hset(keys.job(bad.id), "spec", "{")
    led.redis.set(keys.job(worse.id), "text")
    assert pages(led.fleet) == [good.id]
    assert pages(led.fleet, "status:queued created:>2020-01-01") == [good.id]


def test_a_failed_job_of_the_version_before_is_not_taken_for_one_without_an_owner(led):
    job = led.failed(led.queued(owner="shop"))
    led.redis.hdel(keys.job(job.id), "owner")
    assert pages(led.fleet, 'status:failed owner:""') == []


# -- cursors and limits


def test_a_cursor_goes_with_the_same_filter_in_whatever_order(led):
    for _ in range(4):
        led.queued(owner="shop")
    page = led.fleet.jobs("owner:shop tier:default,rush", limit=2)
    rest = led.fleet.jobs("tier:rush,default   owner:shop", page.cursor, 2)
    assert len({*ids(page), *ids(rest)}) == 4
    for other in (
        "owner:shop",
        "",
        "owner:else tier:default,rush",
        "-owner:shop tier:default,rush",
    ):
        with pytest.raises(
            InvalidQuery, match=r"^cursor is of a list with another filter"
        ) as caught:
            led.fleet.jobs(other, page.cursor)
        assert caught.value.field == "cursor"


def test_a_torn_cursor_is_refused(led):
    led.queued()
    led.queued()
    good = led.fleet.jobs(limit=1).cursor
    chance = random.Random(1)
    torn = ["x", ".", "é", "x" * 100_000, good[:-1], good[1:], good + "A", 5, b"x"]
    for _ in range(50):
        at = chance.randrange(len(good))
        torn.append(good[:at] + chance.choice("abcXYZ_-.") + good[at + 1 :])
    for cursor in torn:
        if cursor == good:
            continue
        with pytest.raises(InvalidQuery, match=r"^cursor (is torn|must be text)") as caught:
            led.fleet.jobs("", cursor)
        assert caught.value.field == "cursor"


@pytest.mark.parametrize("limit", [0, -1, 1_001, 100_000, 10**400, True, "50", 2.5, None])
def test_a_page_of_no_size_that_may_be_is_refused(led, limit):
    with pytest.raises(InvalidQuery, match="expected a whole number from 1 to 1,000") as caught:
        led.fleet.jobs(limit=limit)
    assert caught.value.field == "limit"


def test_a_page_is_full_where_it_can_be_and_the_last_one_has_no_cursor(led):
    for _ in range(6):
        led.queued()
    page = led.fleet.jobs(limit=3)
    assert len(page.jobs) == 3
    last = led.fleet.jobs("", page.cursor, 3)
    assert (len(last.jobs), last.cursor) == (3, None)
    assert led.fleet.jobs(limit=1_000).cursor is None


def test_the_twin_for_asyncio_gives_the_same(led):
    made = [led.queued().id for _ in range(3)]

    async def both_pages():
        fleet = AsyncProducer(led.settings)
        page = await fleet.jobs(limit=2)
        rest = await fleet.jobs("", page.cursor, 2)
        await fleet.close()
        return [*ids(page), *ids(rest)]

    assert asyncio.run(both_pages()) == made[::-1]


def test_a_held_job_is_listed(led):
    job = led.queued()
    led.fleet.hold(job.id)
    assert pages(led.fleet, "status:held") == [job.id]
    assert led.fleet.get(job.id).status is JobStatus.HELD
    assert led.fleet.submit(sleeping()).id in pages(led.fleet)
