"""Nodes to talk to, and small graphs for them."""

from __future__ import annotations

import itertools
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from infra.standin.options import StandinOptions
from infra.standin.process import standin_thread

#: Both protocol ages that we promise to serve, and the real ComfyUI of $COMFYUI_URL.
NODES = ["0.33.0", "0.3.64", *(["real"] if "COMFYUI_URL" in os.environ else [])]

# Nothing must be cached that a test wants to see run, by this session or one before it.
_nonces = itertools.count(time.time_ns() // 1_000_000 % 1_000_000_000)


@contextmanager
def open_node(which: str, directory, **options) -> Iterator[str]:
    """Yield the URL of one of NODES."""
    if which == "real":
        yield os.environ["COMFYUI_URL"]
        return
    with standin_thread(StandinOptions(directory=directory, version=which, **options)) as node:
        yield node.url


def sleeping_graph(seconds=0.0, *, steps=3, preview=False):
    """Return a graph that sleeps, tells of its steps and saves one picture."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": _picture()},
        "2": {
            "class_type": "ComfyFleetSleep",
            "inputs": {
                "image": ["1", 0],
                "seconds": seconds,
                "steps": steps,
                "preview": preview,
                "nonce": next(_nonces),
            },
        },
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "t/p"}},
    }


def raising_graph(text):
    """Return a graph whose graph node 2 raises a RuntimeError."""
    graph = sleeping_graph()
    inputs = {"image": ["1", 0], "kind": "runtime", "text": text, "nonce": next(_nonces)}
    graph["2"] = {"class_type": "ComfyFleetRaise", "inputs": inputs}
    return graph


def half_valid_graph():
    """Return a graph with one good output and one whose checkpoint no node has."""
    graph = sleeping_graph()
    graph["4"] = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "no-such.ckpt"}}
    graph["5"] = {
        "class_type": "VAEDecode",
        "inputs": {"samples": ["6", 0], "vae": ["4", 2]},
    }
    graph["6"] = {
        "class_type": "EmptyLatentImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 1},
    }
    graph["7"] = {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "x"}}
    return graph


def queue(comfyui, graph, **options):
    """Queue *graph* under a new prompt id and return that."""
    prompt_id = str(uuid.uuid4())
    comfyui.queue_prompt(graph, prompt_id=prompt_id, client_id=str(uuid.uuid4()), **options)
    return prompt_id


def _picture():
    return {"width": 64, "height": 64, "batch_size": 1, "color": next(_nonces) % 0xFFFFFF}
