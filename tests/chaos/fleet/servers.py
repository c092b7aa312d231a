"""The fleet's Redis and S3, which can be killed, frozen, filled and brought back."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import redis

from infra.local import seaweed
from infra.local.ports import choose_ports, choose_twin_ports
from infra.local.seaweed import Seaweed
from infra.local.supervisor import NotReady, Service
from infra.local.valkey import Valkey
from tests.chaos.fleet.processes import KeptProcess
from tests.polling import wait_until

BUCKET: Final = "comfyfleet"

_START_S: Final = 60.0


class RedisServer:
    """A Valkey with an append-only file (everysec); `client` reaches it past every fault."""

    def __init__(self, directory: Path, *, log: Path) -> None:
        port = choose_ports(["redis"], {})["redis"]
        self._server = Valkey(directory=directory, port=port, password=secrets.token_hex(16))
        self.port = port
        self.url = self._server.url
        self._service = self._server.service()
        self.process = kept(self._service, log)
        self.client = redis.Redis.from_url(self.url, decode_responses=True, socket_timeout=10)

    def start(self) -> None:
        """Return when it answers."""
        self.process.start()
        wait_ready(self._service)

    def restart(self) -> None:
        """Kill it as a crash does; it comes back on the same append-only file.

        With `everysec` Redis holds back writes for up to two seconds while the disk is slow to sync, and a
        kill loses them although they were answered: that is Redis' own promise, and no fault of the fleet's.
        """
        with suppress(redis.RedisError):  # it may be paused, or on its way already
            self.client.config_set("appendfsync", "always")
        self.process.kill()
        wait_ready(self._service)

    def pause(self, seconds: float) -> None:
        """Have it answer nobody for so long."""
        self.client.client_pause(int(seconds * 1000), all=True)

    def fill(self) -> None:
        """Have it refuse every write that needs memory."""
        self.client.config_set("maxmemory", 1)

    def empty(self) -> None:
        """Let it take writes again."""
        self.client.config_set("maxmemory", 0)

    def demote(self) -> None:
        """Make it a replica of nobody: it refuses every write, as after a failover."""
        self.client.execute_command("REPLICAOF", "127.0.0.1", "1")

    def promote(self) -> None:
        """Make it a primary again."""
        self.client.execute_command("REPLICAOF", "NO", "ONE")

    def end(self) -> None:
        """Stop it for good."""
        self.client.close()
        self.process.end()
        self._server.clean_up()


class Store:
    """A SeaweedFS with one bucket."""

    def __init__(self, directory: Path, *, log: Path) -> None:
        self._server = Seaweed(
            directory=directory,
            ports=choose_twin_ports(seaweed.PORTS, {}),
            access_key="CHAOS" + secrets.token_hex(8).upper(),
            secret_key=secrets.token_urlsafe(30),
            bucket=BUCKET,
        )
        self.port = self._server.ports["s3"]
        self.credentials = (
            f"[default]\naws_access_key_id = {self._server.access_key}\n"
            f"aws_secret_access_key = {self._server.secret_key}\n"
        )
        self._service = self._server.service()
        self.process = kept(self._service, log)

    def start(self) -> None:
        """Return when it takes objects."""
        self.process.start()
        wait_ready(self._service)

    @contextmanager
    def client(self) -> Iterator[Any]:
        """Yield a boto3 client that reaches it past every fault."""
        with self._server.client() as client:
            yield client

    def freeze(self) -> None:
        """Have it answer nobody."""
        self.process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on where it stood."""
        self.process.signal(signal.SIGCONT)

    def end(self) -> None:
        """Stop it for good."""
        self.process.end()
        self._server.clean_up()


def kept(service: Service, log: Path, *, pid_file: Path | None = None) -> KeptProcess:
    """Return a service of the embedded stack as a process that can be hurt; *pid_file* as of that."""
    return KeptProcess(
        service.name,
        service.argv,
        environment=service.environment,
        directory=service.directory,
        log=log,
        pid_file=pid_file,
    )


def wait_ready(service: Service) -> None:
    """Wait until the service's own probe is content."""

    def is_ready() -> bool:
        try:
            service.probe()
        except NotReady:
            return False
        return True

    wait_until(is_ready, description=f"{service.name} is ready", within_s=_START_S)
