"""A fleet of many real workers and stand-in nodes on one machine."""

from __future__ import annotations

import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import resources
from pathlib import Path

from redis import Redis

from infra.local.background import BackgroundSupervisor
from infra.local.environment import for_python, without_proxy
from infra.local.nodes import Node, probe_worker, standin_service, worker_service
from infra.local.ports import choose_ports
from infra.local.stack import LocalStack, Options
from infra.local.supervisor import Service, Supervisor
from producer.client import Producer
from producer.store.connection import connect
from producer.store.scripts import Scripts
from tests.graphs import journal, sleeping
from tests.polling import wait_until

#: What differs from node to node in a key's name.
_ANY = re.compile(r"node-\d+")
#: What a sweep asks, which one node does for all.
_FOR_ALL = {
    *("due", "unsent", "outlook", "TIME", "HGETALL comfyfleet:queues"),
    *("to_pack", "rows_to_pack", "results_due", "forget_listed", "retire_queues"),
    *("SET comfyfleet:lock:upkeep", "SET comfyfleet:lock:lists", "ZRANGE comfyfleet:owners"),
    *("ZRANGE comfyfleet:leases", "ZRANGE comfyfleet:feeding"),
    *("PEXPIRE comfyfleet:feeding", "PEXPIRE comfyfleet:waiting", "PEXPIRE comfyfleet:batches"),
}
#: Processes that start at a time: each takes about a second of a core.
_AT_ONCE = 4


class RealFleet:
    """Nodes, each with its worker, on an embedded stack."""

    def __init__(self, nodes: list[Node], fleet: Producer) -> None:
        self.nodes = nodes
        self._fleet = fleet

    def idle_commands(self, seconds: float) -> tuple[Counter[str], float]:
        """Return how often a second an idle node sends each kind of command to Redis.

        What scripts call is not counted, for it is no message. What one node asks for all, as
        upkeep, is the second figure: a second, of the whole fleet.
        """
        own: Counter[str] = Counter()
        for_all = 0
        with connect(self._fleet.settings) as redis, redis.monitor() as monitor:
            scripts = _script_names(redis)
            until = time.monotonic() + seconds
            for told in monitor.listen():
                if time.monotonic() > until:
                    break
                if told["client_type"] != "lua":
                    verb, *arguments = told["command"].split(" ", 2)
                    first = arguments[0] if arguments else ""
                    what = scripts.get(first) or f"{verb.upper()} {_ANY.sub('*', first)}".strip()
                    for_all += what in _FOR_ALL
                    own[what] += what not in _FOR_ALL
        rate = seconds * len(self.nodes)
        return Counter({what: n / rate for what, n in own.items() if n}), for_all / seconds

    def busy(self, *, render_s: float, jobs_each: int) -> float:
        """Render so many jobs a node; return which part of the time the nodes rendered.

        It counts from when the last node has begun its first job to when the first one ends its
        last: before and after that there is not work for all.
        """
        count = jobs_each * len(self.nodes)
        jobs = [self._fleet.submit(sleeping(render_s, nonce=number)) for number in range(count)]
        wait_until(
            lambda: (
                sum(1 for job in self._fleet.get_many(job.id for job in jobs) if job.done) == count
            ),
            description="all have ended",
            within_s=3 * jobs_each * render_s,
        )
        runs = [journal(node) for node in self.nodes]
        begin = max(min(run["started_ms"] for run in node) for node in runs)
        end = min(max(run["ended_ms"] for run in node) for node in runs)
        busy_ms = sum(
            max(0, min(run["ended_ms"], end) - max(run["started_ms"], begin))
            for node in runs
            for run in node
        )
        return busy_ms / (end - begin) / len(self.nodes)


@contextmanager
def real_fleet(count: int) -> Iterator[RealFleet]:
    """Start so many nodes and their workers, a few at a time, and end them."""
    with tempfile.TemporaryDirectory(prefix="comfyfleet-bench-") as name, ExitStack() as undo:
        folder = Path(name)
        services = undo.enter_context(BackgroundSupervisor(Supervisor(folder / "logs")))
        nodes = _nodes(count)
        _start(services, [_standin(node, folder) for node in nodes])
        options = Options(
            state_dir=folder / "fleet",
            comfyui_urls=tuple(node.url for node in nodes),
            workers=False,
        )
        stack = undo.enter_context(LocalStack(options))
        workers = undo.enter_context(BackgroundSupervisor(Supervisor(folder / "worker-logs")))
        _start(workers, [_worker(node, stack, folder) for node in nodes])
        yield RealFleet(nodes, undo.enter_context(Producer.from_env(**stack.settings)))


def _nodes(count: int) -> list[Node]:
    names = [f"node-{number:02}" for number in range(1, count + 1)]
    return [
        Node(name, f"http://127.0.0.1:{port}") for name, port in choose_ports(names, {}).items()
    ]


def _standin(node: Node, folder: Path) -> Service:
    return standin_service(node, folder / node.name, (), for_python(without_proxy()))


def _worker(node: Node, stack: LocalStack, folder: Path) -> Service:
    probe = partial(probe_worker, node, stack.settings)
    return worker_service(node, "default", probe, folder, for_python(stack.settings_env))


def _start(services: BackgroundSupervisor, wanted: list[Service]) -> None:
    for start in range(0, len(wanted), _AT_ONCE):
        services.start(*wanted[start : start + _AT_ONCE])


def _script_names(redis: Redis) -> dict[str, str]:
    """Return the scripts by the hashes under which they are called."""
    scripts = Scripts(redis)
    folder = resources.files("producer.store").joinpath("lua")
    names = [file.name.removesuffix(".lua") for file in folder.iterdir()]
    return {scripts._load(name).sha: name for name in names if not name.startswith("_")}
