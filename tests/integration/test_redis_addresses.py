"""Records and messages go to one database, and a certificate is judged alike for both."""

from __future__ import annotations

import ssl
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis

from infra.local import valkey
from producer.contract.config.settings import Settings
from producer.contract.errors import FleetUnreachable
from producer.contract.ids import JobId
from producer.contract.queues import Message
from producer.dispatch import Dispatch
from producer.store.connection import connect, translated
from tests.integration.tls_proxy import tls_context, tls_proxy
from tests.polling import wait_until

_QUEUE = "comfyfleet.test.addresses"


def _speak(url: str) -> Dispatch:
    """Ask for a record and send a message, as whoever submits does; return what keeps a connection open."""
    settings = Settings(redis_url=url)
    with closing(connect(settings)) as redis, translated(redis):
        redis.set("record", "here")
    dispatch = Dispatch(settings)
    dispatch.send_all([Message(JobId("0" * 32), 1, _QUEUE, 3)])
    return dispatch


def test_a_socket_and_its_database_are_the_same_to_both():
    with tempfile.TemporaryDirectory() as folder:  # a socket's path is 107 bytes at most
        path = Path(folder) / "redis.sock"
        options = ("--port", "0", "--unixsocket", str(path), "--save", "", "--dir", folder)
        with subprocess.Popen(
            [valkey.find_binary(), *options, "--requirepass", "p@/#w"], stdout=subprocess.DEVNULL
        ) as server:
            try:
                wait_until(path.exists, description="the socket is there")
                _speak(f"unix://:p%40%2F%23w@{path}?db=2")
                with Redis(unix_socket_path=str(path), db=2, password="p@/#w") as redis:
                    assert redis.exists("record", f"{_QUEUE}\x06\x163") == 2
                    assert set(redis.info("keyspace")) == {"db2"}
            finally:
                server.terminate()


def test_a_user_of_the_acl_is_known_to_both(redis_server, redis_client):
    redis_client.execute_command("ACL SETUSER web reset on >p#/w allkeys allchannels +@all")
    try:
        others = {client["id"] for client in redis_client.client_list()}
        speaker = _speak(f"redis://web:p%23%2Fw@127.0.0.1:{redis_server.port}/3")
        ours = [client for client in redis_client.client_list() if client["id"] not in others]
        assert {client["user"] for client in ours if client["db"] == "3"} == {"web"}
        speaker.close()
        assert set(redis_client.info("keyspace")) == {"db3"}
    finally:
        redis_client.acl_deluser("web")


@pytest.fixture
def encrypted(authority, redis_server, redis_client):
    """Redis behind TLS; the URL has no options yet."""
    redis_client.ping()
    with tls_proxy(tls_context(authority), to=("127.0.0.1", redis_server.port)) as port:
        yield f"rediss://:{redis_server.password}@localhost:{port}/4"


def test_a_certificate_that_cannot_be_verified_is_refused_by_both(encrypted):
    settings = Settings(redis_url=encrypted)
    with (
        closing(connect(settings)) as redis,
        pytest.raises(FleetUnreachable) as records,
        translated(redis),
    ):
        redis.ping()
    with pytest.raises(FleetUnreachable) as messages:
        Dispatch(settings).send_all([Message(JobId("0" * 32), 1, _QUEUE, 3)])
    for refusal in (records.value, messages.value):
        assert "ssl_ca_certs=FILE" in str(refusal)


@pytest.mark.parametrize("options", ["ssl_ca_certs={ca}", "ssl_cert_reqs=CERT_NONE"])
def test_a_certificate_that_is_good_is_taken_by_both(encrypted, authority, redis_client, options):
    _speak(f"{encrypted}?{options.format(ca=authority / 'ca.pem')}")
    assert set(redis_client.info("keyspace")) == {"db4"}
    assert redis_client.info("keyspace")["db4"]["keys"] >= 2


def test_the_name_in_a_certificate_counts_for_both(encrypted, authority):
    url = encrypted.replace("localhost", "127.0.0.1")
    with pytest.raises(FleetUnreachable, match="connect by the name in it"):
        _speak(f"{url}?ssl_ca_certs={authority / 'ca.pem'}")


def test_a_certificate_of_ones_own_is_shown_by_both(authority, redis_server, redis_client):
    context = tls_context(authority)
    context.load_verify_locations(authority / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    files = f"ssl_certfile={authority / 'host.pem'}&ssl_keyfile={authority / 'host.key'}"
    with tls_proxy(context, to=("127.0.0.1", redis_server.port)) as port:
        url = f"rediss://:{redis_server.password}@localhost:{port}/4"
        _speak(f"{url}?ssl_ca_certs={authority / 'ca.pem'}&{files}")
        assert set(redis_client.info("keyspace")) == {"db4"}
        with pytest.raises(FleetUnreachable):
            _speak(f"{url}?ssl_ca_certs={authority / 'ca.pem'}")
