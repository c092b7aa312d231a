"""The embedded stack: Redis, an S3 service, nodes and their workers, on this machine alone.

`comfyfleet up` and `comfyfleet demo` hold one by a ``with`` block.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn, Self

from infra.local import api, own_servers, seaweed
from infra.local.background import SIGNALS_EVERY_S, BackgroundSupervisor
from infra.local.environment import for_python, without_proxy
from infra.local.nodes import (
    Node,
    hooks_service,
    nodes_at,
    own_node_ready_within,
    probe_worker,
    standin_service,
    worker_service,
)
from infra.local.ports import choose_twin_ports
from infra.local.seaweed import Seaweed
from infra.local.state_dir import StateDir
from infra.local.supervisor import Service, ServiceFailed, Supervisor
from infra.local.valkey import Valkey
from producer.contract.config.addresses import bare, without_password
from producer.contract.config.settings import check_name, load_settings
from producer.contract.errors import InvalidSettings

#: What S3 takes. The embedded store would never get ready with another one.
_BUCKET_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a stack is made of; whatever of one's own is not named is embedded."""

    state_dir: Path = Path(".comfyfleet")
    standin_nodes: int = 2  #: Without meaning when `comfyui_urls` are given.
    standin_arguments: tuple[str, ...] = ()  #: For each ``python -m infra.standin``.
    comfyui_urls: tuple[str, ...] = ()
    redis_url: str | None = None
    s3_endpoint_url: str | None = None
    s3_bucket: str = "comfyfleet"
    pool: str = "default"
    workers: bool = True  #: One for each node.
    api: bool = False  #: The HTTP API, if its libraries are installed.
    is_throwaway: bool = False  #: Nobody needs its data afterwards, so the store is ended at once.
    hooks: bool = False  #: One process that tells webhooks, beside workers.
    #: Called with node and settings, in a thread; raises `NotReady` until its worker serves.
    worker_probe: Callable[[Node, Mapping[str, str]], None] = probe_worker
    #: Called with service name and line for each line that a service writes.
    echo: Callable[[str, str], None] | None = None


