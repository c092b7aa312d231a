"""From a prompt to its sampler's first step, its checkpoint not in the page cache: with its being announced to the companion, and without.

What looks ahead announces it while another prompt renders, so that the node reads it beside that. Floor: the file
lies in memory from before. All in turns.
"""

from __future__ import annotations

import json
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import requests
import websocket

from infra.standin.process import StandinProcess
from tests.bench.checkpoints import checkpoint_file, checkpoints
from tests.bench.page_cache import drop
from tests.bench.results import Case, Result, median
from tests.bench.slow_disk import slow_disk
from tests.graphs import fresh_nonce, rendering
from tests.polling import wait_until

ROUNDS, FULL_ROUNDS = 3, 9
TIMES = 2.0
#: Of a stand-in: what reading a checkpoint takes, and what loading it takes beside that, s.
_COLD_S, _LOAD_S = 1.5, 0.5
_PATIENCE_S = 600
_CLIENT = uuid.uuid4().hex


def run(
    *, full: bool = False, comfyui: str | None = None, disk_mb_s: float | None = None
) -> Result:
    """Measure loads in turns.

    Args:
        comfyui: the address of a real ComfyUI on this machine that has the companion; its largest checkpoint is used.
        disk_mb_s: what its disk is to give a second, at most; its own disk by default.
    """
    if disk_mb_s is not None and not (comfyui and disk_mb_s > 0):
        raise SystemExit(
            "--disk-mb-s is a rate above 0, and that of a real node: it needs --comfyui"
        )
    rounds = FULL_ROUNDS if full else ROUNDS
    with _real(comfyui, disk_mb_s) if comfyui else _standin(rounds) as node:
        _load_s(node, node.cold())  # the first one imports what samples
        cold, held, announced = [], [], []
        for _ in range(rounds):
            name = node.cold()
            cold.append(_load_s(node, name))
            held.append(_load_s(node, name))
            name = node.cold()
            _announce(node, name)
            announced.append(_load_s(node, name))
    case = case_of(node.told, cold=median(cold), held=median(held), announced=median(announced))
    return Result(name="cold_load", unit="s", cases=[case])


def case_of(told: str, *, cold: float, held: float, announced: float) -> Case:
    """Return the case: how long each took, s."""
    return Case(
        name=f"{told}, announced: {cold / announced:.1f} x as fast to the first step",
        value=announced,
        floor=held,
        plain=cold,
        goal=f"<= 1/{TIMES:g} of what it takes unannounced",
        holds=TIMES * announced <= cold,
    )


class _Node(Protocol):
    """A node, and what it can be given to load."""

    url: str
    told: str

    def cold(self) -> str:
        """Return a checkpoint that is neither loaded nor in the page cache."""


class _Real:
    def __init__(self, url: str, name: str, file: Path, *, disk: str) -> None:
        self.url = url
        self._name, self._file = name, file
        self.told = f"a checkpoint of {file.stat().st_size / 1e9:.1f} GB{disk}"

    def cold(self) -> str:
        _forget(self)
        drop(self._file)
        return self._name


class _Standin:
    def __init__(self, url: str) -> None:
        self.url = url
        self.told = f"a checkpoint that is read in {_COLD_S:g} s"
        self._names = iter(checkpoints(url))  # it reads each once in its life

    def cold(self) -> str:
        return next(self._names)


@contextmanager
def _real(url: str, disk_mb_s: float | None) -> Iterator[_Node]:
    status = requests.get(f"{url}/comfyfleet/v1/status", timeout=10)
    if not (status.ok and status.json().get("preloading")):
        raise SystemExit(f"{url} has no companion that reads ahead")
    name = checkpoints(url)[-1]
    file = checkpoint_file(url, name)
    if file is None:
        raise SystemExit(f"{url} has its checkpoints on another machine: they stay in memory")
    if disk_mb_s is None:
        yield _Real(url, name, file, disk="")
        return
    file = file.resolve()  # a link would lead past the mount
    with slow_disk(file.parent, mb_s=disk_mb_s):
        node = _Real(url, name, file, disk=f" on a disk of {disk_mb_s:g} MB/s")
        try:
            yield node
        finally:
            _forget(node)  # it has the file mapped


@contextmanager
def _standin(rounds: int) -> Iterator[_Node]:
    models = ",".join(f"model-{number}.safetensors" for number in range(1 + 2 * rounds))
    options = ("--models", models, "--cold-seconds", str(_COLD_S), "--load-seconds", str(_LOAD_S))
    with (
        tempfile.TemporaryDirectory(prefix="comfyfleet-bench-") as folder,
        StandinProcess(Path(folder), "--companion", *options) as served,
    ):
        yield _Standin(served.url)


def _load_s(node: _Node, model: str) -> float:
    """Return how long it takes from the prompt to the sampler's first step, nothing being loaded."""
    _forget(node)
    with closing(_listen(node)) as socket:
        graph = rendering(model, seed=fresh_nonce(), steps=1)
        prompt_id, began = _post(node, graph), time.perf_counter()
        _hear(socket, lambda kind, data: kind == "progress" and data.get("node") == "3")
        took_s = time.perf_counter() - began
    _wait_ended(node, prompt_id)
    return took_s


def _forget(node: _Node) -> None:
    """Have it unload all models, between two prompts; the second one begins after that."""
    body = {"unload_models": True, "free_memory": True}
    requests.post(f"{node.url}/free", json=body, timeout=10).raise_for_status()
    for _ in range(2):
        blank = {"width": 16, "height": 16, "batch_size": 1, "color": fresh_nonce()}
        graph = {
            "1": {"class_type": "EmptyImage", "inputs": blank},
            "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        }
        _wait_ended(node, _post(node, graph))


def _announce(node: _Node, model: str) -> None:
    """Have the companion read it, and wait until that is done: the render before takes as long."""
    answer = requests.post(
        f"{node.url}/comfyfleet/v1/preload", json={"models": [model]}, timeout=10
    )
    answer.raise_for_status()

    def is_read() -> bool:
        told = requests.get(f"{node.url}/comfyfleet/v1/status", timeout=10).json()["preloading"]
        assert not any(told.get("skipped", {}).values()), told
        return not told["busy"]

    wait_until(is_read, description="it is read", within_s=_PATIENCE_S)


def _listen(node: _Node) -> websocket.WebSocket:
    address = f"{node.url.replace('http', 'ws', 1)}/ws?clientId={_CLIENT}"
    return websocket.create_connection(address, timeout=_PATIENCE_S)


def _hear(socket: websocket.WebSocket, is_wanted: Any) -> None:
    while True:
        text = socket.recv()
        message = json.loads(text) if isinstance(text, str) else {}
        if is_wanted(message.get("type"), message.get("data", {})):
            return


def _post(node: _Node, graph: dict) -> str:
    prompt_id = str(uuid.uuid4())
    body = {"prompt": graph, "prompt_id": prompt_id, "client_id": _CLIENT}
    requests.post(f"{node.url}/prompt", json=body, timeout=30).raise_for_status()
    return prompt_id


def _wait_ended(node: _Node, prompt_id: str) -> None:
    ended: dict[str, Any] = {}

    def has_ended() -> bool:
        ended.update(requests.get(f"{node.url}/history/{prompt_id}", timeout=30).json())
        return prompt_id in ended

    wait_until(has_ended, description="it has ended", within_s=_PATIENCE_S)
    status = ended[prompt_id]["status"]
    assert status["status_str"] == "success", status
