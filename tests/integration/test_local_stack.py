"""The embedded stack: real Redis, real S3, started and stopped as `comfyfleet up` does."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import tomllib
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
import redis
import requests
from botocore.config import Config
from redis.backoff import NoBackoff
from redis.retry import Retry

from infra.local import ports, seaweed
from infra.local.stack import LocalStack, Options
from infra.local.state_dir import StateDirInUse
from producer.contract.config.settings import load_settings
from tests.polling import wait_until
from tests.processes import command_line, descendants, is_running, listening_addresses

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    pytest.mark.release,
]

LOOPBACK = "0100007F"  # as /proc writes it

TMP = Path("/tmp")  # where SeaweedFS puts sockets, whatever TMPDIR says

#: Longer than the name of a unix socket may be.
DEEP = "/".join(["a-directory-of-quite-some-depth"] * 5)


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    options = Options(
        state_dir=tmp_path_factory.mktemp("stack") / DEEP, standin_nodes=2, workers=False
    )
    with LocalStack(options) as running:
        yield running


@pytest.fixture
def fleet(stack, monkeypatch):
    """The settings as another process reads them."""
    monkeypatch.setenv("COMFYFLEET_CONFIG", stack.settings_env["COMFYFLEET_CONFIG"])
    return load_settings()


@contextmanager
def redis_of(settings):
    with redis.Redis.from_url(settings["redis_url"], decode_responses=True) as client:
        yield client


@contextmanager
def s3_of(settings, monkeypatch):
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", settings["s3_credentials_file"])
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=settings["s3_endpoint_url"],
        region_name=settings["s3_region"],
        config=Config(s3={"addressing_style": settings["s3_addressing_style"]}),
    )
    with closing(client):
        yield client


@contextmanager
def up(state: Path, *arguments: str, nodes: int = 0):
    """`comfyfleet up` in a process of its own, once it has said that the stack is up."""
    command = [sys.executable, "-m", "infra.local", "up", "--state", str(state)]
    arguments = ("--nodes", str(nodes), *arguments)
    with subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True) as process:
        said = []
        while "Ctrl-C stops it." not in said:
            line = process.stdout.readline()
            assert line, f"it ended early, after saying {said}"
            said.append(line.rstrip())
        try:
            yield process, said
        finally:
            process.send_signal(signal.SIGTERM)


def settings_in(state: Path) -> dict[str, str]:
    return tomllib.loads((state / "comfyfleet.toml").read_text())


def is_locked(state: Path) -> bool:
    with (state / "lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def ports_of(state: Path) -> set[int]:
    chosen = json.loads((state / "ports.json").read_text())
    return {*chosen.values(), *(chosen[server] + ports.TWIN_OFFSET for server in seaweed.PORTS)}


def secrets_in(settings: dict[str, str]) -> list[str]:
    credentials = Path(settings["s3_credentials_file"]).read_text().split()
    return [urlsplit(settings["redis_url"]).password, credentials[-1]]


def test_settings_and_credentials_are_their_owners_alone(stack):
    state = stack.logs_dir.parent
    for private in ("comfyfleet.toml", "aws-credentials", "redis/valkey.conf", "s3/security.toml"):
        assert (state / private).stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o777 == 0o700


def test_another_process_reads_the_settings(stack, fleet):
    assert fleet.redis_url == stack.settings["redis_url"]
    assert fleet.s3_endpoint_url == stack.settings["s3_endpoint_url"]
    assert fleet.s3_credentials_file == stack.logs_dir.parent / "aws-credentials"


def test_s3_serves_whom_the_credentials_file_names(stack, monkeypatch):
    with s3_of(stack.settings, monkeypatch) as s3:
        s3.put_object(Bucket="comfyfleet", Key="a.png", Body=b"PNG")
        assert s3.get_object(Bucket="comfyfleet", Key="a.png")["Body"].read() == b"PNG"
        assert s3.list_objects_v2(Bucket="comfyfleet")["KeyCount"] == 1


def test_neither_redis_nor_s3_serves_a_stranger(stack):
    port = urlsplit(stack.settings["redis_url"]).port
    for password in (None, "sesame"):
        client = redis.Redis(port=port, password=password, retry=Retry(NoBackoff(), 0))
        with client, pytest.raises(redis.AuthenticationError):
            client.ping()
    anonymous = requests.get(f"{stack.settings['s3_endpoint_url']}/comfyfleet", timeout=5)
    assert anonymous.status_code == 403


def test_the_servers_behind_s3_are_closed_to_strangers_too(stack):
    filer = json.loads((stack.logs_dir.parent / "ports.json").read_text())["filer"]
    response = requests.get(f"http://127.0.0.1:{filer}/buckets/comfyfleet/", timeout=5)
    assert response.status_code == 401


@pytest.mark.parametrize("service", ["redis", "s3"])
def test_a_server_listens_on_the_loopback_address_alone(stack, service):
    addresses = listening_addresses(stack.pid(service))
    assert {host for host, _ in addresses} == {LOOPBACK}
    assert {port for _, port in addresses} <= ports_of(stack.logs_dir.parent)


def test_no_password_is_in_a_command_line_or_a_shown_address(stack):
    shown = [command_line(pid) for pid in descendants(os.getpid())]
    assert any("valkey-server" in line for line in shown)
    for secret in secrets_in(stack.settings):
        assert not [line for line in (*shown, *stack.addresses.values()) if secret in line]


def test_each_stand_in_node_answers(stack):
    assert [node.name for node in stack.nodes] == ["standin-1", "standin-2"]
    for node in stack.nodes:
        assert requests.get(f"{node.url}/queue", timeout=5).json()["queue_running"] == []


def test_a_second_stack_on_the_same_directory_is_refused(stack):
    second = LocalStack(Options(state_dir=stack.logs_dir.parent, workers=False))
    with pytest.raises(StateDirInUse, match=f"a stack already runs on .*process {os.getpid()}"):
        second.__enter__()


def test_a_killed_redis_comes_back_with_its_data(stack):
    with redis_of(stack.settings) as client:
        client.set("kept", "yes")
    first = stack.pid("redis")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: stack.pid("redis") != first, description="Redis has been started again")

    def answers() -> bool:
        with redis_of(stack.settings) as client:
            try:
                return client.get("kept") == "yes"
            except redis.ConnectionError:
                return False

    wait_until(answers, description="Redis answers and has its data")


def test_up_says_where_everything_is_and_ends_with_nothing_left(tmp_path):
    state = tmp_path / "state"
    with up(state, nodes=1) as (process, said):
        settings = settings_in(state)
        assert f"S3: {settings['s3_endpoint_url']}" in said
        assert f"  export COMFYFLEET_CONFIG={state}/comfyfleet.toml" in said
        started = descendants(process.pid)
        assert (
            len(started) == 12
        )  # Redis, S3, a node, its worker, hooks and the API, each with its orphan guard
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=40) == 130
    assert not [pid for pid in started if is_running(pid)]
    assert [port for port in ports_of(state) if not ports.is_free(port)] == []
    assert not [socket for port in ports_of(state) for socket in TMP.glob(f"seaweedfs-*-{port}.*")]
    assert sorted(p.name for p in state.iterdir()) == [
        ".gitignore",
        "lock",
        "logs",
        "ports.json",
        "redis",
        "s3",
        "standin-1",
    ]


def test_a_killed_up_leaves_nothing_but_data_and_the_next_one_starts_at_once(tmp_path, monkeypatch):
    state = tmp_path / "state"
    with up(state) as (process, _):
        started = descendants(process.pid)
        before = settings_in(state)
        with s3_of(before, monkeypatch) as s3:
            s3.put_object(Bucket="comfyfleet", Key="kept", Body=b"yes")
        process.kill()
        process.wait()
        assert is_locked(state)  # by the services, which their leashes are just ending
        with up(state):
            assert not [pid for pid in started if is_running(pid)]
            assert settings_in(state)["redis_url"] != before["redis_url"]
            with s3_of(settings_in(state), monkeypatch) as s3:
                assert s3.get_object(Bucket="comfyfleet", Key="kept")["Body"].read() == b"yes"


def test_servers_of_ones_own_are_used_and_none_is_started(
    tmp_path, redis_server, s3_server, s3_bucket, monkeypatch
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    own = (
        *("--redis-url", redis_server.url),
        *("--s3-endpoint", s3_server.endpoint_url, "--s3-bucket", s3_bucket),
    )
    with up(tmp_path, *own) as (process, _):
        assert (
            len(descendants(process.pid)) == 4
        )  # hooks, the API and their orphan guards: no server
        settings = settings_in(tmp_path)
        assert settings["redis_url"] == redis_server.url
        assert settings["s3_endpoint_url"] == s3_server.endpoint_url
        assert settings["s3_bucket"] == s3_bucket
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) == 143
