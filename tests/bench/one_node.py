"""One node with its store, and the ways of giving it work: the fleet, its own queue, a plain loop."""

from __future__ import annotations

import io
import os
import random
import statistics
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import requests
from PIL import Image

from infra.local.background import BackgroundSupervisor
from infra.local.environment import for_python
from infra.local.nodes import Node, probe_worker, worker_service
from infra.local.stack import LocalStack, Options
from infra.local.supervisor import Supervisor
from producer.client import Producer
from producer.contract.config.settings import Settings
from producer.contract.jobs import Job
from tests.bench.history_tail import HistoryTail
from tests.bench.latency import delayed
from tests.bench.plain_loop import render_one_by_one
from tests.graphs import journal
from tests.polling import wait_until

#: The first ones of a run load code, open connections and tell the worker how long they take.
WARM_UP = 2
#: 1.5 MB of pixels, and as much as a PNG, for they are noise.
SIZE = (800, 640)


@dataclass(frozen=True)
class Drained:
    """What a node's journal says of a run.

    Args:
        rate: jobs a second, from the first one's start to the last one's end.
        busy: which part of that time one of them was executed.
        gap_ms: median time between the end of one and the start of the next.
    """

    rate: float
    busy: float
    gap_ms: float


@contextmanager
def one_node(folder: Path, *, comfyui: str | None) -> Iterator[OneNode]:
    """Yield a node: the real one at the address *comfyui*, or a stand-in."""
    urls = (comfyui,) if comfyui else ()
    options = Options(state_dir=folder / "fleet", standin_nodes=1, comfyui_urls=urls, workers=False)
    with (
        LocalStack(options) as stack,
        Producer.from_env(**stack.settings) as fleet,
        HistoryTail(comfyui) if comfyui else nullcontext() as tail,
    ):
        yield OneNode(stack, fleet, folder, tail=tail)


