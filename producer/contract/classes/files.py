"""Files that a graph names: which it reads, and whether a name stays inside ComfyUI's folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeGuard, cast

from producer.contract.classes.catalog import Catalog
from producer.contract.errors import InvalidInput
from producer.contract.graph.graph import Graph, describe, literal
from producer.contract.graph.json_values import short

Folder = Literal["input", "output", "temp"]

#: Inputs that name a file, by class; they count also without a catalog. /object_info flags most
#: of them, but not LoadLatent's, nor those of the VideoHelperSuite extension.
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

#: UTF-8 bytes of one part of a path: file systems allow 255; ComfyUI adds a counter and a suffix.
_MAX_PART_BYTES: Final = 200
#: Characters of a file name kept by `base_name`; a longer value is replaced.
_LONGEST_NAME: Final = 120


@dataclass(frozen=True)
class FileInput:
    """An input that names a file, which must be uploaded to the node before the graph is posted.

    `value` is as in the graph, `clipspace/mask.png [input]` for instance.
    """

    graph_node: str
    input: str
    value: str

    @property
    def address(self) -> str:
        """Its address with the graph node's id, as `34.image`."""
        return f"{self.graph_node}.{self.input}"


def input_files(graph: Graph, catalog: Catalog | None = None) -> list[FileInput]:
    """Return the inputs of *graph* that name a file, in the graph's order.

    These are inputs that the catalog marks as uploads (the `..._upload` flags of /object_info) and
    well-known ones. A linked input is left out: its name is known only while the graph runs.
    """
    return list(_input_files(graph, catalog))


def split_annotation(value: str) -> tuple[str, Folder]:
    """Split `x.png [temp]` into file name and ComfyUI folder.

    Without an annotation the folder is `input`. The blank is required: ComfyUI (0.3.64,
    `folder_paths.annotated_filepath`) drops the character before the bracket, whatever it is.
    """
    if found := _ANNOTATED.fullmatch(value):
        return found["name"], cast("Folder", found["folder"])
    return value, "input"


def check_file_name(name: str, *, field: str) -> str:
    """Return *name* if it is a relative path that stays inside its folder.

    ComfyUI 0.3.64 loads `../x.png` and `/etc/x.png` if asked to. Names are checked by the rules of
    Linux and of Windows, since a node may run on either.

    Raises:
        InvalidInput: it may lead out of the folder, or is no valid file name.
    """
    if complaint := _complaint(name):
        raise InvalidInput(
            f"file name {short(name)!a} {complaint}",
            field=field,
            advice="name a file below ComfyUI's own folder, as in x.png or sub/x.png",
        )
    return name


def check_name_in_graph(graph: Graph, graph_node: str, input_: str, name: str) -> None:
    """Check a file name in a graph; as `check_file_name`, but the error names the graph node."""
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
    """Return a safe file name for the file that replaces *value*: its last part, else `input`.

    A graph may hold anything there: a path of the author's machine, or a picture in base64.
    """
    name = re.split(r"[/\\]", split_annotation(value)[0])[-1]
    return "input" if len(name) > _LONGEST_NAME or _complaint(name) else name


def is_name(class_type: str, value: object) -> TypeGuard[str]:
    """Tell whether an input that reads a file names one by *value*: it is no link, nor says that there is none."""
    return isinstance(value, str) and value != _NO_FILE.get(class_type)


def _input_files(graph: Graph, catalog: Catalog | None) -> Iterator[FileInput]:
    for graph_node, found in graph.items():
        class_type = found["class_type"]
        flagged = catalog.files_of(class_type) if catalog else ()
        for name in dict.fromkeys((*flagged, *_FILE_INPUTS.get(class_type, ()))):
            value = literal(found["inputs"].get(name))
            if is_name(class_type, value):
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
