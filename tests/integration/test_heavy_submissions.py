"""Submissions of large graphs and of many rows take turns, one of an owner at once: in a text, by a name or for a batch."""

from __future__ import annotations

import asyncio
import json

import pytest

from producer.aio import AsyncProducer
from producer.http import heavy_submissions, strict_json
from producer.http.app import create_app
from tests.integration.api_server import GRAPH

LARGE = {**GRAPH, "9": {**GRAPH["9"], "_meta": {"title": "x" * 3_000}}}
JSON, LINES = "application/json", "application/jsonl"


@pytest.fixture
def keys(led, monkeypatch):
    monkeypatch.setattr(heavy_submissions, "HEAVY", 2_000)
    monkeypatch.setattr(heavy_submissions, "HEAVY_PART", 2_000)
    monkeypatch.setattr(strict_json, "_LARGE", 2_000)
    return {
        owner: led.fleet.keys.create(owner, owner=owner, scopes=["submit", "read"]).secret
        for owner in ("shop", "press")
    }


async def answered(app, key, path, content, media_type=JSON):
    """Post to an app in this process; return the status and the body of its answer."""
    messages = [{"type": "http.request", "body": content, "more_body": False}]
    told = []

    async def receive():
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message):
        told.append(message)

    headers = {
        "authorization": f"Bearer {key}",
        "content-type": media_type,
        "content-length": str(len(content)),
    }
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(n.encode(), v.encode()) for n, v in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    await app(scope, receive, send)
    return told[0]["status"], json.loads(told[1]["body"])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/jobs", {"graph": LARGE}),
        ("/v1/jobs", {"template": "large"}),
        ("/v1/batches", {"template": "large"}),
        ("/v1/templates/check", {"graph": LARGE}),
    ],
)
def test_a_large_graph_waits_for_the_turn_of_its_owner_and_small_ones_do_not(led, keys, path, body):
    for owner in keys:
        led.fleet.templates.put("large", LARGE, owner=owner)
        led.fleet.templates.put("small", GRAPH, owner=owner)

    async def serve():
        async with AsyncProducer(led.settings) as fleet:
            app = create_app(fleet, led.settings)

            async def post(owner, to, sent):
                return (await answered(app, keys[owner], to, json.dumps(sent).encode()))[0]

            async with app.state.heavy_calls.turn("shop"):
                large = asyncio.ensure_future(post("shop", path, body))
                assert await post("press", path, body) < 300
                for small in ({"graph": GRAPH}, {"template": "small"}):
                    assert await post("shop", "/v1/jobs", small) == 201
                assert not large.done()
            assert await large < 300

    asyncio.run(serve())


def test_many_rows_wait_for_the_turn_of_their_owner_and_few_do_not(led, keys):
    rows = b'{"3.color": 1}\n' * 200

    async def serve():
        async with AsyncProducer(led.settings) as fleet:
            app = create_app(fleet, led.settings)

            async def part(owner, content):
                graph = json.dumps({"graph": GRAPH}).encode()
                _, batch = await answered(app, keys[owner], "/v1/batches", graph)
                return await answered(app, keys[owner], batch["links"]["rows"], content, LINES)

            async with app.state.part_calls.turn("shop"):
                many = asyncio.ensure_future(part("shop", rows))
                assert (await part("press", rows))[1]["rows"] == 200
                assert (await part("shop", rows[:1_500]))[1]["rows"] == 100
                assert not many.done()
            assert (await many)[1]["rows"] == 200

    asyncio.run(serve())
