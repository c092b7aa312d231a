"""A fleet whose node is behind a proxy of the cloud's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis

from producer.contract.errors import JobNotSucceeded
from producer.contract.jobs import JobStatus
from producer.contract.nodes import NodeState
from tests.acceptance.node_proxy import node_proxy
from tests.acceptance.serving import is_ready
from tests.graphs import picture, sleeping
from tests.polling import wait_until
from tests.processes import command_line

pytestmark = pytest.mark.release

PATIENCE = timedelta(seconds=60)
#: What nobody may ever read: a header's, a token's and a file's.
SECRETS = ("sesame-header", "sesame-token")


@contextmanager
def worker(stack, tmp_path, name: str, url: str, **environment: str):
    """Have a worker as the command starts it, in a pool of its name; yield its process id."""
    command = Path(sys.executable).with_name("comfyfleet")
    with (
        (tmp_path / f"{name}.log").open("w") as log,
        subprocess.Popen(
            [command, "worker", "--comfyui", url, "--name", name, "--pool", name,
             "--log-level", "debug"],
            env={**os.environ, **stack.settings_env, **environment}, stdout=log, stderr=log,
        ) as process,
    ):  # fmt: skip
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGKILL)


def everything_in_redis(url: str) -> bytes:
    with Redis.from_url(url) as redis:
        return b"".join(redis.dump(key) or b"" for key in redis.scan_iter(count=1000))


def test_a_node_behind_a_proxy_serves_and_its_secrets_stay_where_they_were_given(
    stack, fleet, node, tmp_path, comfyfleet
):
    wanted = {
        "CF-Access-Client-Id": "sesame-header-1",
        "CF-Access-Client-Secret": "sesame-header-2",
    }
    rules = {"headers": wanted, "query": {"token": "sesame-token"}, "takes_head": False}
    headers = tmp_path / "headers"
    headers.write_text("".join(f"{name}: {value}\n" for name, value in wanted.items()))
    file = {"COMFYFLEET_NODE_HEADERS_FILE": str(headers)}
    with (
        node_proxy(node.url, **rules, takes_websockets=False) as proxy,
        worker(stack, tmp_path, "cloud", f"{proxy.url}/?token=sesame-token#/", **file) as pid,
    ):
        wait_until(lambda: is_ready(fleet, "cloud"), description="it is ready")
        proxy.notices = [502, 200]
        job = copied(fleet, tmp_path / "holiday.png")
        assert (job.status, job.attempt, proxy.refused) == (JobStatus.SUCCEEDED, 1, 0)
        assert not proxy.notices
        proxy.max_body = 100
        with pytest.raises(
            JobNotSucceeded, match=r"other\.png .* for 1\.image is larger"
        ) as failed:
            copied(fleet, tmp_path / "other.png")
        assert (failed.value.job.cause, failed.value.job.charged_attempts) == ("too_large", 0)
        listed = comfyfleet("node", "list", "--json").stdout
        assert proxy.url in {json.loads(line)["url"] for line in listed.splitlines()}
        told = listed + command_line(pid) + (tmp_path / "cloud.log").read_text()
    assert not [secret for secret in SECRETS if secret in told]
    kept = everything_in_redis(stack.settings["redis_url"])
    assert not [secret for secret in SECRETS if secret.encode() in kept]


def copied(fleet, path: Path):
    """Have a picture of one's own copied by the node behind the proxy; return the ended job."""
    path.write_bytes(picture((64, 64 + len(path.name))))
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    job = fleet.submit(graph, inputs={"1.image": path}, pool="cloud")
    return fleet.wait(job.id, timeout=PATIENCE)


def test_a_proxy_that_leads_to_a_login_is_told_as_that(stack, fleet, node, tmp_path):
    with (
        node_proxy(node.url, headers={"Authorization": "Bearer x"}) as proxy,
        worker(stack, tmp_path, "locked", proxy.url),
    ):
        wait_until(
            lambda: "login" in "".join(n.reason for n in fleet.nodes() if n.name == "locked"),
            description="the node says why",
        )
        assert {n.state for n in fleet.nodes() if n.name == "locked"} == {NodeState.UNREACHABLE}


def test_a_proxy_that_closes_what_is_idle_costs_no_attempt(stack, fleet, node, tmp_path):
    with (
        node_proxy(node.url, idle_s=0.3) as proxy,
        worker(stack, tmp_path, "hasty", proxy.url),
    ):
        wait_until(lambda: is_ready(fleet, "hasty"), description="it is ready")
        jobs = [fleet.submit(sleeping(seconds), pool="hasty") for seconds in (4.5, 0.1, 0.1, 1)]
        done = [fleet.wait(job.id, timeout=PATIENCE) for job in jobs]
        assert {(job.status, job.attempt) for job in done} == {(JobStatus.SUCCEEDED, 1)}
        assert proxy.closed >= 5
        assert is_ready(fleet, "hasty")
