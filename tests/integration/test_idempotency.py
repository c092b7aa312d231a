"""An idempotency key: how long it lives, and what makes two requests the same."""

from __future__ import annotations

from datetime import timedelta

import pytest

from producer.batch.rows import Row
from producer.client import Producer
from producer.contract.config.settings import Settings
from producer.contract.errors import (
    BacklogFull,
    FleetError,
    InvalidInput,
    InvalidJob,
    InvalidRows,
    KeyReused,
)
from producer.contract.jobs import InputFile
from producer.contract.outcomes import Submitted
from producer.contract.queues import Needs
from producer.contract.submissions import Submission
from producer.store import keys
from tests.graphs import sleeping
from tests.integration.batch_feeding import GRAPH, seeds
from tests.integration.hand_led import hold
from tests.integration.test_refused_values import graph, register

KEY = keys.idempotency("", "k")


def life(led, job) -> int:
    return led.redis.pttl(keys.job(job.id))


def test_a_key_lives_exactly_as_long_as_its_jobs_record(led):
    job = led.fleet.submit(GRAPH, idempotency_key="k", start_within=timedelta(hours=1))
    assert abs(led.redis.pttl(KEY) - life(led, job)) < 1_000
    led.redis.hset(keys.job(job.id), "start_by_ms", led.redis.time()[0] * 1000 + 86_400_000_000)
    led.running(job)  # with another life
    assert abs(led.redis.pttl(KEY) - life(led, job)) < 1_000
    led.fleet.cancel(job.id)
    led.store.end_cancelled(hold(led.fleet.get(job.id)))
    assert abs(led.redis.pttl(KEY) - life(led, job)) < 1_000
    assert life(led, job) <= 7 * 86_400_000


def test_a_key_whose_record_is_gone_makes_a_new_job(led):
    first = led.fleet.submit(GRAPH, idempotency_key="k")
    led.redis.persist(KEY)
    led.redis.delete(keys.job(first.id))
    assert led.fleet.submit(GRAPH, idempotency_key="k").id != first.id


def test_a_key_of_a_batch_lives_as_long_as_the_batch(led):
    batch = led.fleet.submit_many(
        GRAPH, seeds(3), idempotency_key="k", start_within=timedelta(days=900)
    )
    assert abs(led.redis.pttl(KEY) - led.redis.pttl(keys.batch(batch.id))) < 1_000
    with pytest.raises(KeyReused):
        led.fleet.submit(GRAPH, idempotency_key="k")
    led.redis.delete(keys.batch(batch.id))
    assert led.fleet.submit(GRAPH, idempotency_key="k")


@pytest.mark.parametrize(
    "other",
    [
        {"tier": "rush"},
        {"pin": "gpu-01"},
        {"pool": "video"},
        {"start_within": timedelta(minutes=7)},
        {"run_within": timedelta(minutes=7)},
        {"params": {"2.nonce": 9}},
        {"metadata": {"order": "7"}},
        {"extra_data": {"preview_method": "none"}},
        {"extra_data": {"api_key_comfy_org": "k"}},
    ],
)
def test_whatever_decides_the_outcome_makes_another_request(led, other):
    job = led.fleet.submit(GRAPH, idempotency_key="k")
    with pytest.raises(KeyReused):
        led.fleet.submit(GRAPH, idempotency_key="k", **other)
    assert led.fleet.submit(GRAPH, idempotency_key="k").id == job.id


def test_the_same_request_gives_its_job_whatever_has_become_of_the_fleet(led):
    """Its webhook is forgotten, and the nodes that are there by now lack a class of its graph, or refuse its value."""
    webhooks = led.fleet.webhooks
    webhooks.create("orders", "https://example.com/")
    for case in (sleeping(), graph(width=513)):
        request = {"idempotency_key": f"k{len(case)}", "hook": "orders"}
        job = led.fleet.submit(case, **request)
        webhooks.delete("orders")
        assert led.fleet.submit_once(case, **request) == Submitted(
            led.fleet.get(job.id), is_replay=True
        )
        with pytest.raises(InvalidJob, match="no webhook"):
            led.fleet.submit(case, **request, metadata={"another": "request"})
        webhooks.create("orders", "https://example.com/")
        with Producer(led.settings) as fleet:
            register(led)
            assert fleet.submit_once(case, **request).job == job
            with pytest.raises(InvalidJob, match=r"no node has class|is too large"):
                fleet.submit(case, hook="orders")
        led.redis.delete(*led.redis.scan_iter("comfyfleet:node*"))


