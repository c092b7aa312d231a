"""Origins that pages may have: how the setting is read, and what is told of one that no browser would send."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

import pytest
from fastapi import FastAPI

from producer.contract.config.allowed_origins import AllowedOrigins
from producer.contract.config.settings import load_settings
from producer.contract.errors import InvalidSettings
from producer.http.cross_origin import with_cross_origin


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("https://shop.example", "https://shop.example"),
        ("https://Shop.Example/", "https://shop.example"),
        ("https://shop.example:443", "https://shop.example"),
        ("http://10.0.0.7:8080", "http://10.0.0.7:8080"),
        ("http://[fd00::1]:3000", "http://[fd00::1]:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
        (" https://a.example , https://b.example,", "https://b.example"),
    ],
)
def test_an_origin_is_read_as_a_browser_writes_it(written, sent):
    assert sent in AllowedOrigins.parse(written).exact


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("shop.example", "no scheme; expected https://HOST"),
        ("https://shop.example/app", "has a path"),
        ("https://shop.example?x", "has a path"),
        ("https://*.shop.example", "placeholder; name each host"),
        ("https://shop.example:*", "name each port"),
        ("https://localhost:*", "name each port"),
        ("https://shop.example:0", "highest is 65535"),
        ("https://shop.example:99999", "highest is 65535"),
        ("https://bücher.example", "xn--"),
        ("https://user:secret@shop.example", "holds a user"),
        ("null", "serve the page from an address"),
        ("*, https://shop.example", "stands alone"),
        ("https://", "expected https://HOST"),
        ("https://a b", "no origin"),
        ("https://" + "x" * 5_000 + "/a", "has a path"),
    ],
)
def test_one_that_no_browser_would_send_is_refused_by_the_setting(written, told):
    with pytest.raises(InvalidSettings, match=re.escape(told)) as refused:
        load_settings(api_allowed_origins=written)
    assert "COMFYFLEET_API_ALLOWED_ORIGINS" in str(refused.value)
    assert "secret" not in str(refused.value)
    assert len(str(refused.value)) < 300


def test_every_port_is_that_of_this_machine_alone():
    origins = AllowedOrigins.parse("http://localhost:*")
    fits = re.compile(origins.pattern).fullmatch
    assert fits("http://localhost")
    assert fits("http://localhost:3000")
    refused = (
        "https://localhost:1",
        "http://localhost.evil.example",
        "http://localhost:1@x",
        "null",
    )
    assert not any(map(fits, refused))


def test_without_origins_no_answer_says_a_word_of_them():
    app = FastAPI()
    assert not AllowedOrigins.parse("")
    assert with_cross_origin(app, AllowedOrigins.parse("")) is app


def test_a_page_may_read_what_a_bug_answers():
    app = FastAPI()

    @app.get("/")
    def broken() -> None:
        raise RuntimeError

    served = with_cross_origin(app, AllowedOrigins.parse("*"))
    start = asyncio.run(first_message(served, origin="https://shop.example"))
    headers = dict(start["headers"])
    assert (start["status"], headers[b"access-control-allow-origin"]) == (500, b"*")
    assert b"access-control-allow-credentials" not in headers


async def first_message(app, *, origin):
    """Return the beginning of what an app answers, even if it then raises."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b""}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b""}
    with suppress(RuntimeError):
        await app({**scope, "headers": [(b"origin", origin.encode())]}, receive, send)
    return sent[0]
