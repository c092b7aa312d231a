"""A whole fleet to be hurt: real servers, every connection of a worker through the fault proxy."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import redis
import requests

from infra.local.environment import without_proxy
from infra.local.nodes import Node, standin_service
from infra.local.ports import choose_ports
from infra.local.private_files import write_private
from producer.contract.config.settings import Settings, load_settings
from tests.chaos.fleet import restart_node
from tests.chaos.fleet.processes import KeptProcess
from tests.chaos.fleet.servers import BUCKET, RedisServer, Store, kept
from tests.chaos.fleet.web_services import WebServices
from tests.chaos.proxy.control import FaultProxy
from tests.polling import wait_until

#: The tree under test: this one, or the copy in which a mutant lives.
TREE: Final = Path(__file__).resolve().parents[3]

#: Longer than a worker takes to start anew on two busy cores, as 15 s are on a real node.
LEASE_S: Final = 4.0
SWEEP_S: Final = 0.2

#: The edges of one who speaks to the fleet; a worker has one to its node as well.
PRODUCER: Final = "producer"

_START_S: Final = 60.0
_SKEW: Final = Path(__file__).with_name("skew")


@dataclass(frozen=True, kw_only=True)
class FleetOptions:
    """What the fleet is made of.

    Args:
        pools: one for each node.
        skew_s: how much the clocks of all workers go wrong.
        is_recorded: whether the proxy logs requests from the fleet's first one on.
        worker_command: what to run in the place of our worker, after the interpreter.
        landed: the Python of an environment with the version that was landed last; None without one.
        landed_share: how many of the workers, and of the processes of the web, are of that version.
        settings: of workers and producers, by the names of `Settings`, beyond the harness' own.
        web: how many processes of the HTTP API it has, and of senders of webhooks; none: nor a receiver.
        can_restart: whether workers have a command that restarts their node.
        standin_arguments: of the nodes, beside theirs.
    """

    directory: Path
    pools: Sequence[str] = ("default", "default")
    step_seconds: float = 0.005
    load_seconds: float = 0.02
    lease_s: float = LEASE_S
    skew_s: float = 0
    is_recorded: bool = False
    worker_command: Sequence[str] = ()
    landed: Path | None = None
    landed_share: float = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    web: int = 0
    can_restart: bool = False
    standin_arguments: Sequence[str] = ()


@dataclass(frozen=True)
class Member:
    """A node and its worker; *url* is the stand-in's own, past every fault."""

    name: str
    pool: str
    url: str
    node: KeptProcess
    worker: KeptProcess

    def journal(self) -> list[dict[str, Any]]:
        """Return the prompts that the stand-in executed since it was last started."""
        with requests.Session() as session:
            session.trust_env = False
            return session.get(f"{self.url}/standin/journal", timeout=5).json()["prompts"]


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
            ports = choose_ports(names, {})  # at once: what one has not taken yet another would get
            for number, pool in enumerate(self.options.pools, start=1):
                port = ports[f"n{number}"]
                self.members.append(self._start_member(number, pool, port, undo))
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
        found = _environment({**named, "TMPDIR": str(self._directory / "tmp")})
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
        self.proxy = undo.enter_context(FaultProxy(environment=_environment({})))
        self.proxy.record(on=self.options.is_recorded)
        self.open_edges(PRODUCER)

    def _start_member(self, number: int, pool: str, port: int, undo: ExitStack) -> Member:
        name = f"n{number}"
        is_landed = self.is_landed(number)
        url = f"http://127.0.0.1:{port}"
        self.open(f"{name}.node", kind="node", port=port)
        self.open_edges(name)
        node = kept(
            standin_service(
                Node(name, url),
                self._directory / "nodes" / name,
                (
                    *("--step-seconds", str(self.options.step_seconds)),
                    *("--load-seconds", str(self.options.load_seconds)),
                    *self.options.standin_arguments,
                ),
                _environment({}),
            ),
            self.logs / f"{name}.log",
            pid_file=self._pid_file(name),
        )
        comfyui = f"http://127.0.0.1:{self._ports[f'{name}.node']}"
        worker = KeptProcess(
            f"worker-{name}",
            (
                *self._worker_command(name, pool, comfyui, is_landed=is_landed),
                *self._restarting(name, url),
            ),
            environment={
                **self.environment(name, is_landed=is_landed),
                **self._skew(),
                "CHAOS_NODE": comfyui,
            },
            directory=self._directory,
            log=self.logs / f"worker-{name}.log",
        )
        for process in (node, worker):
            undo.callback(process.end)
            process.start()
        return Member(name, pool, url, node, worker)

    def is_landed(self, number: int) -> bool:
        """Tell whether the worker of that number, or the process of the web, is of the landed version: every second one at a half."""
        share = self.options.landed_share if self.options.landed else 0
        return int(number * share) > int((number - 1) * share)

    def _worker_command(
        self, name: str, pool: str, comfyui: str, *, is_landed: bool
    ) -> tuple[str, ...]:
        if self.options.worker_command:
            return (sys.executable, "-P", *self.options.worker_command, f"--hostname={name}@%h")
        place = ("--name", name, "--pool", pool, "--comfyui", comfyui)
        python = str(self.options.landed) if is_landed else sys.executable
        return (python, "-P", "-m", "worker", *place)

    def _restarting(self, name: str, url: str) -> tuple[str, ...]:
        if not self.options.can_restart:
            return ()
        command = (sys.executable, restart_node.__file__, name, url, str(self._pid_file(name)))
        return "--restart-command", shlex.join((*command, str(self.journals)))

    def _pid_file(self, name: str) -> Path:
        return self._directory / f"{name}.pid"

    def _skew(self) -> dict[str, str]:
        if not self.options.skew_s:
            return {}
        return {
            "PYTHONPATH": os.pathsep.join((str(_SKEW), str(TREE))),
            "CHAOS_SKEW_S": str(self.options.skew_s),
        }

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


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return our own environment without settings of another fleet, for the tree under test."""
    kept_ = {k: v for k, v in os.environ.items() if not k.startswith(("COMFYFLEET_", "AWS_"))}
    return {
        **kept_,
        **without_proxy(),
        "PYTHONPATH": str(TREE),
        "PYTHONUNBUFFERED": "1",
        **settings,
    }
