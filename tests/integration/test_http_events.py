"""Live status over HTTP: server-sent events, resumed without a gap, each owner's alone."""

from __future__ import annotations

import json
import random
import socket
import threading
from contextlib import closing, contextmanager

import pytest
import requests

from producer.contract.jobs import Phase, Progress
from producer.store import keys
from tests.integration.api_server import GRAPH, problem
from tests.integration.hand_led import hold
from tests.polling import wait_until


class Reader:
    """Reads one stream in a thread; `events` are (name, id, data)."""

    def __init__(self, client, path, *, after=None, cut_after=None):
        headers = {"Authorization": f"Bearer {client.key}"}
        if after:
            headers["Last-Event-ID"] = after
        self.answer = requests.get(client.url + path, headers=headers, stream=True, timeout=30)
        self.status = self.answer.status_code
        self.events = []
        self.is_over = False
        self.last_id = after
        self._cut_after = cut_after
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        name, id_, data = "message", None, None
        try:
            for line in self.answer.iter_lines(chunk_size=1, decode_unicode=True):
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "id":
                    id_ = value
                elif field == "data":
                    data = json.loads(value)
                elif not line:
                    self.last_id = id_ or self.last_id
                    if data is not None:
                        self.events.append((name, id_, data))
                    name, id_, data = "message", None, None
                if self._cut_after is not None and len(self.events) >= self._cut_after:
                    break
        except (requests.RequestException, AttributeError, ValueError):
            pass
        self.is_over = True

    def told(self):
        return [data for _, _, data in self.events]

    def numbers(self):
        return [data["n"] for data in self.told() if data.get("type") != "snapshot"]

    def wait(self, what, *, description):
        wait_until(lambda: what(self.told()), description=description)

    def wait_over(self):
        wait_until(lambda: self.is_over, description="the stream has ended")
        return self

    def close(self):
        if not self.is_over:
            self.answer.raw.shutdown()  # closing it alone would wait for the thread that reads
        self._thread.join()
        self.answer.close()


@contextmanager
def reading(client, path, **options):
    with closing(Reader(client, path, **options)) as reader:
        yield reader


def note(led, job, value):
    led.store.note(
        hold(job), phase=Phase.RENDERING, progress=Progress(graph_node="3", value=value, max=99)
    )


def test_a_job_is_followed_from_its_present_state_to_its_end(api, led):
    shop = api()
    job = shop.submit()
    with reading(shop, f"/v1/jobs/{job['id']}/events") as reader:
        assert reader.answer.headers["content-type"].startswith("text/event-stream")
        reader.wait(len, description="the present state")
        led.failed(led.fleet.get(job["id"]))
        reader.wait_over()
    told = reader.told()
    assert (told[0]["type"], told[0]["status"]) == ("snapshot", "queued")
    assert told[-1]["status"] == "failed"
    assert reader.numbers() == [2, 3]
    again = Reader(shop, f"/v1/jobs/{job['id']}/events", after=reader.last_id)
    assert again.status == 204, "a browser then connects no more"
    ended = Reader(shop, f"/v1/jobs/{job['id']}/events").wait_over()
    assert [data["status"] for data in ended.told()] == ["failed"]


