"""Savers: well-known classes that save files; whether they make folders and list files in history.

From the sources of ComfyUI 0.3.64 and 0.33.0 (`nodes.py`, `comfy_extras`, `custom_nodes`), and
ComfyUI-VideoHelperSuite (`videohelpersuite/nodes.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

#: The input with the beginning of a saved file's name.
PREFIX: Final = "filename_prefix"

#: Classes whose history entry lists a file whenever they are executed, unless there is nothing to save.
LISTING: Final = frozenset(
    {
        "ImageCompare",
        "LossGraphNode",
        "MaskPreview",
        "PreviewAudio",
        "PreviewImage",
        "SaveAnimatedPNG",
        "SaveAnimatedWEBP",
        "SaveAudio",
        "SaveAudioAdvanced",
        "SaveAudioMP3",
        "SaveAudioOpus",
        "SaveGLB",
        "SaveImage",
        "SaveImageAdvanced",
        "SaveLatent",
        "SaveSVGNode",
        "SaveText",
        "SaveVideo",
        "SaveWEBM",
    }
)

#: Classes that save a file at the node, and list none in history.
SILENT: Final = frozenset(
    {
        "CLIPSave",
        "CheckpointSave",
        "ImageOnlyCheckpointSave",
        "LoraSave",
        "ModelSave",
        "SaveImageDataSetToFolder",
        "SaveImageTextDataSetToFolder",
        "SaveLoRA",
        "SaveTrainingDataset",
        "VAESave",
    }
)

#: Classes that make the folders in `filename_prefix` (`folder_paths.get_save_image_path`): of those
#: in `LISTING` the ones that begin with Save.
FOLDER_MAKING: Final = (
    frozenset(name for name in LISTING if name.startswith("Save"))
    | frozenset(
        {
            "CLIPSave",
            "CheckpointSave",
            "ImageOnlyCheckpointSave",
            "LoraSave",
            "ModelSave",
            "Save3DAdvanced",
            "SaveGaussianSplat",
            "SavePointCloud",
            "VAESave",
        }
    )
    | {"VHS_VideoCombine"}
)

#: Classes that send pictures over the websocket only, to the clients connected at that moment.
WEBSOCKET_ONLY: Final = frozenset(
    {"ETN_SendImageWebSocket", "SaveImageWebsocket", "SendImageWebSocket"}
)

_SAVES: Final = re.compile(r"save|export|write|combine", re.IGNORECASE)
_READS: Final = re.compile(r"load|latest|select|read|find|search", re.IGNORECASE)
#: ConditioningCombine saves nothing, nor does a class with `Saved` in its name.
_IS_CALLED_SAVER: Final = re.compile(r"\bsave\b|Save(?!d)")


def reads_by_prefix(class_type: str) -> bool:
    """Tell by its name whether a class reads files by their prefix, as VHS_SelectLatest does."""
    return bool(_READS.search(class_type)) and not _SAVES.search(class_type)


def seems_to_save(class_type: str, inputs: Mapping[str, Any]) -> bool:
    """Tell whether a graph node of that class should save a file, by its name and inputs."""
    if class_type in LISTING | SILENT | WEBSOCKET_ONLY or _IS_CALLED_SAVER.search(class_type):
        return True
    return PREFIX in inputs and not reads_by_prefix(class_type)
