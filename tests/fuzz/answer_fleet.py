"""A pool of one node in order and others that say odd things, each with a worker of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.local.environment import without_proxy
from infra.standin.process import StandinProcess
from producer.client import Producer
from producer.contract.nodes import Node, NodeState
from tests.fuzz.answer_proxy import AnswerProxy, answer_proxy
from tests.polling import wait_until

POOL = "answers"
#: Of the odd nodes, in turn; a worker asks each of these other things.
FORMS = (("--companion", "--previews"), ("--version", "0.3.64"))
#: Times in seconds, and no more than a busy machine needs.
_SETTINGS = {
    "COMFYFLEET_LEASE_S": "10",
    "COMFYFLEET_RENEW_S": "2",
    "COMFYFLEET_SWEEP_S": "0.3",
    "COMFYFLEET_NODE_PROGRESS_S": "8",
    "COMFYFLEET_NODE_CANARY_S": "3",
    "COMFYFLEET_NODE_QUARANTINE_S": "0.3",
}
_STARTS_WITHIN_S = 60.0
_TRACEBACK = re.compile(
    r"^.*\nTraceback \(most recent call last\):\n(?:(?: .*|)\n)*.*|^.*this is a bug.*", re.MULTILINE
)


@dataclass(frozen=True)
class OddNode:
    """A node behind a proxy that makes what it says odd."""

    name: str
    proxy: AnswerProxy
    worker: subprocess.Popen[bytes]
    log: Path

    @property
    def look(self) -> tuple[str, ...]:
        """What a worker asks of it, of either, to see whether it is there."""
        return ("GET /comfyfleet/v1/status", "GET /prompt")

    def tracebacks(self) -> list[str]:
        """Return how each traceback in the worker's log ends, with what was logged before it."""
        text = self.log.read_text("utf-8", "replace")
        return [found[0][:300] + " … " + found[0][-500:] for found in _TRACEBACK.finditer(text)]

    def times_set_aside(self) -> int:
        """Return how often the worker has taken the node out of service for what it said."""
        words = rf"node {self.name} is (?:suspect|quarantined|unreachable)"
        return len(re.findall(words, self.log.read_text("utf-8", "replace")))


@contextmanager
def answer_fleet(
    fleet: Producer, settings_env: Mapping[str, str], folder: Path, *, odd: int
) -> Iterator[list[OddNode]]:
    """Have one good node and *odd* others in the pool, until the block's end."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **without_proxy(), **settings_env, **_SETTINGS}
    with ExitStack() as undo:
        good = undo.enter_context(_standin(folder / "good", FORMS[0][1:]))
        _worker("good", good.url, environment, folder, undo)
        nodes = []
        for number in range(odd):
            name = f"odd-{number + 1}"
            standin = undo.enter_context(_standin(folder / name, FORMS[number % len(FORMS)]))
            proxy = undo.enter_context(answer_proxy(standin.url))
            worker = _worker(name, proxy.url, environment, folder, undo)
            nodes.append(OddNode(name, proxy, worker, folder / f"{name}.log"))
        for name in ("good", *(node.name for node in nodes)):
            wait_until(
                lambda name=name: found(fleet, name).state is NodeState.READY,
                description=f"{name} is ready; see {folder}",
                within_s=_STARTS_WITHIN_S,
            )
        yield nodes


def found(fleet: Producer, name: str) -> Node:
    """Return what the fleet knows of a node; one of which it knows nothing is offline."""
    nobody = Node(name=name, pool=POOL, url="", state=NodeState.OFFLINE)
    return next((node for node in fleet.nodes() if node.name == name), nobody)


def _standin(directory: Path, form: Sequence[str]) -> StandinProcess:
    quick = ("--step-seconds", "0.005", "--load-seconds", "0.01")
    return StandinProcess(directory, *quick, *form)


def _worker(
    name: str, url: str, environment: Mapping[str, str], folder: Path, undo: ExitStack
) -> subprocess.Popen[bytes]:
    log = undo.enter_context((folder / f"{name}.log").open("w"))
    command = ("-m", "tests.fuzz.quick_worker", "--comfyui", url, "--name", name, "--pool", POOL)
    worker = subprocess.Popen([sys.executable, *command], env=environment, stdout=log, stderr=log)
    undo.callback(worker.wait)
    undo.callback(worker.kill)
    return worker
