"""Jobs for a storm: graphs that take milliseconds, each with what must come of it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tests.graphs import picture, raising, sleeping

#: Checkpoints of the stand-in.
MODELS: Final = ("v1-5-pruned-emaonly.safetensors", "sd_xl_base_1.0.safetensors")
_SAMPLED = {"width": 64, "height": 64}
_SLEPT = {"width": 32, "height": 32}
#: So many batches are long.
_LONG: Final = 0.03


@dataclass(frozen=True, kw_only=True)
class Work:
    """A graph, and what the checker may expect of it.

    Args:
        expects: JSON: `end` (a status), and for a success `files`, each with `graph_node`,
            `width` and `height`, and what the picture must show: `color` or `seed`.
        named: the name of the graph, in the place of one.
    """

    graph: dict[str, Any]
    expects: dict[str, Any]
    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, bytes] = field(default_factory=dict)
    named: str = ""


def sleep(seconds: float, *, nonce: int) -> Work:
    """Return work that holds the card for so long; its picture has the colour *nonce*."""
    file = {"graph_node": "3", **_SLEPT, "color": nonce}
    return Work(graph=sleeping(seconds, nonce=nonce), expects={"end": "succeeded", "files": [file]})


def by_name(name: str, seconds: float) -> Work:
    """Return work of a graph that has a name, as `sleep` made it: the colour of its picture tells which one it was."""
    expects = {"end": "succeeded", "files": [{"graph_node": "3", **_SLEPT}]}
    return Work(graph={}, named=name, params={"2.seconds": seconds}, expects=expects)


def failing_rows(number: int, *, nonce: int) -> list[Work]:
    """Return so many rows of one graph that raises each time."""
    row = fail(nonce=nonce)
    params = ({"2.nonce": 1_000 * nonce + number} for number in range(number))
    return [replace(row, params=one) for one in params]


def gated(*, nonce: int) -> Work:
    """Return work with a second saver behind a closed gate; it rightly saves nothing."""
    work = sleep(0.1, nonce=nonce)
    work.graph["4"] = {"class_type": "ComfyFleetGate", "inputs": {"image": ["2", 0], "open": False}}
    behind = {"images": ["4", 0], "filename_prefix": "gated"}
    work.graph["5"] = {"class_type": "SaveImage", "inputs": behind}
    return work


def sample(*, seed: int, steps: int = 4, model: str = MODELS[0]) -> Work:
    """Return work for the sampler; its pictures show job and seed."""
    file = {"graph_node": "9", **_SAMPLED, "seed": seed}
    return Work(
        graph=_sampling(steps, model),
        params={"3.seed": seed, "6.text": f"picture {seed}"},
        expects={"end": "succeeded", "files": [file]},
    )


def read(seconds: float, *, nonce: int) -> Work:
    """Return work that reads a file of its own."""
    graph = sleeping(seconds, nonce=nonce)
    graph["1"] = {"class_type": "LoadImage", "inputs": {"image": "given.png"}}
    return Work(
        graph=graph,
        inputs={"1.image": picture((32, 32 + nonce % 32))},
        expects={
            "end": "succeeded",
            "files": [{"graph_node": "3", "width": 32, "height": 32 + nonce % 32}],
        },
    )


def fail(kind: str = "runtime", *, nonce: int) -> Work:
    """Return work whose graph node 2 raises each time; *kind* as in `raising`."""
    graph = raising(kind)
    graph["2"]["inputs"]["nonce"] = nonce
    return Work(graph=graph, expects={"end": "failed"})


def oddly_saved(saver: str, *, nonce: int, **inputs: Any) -> Work:
    """Return work with a saver of files that nobody expects, beside one that everybody knows."""
    work = sleep(0.05, nonce=nonce)
    work.graph["4"] = {"class_type": saver, "inputs": {"images": ["2", 0], **inputs}}
    return work


def draw_odd(chance: random.Random, nonce: int) -> Work:
    """Draw work whose savers list nothing, or what nobody named."""
    prefix = chance.choice(("night/pic", "pic", "C:\\out\\pic"))
    return chance.choice(
        (
            gated(nonce=nonce),
            oddly_saved("ComfyFleetExport", nonce=nonce, filename_prefix="3D/thing"),
            oddly_saved("ComfyFleetSaveIf", nonce=nonce, condition=0, filename_prefix=prefix),
        )
    )


def draw(chance: random.Random, number: int) -> Work:
    """Draw the work of job *number*: mostly sleepers of 20 to 150 ms, some samplers, few failures."""
    what = chance.random()
    if 0.25 < what < 0.3:
        return draw_odd(chance, number)
    if what < 0.015:
        return fail(chance.choice(("runtime", "oom")), nonce=number)
    if what < 0.25:
        return sample(seed=number, steps=chance.randint(2, 8))
    return sleep(chance.uniform(0.02, 0.15), nonce=number)


def draw_rows(chance: random.Random, number: int) -> list[Work]:
    """Draw the rows of batch *number*: a few samplers of one graph, now and then more than lie packed together."""
    steps = chance.randint(2, 8)
    rows = chance.randint(2, 6) if chance.random() > _LONG else chance.randint(101, 115)
    return [sample(seed=1_000 * number + row, steps=steps) for row in range(rows)]


def _sampling(steps: int, model: str) -> dict[str, Any]:
    sampler = {"sampler_name": "euler", "scheduler": "normal", "seed": 0, "steps": steps, "cfg": 5}
    links = {
        "model": ["4", 0],
        "positive": ["6", 0],
        "negative": ["6", 0],
        "latent_image": ["5", 0],
    }
    graph_nodes = {
        "3": ("KSampler", {**sampler, **links, "denoise": 1}),
        "4": ("CheckpointLoaderSimple", {"ckpt_name": model}),
        "5": ("EmptyLatentImage", {**_SAMPLED, "batch_size": 1}),
        "6": ("CLIPTextEncode", {"text": "", "clip": ["4", 1]}),
        "8": ("VAEDecode", {"samples": ["3", 0], "vae": ["4", 2]}),
        "9": ("SaveImage", {"images": ["8", 0], "filename_prefix": "sampled"}),
    }
    return {
        name: {"class_type": class_type, "inputs": inputs}
        for name, (class_type, inputs) in graph_nodes.items()
    }
