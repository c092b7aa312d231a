"""Each part of the fleet does its work as its own user of `infra/redis/users.acl`, over TLS with a certificate of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from redis.exceptions import NoPermissionError

from producer.checking.check import Check
from producer.client import Producer
from producer.contract.config.settings import Settings
from producer.contract.errors import FleetUnreachable
from producer.contract.jobs import JobStatus
from producer.contract.nodes import NodeState
from producer.store import keys
from producer.store.access_keys import AccessKeyRecords
from producer.store.connection import connect
from tests.graphs import sleeping
from tests.integration.api_server import Client, running_api
from tests.integration.guarded_redis import GuardedRedis, guarded_redis
from tests.integration.receiver import receiver
from tests.polling import wait_until

pytestmark = pytest.mark.release

ROLES = ("worker", "api", "hooks", "operator")
#: Keys by the users that may read them; whatever is not named here is for all but `hooks`.
READERS = {
    "comfyfleet:keys": {"operator"},
    "comfyfleet:webhooks:secrets": {"api", "hooks", "operator"},
    "comfyfleet:secrets:JOB": {"worker", "operator"},
    "comfyfleet:actions": {"api", "operator"},
    "comfyfleet:copies": {"worker", "operator"},
    "comfyfleet:upload:OWNER:SHA": {"api", "operator"},
    "comfyfleet:delivery:OWNER:NAME:1": {"api", "hooks", "operator"},
    "comfyfleet:requests:SHA": {"api", "operator"},
    "somebody:else": set(),
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, authority) -> Iterator[GuardedRedis]:
    with guarded_redis(tmp_path_factory.mktemp("redis"), authority) as server:
        yield server


@contextmanager
def _running(module: str, *words: str, log: Path, **environment: str) -> Iterator[None]:
    with (
        log.open("wb") as written,
        subprocess.Popen(
            [sys.executable, "-m", module, *words],
            env={**os.environ, **environment},
            stdout=written,
            stderr=written,
        ) as process,
    ):
        try:
            yield
        finally:
            process.terminate()


def test_each_part_does_its_work_as_its_own_user(guarded, s3_settings, standin, tmp_path):
    with ExitStack() as stack:
        to = stack.enter_context(receiver())
        bucket = s3_settings["s3_bucket"]
        options = {**s3_settings, "trusted_hosts": to.host, "deliver_buckets": f"{bucket}/copies"}

        def settings(user):
            return Settings(redis_url=guarded.url(user), **options)

        def environment(user):
            given = {**options, "redis_url": guarded.url(user)}
            return {f"COMFYFLEET_{name.upper()}": str(value) for name, value in given.items()}

        serving = ("--comfyui", standin.url, "--name", "gpu-01")
        for module, words, user in (
            ("worker", serving, "worker"),
            ("producer.webhooks", (), "hooks"),
        ):
            log = tmp_path / f"{user}.log"
            stack.enter_context(_running(module, *words, log=log, **environment(user)))
        given = {**options, "redis_url": guarded.url("api")}
        url = stack.enter_context(running_api(given, tmp_path / "api.log"))
        operator = stack.enter_context(Producer(settings("operator")))
        backend = stack.enter_context(Producer(settings("api")))
        wait_for_state(operator, NodeState.READY)

        made = operator.keys.create("shop", owner="shop", scopes=["submit", "read"], rate=100)
        shop = Client(url, made.secret)
        hook = shop.post("/v1/webhooks", {"name": "told", "url": to.url}).json()
        to.secret = hook["secret"]
        deliver = {"to": f"s3://{bucket}/copies/{{job}}-{{n}}"}
        job = shop.submit(graph=sleeping(), hook="told", idempotency_key="once", deliver=deliver)
        assert shop.get(f"/v1/jobs/{job['id']}/events", stream=True).ok
        batch = backend.submit_many(sleeping(), [{"1.color": 1}, {"1.color": 2}], owner="shop")
        failing = backend.submit(sleeping(), extra_data={"api_key_comfy_org": "secret"})
        held = shop.submit(graph=sleeping(60))
        wait_until(
            lambda: backend.get(held["id"]).status is JobStatus.RUNNING, description="it runs"
        )
        assert shop.post(f"/v1/jobs/{held['id']}/cancel").ok
        for job_id in (job["id"], failing.id):
            assert backend.wait(job_id).status is JobStatus.SUCCEEDED
        wait_until(
            lambda: [copy.state for copy in backend.get(job["id"]).copies] == ["done"],
            description="the copy is made",
        )
        assert backend.wait_batch(batch.id).counts.succeeded == 2
        wait_until(lambda: to.got, description="the webhook is told")
        wait_until(lambda: backend.get(held["id"]).done, description="the cancelled one has ended")
        action = shop.post("/v1/actions", {"action": "retry", "filter": "status:cancelled"}).json()
        assert backend.wait_action(action["id"], timeout=timedelta(seconds=30)).done == 1
        again = operator.retry(held["id"])
        operator.cancel(again.id)
        assert operator.jobs("owner:shop").jobs
        for fleet in (backend, operator):
            fleet.pause_nodes(["gpu-01"], last_of="default")
            wait_for_state(operator, NodeState.PAUSED)
            fleet.resume_nodes(["gpu-01"])
            wait_for_state(operator, NodeState.READY)
        assert {usage.owner for usage in operator.owners()} >= {"shop"}
        prometheus = operator.keys.create("prometheus", owner="ops", scopes=["operate"])
        assert (
            "comfyfleet_redis_memory_bytes" in Client(url, prometheus.secret).get("/metrics").text
        )
        operator.keys.revoke("shop")
        assert shop.get("/v1/jobs").status_code == 401
        wait_until(
            lambda: backend.get(again.id).status is JobStatus.CANCELLED, description="it ended"
        )
        with Check(settings("operator")) as checking:
            assert list(checking.run()) == []
    assert guarded.refusals() == []


def wait_for_state(fleet: Producer, state: NodeState) -> None:
    wait_until(
        lambda: [node.state for node in fleet.nodes()] == [state],
        description=f"the node is {state}",
    )


REFUSED = (
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("KEYS", "*"),
    ("CONFIG", "GET", "requirepass"),
    ("CONFIG", "SET", "appendonly", "no"),
    ("ACL", "LIST"),
    ("ACL", "SETUSER", "worker", "nopass"),
    ("SHUTDOWN",),
    ("REPLICAOF", "127.0.0.1", "1"),
    ("MONITOR",),
    ("CLIENT", "KILL", "ID", "1"),
    ("SAVE",),
    ("EVAL", "return 1", "0"),
    ("SET", "somebody:else", "1"),
    ("PUBLISH", "somebody", "1"),
)


@pytest.mark.parametrize("user", ROLES)
def test_a_user_is_refused_what_is_not_its_work(guarded, user):
    with guarded.client(user) as client:
        for command in REFUSED:
            with pytest.raises(NoPermissionError):
                client.execute_command(*command)
        assert client.execute_command("PING")
        for key, readers in READERS.items():
            assert _reads(client, key) is (user in readers), key
    with guarded.client("default") as client, pytest.raises(redis.AuthenticationError):
        client.ping()
    guarded.refusals()


def _reads(client: redis.Redis, key: str) -> bool:
    try:
        client.get(key)
    except NoPermissionError:
        return False
    except redis.ResponseError:
        pass  # it is no string
    return True


def test_an_access_key_is_admitted_by_the_api_and_made_by_the_operator_alone(guarded):
    with closing(connect(Settings(redis_url=guarded.url("api")))) as client:
        records = AccessKeyRecords(client)
        assert records.admit("0" * 64).outcome == "unknown"
        with pytest.raises(NoPermissionError):
            client.hgetall(keys.ACCESS_KEYS)
        with pytest.raises(FleetUnreachable, match=r"refuses: .*infra/redis/users\.acl"):
            records.add("0" * 64, {"name": "mine", "owner": "", "scopes": ["admin"]}, life=None)
    guarded.refusals()
