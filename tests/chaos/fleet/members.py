"""A node and its worker, which speaks to everybody through the fault proxy."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import requests

from infra.local.nodes import Node, standin_service
from tests.chaos.fleet import restart_node
from tests.chaos.fleet.options import TREE, own_environment
from tests.chaos.fleet.processes import KeptProcess
from tests.chaos.fleet.servers import kept

if TYPE_CHECKING:
    from tests.chaos.fleet.chaos_fleet import ChaosFleet

_SKEW: Final = Path(__file__).with_name("skew")


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


class MemberStarter:
    """Starts members of one fleet, in a folder."""

    def __init__(self, fleet: ChaosFleet, directory: Path) -> None:
        self._fleet = fleet
        self._options = fleet.options
        self._directory = directory

    def start(self, number: int, pool: str, port: int, undo: ExitStack) -> Member:
        """Start the member of that number, its stand-in at a port; *undo* ends it."""
        name = f"n{number}"
        is_landed = self._fleet.is_landed(number)
        url = f"http://127.0.0.1:{port}"
        through = self._fleet.open(f"{name}.node", kind="node", port=port)
        self._fleet.open_edges(name)
        node = kept(
            standin_service(
                Node(name, url),
                self._directory / "nodes" / name,
                (
                    *("--step-seconds", str(self._options.step_seconds)),
                    *("--load-seconds", str(self._options.load_seconds)),
                    *("--encode-seconds", str(self._options.encode_seconds)),
                    *(("--companion",) if number in self._options.companions else ()),
                ),
                own_environment({}),
            ),
            self._fleet.logs / f"{name}.log",
            pid_file=self._pid_file(name),
        )
        comfyui = f"http://127.0.0.1:{through}"
        worker = KeptProcess(
            f"worker-{name}",
            (
                *self._worker_command(name, pool, comfyui, is_landed=is_landed),
                *self._restarting(name, url),
            ),
            environment={
                **self._fleet.environment(name, is_landed=is_landed),
                **self._skew(),
                "CHAOS_NODE": comfyui,
            },
            directory=self._directory,
            log=self._fleet.logs / f"worker-{name}.log",
        )
        for process in (node, worker):
            undo.callback(process.end)
            process.start()
        return Member(name, pool, url, node, worker)

    def _worker_command(
        self, name: str, pool: str, comfyui: str, *, is_landed: bool
    ) -> tuple[str, ...]:
        if self._options.worker_command:
            return (sys.executable, "-P", *self._options.worker_command, f"--hostname={name}@%h")
        place = ("--name", name, "--pool", pool, "--comfyui", comfyui)
        python = str(self._options.landed) if is_landed else sys.executable
        return (python, "-P", "-m", "worker", *place)

    def _restarting(self, name: str, url: str) -> tuple[str, ...]:
        if not self._options.can_restart:
            return ()
        command = (sys.executable, restart_node.__file__, name, url, str(self._pid_file(name)))
        return "--restart-command", shlex.join((*command, str(self._fleet.journals)))

    def _pid_file(self, name: str) -> Path:
        return self._directory / f"{name}.pid"

    def _skew(self) -> dict[str, str]:
        if not self._options.skew_s:
            return {}
        return {
            "PYTHONPATH": os.pathsep.join((str(_SKEW), str(TREE))),
            "CHAOS_SKEW_S": str(self._options.skew_s),
        }
