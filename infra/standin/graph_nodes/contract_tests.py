"""Contract test graph nodes; ``tests/contract/custom_nodes`` has the same classes for a real ComfyUI."""

from __future__ import annotations

from typing import Any

from PIL import Image

from infra.standin.graph_nodes.class_declaration import (
    Bench,
    GraphNodeClass,
    Input,
    OutOfMemory,
    Pictures,
    Result,
    choice,
    decimal,
    integer,
    words,
)
from infra.standin.painter import paint

_NONCE = integer(0, 0, 2**31 - 1)


def _sleep(
    bench: Bench, *, image: Pictures, seconds: float, steps: int, preview: bool, nonce: int
) -> Result:
    for step in range(1, steps + 1):
        bench.work(seconds / steps)
        picture = _preview(nonce, step) if preview else None
        bench.progress(step, steps, picture)
    return Result(values=(image,))


def _preview(nonce: int, step: int) -> Image.Image:
    return paint(64, 64, {"nonce": nonce, "step": step})


def _deaf_sleep(bench: Bench, *, image: Pictures, seconds: float, nonce: int) -> Result:
    del nonce
    bench.work(seconds)
    return Result(values=(image,))


def _raise(_bench: Bench, *, image: Pictures, kind: str, text: str, nonce: int) -> Result:
    del image, nonce
    if kind == "oom":
        raise OutOfMemory(text)
    if kind == "exit":
        raise SystemExit(text)
    if kind == "without text":
        raise SystemExit("what makes the message of an error raises, outside of what catches it")
    raise RuntimeError(text)


def _say(_bench: Bench, *, text: str, kind: str) -> Result:
    said: dict[str, dict[str, Any]] = {
        "plain": {"text": [text]},
        "numbers": {"text": [text], "value": [1, 2.5, None, True, {"a": [1]}]},
        "scalar": {"text": list(text)},
        "empty": {"text": []},
    }
    return Result(ui=said.get(kind))


CONTRACT = (
    GraphNodeClass(
        name="ComfyFleetSleep",
        run=_sleep,
        required={
            "image": Input("IMAGE"),
            "seconds": decimal(1.0, 0.0, 600.0),
            "steps": integer(1, 1, 10000),
            "preview": Input("BOOLEAN", {"default": False}),
            "nonce": _NONCE,
        },
        outputs=("IMAGE",),
    ),
    GraphNodeClass(
        name="ComfyFleetDeafSleep",
        run=_deaf_sleep,
        required={
            "image": Input("IMAGE"),
            "seconds": decimal(1.0, 0.0, 600.0),
            "nonce": _NONCE,
        },
        outputs=("IMAGE",),
    ),
    GraphNodeClass(
        name="ComfyFleetRaise",
        run=_raise,
        required={
            "image": Input("IMAGE"),
            "kind": choice("runtime", "oom", "exit", "without text"),
            "text": words(),
            "nonce": _NONCE,
        },
        outputs=("IMAGE",),
    ),
    GraphNodeClass(
        name="ComfyFleetText",
        run=_say,
        required={
            "text": words(),
            "kind": choice("plain", "numbers", "scalar", "empty", "none"),
        },
        is_output=True,
    ),
)