class OneNode:
    """One node, its store, and the ways of giving it work."""

    def __init__(
        self, stack: LocalStack, fleet: Producer, folder: Path, *, tail: HistoryTail | None
    ) -> None:
        self._tail = tail  # a stand-in keeps a journal instead
        self._stack = stack
        self._fleet = fleet
        self._folder = folder
        [self.node] = stack.nodes
        self._picture = _upload_noise(self.node.url)
        self._nonces = iter(range(sys.maxsize))

    def graph(self, seconds: float, nonce: int | None = None) -> dict:
        """Return a graph that takes so long and saves 1.5 MB of noise."""
        return {
            "1": {"class_type": "LoadImage", "inputs": {"image": self._picture}},
            "2": {
                "class_type": "ComfyFleetSleep",
                "inputs": {
                    "image": ["1", 0],
                    "seconds": seconds,
                    "steps": 10,
                    "preview": False,
                    "nonce": next(self._nonces) if nonce is None else nonce,
                },
            },
            "3": {
                "class_type": "SaveImage",
                "inputs": {"images": ["2", 0], "filename_prefix": "busy"},
            },
        }

    @contextmanager
    def worker(self, round_trip_s: float, *, to_the_node: bool = True) -> Iterator[tuple[str, str]]:
        """Run a worker so far from store, and node; yield the addresses that it uses."""
        with ExitStack() as stack:
            node_url, s3_url = self.node.url, str(self._stack.settings["s3_endpoint_url"])
            if round_trip_s:
                s3_url = stack.enter_context(far(s3_url, round_trip_s))
            if round_trip_s and to_the_node:
                node_url = stack.enter_context(far(node_url, round_trip_s))
            distant = {**self._stack.settings_env, "COMFYFLEET_S3_ENDPOINT_URL": s3_url}
            name = f"gpu-{1000 * round_trip_s:.0f}"
            services = stack.enter_context(
                BackgroundSupervisor(Supervisor(self._folder / f"logs-{name}"))
            )
            node = Node(name, node_url)
            services.start(
                worker_service(
                    node,
                    "default",
                    lambda: probe_worker(node, self._stack.settings),
                    self._folder,
                    for_python({**os.environ, **distant}),
                )
            )
            yield node_url, s3_url

    def through_the_fleet(self, seconds: float, jobs: int, *, whole: bool = False) -> Drained:
        """Have the fleet render so many, submitted at once.

        Args:
            whole: hand each graph in with its values inside, in place of params over one graph.
        """
        graph = self.graph(seconds, nonce=0)
        made = [
            self._fleet.submit(
                self.graph(seconds) if whole else graph,
                params={} if whole else {"2.nonce": next(self._nonces)},
                inputs={"1.image": "node:"},
            )
            for _ in range(WARM_UP + jobs)
        ]
        ended = [self._fleet.wait(job.id, timeout=timedelta(minutes=5)) for job in made]
        assert all(job.status == "succeeded" for job in ended), ended
        return self._read({str(job.prompt_id) for job in ended[WARM_UP:]})

    def render(self, graph: dict, **options: object) -> tuple[Job, float]:
        """Have the fleet render one; return it, and the seconds from its prompt's end to its own."""
        job = self._fleet.submit(graph, inputs={"1.image": "node:"}, **options)
        job = self._fleet.wait(job.id, timeout=timedelta(minutes=5))
        assert job.status == "succeeded", job
        [(_, ended_ms)] = self._journal({str(job.prompt_id)})
        return job, job.ended_at.timestamp() - ended_ms / 1000

    @property
    def settings(self) -> Settings:
        """The fleet's own, as they are without the distance."""
        return self._fleet.settings

    def drain_own_queue(self, seconds: float, jobs: int) -> Drained:
        """Fill the node's own queue with so many, and let it drain."""
        prompts = [str(uuid.uuid4()) for _ in range(jobs + 1)]
        with requests.Session() as session:
            session.trust_env = False
            for prompt_id in prompts:
                body = {"prompt": self.graph(seconds), "prompt_id": prompt_id}
                session.post(f"{self.node.url}/prompt", json=body, timeout=10).raise_for_status()
            wait_until(
                lambda: not _remaining(session, self.node.url),
                description="it has drained",
                within_s=60 + 2 * jobs * seconds,
            )
        return self._read(set(prompts[1:]))

    def one_by_one(self, far: tuple[str, str], seconds: float, jobs: int) -> Drained:
        """Render and store so many in a plain loop."""
        graphs = [self.graph(seconds) for _ in range(jobs + 1)]
        prompts = render_one_by_one(graphs, *far, self._stack.settings)
        return self._read(set(prompts[1:]))

    def _read(self, prompts: set[str]) -> Drained:
        spans = sorted(self._tail.spans(prompts) if self._tail else self._journal(prompts))
        assert len(spans) == len(prompts)
        took_s = (spans[-1][1] - spans[0][0]) / 1000
        gaps = [after[0] - before[1] for before, after in pairwise(spans)]
        return Drained(
            rate=len(spans) / took_s,
            busy=1 - sum(gaps) / 1000 / took_s,
            gap_ms=statistics.median(gaps),
        )

    def _journal(self, prompts: set[str]) -> list[tuple[int, int]]:
        return [
            (note["started_ms"], note["ended_ms"])
            for note in journal(self.node)
            if note["prompt_id"] in prompts
        ]


def _remaining(session: requests.Session, url: str) -> int:
    return session.get(f"{url}/prompt", timeout=10).json()["exec_info"]["queue_remaining"]


def _upload_noise(url: str) -> str:
    """Upload a picture that no compression makes smaller; return its name on the node."""
    picture = io.BytesIO()
    Image.frombytes("RGB", SIZE, random.Random(1).randbytes(3 * SIZE[0] * SIZE[1])).save(
        picture, "PNG"
    )
    with requests.Session() as session:
        session.trust_env = False
        files = {"image": ("noise.png", picture.getvalue(), "image/png")}
        answer = session.post(f"{url}/upload/image", files=files, timeout=30)
        return answer.json()["name"]


@contextmanager
def far(url: str, round_trip_s: float) -> Iterator[str]:
    """Yield an address from which the server at *url* is so far away."""
    parts = urlsplit(url)
    with delayed(parts.hostname, parts.port, round_trip_s=round_trip_s) as port:
        yield f"http://127.0.0.1:{port}"
