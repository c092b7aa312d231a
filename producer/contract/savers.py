"""What well-known classes do when they save: where, and whether they list it.

From the sources of ComfyUI 0.3.64 and 0.33.0 (`nodes.py`, `comfy_extras`, `custom_nodes`), and
ComfyUI-VideoHelperSuite (`videohelpersuite/nodes.py`).
"""

from __future__ import annotations

import re
from typing import Final

#: The input that names what is saved.
PREFIX: Final = "filename_prefix"

#: Classes that list a file whenever they are executed, unless there is nothing to save.
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

#: Classes that save a file at the node and list none.
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

#: Classes that make the folder which `filename_prefix` begins with
#: (`folder_paths.get_save_image_path`); of the listing ones above, all that have the input but one.
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

#: Classes whose pictures go over the websocket alone, to whoever hears it at that moment.
WEBSOCKET_ONLY: Final = frozenset(
    {"ETN_SendImageWebSocket", "SaveImageWebsocket", "SendImageWebSocket"}
)

_SAVES: Final = re.compile(r"save|export|write|combine", re.IGNORECASE)
_READS: Final = re.compile(r"load|latest|select|read|find|search", re.IGNORECASE)


def reads_by_prefix(class_type: str) -> bool:
    """Tell whether a class seems to find files by their prefix, as VHS_SelectLatest does."""
    return bool(_READS.search(class_type)) and not _SAVES.search(class_type)


def seems_to_save(class_type: str, inputs: object) -> bool:
    """Tell whether a graph node of that class is expected to save something."""
    if class_type in LISTING | SILENT:
        return True
    has_prefix = isinstance(inputs, dict) and PREFIX in inputs
    return bool(_SAVES.search(class_type)) or (has_prefix and not reads_by_prefix(class_type))
