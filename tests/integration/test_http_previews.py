"""Previews over HTTP: fetched, and told of among the events of their job; nobody else's."""

from __future__ import annotations

from datetime import timedelta

import pytest

from producer.store.calls import listen
from producer.store.previews import Picture, Previews
from tests.graphs import picture
from tests.integration.api_server import problem
from tests.integration.hand_led import hold
from tests.integration.test_http_events import note, reading

JPEG = picture(form="JPEG")


@pytest.fixture
def running(api, led):
    """A client of a shop, a job of it that runs, and what shows a picture of that."""
    shop = api()
    job = led.running(led.fleet.get(shop.submit()["id"]))
    previews = Previews(led.redis)
    return shop, job, lambda kind: previews.write(hold(job), Picture("3", f"image/{kind}", JPEG))


def test_the_newest_preview_is_fetched_as_a_picture_and_nothing_else(running):
    shop, job, show = running
    path = f"/v1/jobs/{job.id}/preview"
    assert shop.get(f"/v1/jobs/{job.id}").json()["links"]["preview"] == path
    show("jpeg")
    answer = shop.get(path)
    assert (answer.status_code, answer.content) == (200, JPEG)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["cache-control"] == "no-store"


def test_what_has_no_preview_says_why(running, led, api):
    shop, job, show = running
    waits = shop.submit()
    told = problem(shop.get(f"/v1/jobs/{job.id}/preview"), 404, "not-found")
    assert "no preview yet" in told["detail"]
    assert "--preview-method" in told["advice"]
    told = problem(shop.get(waits["links"]["preview"]), 404, "not-found")
    assert "does not render yet (queued)" in told["detail"]
    show("jpeg")
    other = problem(api("press").get(f"/v1/jobs/{job.id}/preview"), 404, "not-found")
    assert "preview" not in other["detail"]
    led.store.commit(hold(job), artifacts=[], values={})
    told = problem(shop.get(f"/v1/jobs/{job.id}/preview"), 404, "not-found")
    assert "has ended (succeeded)" in told["detail"]


def test_a_stream_tells_of_each_new_preview_between_events_that_lose_nothing(running, led):
    shop, job, show = running
    with reading(shop, f"/v1/jobs/{job.id}/events?previews=true") as reader:
        reader.wait(len, description="the present state")
        show("jpeg")
        reader.wait(lambda _: len(of(reader, "preview")) == 1, description="a preview")
        note(led, job, 5)
        show("png")
        reader.wait(lambda _: len(of(reader, "preview")) == 2, description="the next one")
        led.store.commit(hold(job), artifacts=[], values={})
        reader.wait_over()
    first, second = of(reader, "preview")
    assert first["links"]["self"] == f"/v1/jobs/{job.id}/preview"
    assert (first["media_type"], first["bytes"], first["graph_node"]) == (
        "image/jpeg",
        len(JPEG),
        "3",
    )
    assert second["media_type"] == "image/png"
    assert first["at"] < second["at"]
    numbers = [data["n"] for data in of(reader, "message") if data["type"] != "snapshot"]
    assert numbers == sorted(set(numbers))
    assert of(reader, "message")[-1]["status"] == "succeeded"
    ids = {id_ for name, id_, _ in reader.events if name == "preview"}
    assert ids == {None}, "a preview is not what to go on after"


def test_who_did_not_ask_for_previews_is_told_of_none_and_calls_no_worker(running, led):
    shop, job, show = running
    show("jpeg")
    calls = listen(led.redis, timeout=timedelta(seconds=0.1))
    next(calls)
    with reading(shop, f"/v1/jobs/{job.id}/events") as reader:
        reader.wait(len, description="the present state")
        note(led, job, 5)
        reader.wait(lambda told: len(told) > 1, description="progress")
        led.store.commit(hold(job), artifacts=[], values={})
        reader.wait_over()
    assert of(reader, "preview") == []
    heard = {call.what for _ in range(4) if (call := next(calls))}
    calls.close()
    assert heard <= {"watched", "queue"}


def test_ten_streams_of_a_job_look_for_its_preview_once_a_second(running, led):
    shop, job, show = running
    readers = [reading(shop, f"/v1/jobs/{job.id}/events?previews=true") for _ in range(10)]
    before = looks(led)
    opened = [reader.__enter__() for reader in readers]
    show("jpeg")
    for reader in opened:
        reader.wait(lambda _, r=reader: of(r, "preview"), description="a preview")
    led.store.commit(hold(job), artifacts=[], values={})
    for reader in opened:
        reader.wait_over()
    assert looks(led) - before < 10


def test_a_page_is_told_where_an_artifact_lies(api, led_with_s3):
    shop = api()
    job = led_with_s3.succeeded(led_with_s3.fleet.get(shop.submit()["id"]))
    answer = shop.get(f"/v1/jobs/{job.id}/artifacts/0?redirect=false")
    assert answer.status_code == 200
    assert answer.json()["url"].startswith("http")
    assert answer.json()["expires_s"] == 3600
    assert shop.get(f"/v1/jobs/{job.id}/artifacts/0").status_code == 302


def of(reader, name):
    return [data for found, _, data in reader.events if found == name]


def looks(led):
    return led.redis.info("commandstats").get("cmdstat_hmget", {"calls": 0})["calls"]
