"""File names in a graph: the files it reads, and whether names stay in their folders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, cast

from producer.contract.classes.catalog import Catalog
from producer.contract.errors import InvalidInput
from producer.contract.graph.graph import Graph, describe, literal
from producer.contract.graph.json_values import short

Folder = Literal["input", "output", "temp"]

#: Inputs that name a file and are known without a catalog. /object_info flags most of them, but
#: not LoadLatent's, nor those of the VideoHelperSuite extension.
_FILE_INPUTS: Final[dict[str, tuple[str, ...]]] = {
    "Load3D": ("model_file",),
    "Load3DAdvanced": ("model_file",),
    "Load3DAnimation": ("model_file",),
    "LoadAudio": ("audio",),
    "LoadImage": ("image",),
    "LoadImageMask": ("image",),
    "LoadImageOutput": ("image",),
    "LoadLatent": ("latent",),
    "LoadVideo": ("file",),
    "Painter": ("mask",),
    "VHS_LoadAudioUpload": ("audio",),
    "VHS_LoadVideo": ("video",),
    "VHS_LoadVideoFFmpeg": ("video",),
}

#: Values that mean "no file": Load3D offers it, a Painter without a stroke has it.
_NO_FILE: Final = {
    "Load3D": "none",
    "Load3DAdvanced": "none",
    "Load3DAnimation": "none",
    "Painter": "",
}

_ANNOTATED: Final = re.compile(r"(?P<name>.*) \[(?P<folder>input|output|temp)\]", re.DOTALL)
_GLUED: Final = re.compile(r".*[^ ]\[(input|output|temp)\]", re.DOTALL)

#: File systems take 255 bytes; ComfyUI adds a counter and an ending.
_MAX_PART_BYTES: Final = 200
#: Characters of a name that a person gave; a longer one is no name.
_LONGEST_NAME: Final = 120


@dataclass(frozen=True)
class FileInput:
    """An input that names a file: it must be at the node before the graph is.

    `value` is as the graph has it, `clipspace/mask.png [input]` for instance.
    """

    graph_node: str
    input: str
    value: str

    @property
    def address(self) -> str:
        """Its address among params and inputs, as in `34.image`."""
        return f"{self.graph_node}.{self.input}"


def input_files(graph: Graph, catalog: Catalog | None = None) -> list[FileInput]:
    """Return the files that *graph* reads, in its order; of a cut graph, those it needs.

    Inputs count that the catalog knows as uploads (the `..._upload` flags of /object_info) or
    that are well known. One that is linked gets its name only while the graph runs.
    """
    return list(_input_files(graph, catalog))


def split_annotation(value: str) -> tuple[str, Folder]:
    """Split `x.png [temp]` into the name and the folder of ComfyUI that it lies in.

    Without an annotation the folder is `input`. The blank matters: ComfyUI (0.3.64,
    `folder_paths.annotated_filepath`) cuts one character off before the bracket, whatever it is.
    """
    if found := _ANNOTATED.fullmatch(value):
        return found["name"], cast("Folder", found["folder"])
    return value, "input"


def check_file_name(name: str, *, field: str) -> str:
    """Return *name* if it stays inside the folder that it is meant for.

    ComfyUI 0.3.64 loads `../x.png` and `/etc/x.png` for whoever asks. A name is checked as
    every system reads it, since a node may run on Windows.

    Raises:
        InvalidInput: it may lead elsewhere, or no file can have it.
    """
    if complaint := _complaint(name):
        raise InvalidInput(
            f"file name {short(name)!a} {complaint}",
            field=field,
            advice="name a file below ComfyUI's own folder, as in x.png or sub/x.png",
        )
    return name


def check_name_in_graph(graph: Graph, graph_node: str, input_: str, name: str) -> None:
    """Check a file name that goes to nodes as *graph* has it; errors as of `check_file_name`."""
    try:
        check_file_name(name, field=f"{graph_node}.{input_}")
    except InvalidInput as exc:
        raise InvalidInput(
            f"{describe(graph, graph_node)}, input {input_}: {exc.message}",
            field=exc.field,
            graph_node=graph_node,
            advice=exc.advice,
        ) from exc


def base_name(value: str) -> str:
    """Return what a file may be called that takes the place of *value*: its last part, or `input`.

    A graph may hold anything there: a path of the machine it was drawn on, a picture in base64.
    """
    name = re.split(r"[/\\]", split_annotation(value)[0])[-1]
    return "input" if len(name) > _LONGEST_NAME or _complaint(name) else name


def _input_files(graph: Graph, catalog: Catalog | None) -> Iterator[FileInput]:
    for graph_node, found in graph.items():
        class_type = found["class_type"]
        flagged = catalog.files_of(class_type) if catalog else ()
        for name in dict.fromkeys((*flagged, *_FILE_INPUTS.get(class_type, ()))):
            value = literal(found["inputs"].get(name))
            if isinstance(value, str) and value != _NO_FILE.get(class_type):
                yield FileInput(graph_node, name, value)


def _complaint(name: str) -> str | None:
    parts = re.split(r"[/\\]", name)
    checks = (
        (not name.strip(), "is empty"),
        (any(ord(char) < ord(" ") or char == "\x7f" for char in name), "has control characters"),
        (name.startswith(("/", "\\")), "is an absolute path"),
        (re.match(r"[A-Za-z]:", name), "begins with a drive letter"),
        (".." in parts, "leads out of its folder with '..'"),
        ("\\" in name, "has a backslash; parts are joined by '/'"),
        (_GLUED.fullmatch(name), "needs a blank before its last bracket"),
        (any(len(part.encode()) > _MAX_PART_BYTES for part in parts), "is too long"),
    )
    return next((complaint for wrong, complaint in checks if wrong), None)
