"""Graph nodes for contract tests on a real ComfyUI: link this folder into its ``custom_nodes``.

The stand-in has equals in ``infra/standin/graph_nodes/contract.py``. This module is loaded by ComfyUI,
so it imports ComfyUI's own packages.
"""

from __future__ import annotations

import time

import comfy.utils
import torch
from PIL import Image

_NONCE = ("INT", {"default": 0, "min": 0, "max": 2**31 - 1})
_SECONDS = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 600.0})


class ComfyFleetSleep:
    """Takes up time, reports progress, and notices an interrupt at each report."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "comfyfleet"

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {
            "required": {
                "image": ("IMAGE",),
                "seconds": _SECONDS,
                "steps": ("INT", {"default": 1, "min": 1, "max": 10000}),
                "preview": ("BOOLEAN", {"default": False}),
                "nonce": _NONCE,
            }
        }

    def run(self, image, seconds, steps, preview, nonce):
        bar = comfy.utils.ProgressBar(steps)
        colour = (nonce % 256, 0, 0)
        picture = ("JPEG", Image.new("RGB", (64, 64), colour), 64) if preview else None
        for step in range(1, steps + 1):
            time.sleep(seconds / steps)
            bar.update_absolute(step, steps, picture)
        return (image,)


class ComfyFleetDeafSleep:
    """Takes up time and looks at nothing meanwhile."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "comfyfleet"

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {"image": ("IMAGE",), "seconds": _SECONDS, "nonce": _NONCE}}

    def run(self, image, seconds, nonce):  # noqa: ARG002 - the nonce only keeps the cache out
        time.sleep(seconds)
        return (image,)


class ComfyFleetRaise:
    """Raises: an ordinary error, out of memory, or what ends ComfyUI's executing thread."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "comfyfleet"

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {
            "required": {
                "image": ("IMAGE",),
                "kind": (["runtime", "oom", "exit"],),
                "text": ("STRING", {"default": ""}),
                "nonce": _NONCE,
            }
        }

    def run(self, image, kind, text, nonce):  # noqa: ARG002
        if kind == "oom":
            raise torch.cuda.OutOfMemoryError(text)
        if kind == "exit":
            raise SystemExit(text)
        raise RuntimeError(text)


class ComfyFleetText:
    """Shows text, numbers or nothing, as custom output nodes do."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    CATEGORY = "comfyfleet"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        kinds = ["plain", "numbers", "scalar", "empty", "none"]
        return {"required": {"text": ("STRING", {"default": ""}), "kind": (kinds,)}}

    def run(self, text, kind):
        shown = {
            "plain": {"text": [text]},
            "numbers": {"text": [text], "value": [1, 2.5, None, True, {"a": [1]}]},
            "scalar": {"text": text},
            "empty": {"text": []},
        }
        return {"ui": shown[kind]} if kind in shown else {}


NODE_CLASS_MAPPINGS = {
    known.__name__: known
    for known in (ComfyFleetSleep, ComfyFleetDeafSleep, ComfyFleetRaise, ComfyFleetText)
}
