"""A whole fleet to be hurt: real servers, every connection of a worker through the fault proxy."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import redis

from infra.local.ports import choose_ports
from infra.local.private_files import write_private
from producer.contract.config.settings import Settings, load_settings
from tests.chaos.fleet.members import Member, MemberStarter
from tests.chaos.fleet.options import FleetOptions, own_environment
from tests.chaos.fleet.servers import BUCKET, RedisServer, Store
from tests.chaos.fleet.web_services import WebServices
from tests.chaos.proxy.control import FaultProxy
from tests.polling import wait_until

SWEEP_S: Final = 0.2

#: The edges of one who speaks to the fleet; a worker has one to its node as well.
PRODUCER: Final = "producer"

_START_S: Final = 60.0


class ChaosFleet:
    """Redis, S3, nodes, workers and the proxy, from entering the block to leaving it."""

    def __init__(self, options: FleetOptions) -> None:
        self.options = options
        self.members: list[Member] = []
        self._directory = options.directory
        self.logs = self._directory / "logs"
        self.spool = self._directory / "spool"  #: Where workers keep what they fetch.
        self.journals = self._directory / "journals"  #: Of nodes that workers have restarted.
        self._ports: dict[str, int] = {}
        self._web: WebServices | None = None

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._start_servers(undo)
            if self.options.web:
                self._web = WebServices(self, self._directory / "web", self.options.web)
                self._web.start(undo)
            names = [f"n{number}" for number, _ in enumerate(self.options.pools, start=1)]
            starter = MemberStarter(self, self._directory)
            ports = choose_ports(names, {})  # at once: what one has not taken yet another would get
            for number, pool in enumerate(self.options.pools, start=1):
                port = ports[f"n{number}"]
                self.members.append(starter.start(number, pool, port, undo))
            if not self.options.worker_command:
                for member in self.members:
                    self.wait_ready(member, within_s=_START_S)
            if self._web:
                self._web.wait_ready()
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._undo.close()

    @property
    def has_web(self) -> bool:
        """Tell whether it has an API, senders of webhooks and a receiver."""
        return self._web is not None

    @property
    def web(self) -> WebServices:
        """These; the fleet must have been made with them."""
        assert self._web, "the fleet serves no web"
        return self._web

    def member(self, name: str) -> Member:
        """Return a member by its node's name."""
        return next(member for member in self.members if member.name == name)

    def settings(self, who: str = PRODUCER, **further: str) -> Settings:
        """Return the settings of one who speaks to the fleet through the edges `who.*`."""
        return load_settings(**(self._settings(who) | further))

    def environment(
        self, who: str = PRODUCER, *, is_landed: bool = False, **further: str
    ) -> dict[str, str]:
        """Return the environment of a process that speaks through the edges `who.*`; *further* are settings."""
        wanted = self._settings(who) | further
        named = {f"COMFYFLEET_{name.upper()}": value for name, value in wanted.items()}
        found = own_environment({**named, "TMPDIR": str(self._directory / "tmp")})
        if is_landed:  # its modules are installed, and this tree's are others
            del found["PYTHONPATH"]
        return found

    def wait_ready(self, member: Member, *, within_s: float = 30) -> None:
        """Wait until a living worker says that its node takes work."""
        wait_until(
            lambda: self.is_ready(member),
            description=f"{member.name} is ready; see {self.logs}",
            within_s=within_s,
        )

    def restart_worker(self, member: Member, *, environment: Mapping[str, str]) -> None:
        """Kill a worker; return when its successor, which sees *environment*, takes work."""
        key = f"comfyfleet:node:{member.name}"
        predecessor = self.redis.client.hget(key, "worker")
        member.worker.arm(environment)
        member.worker.kill()
        wait_until(
            lambda: self.redis.client.hget(key, "worker") != predecessor and self.is_ready(member),
            description=f"{member.name} is served anew; see {self.logs}",
            within_s=30,
        )

    def is_ready(self, member: Member) -> bool:
        """Tell whether a living worker says that the node takes work."""
        try:
            record = self.redis.client.hmget(f"comfyfleet:node:{member.name}", "state", "beat_ms")
        except redis.RedisError:
            return False
        state, beat_ms = record
        is_fresh = time.time() - int(beat_ms or 0) / 1000 < self.options.lease_s
        return state == "ready" and is_fresh and bool(member.worker.pid)

    def _start_servers(self, undo: ExitStack) -> None:
        (self._directory / "tmp").mkdir(parents=True)
        self.redis = RedisServer(self._directory / "redis", log=self.logs / "redis.log")
        undo.callback(self.redis.end)
        self.s3 = Store(self._directory / "s3", log=self.logs / "s3.log")
        undo.callback(self.s3.end)
        self.redis.start()
        self.s3.start()
        write_private(self._directory / "aws-credentials", self.s3.credentials)
        self.proxy = undo.enter_context(FaultProxy(environment=own_environment({})))
        self.proxy.record(on=self.options.is_recorded)
        self.open_edges(PRODUCER)

    def is_landed(self, number: int) -> bool:
        """Tell whether the worker of that number, or the process of the web, is of the landed version: every second one at a half."""
        share = self.options.landed_share if self.options.landed else 0
        return int(number * share) > int((number - 1) * share)

    def open_edges(self, who: str) -> None:
        """Open edges to Redis and S3 for one who is called so."""
        self.open(f"{who}.redis", kind="redis", port=self.redis.port)
        self.open(f"{who}.s3", kind="s3", port=self.s3.port)

    def open(self, edge: str, *, kind: str, port: int) -> int:
        """Stand in front of a server as *edge*; return the port to connect to. *kind* as in `FaultProxy.open`."""
        self._ports[edge] = self.proxy.open(edge, kind=kind, host="127.0.0.1", port=port)
        return self._ports[edge]

    def _settings(self, who: str) -> dict[str, str]:
        server = urlsplit(self.redis.url)
        through = server.netloc.replace(str(self.redis.port), str(self._ports[f"{who}.redis"]))
        return {
            "redis_url": server._replace(netloc=through).geturl(),
            "s3_endpoint_url": f"http://127.0.0.1:{self._ports[f'{who}.s3']}",
            "s3_bucket": BUCKET,
            "s3_addressing_style": "path",
            "s3_credentials_file": str(self._directory / "aws-credentials"),
            "node_spool_dir": str(self.spool),
            "lease_s": str(self.options.lease_s),
            "renew_s": str(self.options.lease_s / 4),
            "sweep_s": str(SWEEP_S),
            "node_canary_s": "5",
            "node_quarantine_s": "2",
            **self.options.settings,
        }
