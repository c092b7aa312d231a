"""How busy one node's graphics card is kept while work waits: 1.5 MB pictures, to S3.

Floor: the node draining the same prompts from its own queue, filled beforehand. Beside it a plain
loop: post, wait on the socket, fetch, store, next.
"""

from __future__ import annotations

import io
import os
import random
import statistics
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import requests
from PIL import Image

from infra.background import BackgroundSupervisor
from infra.environment import for_python
from infra.nodes import Node, probe_worker, worker_service
from infra.stack import LocalStack, Options
from infra.supervisor import Supervisor
from producer.client import Producer
from tests.bench.latency import delayed
from tests.bench.plain_loop import render_one_by_one
from tests.bench.results import Case, Result
from tests.graphs import journal
from tests.waiting import wait_until

LATENCIES_S = (0.0, 0.02)
#: Render, jobs in a run of the product or the floor, jobs in the plain loop, all in seconds.
RUNS = ((0.25, 30, 8), (0.5, 16, 6), (3.0, 4, 2))
FULL_RUNS = ((0.25, 200, 40), (0.5, 120, 30), (3.0, 30, 5))
#: The first ones of a run load code, open connections and tell the worker how long they take.
WARM_UP = 2
GAP_MS = 1.0
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


def run(*, full: bool = False) -> Result:
    """Measure floor, product and plain loop in turns."""
    cases, gaps = [], []
    with tempfile.TemporaryDirectory(prefix="comfyfleet-bench-") as folder, _bench(folder) as bench:
        for round_trip_s in LATENCIES_S:
            with bench.worker(round_trip_s) as far:
                for seconds, jobs, plain_jobs in FULL_RUNS if full else RUNS:
                    floor = [bench.drain_own_queue(seconds, jobs)]
                    product = bench.through_the_fleet(seconds, jobs)
                    floor.append(bench.drain_own_queue(seconds, jobs))
                    plain = bench.one_by_one(far, seconds, plain_jobs)
                    gaps.append(product.gap_ms)
                    cases.append(_case(seconds, round_trip_s, product, floor, plain))
    return Result(
        name="gpu_busy",
        unit="jobs/s",
        cases=cases,
        figures={"gap_p50_ms": max(gaps), "plain_gap_p50_ms": plain.gap_ms},
    )


def _case(
    seconds: float, round_trip_s: float, product: Drained, floors: list[Drained], plain: Drained
) -> Case:
    floor = statistics.mean(floor.rate for floor in floors)
    goal = 0.995 if seconds >= 3 else 0.97 if round_trip_s else 0.98
    return Case(
        name=f"{seconds:g} s renders, {1000 * round_trip_s:.0f} ms to node and store, "
        f"busy {100 * product.busy:.1f} %, gap p50 {product.gap_ms:g} ms",
        value=product.rate,
        floor=floor,
        plain=plain.rate,
        goal=f">= {goal:g} x floor, gap p50 <= {GAP_MS:g} ms",
        holds=product.rate >= goal * floor and product.gap_ms <= GAP_MS,
    )


@contextmanager
def _bench(folder: str) -> Iterator[_Bench]:
    options = Options(state_dir=Path(folder, "fleet"), standin_nodes=1, workers=False)
    with LocalStack(options) as stack, Producer.from_env(**stack.settings) as fleet:
        yield _Bench(stack, fleet, Path(folder))


class _Bench:
    """One node, its store, and the ways of giving it work."""

    def __init__(self, stack: LocalStack, fleet: Producer, folder: Path) -> None:
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
    def worker(self, round_trip_s: float) -> Iterator[tuple[str, str]]:
        """Run a worker so far from node and store; yield the addresses that it uses."""
        with ExitStack() as stack:
            urls = (self.node.url, str(self._stack.settings["s3_endpoint_url"]))
            if round_trip_s:
                urls = tuple(stack.enter_context(_far(url, round_trip_s)) for url in urls)
            node_url, s3_url = urls
            far = {**self._stack.settings_env, "COMFYFLEET_S3_ENDPOINT_URL": s3_url}
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
                    for_python({**os.environ, **far}),
                )
            )
            yield node_url, s3_url

    def through_the_fleet(self, seconds: float, jobs: int) -> Drained:
        """Have the fleet render so many, submitted at once."""
        graph = self.graph(seconds, nonce=0)
        made = [
            self._fleet.submit(
                graph, params={"2.nonce": next(self._nonces)}, inputs={"1.image": "node:"}
            )
            for _ in range(WARM_UP + jobs)
        ]
        ended = [self._fleet.wait(job.id, timeout=timedelta(minutes=5)) for job in made]
        assert all(job.status == "succeeded" for job in ended), ended
        return self._read({str(job.prompt_id) for job in ended[WARM_UP:]})

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
        notes = [note for note in journal(self.node) if note["prompt_id"] in prompts]
        assert len(notes) == len(prompts)
        notes.sort(key=lambda note: note["started_ms"])
        took_s = (notes[-1]["ended_ms"] - notes[0]["started_ms"]) / 1000
        gaps = [b["started_ms"] - a["ended_ms"] for a, b in pairwise(notes)]
        return Drained(
            rate=len(notes) / took_s,
            busy=1 - sum(gaps) / 1000 / took_s,
            gap_ms=statistics.median(gaps),
        )


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
def _far(url: str, round_trip_s: float) -> Iterator[str]:
    """Yield an address from which the server at *url* is so far away."""
    parts = urlsplit(url)
    with delayed(parts.hostname, parts.port, round_trip_s=round_trip_s) as port:
        yield f"http://127.0.0.1:{port}"
