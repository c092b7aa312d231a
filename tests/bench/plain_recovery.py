"""How long a plain Celery task is away when its worker is killed: acks_late, and a short timeout.

A visibility timeout has to outlast the longest job: the hour of the default for most, and many hours
where videos are rendered. Here it is 5 s, which no real set-up could afford: whatever renders
longer is rendered again while it runs. What remains is kombu's own look at every 100 s.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Event
from typing import NamedTuple

import requests
from celery import Celery

from infra.local.nodes import Node
from tests.graphs import sleeping
from tests.polling import wait_until

VISIBILITY_TIMEOUT_S = 5
_RENDER_S = 300.0
_LONGEST_S = 180


class Recovered(NamedTuple):
    """Seconds until a node had the prompt again, and how many renders that cost."""

    seconds: float
    renders_repeated: int


def until_posted_again(broker: str, node: Node, killed: Event) -> Recovered:
    """Kill a worker mid-render and start it again at once; wait until it posts.

    *killed* is set when that is done and only waiting is left.
    """
    with Celery(broker=broker) as app, ExitStack() as undo:
        worker = undo.enter_context(_worker(broker, node))
        _send(app)
        wait_until(lambda: _posts(node) == 1, description="it renders")
        began = _kill(worker)
        undo.enter_context(_worker(broker, node))
        wait_until(app.control.ping, description="the new one is up")
        killed.set()
        wait_until(lambda: _posts(node) == 2, description="it posts again", within_s=_LONGEST_S)
        return Recovered(time.monotonic() - began, _posts(node) - 1)


def until_posted_elsewhere(broker: str, nodes: tuple[Node, Node], killed: Event) -> Recovered:
    """Kill one of two workers mid-render; wait until the other node has it.

    *killed* is set when that is done and only waiting is left.
    """
    with Celery(broker=broker) as app, ExitStack() as undo:
        workers = {node: undo.enter_context(_worker(broker, node)) for node in nodes}
        wait_until(lambda: len(app.control.ping()) == 2, description="both are up")
        _send(app)
        wait_until(lambda: sum(map(_posts, nodes)) == 1, description="it renders")
        [victim] = filter(_posts, nodes)
        [other] = set(nodes) - {victim}
        began = _kill(workers[victim])
        killed.set()
        wait_until(lambda: _posts(other), description="the other posts", within_s=_LONGEST_S)
        return Recovered(time.monotonic() - began, sum(map(_posts, nodes)) - 1)


def _send(app: Celery) -> None:
    app.send_task("plain.render_here", (sleeping(_RENDER_S), str(uuid.uuid4())), ignore_result=True)


def _posts(node: Node) -> int:
    answer = requests.get(f"{node.url}/standin/journal", timeout=5)
    return answer.json()["counts"].get("posts", 0)


def _kill(worker: subprocess.Popen) -> float:
    """Kill the worker and the processes that it forked, as the end of its machine would."""
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    return time.monotonic()


@contextmanager
def _worker(broker: str, node: Node) -> Iterator[subprocess.Popen]:
    command = ("celery", "-A", "tests.bench.plain_celery", "worker", "-c", "1", "-l", "ERROR")
    environment = {
        "PLAIN_BROKER_URL": broker,
        "PLAIN_NODE_URL": node.url,
        "PLAIN_VISIBILITY_TIMEOUT_S": str(VISIBILITY_TIMEOUT_S),
    }
    with subprocess.Popen(
        [sys.executable, "-m", *command, "-n", f"{node.name}-{uuid.uuid4().hex[:4]}@bench"],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                _kill(process)
