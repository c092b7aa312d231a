"""From the end of a job's render to its success, with the store 150 ms away.

Floor: one PUT of the same bytes to the same store over the same distance, on a warm connection, without
boto3's wait for `100 Continue`. Both in turns.
"""

from __future__ import annotations

import random
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import requests

from producer.contract.jobs import Job
from producer.storage.s3_client import LazyClient
from tests.bench.one_node import OneNode, one_node
from tests.bench.results import Case, Result, median

ROUND_TRIP_S = 0.15
ROUNDS, FULL_ROUNDS = 8, 30
#: The first ones load code, open connections and store the template.
WARM_UP = 2
GOAL_RATIO, GOAL_MS = 1.3, 50.0
RENDER_S = 0.1

#: Makes one job: its graph, and what is set in it.
_Make = Callable[[OneNode, int], tuple[dict, dict]]


def run(*, full: bool = False) -> Result:
    """Measure tails and single PUTs in turns, for one picture and for four."""
    rounds = FULL_ROUNDS if full else ROUNDS
    with (
        tempfile.TemporaryDirectory(prefix="comfyfleet-bench-") as folder,
        one_node(Path(folder), comfyui=None) as node,
        node.worker(ROUND_TRIP_S, to_the_node=False) as (_, s3_url),
        requests.Session() as session,
    ):
        session.trust_env = False
        store = LazyClient(node.settings, endpoint=s3_url)
        cases = [
            _case(name, *_in_turns(node, make, _Put(session, store, node), rounds))
            for name, make in _MAKES.items()
        ]
        store.close()
    return Result(name="tail", unit="ms", cases=cases)


def _with_params(node: OneNode, number: int) -> tuple[dict, dict]:
    return node.graph(RENDER_S, nonce=0), {"2.nonce": number}


def _whole(node: OneNode, number: int) -> tuple[dict, dict]:
    return node.graph(RENDER_S, nonce=1_000 + number), {}


def _four(node: OneNode, number: int) -> tuple[dict, dict]:
    graph = node.graph(RENDER_S, nonce=2_000 + number)
    for saver in "456":
        graph[saver] = graph["3"]
    return graph, {}


_MAKES: dict[str, _Make] = {
    "one picture, graph with params": _with_params,
    "one picture, graph handed in whole": _whole,
    "four pictures, graph handed in whole": _four,
}


class _Put:
    """One PUT of random bytes through a presigned link, which no `100 Continue` delays."""

    def __init__(self, session: requests.Session, store: LazyClient, node: OneNode) -> None:
        self._session = session
        self._client = store.get()
        self._bucket = node.settings.s3_bucket

    def seconds(self, size: int) -> float:
        place = {"Bucket": self._bucket, "Key": f"floor/{uuid.uuid4()}"}
        url = self._client.generate_presigned_url("put_object", Params=place)
        body = random.randbytes(size)
        began = time.perf_counter()
        self._session.put(url, data=body, timeout=30).raise_for_status()
        return time.perf_counter() - began


def _in_turns(
    node: OneNode, make: _Make, put: _Put, rounds: int
) -> tuple[list[float], list[float]]:
    tails, puts = [], []
    for number in range(WARM_UP + rounds):
        graph, params = make(node, number)
        job, tail_s = node.render(graph, params=params)
        put_s = put.seconds(_bytes(job))
        if number >= WARM_UP:
            tails.append(1000 * tail_s)
            puts.append(1000 * put_s)
    return tails, puts


def _bytes(job: Job) -> int:
    return sum(artifact.bytes for artifact in job.artifacts)


def _case(name: str, tails: list[float], puts: list[float]) -> Case:
    tail, put = median(tails), median(puts)
    return Case(
        name=f"{name}, store {1000 * ROUND_TRIP_S:.0f} ms away",
        value=tail,
        floor=put,
        plain=None,
        goal=f"<= {GOAL_RATIO:g} x floor + {GOAL_MS:g} ms",
        holds=tail <= GOAL_RATIO * put + GOAL_MS,
    )
