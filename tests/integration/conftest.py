"""Fixtures of this ring: jobs that a test leads by hand."""

from __future__ import annotations

import itertools
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from producer.contract.config.settings import Settings
from producer.http_client import HttpProducer
from tests import key_lives
from tests.integration.api_server import Client, running_api
from tests.integration.both_clients import Library, client
from tests.integration.hand_led import HandLed

_databases = itertools.cycle(range(1, 16))


@pytest.fixture
def led(redis_client, redis_server) -> Iterator[HandLed]:
    """Jobs on a Redis that holds nothing else, and no S3."""
    led = HandLed(Settings(redis_url=redis_server.url), redis_client)
    with led.fleet:
        yield led


@pytest.fixture
def led_alone(redis_server) -> Iterator[HandLed]:
    """Jobs in an empty database of their own: a process has one reader for each.

    The last test's may not have ended yet, and would hear that its Redis was emptied.
    """
    url = f"{redis_server.url.rpartition('/')[0]}/{next(_databases)}"
    with Redis.from_url(url, decode_responses=True) as redis:
        redis.flushall()
        led = HandLed(Settings(redis_url=url), redis)
        with led.fleet:
            yield led
        assert key_lives.without_life(redis) == [], "keys that would stay for ever"


@pytest.fixture(scope="session")
def s3_client(s3_server) -> Iterator[Any]:
    """The tests' own way into the bucket: boto3."""
    with s3_server.client() as client:
        yield client


@pytest.fixture
def s3_settings(s3_server, s3_bucket, tmp_path) -> dict[str, Any]:
    """What settings say of a new, empty bucket."""
    return {
        **s3_options(s3_server, tmp_path / "s3-credentials"),
        "s3_bucket": s3_bucket,
        "s3_prefix": "renders",
    }


def s3_options(s3_server, credentials: Path) -> dict[str, Any]:
    """Return what settings say of the store; write its credentials into a file."""
    credentials.write_text(
        f"[default]\naws_access_key_id = {s3_server.access_key}\n"
        f"aws_secret_access_key = {s3_server.secret_key}\n"
    )
    return {
        "s3_endpoint_url": s3_server.endpoint_url,
        "s3_addressing_style": "path",
        "s3_credentials_file": credentials,
    }


@pytest.fixture
def led_with_s3(redis_client, redis_server, s3_settings, s3_client) -> Iterator[HandLed]:
    """Jobs on an empty Redis and an empty bucket."""
    settings = Settings(redis_url=redis_server.url, **s3_settings)
    led = HandLed(settings, redis_client, s3=s3_client)
    with led.fleet:
        yield led


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Path:
    """A folder with `ca.pem`, and `host.pem`, `host.key` that it has signed for localhost."""
    folder = tmp_path_factory.mktemp("tls")
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("openssl is not installed")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    for arguments in (
        (*new_key, "-x509", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem"),
        (*new_key, "-x509", "-subj", "/CN=host", "-addext", "subjectAltName=DNS:localhost",
         "-addext", "basicConstraints=critical,CA:FALSE", "-CA", "ca.pem", "-CAkey", "ca.key",
         "-keyout", "host.key", "-out", "host.pem"),
    ):  # fmt: skip
        subprocess.run([openssl, "req", *arguments], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def api_url(redis_server, s3_server, tmp_path_factory) -> Iterator[str]:
    """The address of the HTTP API, on the tests' own Redis and a bucket of its own."""
    folder = tmp_path_factory.mktemp("api")
    with s3_server.client() as s3:
        s3.create_bucket(Bucket="api")
    settings = {
        "redis_url": redis_server.url,
        **s3_options(s3_server, folder / "s3-credentials"),
        "s3_bucket": "api",
        "api_allowed_origins": "https://shop.example,http://localhost:*",
    }
    with running_api(settings, folder / "api.log") as url:
        yield url


@pytest.fixture
def api(api_url, led) -> Iterator[Callable[..., Client]]:
    """Yield what makes a client with a new key; `led` leads its jobs by hand."""
    sessions = ExitStack()

    def client(owner: str = "shop", *, scopes: str = "submit,read", **bounds: Any) -> Client:
        name = f"{owner}-{secrets.token_hex(4)}"
        made = led.fleet.keys.create(name, owner=owner, scopes=scopes.split(","), **bounds)
        made_client = Client(api_url, made.secret)
        sessions.enter_context(made_client.session)
        return made_client

    with sessions:
        yield client


@pytest.fixture
def remote(api) -> Iterator[HttpProducer]:
    """The client of the HTTP API, with a key of the owner `shop`."""
    with client(api(scopes="submit,read,operate")) as fleet:
        yield fleet


@pytest.fixture
def both(led, remote) -> tuple[Library, HttpProducer]:
    """The library and the client, for the same owner."""
    return Library(led.fleet), remote
