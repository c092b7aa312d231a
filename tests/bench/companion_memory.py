"""What a node's memory grows by while pictures wait to be encoded, with the companion, against what is promised of it.

Promised: the pictures of two prompts wait at most, so it takes these more than a node without it. Both get
more prompts at once than they can encode.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from infra.standin.process import StandinProcess
from tests.bench.results import Case, Result
from tests.bench.server_memory import ServerMemory
from tests.contract.graphs import graph_node, save
from tests.graphs import fresh_nonce
from tests.polling import wait_until

PROMPTS, PICTURES, SIDE = 8, 8, 1024
#: Pictures that may wait, MB: Pillow keeps four bytes a pixel.
WAITING_MB = 2 * PICTURES * SIDE * SIDE * 4 / 1e6
#: A stand-in's picture takes so long to encode, s: longer than to paint.
_ENCODE_S = 0.1
#: Has glibc give back whatever is larger than so many bytes, once it is freed.
_MALLOC, _GIVES_BACK = "MALLOC_MMAP_THRESHOLD_", "65536"
_PATIENCE_S = 600


def run(*, comfyui: str | None = None) -> Result:
    """Measure both nodes, one after the other.

    Args:
        comfyui: the addresses of two real ComfyUIs on this machine, a comma between, one with the companion and one
            without; both with tests/contract/custom_nodes, started with MALLOC_MMAP_THRESHOLD_=65536.
    """
    with _nodes(comfyui) as nodes:
        grown_mb = {node.has_companion: node.grows_by() for node in nodes}
    if grown_mb.keys() != {True, False}:
        raise SystemExit(
            "two nodes are needed, one with the companion that encodes and one without"
        )
    case = case_of(bare_mb=grown_mb[False], lent_mb=grown_mb[True])
    return Result(name="companion_memory", unit="MB", cases=[case])


def case_of(*, bare_mb: float, lent_mb: float) -> Case:
    """Return the case: what the node without grew by, and the one with it."""
    bound_mb = bare_mb + WAITING_MB
    return Case(
        name=f"{PROMPTS} prompts of {PICTURES} pictures {SIDE} x {SIDE} at once:"
        f" +{lent_mb:.0f} MB, without the companion +{bare_mb:.0f} MB",
        value=lent_mb,
        floor=bound_mb,
        plain=bare_mb,
        goal=f"<= that without + the pictures of two prompts ({WAITING_MB:.0f} MB)",
        holds=lent_mb <= bound_mb,
    )


@contextmanager
def _nodes(comfyui: str | None) -> Iterator[Sequence[_Node]]:
    if comfyui:
        yield [_Node(url, keeps_its_pictures=True) for url in comfyui.split(",")]
        return
    with (
        tempfile.TemporaryDirectory(prefix="comfyfleet-bench-") as folder,
        _gives_back(),
        ExitStack() as stack,
    ):
        options = ("--encode-seconds", str(_ENCODE_S))
        urls = [
            stack.enter_context(StandinProcess(Path(folder, name), *options, *more)).url
            for name, more in (("bare", ()), ("companion", ("--companion",)))
        ]
        yield [_Node(url, keeps_its_pictures=False) for url in urls]


@contextmanager
def _gives_back() -> Iterator[None]:
    """Have processes that are started within give back what they free, so that it is not counted for ever."""
    os.environ[_MALLOC] = _GIVES_BACK
    try:
        yield
    finally:
        del os.environ[_MALLOC]


class _Node:
    """One node.

    Args:
        keeps_its_pictures: a real one keeps what it has painted, which is no part of what waits: it paints once. A
            stand-in hands on what it has painted itself, so it paints for each prompt.
    """

    def __init__(self, url: str, *, keeps_its_pictures: bool) -> None:
        self._url = url
        self._memory = ServerMemory(url)
        self._paints_once = keeps_its_pictures
        self.has_companion = bool(self._encoding())

    def grows_by(self) -> float:
        """Return how many MB it takes at most beyond what it takes now, while all are encoded."""
        self._run(prompts=1, side=SIDE)
        blocked_s = self._encoding().get("blocked_s", 0)
        before = self._memory.now()
        self._run(prompts=PROMPTS, side=SIDE)
        if self.has_companion:
            assert self._encoding()["blocked_s"] > blocked_s, "no more waited than may"
        return self._memory.peak() - before

    def _run(self, *, prompts: int, side: int) -> None:
        ids = [str(uuid.uuid4()) for _ in range(prompts)]
        with requests.Session() as session:
            session.trust_env = False
            for prompt_id in ids:
                body = {"prompt": self._graph(side), "prompt_id": prompt_id}
                answer = session.post(f"{self._url}/prompt", json=body, timeout=60)
                answer.raise_for_status()
            wait_until(
                lambda: (
                    all(session.get(f"{self._url}/history/{one}", timeout=60).json() for one in ids)
                    and not self._encoding().get("waiting")
                ),
                description="all are encoded",
                within_s=_PATIENCE_S,
            )

    def _graph(self, side: int) -> dict:
        size = {"width": side, "height": side, "batch_size": PICTURES}
        painters = (
            {"1": graph_node("ComfyFleetNoise", **size, nonce=0)}
            if self._paints_once
            else {
                "0": graph_node("EmptyImage", **size, color=fresh_nonce()),
                "1": graph_node("ImageInvert", image=["0", 0]),
            }
        )
        return {**painters, "2": save("1", f"comfyfleet/memory/{fresh_nonce()}")}

    def _encoding(self) -> dict:
        answer = requests.get(f"{self._url}/comfyfleet/v1/status", timeout=10)
        return (answer.json()["encoding"] or {}) if answer.ok else {}
