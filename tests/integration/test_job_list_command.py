"""`comfyfleet job list` and `batch rows`: pages of a table, or of objects, and a word on what is wrong."""

from __future__ import annotations

import json

from producer.contract.filters.fields import filter_help
from tests.integration.test_job_pages import GRAPH, feed, rows


def test_jobs_are_listed_in_pages_of_a_table_or_of_objects(led):
    made = [led.queued(owner="shop").id, led.failed().id, led.cancelled().id]
    table = led.command("job", "list", "-status:failed")
    assert table.returncode == 0
    head, *lines = table.stdout.splitlines()
    assert head.split()[:3] == ["job", "status", "why"]
    assert [line.split()[0] for line in lines] == [made[2], made[0]]
    first = led.command("job", "list", "--json", "--limit", "2")
    *jobs, cursor = map(json.loads, first.stdout.splitlines())
    assert [job["id"] for job in jobs] == [made[2], made[1]]
    rest = led.command("job", "list", "--json", "--cursor", cursor["cursor"])
    [job] = map(json.loads, rest.stdout.splitlines())
    assert (job["id"], job["owner"], job["status"]) == (made[0], "shop", "queued")
    refused = led.command("job", "list", "status:faild")
    assert refused.returncode == 4
    assert "character 8: there is no status 'faild'; did you mean 'failed'?" in refused.stderr


def test_what_a_filter_may_say_is_printed_without_a_fleet(led):
    told = led.command("job", "list", "--filters")
    assert told.stdout.strip() == filter_help()


def test_rows_are_listed_with_their_numbers_by_their_batches_name(led):
    batch = led.fleet.submit_many(GRAPH, rows(4), name="night-0412")
    feed(led)
    second = next(job for row, job in led.fleet.batch_jobs(batch.id) if row == 2)
    again = led.fleet.retry(led.failed(second).id)
    shown = json.loads(led.command("batch", "show", "night-0412", "--json").stdout)
    assert shown["id"] == batch.id
    done = led.command("batch", "rows", "night-0412", "status:queued", "--json", "--limit", "3")
    *found, cursor = map(json.loads, done.stdout.splitlines())
    assert [one["row"] for one in found] == [1, 2, 3]
    assert found[1]["id"] == again.id
    assert cursor.keys() == {"cursor"}