def test_the_same_batch_is_found_again_though_its_webhook_is_forgotten(led):
    led.fleet.webhooks.create("orders", "https://example.com/")
    request = {"idempotency_key": "k", "hook": "orders"}
    begun = led.fleet.begin_batch(GRAPH, **request).batch
    sealed = led.fleet.submit_many(GRAPH, seeds(2), **{**request, "idempotency_key": "l"})
    led.fleet.webhooks.delete("orders")
    assert led.fleet.begin_batch(GRAPH, **request).batch.id == begun.id
    assert led.fleet.submit_many(GRAPH, seeds(2), **{**request, "idempotency_key": "l"}) == sealed
    with pytest.raises(InvalidJob, match="no webhook"):
        led.fleet.begin_batch(GRAPH, **{**request, "idempotency_key": "m"})


def test_what_a_request_has_made_can_be_asked_for(led):
    request = {"idempotency_key": "k", "params": {"2.nonce": 3}}
    job = led.fleet.submit(GRAPH, **request)
    assert led.fleet.made_before(GRAPH, **request) == job
    for other in ({"params": {}}, {"tier": "idle"}, {"owner": "shop"}, {"idempotency_key": "l"}, {"idempotency_key": None}):  # fmt: skip
        assert led.fleet.made_before(GRAPH, **{**request, **other}) is None
    led.fleet.submit_many(GRAPH, seeds(2), idempotency_key="b")
    assert led.fleet.made_before(GRAPH, idempotency_key="b") is None


def test_a_key_that_the_producer_is_set_up_with_makes_no_other_request(led):
    job = led.fleet.submit(GRAPH, idempotency_key="k")
    batch = led.fleet.submit_many(GRAPH, seeds(2), idempotency_key="b")
    settings = Settings(redis_url=led.settings.redis_url, comfy_org_api_key="new")
    with Producer(settings) as fleet:
        assert fleet.submit(GRAPH, idempotency_key="k").id == job.id
        assert fleet.submit_many(GRAPH, seeds(2), idempotency_key="b").id == batch.id


def submission(**fields) -> Submission:
    return Submission(
        template="0" * 64,
        needs=Needs.of("default"),
        start_within=timedelta(hours=1),
        run_within=timedelta(hours=1),
        idempotency_key="k",
        **fields,
    )


def test_the_name_of_a_file_is_none_of_it_and_its_content_is(led):
    def add(name, sha):
        file = InputFile(source=f"inputs/{sha}", name=name, sha256=sha, bytes=5)
        return led.store.add(submission(inputs={"1.image": file}), graph=b"{}")

    first, _ = add("a.png", "1" * 64)
    assert add("b.png", "1" * 64) == (first, False)
    with pytest.raises(KeyReused):
        add("a.png", "2" * 64)


