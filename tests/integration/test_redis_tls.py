"""What is wrong with a certificate is told in one sentence by whoever connects: library, command, worker, messages."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from producer.aio import AsyncProducer
from producer.client import Producer
from producer.contract.config.settings import Settings
from producer.contract.errors import FleetUnreachable
from producer.contract.ids import JobId
from producer.contract.queues import Message
from producer.dispatch import Dispatch
from tests.integration.guarded_redis import GuardedRedis, guarded_redis


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, authority) -> Iterator[GuardedRedis]:
    with guarded_redis(tmp_path_factory.mktemp("redis"), authority) as server:
        yield server


def records(url: str) -> None:
    with Producer(Settings(redis_url=url)) as fleet:
        fleet.nodes()


def messages(url: str) -> None:
    Dispatch(Settings(redis_url=url)).send_all([Message(JobId("0" * 32), 1, "comfyfleet.test", 3)])


#: Options of the address, its host, and what is said.
WRONG = {
    "an authority that nobody named": (
        lambda to: to.url("api", to.certificate),
        "name the authority that signed its certificate: rediss://...?ssl_ca_certs=FILE",
    ),
    "another authority": (
        lambda to: to.url("api", f"ssl_ca_certs={to.authority / 'host.pem'}", to.certificate),
        "name the authority that signed its certificate: rediss://...?ssl_ca_certs=FILE",
    ),
    "another host": (
        lambda to: to.url("api", to.trust, to.certificate, host="127.0.0.1"),
        "the certificate names no such address: connect by the name in it",
    ),
    "no certificate of ours": (
        lambda to: to.url("api", to.trust),
        "it hung up: if it wants a certificate of ours, add ssl_certfile and ssl_keyfile",
    ),
}
TOLD_IN_TIME = "it wants a certificate of ours: add ssl_certfile and ssl_keyfile"


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("connects", [records, messages])
def test_what_is_wrong_is_told_in_a_sentence(guarded, what, connects):
    address, advice = WRONG[what]
    with pytest.raises(FleetUnreachable) as refusal:
        connects(address(guarded))
    assert refusal.value.advice in {advice, TOLD_IN_TIME}
    assert guarded.password not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_it_is_told_the_same_where_asyncio_asks(guarded):
    async def ask(url):
        async with AsyncProducer(Settings(redis_url=url)) as fleet:
            await fleet.nodes()

    for address, advice in WRONG.values():
        with pytest.raises(FleetUnreachable) as refusal:
            asyncio.run(ask(address(guarded)))
        assert refusal.value.advice in {advice, TOLD_IN_TIME}


def test_a_worker_that_shows_no_certificate_says_so_and_ends(guarded, s3_settings):
    serving = ("--comfyui", "http://127.0.0.1:9", "--name", "gpu-01")
    ended = subprocess.run(
        [sys.executable, "-m", "worker", *serving],
        env={
            **os.environ,
            **{f"COMFYFLEET_{name.upper()}": str(value) for name, value in s3_settings.items()},
            "COMFYFLEET_REDIS_URL": guarded.url("worker", guarded.trust),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = ended.stderr.strip().splitlines()
    assert ended.returncode == 3
    assert "a certificate of ours" in said[-1]
    assert "Traceback" not in ended.stderr
    assert guarded.password not in ended.stderr
