"""Whatever stands in a field of a record, only what asks for that job or batch hears of it, and in clear words."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest
from redis.exceptions import ResponseError

from producer.checking.findings import Kind
from producer.contract.errors import (
    FleetError,
    InvalidJob,
    KeyOfAnotherType,
    UnreadableBatch,
    UnreadableRecord,
)
from producer.contract.ids import prompt_id, row_id
from producer.store import keys
from producer.store.scripts import _sense_of
from tests.integration import batch_feeding
from tests.integration.api_server import GRAPH, problem
from tests.integration.carried_actions import carry_all
from tests.integration.checks import check
from tests.integration.hand_led import LEASE

pytestmark = pytest.mark.writes_keys

ODD = {
    "empty": "",
    "torn": "{",
    "deep": "[" * 100_000,
    "number": "7",
    "beyond all": "9" * 30,
    "list": "[]",
    "not a number": "NaN",
    "half a character": '"\\ud800"',
    "half a character within": '{"values": {"a": "\\ud800"}, "pool": "\\udfff"}',
}
#: What shows many jobs, batches and entries at once.
LISTS = (
    *("/v1/jobs", "/v1/batches", "/v1/queue", "/v1/pools", "/v1/totals", "/v1/owners"),
    *("/v1/jobs?filter=status:cancelled", "/v1/jobs?filter=status:queued"),
    *("/v1/templates", "/v1/webhooks", "/v1/actions", "/v1/dead-letters", "/v1/nodes", "/metrics"),
)
ROWS = b'{"3.color": 1}\n' * 3


@dataclass
class Fleet:
    """A job, a batch, a template, a webhook and an action, and beside each another that is well."""

    client: Any
    job: str
    batch: str
    action: str

    def lists(self) -> None:
        """Read every list; each must be whole but for what is damaged."""
        for path in LISTS:
            answer = self.client.get(path)
            assert answer.status_code == 200, (path, answer.text)

    def told(self, path: str) -> None:
        """Read one thing: it is there, or said to make no sense."""
        answer = self.client.get(path)
        if answer.status_code != 200:
            problem(answer, 500, "unreadable-record")


@pytest.fixture
def fleet(api):
    client = api("shop", scopes="submit,read,operate,admin")
    client.submit()
    client("PUT", "/v1/templates/portrait", json={"graph": GRAPH})
    client.post("/v1/webhooks", {"name": "orders", "url": "https://example.com/hooks"})
    batch = client.post("/v1/batches", {"graph": GRAPH, "tier": "batch"}).json()["id"]
    rows = {"Content-Type": "application/jsonl"}
    client("POST", f"/v1/batches/{batch}/rows", data=ROWS, headers=rows)
    client.post(f"/v1/batches/{batch}/seal")
    action = client.post("/v1/actions", {"action": "hold", "filter": "tier:idle"}).json()["id"]
    return Fleet(client, client.submit()["id"], batch, action)


def damaged(redis, key, text):
    """Put a text into each field of a hash, one after the other, and back what was there."""
    whole = redis.hgetall(key)
    assert whole
    for field, before in whole.items():
        redis.hset(key, field, text)
        yield field
        redis.hset(key, field, before)


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_a_field_of_a_job_is_told_with_the_job_and_keeps_nothing_else_from_being_read(
    led, fleet, text
):
    for _ in damaged(led.redis, keys.job(fleet.job), text):
        fleet.lists()
        fleet.told(f"/v1/jobs/{fleet.job}")


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_a_field_of_a_batch_is_told_with_the_batch_and_keeps_nothing_else_from_being_read(
    led, fleet, text
):
    for _ in damaged(led.redis, keys.batch(fleet.batch), text):
        fleet.lists()
        for path in (f"/v1/batches/{fleet.batch}", f"/v1/batches/{fleet.batch}/rows"):
            fleet.told(path)


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
@pytest.mark.parametrize("of", ["actions", "queues", "templates", "webhooks"])
def test_an_entry_of_a_list_keeps_no_list_from_being_read(led, fleet, of, text):
    key = {
        "actions": keys.action(fleet.action),
        "queues": keys.QUEUES,
        "templates": keys.templates("shop"),
        "webhooks": keys.WEBHOOKS,
    }[of]
    for _ in damaged(led.redis, key, text):
        fleet.lists()


def test_a_row_of_a_torn_bucket_is_an_error_and_its_batch_waits_on_in_the_queue(led, fleet):
    led.redis.hset(keys.rows(fleet.batch), "0", "no bucket")
    with pytest.raises(KeyOfAnotherType, match=f"a row of batch {fleet.batch} cannot be read"):
        led.fleet.get(row_id(fleet.batch, 1))
    told = problem(fleet.client.get(f"/v1/jobs/{row_id(fleet.batch, 1)}"), 500, "unreadable-record")
    assert "redis" not in str(told).lower()
    assert [line.jobs for line in led.fleet.queue() if line.tier == "batch"] == [3]


def test_a_batch_that_makes_no_sense_hides_no_other_from_the_queue_and_is_named_by_check(
    led, fleet
):
    other = fleet.client.post("/v1/batches", {"graph": GRAPH, "tier": "idle"}).json()["id"]
    rows = {"Content-Type": "application/jsonl"}
    fleet.client("POST", f"/v1/batches/{other}/rows", data=ROWS, headers=rows)
    fleet.client.post(f"/v1/batches/{other}/seal")
    led.redis.hset(keys.batch(fleet.batch), "places", "{")
    assert {line.tier for line in led.fleet.queue()} == {"default", "idle"}
    found = check(led, repair=True)
    assert {one.about for one in found if one.kind is Kind.UNREADABLE_RECORD} == {fleet.batch}


def test_the_client_of_the_api_raises_what_the_library_does(led, fleet, remote):
    led.redis.hset(keys.job(fleet.job), "spec", "{")
    for reader in (led.fleet, remote):
        with pytest.raises(UnreadableRecord, match=f"the record of job {fleet.job} cannot be read"):
            reader.get(fleet.job)
    led.redis.hset(keys.batch(fleet.batch), "spec", "{")
    with pytest.raises(KeyOfAnotherType, match="makes no sense"):
        remote.batch(fleet.batch)


VERBS = {
    "claim": lambda led, job: led.store.claim(
        job, attempt=1, node="gpu-01", worker="w", lease=LEASE, prompt_id=prompt_id(job, 1)
    ),
    "cancel": lambda led, job: led.fleet.cancel(job),
    "hold": lambda led, job: led.fleet.hold(job),
    "release": lambda led, job: led.fleet.release(job),
    "retry": lambda led, job: led.fleet.retry(job),
}
BEFORE = {"release": "hold", "retry": "cancel"}


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_done_to_a_damaged_job_is_done_or_refused_in_words(led, verb):
    refused = 0
    for text in ODD.values():
        for field in led.redis.hgetall(keys.job(led.queued().id)):
            job = led.queued().id
            if verb in BEFORE:
                VERBS[BEFORE[verb]](led, job)
            led.redis.hset(keys.job(job), field, text)
            try:
                VERBS[verb](led, job)
            except (UnreadableRecord, KeyOfAnotherType, InvalidJob):
                refused += 1
    assert refused > 20 or verb == "cancel"


@pytest.fixture
def cancelled(fleet):
    """The same, its batch cancelled before a row was fed."""
    fleet.client.post(f"/v1/batches/{fleet.batch}/cancel")
    return fleet


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_a_field_of_a_batch_that_was_cancelled_keeps_no_list_of_ended_jobs_from_being_read(
    led, api, cancelled, text
):
    stranger = replace(cancelled, client=api("stranger", scopes="submit,read,operate,admin"))
    for _ in damaged(led.redis, keys.batch(cancelled.batch), text):
        cancelled.lists()
        stranger.lists()


def test_what_rows_share_is_text_where_text_belongs(led, fleet):
    key = keys.batch(fleet.batch)
    spec = json.loads(led.redis.hget(key, "spec"))
    for name in ("pool", "template", "owner", "pin"):
        for value in (7, [1], {"a": 1}, "\ud800"):
            led.redis.hset(key, "spec", json.dumps({**spec, name: value}))
            fleet.lists()
            for path in (f"/v1/batches/{fleet.batch}", f"/v1/batches/{fleet.batch}/rows"):
                fleet.told(path)


def test_an_odd_job_of_one_batch_keeps_no_other_batch_from_being_fed(led):
    odd = led.fleet.submit_many(batch_feeding.GRAPH, batch_feeding.seeds(2)).id
    batch_feeding.feed(led.fleet)
    led.redis.hset(keys.job(row_id(odd, 1)), "status", "7")
    with suppress(FleetError):
        led.fleet.hold_batch(odd)
    other = led.fleet.submit_many(batch_feeding.GRAPH, batch_feeding.seeds(2)).id
    batch_feeding.feed(led.fleet)
    assert led.fleet.batch(other).counts.queued == 2


def test_an_action_on_a_batch_that_makes_no_sense_ends(led, fleet):
    action = led.fleet.begin_action("cancel", f"batch:{fleet.batch}").id
    led.redis.hset(keys.rows(fleet.batch), "0", "torn")
    carry_all(led)
    told = led.fleet.action(action)
    assert told.state == "failed"
    assert f"a row of batch {fleet.batch} cannot be read" in told.error


def test_nothing_of_a_record_is_told_to_who_asks_by_its_id(led, api, fleet):
    led.redis.hset(keys.job(fleet.job), "attempt", "secret-of-shop")
    stranger = api("stranger")
    for client in (stranger, fleet.client):
        assert "secret" not in client.get(f"/v1/jobs/{fleet.job}").text


def test_the_error_of_a_row_is_the_same_whatever_is_asked_for_beside_it(led, fleet):
    torn, job, nobody = row_id(fleet.batch, 1), fleet.job, "01a202b8-2e5f-7533-81db-221426b72003"
    led.redis.hset(keys.rows(fleet.batch), "0", "torn")
    for beside in ([], [job], [nobody]):
        assert torn not in led.store.find([torn, *beside])
        with pytest.raises(UnreadableBatch):
            led.fleet.get_many([torn, *beside])
    assert set(led.store.find([job, torn])) == {job}
    with pytest.raises(UnreadableBatch):
        led.fleet.cancel(torn)


@pytest.mark.parametrize("text", ["9" * 30, "9223372036854775807", "NaN"])
def test_what_a_script_refuses_is_left_as_it_was(led, text):
    job = led.of_batch("0197aaaa-0000-7000-8000-000000000000").id
    led.redis.hset(keys.job(job), "start_by_ms", text)
    before = led.redis.hgetall(keys.job(job))
    for verb in ("claim", "hold", "release"):
        with suppress(FleetError):
            VERBS[verb](led, job)
        assert led.redis.hgetall(keys.job(job)) == before, verb


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (
            "user_script:7: attempt to compare number with nil script: f, on @user_script:7.",
            KeyOfAnotherType,
        ),
        ("value is not a valid float script: f, on @user_script:7.", KeyOfAnotherType),
        ("Script killed by user with SCRIPT KILL... script: f, on @user_script:7.", ResponseError),
        ("Unknown Redis command called from script script: f, on @user_script:7.", ResponseError),
    ],
)
def test_only_what_a_value_causes_in_a_script_is_told_as_one_that_makes_no_sense(said, kind):
    with pytest.raises(kind), _sense_of("claim", ["comfyfleet:job:1"]):
        raise ResponseError(said)