def test_a_reader_that_is_cut_at_random_sees_every_event_once_in_order(api, led):
    shop = api()
    job = led.running(led.fleet.get(shop.submit()["id"]))
    path, draw = f"/v1/jobs/{job.id}/events", random.Random(7)
    seen, after, value = [], None, 0
    for _ in range(8):
        with reading(shop, path, after=after) as reader:
            reader.wait(len, description="the present state")
            wanted = draw.randint(0, 6)
            for _ in range(wanted):
                value += 1
                note(led, job, value)
            reader.wait(lambda told, n=wanted: len(told) > n // 2, description="some of it")
        got = [(id_, data) for _, id_, data in list(reader.events) if data["type"] != "snapshot"]
        seen += [data["n"] for _, data in got]
        after = got[-1][0] if got else (after or reader.events[0][1])
        value += 1
        note(led, job, value)  # while nobody listens
    led.store.fail(hold(job), error(), charged=True, dead=False)
    last = Reader(shop, path, after=after).wait_over()
    seen += last.numbers()
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert last.told()[-1]["status"] == "failed"
    assert seen[0] <= 3


def error():
    from producer.contract.jobs import JobError  # noqa: PLC0415

    return JobError(cause="execution_error", message="no such colour")


def test_what_the_stream_holds_no_more_is_told_as_a_reset(api, led):
    shop = api()
    job = led.running(led.fleet.get(shop.submit()["id"]))
    old = led.redis.xrevrange(keys.EVENTS, count=1)[0][0]
    note(led, job, 1)
    led.redis.xtrim(keys.EVENTS, maxlen=1, approximate=False)
    for after in (old, "1-1", "99999999999999-0", "0-0", "what", "9" * 40 + "-1"):
        with reading(shop, f"/v1/jobs/{job.id}/events", after=after) as reader:
            reader.wait(lambda told: len(told) > 1, description="a reset and the state")
        assert reader.events[0][0] == "reset"
        assert reader.told()[1]["type"] == "snapshot"


def test_a_batch_is_followed_with_its_jobs_or_without(api, led):
    shop = api()
    batch = led.fleet.submit_many(GRAPH, [{}], owner="shop")
    path = f"/v1/batches/{batch.id}/events"
    with reading(shop, path) as reader, reading(shop, f"{path}?jobs=false") as alone:
        reader.wait(len, description="the present state")
        alone.wait(len, description="the present state")
        led.fleet.cancel_batch(batch.id)
        reader.wait_over()
        alone.wait_over()
    assert (reader.told()[0]["type"], reader.told()[0]["rows"]) == ("snapshot", 1)
    assert {data["kind"] for data in alone.told()} == {"batch"}
    assert alone.told()[-1]["counts"]["cancelled"] == 1


def test_an_owner_follows_all_that_is_its_own_and_nothing_else(api, led):
    shop, press, ops = api("shop"), api("press"), api("ops", scopes="admin")
    theirs = press.submit()
    with reading(shop, "/v1/events") as reader, reading(ops, "/v1/events") as all_of_it:
        reader.wait(len, description="the present state")
        wait_until(lambda: len(all_of_it.told()) > 1, description="the present state")
        press.post(f"/v1/jobs/{theirs['id']}/cancel")
        led.queued()
        led.fleet.submit_many(GRAPH, [{}], owner="press")
        mine = shop.submit()
        batch = led.fleet.submit_many(GRAPH, [{}], owner="shop")
        reader.wait(lambda told: told[-1].get("batch") == batch.id, description="the own batch")
        wait_until(
            lambda: any(d.get("job") == mine["id"] for d in all_of_it.told()), description="the job"
        )
    assert reader.told()[0] == {
        "id": reader.events[0][1], "kind": "owner", "type": "snapshot", "owner": "shop", "waiting": 0, "running": 0,
    }  # fmt: skip
    assert {data["owner"] for data in reader.told()} == {"shop"}
    assert {data.get("job") for data in all_of_it.told()} >= {theirs["id"], mine["id"]}


def test_a_stream_says_at_once_after_which_id_it_goes_on(api, led):
    shop, ops = api(), api("ops", scopes="operate,read")
    shop.submit()
    newest = led.redis.xrevrange(keys.EVENTS, count=1)[0][0]
    with reading(ops, "/v1/events?topics=nodes") as reader:  # of which there is nothing to show
        wait_until(lambda: reader.last_id, description="its position")
        assert (reader.last_id, reader.events) == (newest, [])
    job = shop.submit()
    other = led.redis.xrevrange(keys.EVENTS, count=1)[0][0]
    path = f"/v1/events?topics=job:{shop.submit()['id']}"
    with reading(shop, path, after=other) as reader:
        # And what was missed, to its end, whoever's it is.
        led.fleet.cancel(job["id"])
        wait_until(lambda: reader.last_id != other, description="its position")
        assert reader.last_id <= led.redis.xrevrange(keys.EVENTS, count=1)[0][0]


def test_topics_are_the_own_ones(api, led):
    shop, press = api("shop"), api("press")
    one, two, foreign = shop.submit(), shop.submit(), press.submit()
    with reading(shop, f"/v1/events?topics=job:{one['id']},job:{two['id']}") as reader:
        reader.wait(lambda told: len(told) > 1, description="both states")
        shop.post(f"/v1/jobs/{two['id']}/cancel")
        reader.wait(lambda told: len(told) > 2, description="the change")
    assert [data["job"] for data in reader.told()] == [one["id"], two["id"], two["id"]]
    batch = led.fleet.submit_many(GRAPH, [{}], owner="press")
    for topic in (f"job:{foreign['id']}", "job:what", f"batch:{batch.id}"):
        problem(shop.get(f"/v1/events?topics={topic}"), 404, "not-found")
    for path in (f"/v1/jobs/{foreign['id']}/events", f"/v1/batches/{batch.id}/events"):
        problem(shop.get(path), 404, "not-found")
    for topic in ("nodes", "node:gpu-1"):
        problem(shop.get(f"/v1/events?topics={topic}"), 403, "forbidden")
    for topic in ("*", "owner:press", "batches", "job:"):
        problem(shop.get(f"/v1/events?topics={topic}"), 422, "invalid-request")


def test_who_reads_nothing_misses_nothing_later_and_delays_nobody(api, api_url, led):
    shop = api()
    job = led.running(led.fleet.get(shop.submit()["id"]))
    host, _, port = api_url.removeprefix("http://").partition(":")
    deaf = socket.create_connection((host, int(port)), 5)
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with closing(deaf), reading(shop, f"/v1/jobs/{job.id}/events") as reader:
        deaf.sendall(
            f"GET /v1/jobs/{job.id}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {shop.key}\r\n\r\n".encode()
        )
        reader.wait(len, description="the present state")
        for value in range(1, 2_001):
            note(led, job, value)
        reader.wait(lambda told: told[-1]["n"] >= 2_002, description="all of it")
        numbers = reader.numbers()
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@pytest.mark.parametrize("path", ["/v1/events", "/v1/jobs/{job}/events"])
def test_who_goes_away_frees_what_it_held(api, path):
    shop = api()
    job = shop.submit()
    for _ in range(5):
        with reading(shop, path.format(job=job["id"])) as reader:
            reader.wait(len, description="the present state")
    assert shop.get("/v1/jobs").status_code == 200
