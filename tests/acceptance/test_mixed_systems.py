"""A pool of nodes on Linux and on Windows, which write folders of models differently."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

import pytest

from infra.standin.options import DEFAULT_MODELS
from infra.standin.process import StandinProcess
from producer.contract.jobs import JobStatus
from tests.graphs import fresh_nonce, rendering

PATIENCE = timedelta(seconds=30)
SEPARATORS = {"linux": "/", "windows": "\\"}


@pytest.fixture
def pool(serve, tmp_path):
    """Two nodes that have the same files, as their systems write them."""
    with ExitStack() as stack:
        for name, mark in SEPARATORS.items():
            models = {
                **DEFAULT_MODELS,
                "checkpoints": [f"base{mark}v1.safetensors"],
                "loras": [f"style{mark}detail.safetensors"],
            }
            file = tmp_path / f"{name}.json"
            file.write_text(json.dumps(models))
            node = stack.enter_context(StandinProcess(tmp_path / name, "--models", str(file)))
            stack.enter_context(replace(serve, comfyui=node.url)(name, "mixed-systems"))
        yield "mixed-systems"


def graph_of(mark: str) -> dict:
    graph = rendering(f"base{mark}v1.safetensors", seed=fresh_nonce())
    sampler = next(found for found in graph.values() if found["class_type"] == "KSampler")
    loader, slot = sampler["inputs"]["model"]
    graph["lora"] = {
        "class_type": "LoraLoader",
        "inputs": {
            "lora_name": f"style{mark}detail.safetensors",
            "strength_model": 1.0,
            "strength_clip": 1.0,
            "model": [loader, slot],
            "clip": [loader, 1],
        },
    }
    sampler["inputs"]["model"] = ["lora", 0]
    return graph


def test_a_graph_from_either_system_runs_on_nodes_of_both(fleet, pool):
    jobs = {
        (written, pin): fleet.submit(graph_of(mark), pool=pool, pin=pin)
        for written, mark in SEPARATORS.items()
        for pin in (*SEPARATORS, None)
    }
    ended = {key: fleet.wait(job.id, timeout=PATIENCE) for key, job in jobs.items()}
    assert {job.status for job in ended.values()} == {JobStatus.SUCCEEDED}
    assert {job.attempt for job in ended.values()} == {1}
    assert ended["linux", None].queue == ended["windows", None].queue
    warm = {node.warm for node in fleet.nodes() if node.pool == pool}
    assert warm == {("base/v1.safetensors",)}
