"""The Redis configuration that the pages show is one that the server takes."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager

import redis

from infra.local.ports import choose_ports
from infra.local.valkey import find_binary
from tests.docs.blocks import blocks
from tests.polling import wait_until


def shown(page: str, title: str) -> str:
    [source] = [block.source for block in blocks(page) if block.title == title]
    return source


@contextmanager
def running(folder, configuration: str, *arguments: str):
    (folder / "redis.conf").write_text(configuration)
    command = [str(find_binary()), "redis.conf", "--bind", "127.0.0.1", "--dir", ".", *arguments]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def answers(client: redis.Redis) -> bool:
    try:
        return client.ping()
    except redis.ConnectionError:
        return False


def test_a_server_of_the_page_keeps_what_it_took_and_evicts_nothing(tmp_path):
    port = choose_ports(["redis"], {})["redis"]
    configuration = shown("docs/start/several-machines.md", "redis.conf")
    with (
        running(tmp_path, configuration, "--port", str(port)),
        redis.Redis(port=port, password="CHOOSE-ONE", decode_responses=True) as client,
    ):
        wait_until(lambda: answers(client), description="the server is up")
        told = client.config_get("appendonly", "maxmemory-policy", "appendfsync")
    assert told == {
        "appendonly": "yes",
        "maxmemory-policy": "noeviction",
        "appendfsync": "everysec",
    }
