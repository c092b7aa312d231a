"""Fixtures of every ring: real servers, each started when a test first asks for it."""

from __future__ import annotations

import gc
import itertools
import signal
from collections.abc import Callable, Iterator

import pytest
import redis
from hypothesis import settings

from infra.local.background import BackgroundSupervisor
from infra.local.nodes import Node
from infra.local.seaweed import Seaweed
from infra.local.supervisor import Supervisor
from infra.local.valkey import Valkey
from tests import file_order, key_lives, servers

# The same examples in every run: a red test is then about the change it is red on. Look further
# with `pytest --hypothesis-profile=search`. Without a deadline: on a shared machine the 200 ms that
# an example may take are only bad luck.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, derandomize=False)
settings.load_profile("same")

# In the background of a script this process may ignore Ctrl-C, and all that it starts would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)

_bucket_numbers = itertools.count(1)


def pytest_collection_modifyitems(items):
    """Have the longest files begin first; what is in one file keeps its order."""
    items.sort(key=lambda item: file_order.weight(item.path), reverse=True)


def pytest_terminal_summary(terminalreporter):
    """Show what tests have measured, which they give to `record_property`."""
    for report in (*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")):
        for what, value in report.user_properties:
            terminalreporter.write_line(f"{what}: {value}")


@pytest.fixture(autouse=True, scope="module")
def left_open():
    """Have what a file's tests left open told in that file, not where Python next collects garbage."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def services(tmp_path_factory) -> Iterator[BackgroundSupervisor]:
    with BackgroundSupervisor(Supervisor(tmp_path_factory.mktemp("logs"))) as supervisor:
        yield supervisor


@pytest.fixture(scope="session")
def redis_server(services, tmp_path_factory) -> Valkey:
    return servers.start_redis(services, tmp_path_factory.mktemp("redis"))


@pytest.fixture
def redis_client(request, redis_server) -> Iterator[redis.Redis]:
    """A client that reads text, on a server that holds nothing.

    What the test leaves there has a life (`tests/key_lives.py`), unless it is marked
    `writes_keys`: such a test puts keys there with its own hands.
    """
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        client.flushall()
        yield client
        if not request.node.get_closest_marker("writes_keys"):
            assert key_lives.without_life(client) == [], "keys that would stay for ever"


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory) -> Iterator[Seaweed]:
    with servers.running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_bucket(s3_server) -> Iterator[str]:
    """The name of a new, empty bucket."""
    name = f"test-{next(_bucket_numbers)}"
    with s3_server.client() as s3:
        s3.create_bucket(Bucket=name)
        yield name
        s3.delete_bucket(Bucket=name)  # this store drops its objects with it


@pytest.fixture
def start_standin(tmp_path) -> Iterator[Callable[..., Node]]:
    """Call it with arguments of ``python -m infra.standin`` for a node that lives as the test."""
    numbers = itertools.count(1)
    with BackgroundSupervisor(Supervisor(tmp_path / "logs")) as supervisor:
        yield lambda *arguments: servers.start_standin(
            supervisor, tmp_path / f"standin-{next(numbers)}", *arguments
        )


@pytest.fixture
def standin(start_standin) -> Node:
    """A stand-in node that is quick."""
    return start_standin("--step-seconds", "0.01", "--load-seconds", "0.05")
