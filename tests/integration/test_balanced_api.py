"""Three processes of the HTTP API behind one balancer: they answer as one, also when one of them is killed in the middle of a call."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta

import pytest
import requests

from producer.contract.jobs import Phase, Progress
from producer.events.notices import LAGGED
from producer.http_client import HttpProducer
from producer.store import keys
from tests.integration.api_server import GRAPH, Client, problem, running_api
from tests.integration.balancer import balanced
from tests.integration.conftest import s3_options
from tests.integration.hand_led import hold
from tests.integration.test_http_events import Reader, error, reading
from tests.polling import wait_until

PROCESSES = 3


@pytest.fixture(scope="module")
def settings(redis_server, s3_server, tmp_path_factory):
    with s3_server.client() as s3:
        s3.create_bucket(Bucket="balanced")
    credentials = tmp_path_factory.mktemp("balanced") / "s3-credentials"
    store = {**s3_options(s3_server, credentials), "s3_bucket": "balanced"}
    return {"redis_url": redis_server.url, **store}


class Processes:
    """Three of them; one that was killed is replaced before the next test."""

    def __init__(self, settings, folder):
        self._settings, self._folder = settings, folder
        self._running = [ExitStack() for _ in range(PROCESSES)]
        self.urls = [None] * PROCESSES

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in self._running:
            one.close()

    def have(self, *, crashpoint=""):
        """Return the addresses of three that live; the first one dies where it is told to."""
        missing = [number for number, url in enumerate(self.urls) if not url]
        missing = list({*missing, *([0] if crashpoint else [])})
        with ThreadPoolExecutor(PROCESSES) as threads:
            list(threads.map(lambda n: self._start(n, "" if n else crashpoint), missing))
        return self.urls

    def kill(self, number):
        os.kill(self.urls[number].pid, signal.SIGKILL)
        self.lose(number)

    def lose(self, number):
        """Take note that one has died."""
        self.urls[number] = None

    def _start(self, number, crashpoint):
        self._running[number].close()
        log = self._folder / f"api-{number}.log"
        starting = running_api(self._settings, log, COMFYFLEET_CRASHPOINT=crashpoint)
        self.urls[number] = self._running[number].enter_context(starting)


@pytest.fixture(scope="module")
def processes(settings, tmp_path_factory):
    with Processes(settings, tmp_path_factory.mktemp("processes")) as found:
        yield found


@pytest.fixture
def balancer(processes):
    with balanced(processes.have()) as found:
        yield found


@pytest.fixture
def key(led):
    return led.fleet.keys.create("shop-key", owner="shop", scopes=["submit", "read"]).secret


class Alternating(Client):
    """Each call is a connection of its own, so the balancer gives it to the next process."""

    def __call__(self, method, path, **options):
        headers = {"Connection": "close", **options.pop("headers", {})}
        return super().__call__(method, path, headers=headers, **options)


def again(call):
    """Send a request as a careful client does, under its key, until it is answered; return how often that took."""
    tries = 0
    while True:
        tries += 1
        try:
            return call(), tries
        except requests.ConnectionError:
            assert tries < PROCESSES, "nobody answers"


def test_each_process_gives_the_same_answers(processes, balancer, key):
    shop = Alternating(balancer.url, key)
    jobs = [shop.submit(tier="batch")["id"] for _ in range(7)]
    graph = {"graph": GRAPH}
    put = shop("PUT", "/v1/templates/portrait", json=graph)
    assert put.status_code == 201
    batch = shop.post("/v1/batches", {"template": "portrait"}).json()["id"]
    rows = {"Content-Type": "application/jsonl"}
    for number in range(3):  # each part at another process
        part = {**rows, "Content-Range": f"rows {100 * number}-{100 * number + 99}/*"}
        sent = shop("POST", f"/v1/batches/{batch}/rows", data=b"{}\n" * 100, headers=part)
        assert sent.status_code == 200, sent.text
    assert shop.post(f"/v1/batches/{batch}/seal").json()["rows"] == 300
    action = shop.post("/v1/actions", {"action": "hold", "filter": "tier:batch"}).json()["id"]
    paths = (
        *(f"/v1/jobs/{jobs[0]}", "/v1/jobs?limit=3", "/v1/jobs?filter=tier:batch"),
        *("/v1/templates/portrait", f"/v1/batches/{batch}", f"/v1/actions/{action}"),
        *("/v1/jobs/01a202b8-2e5f-7533-81db-221426b72003", "/v1/jobs?filter=nonsense"),
    )
    for path in paths:
        answers = [Client(url, key).get(path) for url in processes.urls]
        assert len({(answer.status_code, answer.text) for answer in answers}) == 1, path
        assert len({answer.headers.get("etag") for answer in answers}) == 1, path
    assert sorted(set(balancer.taken)) == [0, 1, 2], "each has had its turn"


def test_pages_go_on_at_another_process(balancer, key):
    shop = Alternating(balancer.url, key)
    jobs = [shop.submit()["id"] for _ in range(7)]
    found, cursor = [], None
    while cursor or not found:
        page = shop.get("/v1/jobs", params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        found += [job["id"] for job in page.json()["jobs"]]
        cursor = page.json().get("cursor")
    assert found == jobs[::-1]


def test_what_one_process_has_counted_counts_at_all(balancer, led):
    made = led.fleet.keys.create("slow", owner="shop", scopes=["submit", "read"], rate=6)
    slow = Alternating(balancer.url, made.secret)
    began = time.monotonic()
    answers = [slow.get("/v1/jobs").status_code for _ in range(15)]
    came_back = int(6 * (time.monotonic() - began)) + 1
    assert 6 <= answers.count(200) <= 6 + came_back
    led.fleet.keys.revoke("slow")
    for _ in range(PROCESSES):
        problem(slow.get("/v1/jobs"), 401, "unauthorized")


def test_one_that_dies_when_it_has_made_a_job_has_made_the_one_that_the_next_answers_with(
    processes, key, led
):
    with balanced(processes.have(crashpoint="submit.recorded")) as balancer:
        check_one_job(Alternating(balancer.url, key), led)
    processes.lose(0)


def check_one_job(shop, led):
    once = {"Idempotency-Key": "order-1"}
    told, tries = again(lambda: shop.post("/v1/jobs", {"graph": GRAPH}, headers=once))
    assert (told.status_code, tries) == (200, 2), "it was made by the one that died"
    for _ in range(PROCESSES):
        same = shop.post("/v1/jobs", {"graph": GRAPH}, headers=once)
        assert (same.status_code, same.json()["id"]) == (200, told.json()["id"])
        other = shop.post("/v1/jobs", {"graph": GRAPH, "tier": "rush"}, headers=once)
        problem(other, 422, "idempotency-key-reuse")
    assert [job["id"] for job in shop.get("/v1/jobs").json()["jobs"]] == [told.json()["id"]]
    assert led.fleet.get(told.json()["id"]).status == "queued"


def test_one_that_dies_within_a_batch_leaves_it_to_the_others(processes, key):
    with balanced(processes.have(crashpoint="batch.added")) as balancer:
        check_one_batch(Alternating(balancer.url, key))
    processes.lose(0)


def check_one_batch(shop):
    for _ in range(PROCESSES - 1):  # so that its rows come to the first one
        shop.get("/v1/batches")
    once = {"Idempotency-Key": "batch-1"}
    lines, rows = b"{}\n" * 250, {"Content-Type": "application/jsonl"}

    def hand_in():
        batch = shop.post("/v1/batches", {"graph": GRAPH}, headers=once).json()["id"]
        part = {**rows, "Content-Range": "rows 0-249/*"}
        added = shop("POST", f"/v1/batches/{batch}/rows", data=lines, headers=part)
        assert added.status_code == 200, added.text
        return shop.post(f"/v1/batches/{batch}/seal").json()

    sealed, tries = again(hand_in)
    assert (sealed["rows"], tries) == (250, 2)
    assert [batch["id"] for batch in shop.get("/v1/batches").json()["batches"]] == [sealed["id"]]
    assert shop.post("/v1/batches", {"graph": GRAPH}, headers=once).json()["id"] == sealed["id"]


def test_who_waits_for_a_job_at_one_that_is_killed_waits_on_at_another(
    processes, balancer, key, led
):
    shop = Alternating(balancer.url, key)
    how = {"Idempotency-Key": "order-2", "Prefer": "wait=20"}
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(
            again, lambda: shop.post("/v1/jobs", {"graph": GRAPH}, headers=how)
        )
        wait_until(lambda: led.fleet.jobs().jobs, description="the job is made")
        processes.kill(balancer.taken[0])
        wait_until(lambda: len(balancer.taken) > 1, description="another one is asked")
        [job] = led.fleet.jobs().jobs
        led.failed(job)
        told, tries = waiting.result(timeout=60)
    assert (tries, told.json()["id"], told.json()["status"]) == (2, job.id, "failed")
    assert len(led.fleet.jobs().jobs) == 1


def test_a_reader_of_events_goes_on_at_another_process(processes, balancer, key, led):
    shop = Alternating(balancer.url, key)
    job = led.running(led.fleet.get(shop.submit()["id"]))
    path, seen, after = f"/v1/jobs/{job.id}/events", [], None
    for number in range(PROCESSES):
        with reading(shop, path, after=after) as reader:
            reader.wait(len, description="what has happened")
            last = note(led, job, 2 * number + 1)
            reader.wait(lambda told, n=last: told[-1]["n"] == n, description="what happens")
            if number < PROCESSES - 1:
                processes.kill(balancer.taken[-1])
                reader.wait_over()
        seen += reader.numbers()
        after = reader.last_id
        note(led, job, 2 * number + 2)  # while nobody listens
    led.store.fail(hold(job), error(), charged=True, dead=False)
    last = Reader(shop, path, after=after).wait_over()
    seen += last.numbers()
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert last.told()[-1]["status"] == "failed"
    assert len(set(balancer.taken)) == PROCESSES


def test_the_library_over_http_watches_on_when_its_process_is_killed(processes, balancer, key, led):
    numbers: list[int] = []
    with HttpProducer(balancer.url, key) as fleet:
        job = led.running(led.fleet.get(fleet.submit(GRAPH).id))
        with fleet.watch(job.id) as watch:
            for value in range(1, PROCESSES + 1):
                last = note(led, job, value)
                while not numbers or numbers[-1] < last:
                    got = watch.take(wait=timedelta(seconds=20))
                    assert got, "the watch is silent"
                    assert LAGGED not in got
                    numbers += [one.event.n for one in got]
                if value < PROCESSES:
                    processes.kill(balancer.taken[-1])
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(set(balancer.taken)) == PROCESSES


def note(led, job, value):
    """Tell the stream of progress; return the number of that."""
    led.store.note(
        hold(job), phase=Phase.RENDERING, progress=Progress(graph_node="3", value=value, max=99)
    )
    return int(led.redis.hget(keys.job(job.id), "n"))
