"""Submissions of large graphs take turns, one of an owner at once, in a text, by a name or for a batch."""

from __future__ import annotations

import asyncio
import json

import pytest

from producer.aio import AsyncProducer
from producer.http import heavy_submissions, strict_json
from producer.http.app import create_app
from tests.integration.api_server import GRAPH

LARGE = {**GRAPH, "9": {**GRAPH["9"], "_meta": {"title": "x" * 3_000}}}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/jobs", {"graph": LARGE}),
        ("/v1/jobs", {"template": "large"}),
        ("/v1/batches", {"template": "large"}),
        ("/v1/templates/check", {"graph": LARGE}),
    ],
)
def test_a_large_graph_waits_for_the_turn_of_its_owner_and_small_ones_do_not(
    led, monkeypatch, path, body
):
    monkeypatch.setattr(heavy_submissions, "HEAVY", 2_000)
    monkeypatch.setattr(strict_json, "_LARGE", 2_000)
    keys = {
        owner: led.fleet.keys.create(owner, owner=owner, scopes=["submit", "read"]).secret
        for owner in ("shop", "press")
    }
    for owner in keys:
        led.fleet.templates.put("large", LARGE, owner=owner)
        led.fleet.templates.put("small", GRAPH, owner=owner)

    async def serve():
        async with AsyncProducer(led.settings) as fleet:
            app = create_app(fleet, led.settings)

            async def post(owner, to, sent):
                content = json.dumps(sent).encode()
                messages = [{"type": "http.request", "body": content, "more_body": False}]
                told = []

                async def receive():
                    return messages.pop() if messages else await asyncio.Event().wait()

                async def send(message):
                    told.append(message)

                headers = {
                    "authorization": f"Bearer {keys[owner]}",
                    "content-type": "application/json",
                    "content-length": str(len(content)),
                }
                scope = {
                    "type": "http",
                    "http_version": "1.1",
                    "method": "POST",
                    "scheme": "http",
                    "path": to,
                    "raw_path": to.encode(),
                    "query_string": b"",
                    "headers": [(n.encode(), v.encode()) for n, v in headers.items()],
                    "client": ("127.0.0.1", 1),
                    "server": ("127.0.0.1", 2),
                }
                await app(scope, receive, send)
                return told[0]["status"]

            async with app.state.heavy_calls.turn("shop"):
                large = asyncio.ensure_future(post("shop", path, body))
                assert await post("press", path, body) < 300
                for small in ({"graph": GRAPH}, {"template": "small"}):
                    assert await post("shop", "/v1/jobs", small) == 201
                assert not large.done()
            assert await large < 300

    asyncio.run(serve())
