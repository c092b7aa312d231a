"""What a fleet serves the web with: processes of the HTTP API, senders of webhooks, and a receiver; all can be hurt."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import requests

from infra.local.ports import choose_ports
from infra.local.private_files import write_private
from producer.client import Producer
from producer.contract.errors import FleetError
from producer.contract.webhooks import OF_NODES, DeliveryState, EventType
from tests.chaos.fleet.processes import KeptProcess
from tests.polling import wait_until

if TYPE_CHECKING:
    from tests.chaos.fleet.chaos_fleet import ChaosFleet

#: Who has access keys; library's callers may also be nobody.
OWNERS: Final = ("shop", "studio.2")
HOOKS: Final = ("hook-1", "hook-2")
#: The one that is told of more than ends.
TOLD_OF_ALL: Final = "hook-2"
#: Before the names of the edges of these processes.
API: Final = "api"
SENDERS: Final = "hooks"
#: The edge between senders and the receiver.
RECEIVER: Final = "receiver.http"

_START_S: Final = 60.0
#: The second wait of the ladder is minutes long; the first is not worth hurrying, nor is a sender that died.
_LONG: Final = timedelta(seconds=45)


class WebServices:
    """Started with a fleet, whose edges they speak through.

    Args:
        size: processes of the API, and as many of senders.
    """

    def __init__(self, fleet: ChaosFleet, directory: Path, size: int) -> None:
        self._fleet = fleet
        self._directory = directory
        self.received = directory / "received.jsonl"
        self._webhooks = directory / "webhooks.json"
        ports = choose_ports(["receiver", *(f"{API}{n}" for n in range(1, size + 1))], {})
        self._receiver_url = f"http://127.0.0.1:{ports['receiver']}"
        host = f"127.0.0.1:{fleet.open(RECEIVER, kind='node', port=ports['receiver'])}"
        self.settings = {"trusted_hosts": host}
        self._told_at = f"http://{host}"
        self.urls: list[str] = []
        self.keys: dict[str, str] = {}
        self.receiver = self._receiver(ports["receiver"])
        self.api = [self._api(n, ports[f"{API}{n}"]) for n in range(1, size + 1)]
        self.senders = [self._senders(n) for n in range(1, size + 1)]

    @property
    def processes(self) -> Sequence[KeptProcess]:
        """All of them."""
        return (self.receiver, *self.api, *self.senders)

    def start(self, undo: ExitStack) -> None:
        """Make keys and webhooks, and start; `wait_ready` returns when all is up."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self.received.touch()
        with self._producer() as producer:
            self._make_keys(producer)
            self._make_webhooks(producer)
        for process in self.processes:
            undo.callback(process.end)
            process.start()

    def wait_ready(self) -> None:
        """Wait until each process of the API, and the receiver, answers."""
        for url in (*self.urls, self._receiver_url):
            wait_until(
                partial(_answers, f"{url}/livez"),
                description=f"{url} answers; see {self._fleet.logs}",
                within_s=_START_S,
            )

    def hurry(self) -> None:
        """Have what was refused twice sent again now: the ladder would wait for minutes, then for hours."""
        with self._producer() as producer:
            soon = datetime.now(UTC) + _LONG
            for webhook in producer.webhooks.list():
                for one in producer.webhooks.deliveries(
                    webhook.name, owner=webhook.owner, limit=100
                ):
                    is_late = one.due_at is not None and one.due_at > soon
                    if one.state is DeliveryState.WAITING and is_late:
                        producer.webhooks.redeliver(webhook.name, one.id, owner=webhook.owner)

    def try_to_hurry(self) -> None:
        """As `hurry`, where Redis lets it."""
        try:
            self.hurry()
        except FleetError:
            return

    def _producer(self) -> Producer:
        return Producer(self._fleet.settings(**self.settings))

    def _make_keys(self, producer: Producer) -> None:
        for owner in OWNERS:
            made = producer.keys.create(owner, owner=owner, scopes=["submit", "read"])
            self.keys[owner] = made.secret
        scopes = ["submit", "read", "operate", "admin"]
        self.keys["*"] = producer.keys.create("anybody", owner="operator", scopes=scopes).secret

    def _make_webhooks(self, producer: Producer) -> None:
        known: dict[str, Mapping[str, str]] = {}
        for owner in ("", *OWNERS):
            for name in HOOKS:
                path = f"/{owner or 'nobody'}/{name}"
                # What is told of nodes is no step of a job or batch, which is what the checker follows.
                events = [*set(EventType) - set(OF_NODES)] if name == TOLD_OF_ALL else ()
                made = producer.webhooks.create(
                    name, self._told_at + path, owner=owner, events=events
                )
                secret = made.secret.get_secret_value()
                known[path] = {"hook": f"{owner}:{name}", "secret": secret}
        write_private(self._webhooks, json.dumps(known))

    def _receiver(self, port: int) -> KeptProcess:
        files = (str(self._webhooks), str(self.received))
        module = "tests.chaos.fleet.receiver"
        return self._process("receiver", (module, str(port), *files))

    def _api(self, number: int, port: int) -> KeptProcess:
        who = f"{API}{number}"
        self._fleet.open_edges(who)
        through = self._fleet.open(f"{who}.http", kind="node", port=port)
        self.urls.append(f"http://127.0.0.1:{through}")
        return self._process(who, ("producer.http", "--port", str(port)), number=number)

    def _senders(self, number: int) -> KeptProcess:
        who = f"{SENDERS}{number}"
        self._fleet.open_edges(who)
        return self._process(who, ("producer.webhooks",), number=number)

    def _process(self, name: str, command: Sequence[str], *, number: int = 0) -> KeptProcess:
        """Return one of the product's by its *number*, or one of the harness."""
        is_landed = number > 0 and self._fleet.is_landed(number)
        python = str(self._fleet.options.landed) if is_landed else sys.executable
        who = name if number else "producer"
        return KeptProcess(
            name,
            (python, "-P", "-m", *command),
            environment=self._fleet.environment(who, is_landed=is_landed, **self.settings),
            directory=self._directory,
            log=self._fleet.logs / f"{name}.log",
        )


def _answers(url: str) -> bool:
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(url, timeout=2).ok
        except requests.RequestException:
            return False
