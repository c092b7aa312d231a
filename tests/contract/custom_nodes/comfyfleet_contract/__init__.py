"""Graph nodes for contract tests on a real ComfyUI: link this folder into its ``custom_nodes``.

The stand-in has equals in ``infra/standin/graph_nodes``, ``contract.py`` and ``odd_savers.py``. This module is loaded by ComfyUI,
so it imports ComfyUI's own packages.
"""

from __future__ import annotations

import copy
import pathlib
import time
import uuid

import comfy.utils
import folder_paths
import server
import torch
from comfy_execution.graph_utils import ExecutionBlocker
from PIL import Image

from .pictures import (
    ComfyFleetBlacken,
    ComfyFleetNoise,
    ComfyFleetPlanes,
    ComfyFleetReadBack,
)

_NONCE = ("INT", {"default": 0, "min": 0, "max": 2**31 - 1})
_SECONDS = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 600.0})


class ComfyFleetSleep:
    """Takes up time, its reports included, and notices an interrupt at each of them."""

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
        began = time.monotonic()
        for step in range(1, steps + 1):
            time.sleep(max(0.0, began + seconds * step / steps - time.monotonic()))
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


class WithoutText(Exception):
    """An error whose own text raises, as when it is made of what has gone."""

    def __str__(self):
        raise RuntimeError("there is no text")


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
                "kind": (["runtime", "oom", "exit", "without text"],),
                "text": ("STRING", {"default": ""}),
                "nonce": _NONCE,
            }
        }

    def run(self, image, kind, text, nonce):  # noqa: ARG002
        if kind == "oom":
            raise torch.cuda.OutOfMemoryError(text)
        if kind == "exit":
            raise SystemExit(text)
        if kind == "without text":
            raise WithoutText
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


class ComfyFleetGate:
    """Lets a picture through, or keeps all that takes it from being executed."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "comfyfleet"

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {"image": ("IMAGE",), "open": ("BOOLEAN", {"default": False})}}

    def run(self, image, open):  # noqa: A002 - the input's name
        return (image if open else ExecutionBlocker(None),)


class ComfyFleetPlainSave:
    """Takes the prefix for a plain name in a folder, and goes on where it cannot write."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    CATEGORY = "comfyfleet"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {
            "required": {
                "images": ("IMAGE",),
                "folder": ("STRING", {"default": "night"}),
                "filename_prefix": ("STRING", {"default": "pic"}),
                "listed": (["true", "false"],),
            }
        }

    def run(self, images, folder, filename_prefix, listed):
        where = pathlib.Path(folder_paths.get_output_directory(), folder)
        where.mkdir(parents=True, exist_ok=True)
        entries = []
        for number, image in enumerate(images, 1):
            name = f"{filename_prefix}_{number:04}.png"
            try:
                _picture(image).save(where / name)
            except OSError:
                continue
            entries.append({"filename": name, "subfolder": folder, "type": "output"})
        return {"ui": {"images": entries if listed == "true" else []}}


class ComfyFleetExport:
    """Saves a file and returns its path; lists nothing."""

    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"
    CATEGORY = "comfyfleet"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {
            "required": {
                "images": ("IMAGE",),
                "filename_prefix": ("STRING", {"default": "3D/thing"}),
            }
        }

    def run(self, images, filename_prefix):
        return ("/".join(_saved(images[0], filename_prefix)).lstrip("/"),)


class ComfyFleetSaveIf:
    """Saves on a condition of its own."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    CATEGORY = "comfyfleet"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {
            "required": {
                "images": ("IMAGE",),
                "condition": ("INT", {"default": 1, "min": 0, "max": 1}),
                "filename_prefix": ("STRING", {"default": ""}),
            }
        }

    def run(self, images, condition, filename_prefix):
        return {"ui": {"images": _listed(images, filename_prefix)}} if condition else {}


class ComfyFleetFindLatest:
    """Finds a file by its prefix."""

    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"
    CATEGORY = "comfyfleet"

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {"filename_prefix": ("STRING", {"default": "night/pic"})}}

    def run(self, filename_prefix):
        folder, _, start = filename_prefix.rpartition("/")
        where = pathlib.Path(folder_paths.get_output_directory(), folder)
        found = sorted(path.name for path in where.glob("*") if path.name.startswith(start))
        if not found:
            raise FileNotFoundError(f"no file begins with {filename_prefix}")
        return (found[-1],)


class ComfyFleetFilm:
    """Queues the graph again under another id until all batches are done, and saves then."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    CATEGORY = "comfyfleet"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        turns = {"min": 0, "max": 99}
        return {
            "required": {
                "images": ("IMAGE",),
                "filename_prefix": ("STRING", {"default": "film"}),
                "batches": ("INT", {"default": 2, **turns}),
            },
            "optional": {"turn": ("INT", {"default": 0, **turns})},
        }

    def run(self, images, filename_prefix, batches, turn=0):
        if turn + 1 < batches:
            self._queue_again(turn + 1)
            return {"ui": {"unfinished_batch": [True]}}
        return {"ui": {"images": _listed(images, filename_prefix)}}

    def _queue_again(self, turn):
        queue = server.PromptServer.instance.prompt_queue
        number, _, graph, *rest = next(iter(queue.currently_running.values()))
        graph = copy.deepcopy(graph)
        for found in graph.values():
            if found["class_type"] == "ComfyFleetFilm":
                found["inputs"]["turn"] = turn
        queue.put((number - 1, str(uuid.uuid4()), graph, *rest))


def _picture(image):
    return Image.fromarray((image.cpu().numpy() * 255).clip(0, 255).astype("uint8"))


def _saved(image, filename_prefix):
    output = folder_paths.get_output_directory()
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(filename_prefix, output)
    file = f"{name}_{counter:05}_.png"
    _picture(image).save(pathlib.Path(folder, file))
    return subfolder, file


def _listed(images, filename_prefix):
    saved = [_saved(image, filename_prefix) for image in images]
    return [
        {"filename": file, "subfolder": subfolder, "type": "output"} for subfolder, file in saved
    ]


NODE_CLASS_MAPPINGS = {
    known.__name__: known
    for known in (
        ComfyFleetSleep,
        ComfyFleetDeafSleep,
        ComfyFleetRaise,
        ComfyFleetText,
        ComfyFleetGate,
        ComfyFleetPlainSave,
        ComfyFleetExport,
        ComfyFleetSaveIf,
        ComfyFleetFindLatest,
        ComfyFleetFilm,
        ComfyFleetNoise,
        ComfyFleetPlanes,
        ComfyFleetBlacken,
        ComfyFleetReadBack,
    )
}
