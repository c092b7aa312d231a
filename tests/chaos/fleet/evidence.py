"""Gathers what the checker judges, while a fleet is hurt and afterwards."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import requests

from tests.chaos.checker.collection import (
    EventTail,
    collect_objects,
    collect_redis,
    has_messages,
)
from tests.chaos.checker.queue_watch import QueueWatch
from tests.chaos.fleet.chaos_fleet import ChaosFleet
from tests.chaos.fleet.client import JournalingClient
from tests.chaos.fleet.http_client import HttpClient
from tests.chaos.fleet.landed_client import LandedClient
from tests.chaos.fleet.members import Member
from tests.chaos.fleet.servers import BUCKET

#: A worker that is ready takes any message in this time, were it only to drop it, s.
_TAKEN_WITHIN_S: Final = 15.0


class Evidence:
    """A folder of evidence about one fleet; see `checker.collection` for its files."""

    def __init__(self, fleet: ChaosFleet, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._fleet = fleet
        self._tail = EventTail(fleet.redis.url, folder / "events.jsonl")
        self._watch = QueueWatch(fleet.redis.url, folder / "waiting.jsonl")
        self._lock = threading.Lock()
        self._prompts: dict[tuple[str, int], list[dict[str, Any]]] = {}
        self._faults: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._tail.__enter__()
        self._watch.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tail.__exit__(kind, error, trace)
        self._watch.__exit__(kind, error, trace)

    def client(self, who: str = "producer") -> JournalingClient:
        """Return a client that speaks through the edges `who.*` and keeps the journal."""
        return JournalingClient(self._fleet.settings(who), self.folder / "client.jsonl")

    def landed_client(self, who: str = "producer") -> LandedClient:
        """Return one of the landed version, which the fleet must have; else as `client`."""
        options = self._fleet.options
        assert options.landed, "the fleet has no landed version"
        return LandedClient(
            options.landed,
            environment=self._fleet.environment(who, is_landed=True),
            directory=options.directory / "landed-client",
            journal=self.folder / "client.jsonl",
            log=self._fleet.logs / "landed-client.log",
        )

    def http_client(self, beside: JournalingClient) -> HttpClient:
        """Return one that speaks to the fleet's API and keeps the journal of another one."""
        web = self._fleet.web
        return HttpClient(web.urls, web.keys, beside.journal)

    @contextmanager
    def fault(self, kind: str, target: str) -> Iterator[dict[str, Any]]:
        """Note that *target* (a node's name, or `all`) is hurt for the length of the block.

        Yields the note; one that turns out to have hurt nobody gets `struck` false.
        """
        noted = {"kind": kind, "target": target, "from": time.time(), "until": time.time()}
        with self._lock:
            self._faults.append(noted)
        try:
            yield noted
        finally:
            noted["until"] = time.time()
            noted.setdefault("struck", True)

    def faults(self) -> list[dict[str, Any]]:
        """Return what was noted so far."""
        with self._lock:
            return list(self._faults)

    def strikes(self) -> list[str]:
        """Return the kind of each fault that has been done and has hurt somebody."""
        return [fault["kind"] for fault in self.faults() if fault.get("struck")]

    def member(self, name: str) -> Member:
        """Return a member of the fleet by its node's name."""
        return self._fleet.member(name)

    def keep_journal(self, member: Member) -> None:
        """Fetch a node's journal; do it before the node is killed, for it dies with it."""
        boot = len(member.node.ends)
        try:
            prompts = member.journal()
        except (requests.RequestException, ValueError):
            return  # it is down: there is nothing to be had
        with self._lock:
            self._prompts[member.name, boot] = prompts

    def collect(self) -> None:
        """Write everything down, once the fleet has come to rest."""
        # Where a worker was cut off just after it had taken a message, kombu puts it back 300 s later, stale by then;
        # while workers start anew it takes them a while to come to it.
        client = self._fleet.redis.client
        deadline = time.monotonic() + _TAKEN_WITHIN_S
        while has_messages(client) and time.monotonic() < deadline:
            time.sleep(0.1)
        for member in self._fleet.members:
            self.keep_journal(member)
        self._read_journals()
        self._tail.__exit__(None, None, None)
        collect_redis(self._fleet.redis.url, self.folder / "redis.json")
        with self._fleet.s3.client() as s3:
            collect_objects(s3, BUCKET, self.folder / "objects.jsonl")
        if self._fleet.has_web:
            shutil.copy(self._fleet.web.received, self.folder)
        _write_lines(self.folder / "prompts.jsonl", self.prompts())
        _write_lines(self.folder / "faults.jsonl", self.faults())
        leftovers = {
            "spool": self._spooled(),
            "queues": self._queued_on_nodes(),
            "pack_ended_s": self._fleet.settings().pack_ended_s,
        }
        (self.folder / "leftovers.json").write_text(json.dumps(leftovers))

    def _read_journals(self) -> None:
        """Read those that were kept when a worker had its node restarted."""
        for path in self._fleet.journals.glob("*.json"):
            node, _, boot = path.stem.rpartition("-")
            with self._lock:
                self._prompts[node, int(boot)] = json.loads(path.read_text())

    def prompts(self) -> list[dict[str, Any]]:
        """Return every execution that the kept journals tell of."""
        return [
            {**prompt, "node": node, "boot": boot}
            for (node, boot), prompts in self._prompts.items()
            for prompt in prompts
        ]

    def _spooled(self) -> list[str]:
        spool = self._fleet.spool  # os.walk, since `rglob` raises when a folder goes under it
        return [
            str(Path(folder, name).relative_to(spool))
            for folder, _, names in os.walk(spool)
            for name in names
        ]

    def _queued_on_nodes(self) -> dict[str, list[str]]:
        with requests.Session() as session:
            session.trust_env = False
            answers = {
                member.name: session.get(f"{member.url}/queue", timeout=5).json()
                for member in self._fleet.members
            }
        return {
            name: [item[1] for items in answer.values() for item in items]
            for name, answer in answers.items()
        }


def _write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
