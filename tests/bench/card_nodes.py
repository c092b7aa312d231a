"""Two nodes that differ by the companion, with one store, and the ways of keeping their cards busy."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from datetime import timedelta
from itertools import count, pairwise
from pathlib import Path

import requests

from infra.local.background import BackgroundSupervisor
from infra.local.environment import for_python
from infra.local.nodes import Node, probe_worker, worker_service
from infra.local.stack import LocalStack, Options
from infra.local.supervisor import Supervisor
from infra.standin.process import StandinProcess
from producer.client import Producer
from tests.bench.history_tail import HistoryTail
from tests.bench.one_node import far
from tests.bench.plain_loop import render_one_by_one
from tests.bench.queue_client import IN_FLIGHT, render_four_at_once

SIDE = 1024
#: The first ones of a run load code, open connections and tell the worker how long they take.
WARM_UP = IN_FLIGHT
_PATIENCE = timedelta(minutes=10)

#: What names a picture that is never made twice by one bench.
_nonces = count(time.time_ns() % 1_000_000_000)


@dataclass(frozen=True)
class Run:
    """What came of a run.

    Args:
        rate: jobs a second, from the first request to the last job stored.
        busy: seconds of rendering over seconds of wall.
        gap_ms: median time from the end of a prompt to the start of the next, by the node's stamps.
    """

    rate: float
    busy: float
    gap_ms: float


def median_run(runs: Sequence[Run]) -> Run:
    """Return the median of each figure of several runs."""
    each = ([getattr(run, field.name) for run in runs] for field in fields(Run))
    return Run(*map(statistics.median, each))


@dataclass(frozen=True)
class Work:
    """What is rendered: so long, so many pictures."""

    seconds: float
    pictures: int

    def graph(self, nonce: int) -> dict:
        """Return a graph that sleeps, and saves pictures as costly to encode as rendered ones."""
        side = {"width": SIDE, "height": SIDE, "batch_size": self.pictures}
        sleep = {"image": ["1", 0], "seconds": self.seconds, "steps": 10, "preview": False}
        return {
            "1": {"class_type": "ComfyFleetNoise", "inputs": {**side, "nonce": nonce}},
            "2": {"class_type": "ComfyFleetSleep", "inputs": {**sleep, "nonce": nonce}},
            "3": {
                "class_type": "SaveImage",
                "inputs": {"images": ["2", 0], "filename_prefix": "busy"},
            },
        }

    def graphs(self, jobs: int) -> list[dict]:
        return [self.graph(next(_nonces)) for _ in range(jobs)]


class CardNode:
    """One node, its worker, and the ways of giving it work."""

    def __init__(self, url: str, pool: str, stack: LocalStack, fleet: Producer) -> None:
        self.url, self.pool = url, pool
        self._stack, self._fleet = stack, fleet

    def through_the_fleet(self, work: Work, jobs: int, *, whole: bool) -> Run:
        """Have the fleet render so many, submitted at once; whole graphs, or params of one."""
        self._render(work, WARM_UP, whole=whole)
        return self._timed(work, lambda: self._render(work, jobs, whole=whole))

    def through_its_queue(self, work: Work, jobs: int, s3_url: str) -> Run:
        """Keep four in the node's own queue, and store beside it."""
        return self._by_a_client(render_four_at_once, work, jobs, s3_url)

    def one_by_one(self, work: Work, jobs: int, s3_url: str) -> Run:
        """Render and store in a plain loop."""
        return self._by_a_client(render_one_by_one, work, jobs, s3_url)

    def _by_a_client(
        self, render: Callable[..., list[str]], work: Work, jobs: int, s3_url: str
    ) -> Run:
        settings = self._stack.settings
        render(work.graphs(WARM_UP), self.url, s3_url, settings)
        return self._timed(work, lambda: render(work.graphs(jobs), self.url, s3_url, settings))

    def _render(self, work: Work, jobs: int, *, whole: bool) -> list[str]:
        made = []
        for nonce in (next(_nonces) for _ in range(jobs)):
            graph = work.graph(nonce if whole else 0)
            params = {} if whole else {"1.nonce": nonce, "2.nonce": nonce}
            made.append(self._fleet.submit(graph, params=params, pool=self.pool))
        return [str(self._fleet.wait(job.id, timeout=_PATIENCE).prompt_id) for job in made]

    def _timed(self, work: Work, render: Callable[[], Sequence[str]]) -> Run:
        with HistoryTail(self.url) as tail:
            began = time.monotonic()
            prompts = render()
            took_s = time.monotonic() - began
            spans = sorted(tail.spans(prompts))
        gaps = [after[0] - before[1] for before, after in pairwise(spans)]
        return Run(
            rate=len(prompts) / took_s,
            busy=work.seconds * len(prompts) / took_s,
            gap_ms=statistics.median(gaps),
        )


@contextmanager
def card_nodes(folder: Path, *, comfyui: str | None) -> Iterator[CardNodes]:
    """Yield the nodes: real ones at the addresses *comfyui*, with commas between, or stand-ins."""
    with ExitStack() as stack:
        urls = (
            comfyui.split(",")
            if comfyui
            else [
                stack.enter_context(StandinProcess(folder / name, *arguments)).url
                for name, arguments in (("bare", ()), ("companion", ("--companion",)))
            ]
        )
        options = Options(state_dir=folder / "fleet", comfyui_urls=tuple(urls), workers=False)
        local = stack.enter_context(LocalStack(options))
        fleet = stack.enter_context(Producer.from_env(**local.settings))
        yield CardNodes(folder, local, fleet, {_pool(url): url for url in urls})


class CardNodes:
    """`bare` and `companion`; one of them is None if it was not given."""

    def __init__(
        self, folder: Path, stack: LocalStack, fleet: Producer, urls: dict[str, str]
    ) -> None:
        self._folder, self._stack = folder, stack
        made = {pool: CardNode(url, pool, stack, fleet) for pool, url in urls.items()}
        self.bare, self.companion = made.get("bare"), made.get("companion")
        self._all = list(made.values())

    @contextmanager
    def workers(self, round_trip_s: float) -> Iterator[str]:
        """Run a worker for each, so far from the store; yield the store's address from there."""
        with ExitStack() as stack:
            s3_url = str(self._stack.settings["s3_endpoint_url"])
            if round_trip_s:
                s3_url = stack.enter_context(far(s3_url, round_trip_s))
            environment = for_python(
                {**os.environ, **self._stack.settings_env, "COMFYFLEET_S3_ENDPOINT_URL": s3_url}
            )
            logs = self._folder / f"logs-{1000 * round_trip_s:.0f}"
            services = stack.enter_context(BackgroundSupervisor(Supervisor(logs)))
            for one in self._all:
                node = Node(f"{one.pool}-{1000 * round_trip_s:.0f}", one.url)
                services.start(
                    worker_service(
                        node,
                        one.pool,
                        lambda node=node: probe_worker(node, self._stack.settings),
                        self._folder,
                        environment,
                    )
                )
            yield s3_url


def _pool(url: str) -> str:
    """Return which of the two a node is."""
    answer = requests.get(f"{url}/comfyfleet/v1/status", timeout=10)
    return "companion" if answer.ok and answer.json().get("encoding") else "bare"
