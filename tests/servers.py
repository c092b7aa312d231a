"""Real servers for tests: started when first asked for, ended by process id with the session."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local import seaweed
from infra.local.background import BackgroundSupervisor
from infra.local.environment import for_python
from infra.local.nodes import Node, standin_service
from infra.local.ports import choose_ports, choose_twin_ports
from infra.local.seaweed import Seaweed
from infra.local.supervisor import Supervisor
from infra.local.valkey import Valkey


def start_redis(services: BackgroundSupervisor, directory: Path) -> Valkey:
    """Start a Valkey that nobody else can flush: its password is known here alone."""
    port = choose_ports(["redis"], {})["redis"]
    server = Valkey(directory=directory, port=port, password=secrets.token_urlsafe(24))
    services.start(server.service())
    return server


@contextmanager
def running_s3(directory: Path) -> Iterator[Seaweed]:
    """Yield an S3 store that lives as long as the block."""
    server = Seaweed(
        directory=directory,
        ports=choose_twin_ports(seaweed.PORTS, {}),
        access_key="TEST" + secrets.token_hex(8).upper(),
        secret_key=secrets.token_urlsafe(30),
        bucket="probe",
    )
    with BackgroundSupervisor(Supervisor(directory / "logs")) as services:
        services.start(server.service())
        yield server
    server.clean_up()


def start_standin(services: BackgroundSupervisor, directory: Path, *arguments: str) -> Node:
    """Start a stand-in node; *arguments* are those of ``python -m infra.standin``.

    Its name is that of *directory*, and `services.pid` knows its process by it.
    """
    port = choose_ports(["node"], {})["node"]
    node = Node(directory.name, f"http://127.0.0.1:{port}")
    services.start(standin_service(node, directory, arguments, for_python({})))
    return node
