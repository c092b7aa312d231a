"""Graphs for tests that need one, and nothing about it."""

from __future__ import annotations

import io
import itertools
from importlib import resources

import requests
from PIL import Image


def sample(name: str = "seed_prompt.json") -> bytes:
    """Return a sample graph's file."""
    return resources.files("infra.samples").joinpath(name).read_bytes()


def picture(size=(64, 48), form="PNG") -> bytes:
    """Return a picture's file."""
    content = io.BytesIO()
    Image.new("RGB", size, "#336699").save(content, form)
    return content.getvalue()


_nonces = itertools.count(1_000_000)


def fresh_nonce() -> int:
    """Return a number that no graph has had, so that nothing of it is cached."""
    return next(_nonces)


def sleeping(seconds: float = 0.1, *, nonce: int | None = None, preview: bool = False) -> dict:
    """Return a graph that holds the graphics card for so long, in ten steps, and saves a picture.

    Each step sends a *preview* if it should, whatever the node's options are.

    Without a nonce it differs from every other one, so that nothing of it is cached.
    """
    nonce = next(_nonces) if nonce is None else nonce
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 32, "height": 32, "batch_size": 1, "color": nonce},
        },
        "2": {
            "class_type": "ComfyFleetSleep",
            "inputs": {
                "image": ["1", 0],
                "seconds": seconds,
                "steps": 10,
                "preview": preview,
                "nonce": nonce,
            },
        },
        "3": {
            "class_type": "SaveImage",
            "inputs": {"images": ["2", 0], "filename_prefix": "slept"},
        },
    }


def rendering(model: str, *, seed: int, steps: int = 4) -> dict:
    """Return a graph that loads a checkpoint and renders a small picture with it."""
    graph_nodes = {
        "4": ("CheckpointLoaderSimple", {"ckpt_name": model}),
        "5": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        "6": ("CLIPTextEncode", {"text": "a quiet harbour", "clip": ["4", 1]}),
        "3": ("KSampler", {"seed": seed, "steps": steps, **_SAMPLING}),
        "8": ("VAEDecode", {"samples": ["3", 0], "vae": ["4", 2]}),
        "9": ("SaveImage", {"images": ["8", 0], "filename_prefix": "rendered"}),
    }
    return {
        graph_node: {"class_type": class_type, "inputs": inputs}
        for graph_node, (class_type, inputs) in graph_nodes.items()
    }


_SAMPLING = {
    "cfg": 5.0,
    "sampler_name": "euler",
    "scheduler": "karras",
    "denoise": 1.0,
    "model": ["4", 0],
    "positive": ["6", 0],
    "negative": ["6", 0],
    "latent_image": ["5", 0],
}


def raising(kind: str = "runtime", text: str = "as asked") -> dict:
    """Return a graph of which graph node 2 raises."""
    graph = sleeping()
    graph["2"] = {
        "class_type": "ComfyFleetRaise",
        "inputs": {"image": ["1", 0], "kind": kind, "text": text, "nonce": 0},
    }
    return graph


def journal(node) -> list[dict]:
    """Return what a stand-in node wrote down of every prompt it ran."""
    return _journal(node)["prompts"]


def counted(node, what: str) -> int:
    """Return how often a stand-in node did this."""
    return _journal(node)["counts"].get(what, 0)


def _journal(node) -> dict:
    return requests.get(f"{node.url}/standin/journal", timeout=5).json()


def sound(seconds: float) -> dict:
    """Return a graph that saves so much silence, 16,000 bytes a second."""
    return {
        "1": {
            "class_type": "EmptyAudio",
            "inputs": {"duration": seconds, "sample_rate": 44100, "channels": 2},
        },
        "2": {
            "class_type": "SaveAudio",
            "inputs": {"audio": ["1", 0], "filename_prefix": "sound"},
        },
    }