class LocalStack:
    """A running stack, from entering its ``with`` block to leaving it.

    Entering raises StateDirInUse when another stack runs on the state directory, BinaryNotFound
    or ServiceFailed when an embedded service cannot start, and InvalidSettings, ComfyUnusable,
    FleetUnreachable or StorageError when a server of one's own does not serve.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._state = StateDir(options.state_dir)
        self._given_up = threading.Event()
        self._failure: ServiceFailed | None = None
        self.logs_dir = self._state.logs
        #: What the settings file says, by the names of `Settings`; has the Redis password in it.
        self.settings: dict[str, str] = {}
        self.nodes = nodes_at(options.comfyui_urls)
        self.api_url = ""  #: Empty where there is none.
        self.api_key = ""  #: Opens everything there; lies in `api_key_file`, too.

    def __enter__(self) -> Self:
        """Start everything; return when all of it serves."""
        self._check_options()
        with ExitStack() as undo:
            lock = undo.enter_context(self._state.locked())
            undo.callback(self._state.remove_settings)
            self.settings |= _node_headers() if self.nodes else {}
            self.settings |= _trusted_hosts() if self._options.hooks else {}
            self.settings |= api.allowed_origins() if self._options.api else {}
            servers = [*self._redis(undo), *self._s3(undo), *self._standins()]
            supervisor = Supervisor(
                self.logs_dir,
                echo=self._options.echo,
                on_failure=self._note_failure,
                inherited_fds=[lock],
            )
            self._services = undo.enter_context(BackgroundSupervisor(supervisor))
            self._services.start(*servers)
            self._state.write_settings(self.settings)
            self._services.start(*self._api(), *self._workers())
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything, workers first, and remove what holds a secret."""
        self._undo.close()

    def wait(self) -> NoReturn:
        """Wait until a service is given up.

        Raises:
            ServiceFailed: it ended too often.
        """
        while not self._given_up.wait(SIGNALS_EVERY_S):
            pass
        assert self._failure is not None  # noqa: S101 - set before the event
        raise self._failure

    @property
    def settings_env(self) -> dict[str, str]:
        """What a process needs in its environment to submit to this stack."""
        return {"COMFYFLEET_CONFIG": str(self._state.settings_file), **without_proxy()}

    @property
    def has_own_nodes(self) -> bool:
        """Whether the nodes are ComfyUIs of the user's."""
        return bool(self._options.comfyui_urls)

    @property
    def addresses(self) -> dict[str, str]:
        """Every address by what is there, fit to be shown: no password is in it."""
        return {
            "Redis": without_password(self.settings["redis_url"]),
            "S3": without_password(self.settings["s3_endpoint_url"]),
            **({"API": self.api_url} if self.api_url else {}),
            **{f"node {node.name}": bare(node.url) for node in self.nodes},
        }

    def pid(self, service: str) -> int:
        """Return the process id of ``redis``, ``s3``, a node, or ``worker-NODE``."""
        return self._services.pid(service)

    def _check_options(self) -> None:
        check_name(self._options.pool, field="--pool")
        if not _BUCKET_NAME.fullmatch(self._options.s3_bucket):
            raise InvalidSettings(f"--s3-bucket: {self._options.s3_bucket!r} is no bucket's name")
        for node in self.nodes:
            check_name(node.name, field="--comfyui")
            own_servers.check_comfyui(node.url)
        if len({node.name for node in self.nodes}) < len(self.nodes):
            raise InvalidSettings("--comfyui: one address is named twice")

    def _redis(self, undo: ExitStack) -> list[Service]:
        if self._options.redis_url:
            own_servers.check_redis(self._options.redis_url)
            self.settings["redis_url"] = self._options.redis_url
            return []
        server = Valkey(
            directory=self._state.path / "redis",
            port=self._state.ports(["redis"])["redis"],
            password=secrets.token_urlsafe(24),
        )
        undo.callback(server.clean_up)
        self.settings["redis_url"] = server.url
        return [server.service()]

    def _s3(self, undo: ExitStack) -> list[Service]:
        bucket, endpoint_url = self._options.s3_bucket, self._options.s3_endpoint_url
        if endpoint_url:
            self.settings |= own_servers.check_s3(endpoint_url, bucket)
            return []
        server = Seaweed(
            directory=self._state.path / "s3",
            ports=self._state.ports(seaweed.PORTS, choose_twin_ports),
            access_key="FLEET" + secrets.token_hex(8).upper(),
            secret_key=secrets.token_urlsafe(30),
            bucket=bucket,
        )
        undo.callback(server.clean_up)
        self._state.write_credentials(server.access_key, server.secret_key)
        self.settings |= {
            "s3_bucket": bucket,
            "s3_endpoint_url": server.endpoint_url,
            "s3_region": seaweed.REGION,
            "s3_addressing_style": "path",
            "s3_credentials_file": str(self._state.credentials_file),
        }
        service = server.service()
        return (
            [replace(service, stop_within=timedelta(0))]
            if self._options.is_throwaway
            else [service]
        )

    def _standins(self) -> list[Service]:
        if self.nodes:
            return []
        names = [f"standin-{number}" for number in range(1, self._options.standin_nodes + 1)]
        ports = self._state.ports(names)
        self.nodes = [Node(name, f"http://127.0.0.1:{ports[name]}") for name in names]
        return [
            standin_service(
                node,
                self._state.path / node.name,
                self._options.standin_arguments,
                for_python(without_proxy()),
            )
            for node in self.nodes
        ]

    def _api(self) -> list[Service]:
        if not self._options.api or not api.is_installed():
            return []
        port = self._state.ports(["api"])["api"]
        self.api_url = f"http://127.0.0.1:{port}"
        self.api_key = api.new_key(self.settings)
        self._state.write_api_key(self.api_key)
        return [api.api_service(port, self._state.path, self._environment)]

    @property
    def _environment(self) -> dict[str, str]:
        # What the file says may not be overruled by the environment of whoever starts us.
        overruling = [f"COMFYFLEET_{name.upper()}" for name in self.settings]
        return for_python(self.settings_env, without=overruling)

    def _workers(self) -> list[Service]:
        if not self._options.workers:
            return []
        environment = self._environment
        patience = {"ready_within": own_node_ready_within()} if self.has_own_nodes else {}
        workers = [
            worker_service(
                node,
                self._options.pool,
                partial(self._options.worker_probe, node, self.settings),
                self._state.path,
                environment,
                **patience,
            )
            for node in self.nodes
        ]
        hooks = [hooks_service(self._state.path, environment)] if self._options.hooks else []
        return [*workers, *hooks]

    def _note_failure(self, failure: ServiceFailed) -> None:
        self._failure = failure
        self._given_up.set()


def _trusted_hosts() -> dict[str, str]:
    """Return what the user's own settings say of private hosts that webhooks may name."""
    hosts = load_settings().trusted_hosts
    return {"trusted_hosts": hosts} if hosts else {}


def _node_headers() -> dict[str, str]:
    """Return what the user's own settings say that nodes want to see; the workers have the stack's."""
    found = load_settings()
    path = found.node_headers_file
    given = {"node_headers": found.node_headers, "node_headers_file": path and str(path.resolve())}
    return {name: value for name, value in given.items() if value}