def test_rows_are_the_same_whatever_their_files_are_called(led_with_s3, tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    graph = {**GRAPH, "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}

    def submit(name):
        rows = [Row({"2.nonce": 1}, inputs={"1.image": tmp_path / name})] * 150
        return led_with_s3.fleet.submit_many(graph, rows, idempotency_key="k").id

    assert submit("a.png") == submit("b.png")


@pytest.mark.writes_keys
def test_what_an_older_version_stored_is_known_again(led):
    first = submission(metadata={"a": "b"})
    led.store.add(first, graph=b"{}")
    led.redis.set(KEY, f"{first.id} {first.first_fingerprint}")
    led.redis.hdel(keys.job(first.id), "idempotency")
    assert led.store.add(submission(metadata={"a": "b"}), graph=b"{}") == (first.id, False)
    with pytest.raises(KeyReused):
        led.store.add(submission(metadata={"a": "c"}), graph=b"{}")


def test_a_refused_submission_leaves_nothing(redis_client, redis_server):
    settings = Settings(redis_url=redis_server.url, max_queued=3)
    with Producer(settings) as fleet:
        fleet.submit(GRAPH, idempotency_key="k")
        before = sorted(redis_client.scan_iter())
        other = {**sleeping(), "9": {"class_type": "PreviewAny", "inputs": {}}}
        extra = {"extra_data": {"secret": "s", "a": 1}}
        bad = {"extra_data": {"job_id": 1}}
        for error, submit in (
            (KeyReused, lambda: fleet.submit(other, idempotency_key="k", **extra)),
            (InvalidJob, lambda: fleet.submit(other, **bad)),
            (InvalidRows, lambda: fleet.submit_many(GRAPH, [{"2.nonce": "x"}], **extra)),
            (BacklogFull, lambda: fleet.submit_many(GRAPH, seeds(3), **extra)),
            (KeyReused, lambda: fleet.submit_many(other, seeds(3), idempotency_key="k")),
        ):
            with pytest.raises(error):
                submit()
            assert sorted(redis_client.scan_iter()) == before
        fleet.submit_many(GRAPH, seeds(2))
        with pytest.raises(BacklogFull):
            fleet.submit(other, **extra)
        # One of the single job, without what is its own, and one of the batch.
        assert len(list(redis_client.scan_iter("comfyfleet:template:*"))) == 2


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"idempotency_key": "k" * 513}, "idempotency_key has 513 characters; the limit is 512"),
        ({"owner": "o" * 65}, "owner has 65 characters; expected at most 64"),
        ({"pool": "p" * 64}, "pool has 64 characters; the limit is 63"),
        ({"pool": "No Pool"}, "pool 'No Pool' is no name, so no node can have it"),
        ({"pin": "../x"}, r"pin '\.\./x' is no name"),
        ({"params": {"2.nonce": 1, "3.filename_prefix": "x" * (5 << 20)}}, "the params have 5,242"),
        ({"metadata": {"a": 5}}, "metadata 'a' must be text"),
    ],
)
def test_every_part_has_a_limit_that_is_named(led, what, message):
    with pytest.raises(FleetError, match=message):
        led.fleet.submit(GRAPH, **what)
    assert not list(led.redis.scan_iter())


def test_a_row_has_a_limit_too(led):
    graph = {**GRAPH, "4": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox"}}}
    with pytest.raises(
        InvalidRows, match=r"row 2, column 4\.text: the params have .*MAX_PARAMS_BYTES"
    ):
        led.fleet.submit_many(graph, [*seeds(1), {"4.text": "x" * (5 << 20)}])
    with pytest.raises(InvalidJob, match="name has 257 characters"):
        led.fleet.submit_many(GRAPH, seeds(1), name="n" * 257)


@pytest.mark.usefixtures("redis_client")
def test_an_input_that_lies_elsewhere_is_looked_at(redis_server, s3_settings, s3_client):
    bucket = s3_settings["s3_bucket"]
    for key, size in (("small.png", 40), ("large.png", 60)):
        s3_client.put_object(Bucket=bucket, Key=key, Body=bytes(size))
    graph = {**GRAPH, "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}
    settings = Settings(redis_url=redis_server.url, max_input_bytes=50, **s3_settings)
    with Producer(settings) as fleet:

        def submit(url):
            return fleet.submit(graph, inputs={"1.image": url}, idempotency_key=url[:99])

        assert submit(f"s3://{bucket}/small.png").inputs["1.image"].name == "small.png"
        for url, message in (
            (f"s3://{bucket}/large.png", r"has 60 bytes; the limit is 50 \(COMFYFLEET_MAX_INPUT"),
            (f"s3://{bucket}/nothing.png", f"'s3://{bucket}/nothing.png' for graph node 1 is not"),
            ("s3://no-such-bucket/x.png", "is not there"),
            ("s3://nothing", "is not of the form s3://BUCKET/KEY"),
            (f"s3://{bucket}/{'x' * 2_000}", "characters; the limit is 1,100"),
        ):
            with pytest.raises(InvalidInput, match=message):
                submit(url)


def test_a_store_that_cannot_be_asked_refuses_no_input_that_lies_elsewhere(led):
    graph = {**GRAPH, "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}
    settings = Settings(redis_url=led.settings.redis_url, s3_endpoint_url="http://127.0.0.1:9")
    with Producer(settings) as fleet:
        jobs = [
            fleet.submit(graph, inputs={"1.image": f"s3://elsewhere/{n}.png"}) for n in range(3)
        ]
    assert [job.inputs["1.image"].name for job in jobs] == ["0.png", "1.png", "2.png"]
