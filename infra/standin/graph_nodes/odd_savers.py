"""Odd savers: graph nodes that save in other ways than SaveImage, or do not save.

Those named ComfyFleet... behave as widespread extensions do; ``tests/contract/custom_nodes`` has the
same for a real ComfyUI. The others are ComfyUI's own.
"""

from __future__ import annotations

import copy
from typing import Any

from infra.standin.graph_nodes.class_declaration import (
    Bench,
    Blocked,
    GraphNodeClass,
    Input,
    Pictures,
    Result,
    choice,
    integer,
    words,
)
from infra.standin.graph_nodes.saving import save_pictures


def _gate(_bench: Bench, *, image: Pictures, open: bool) -> Result:  # noqa: A002 - the input's name
    return Result(values=(image if open else Blocked(),))


def _save_plainly(
    bench: Bench, *, images: Pictures, folder: str, filename_prefix: str, listed: str
) -> Result:
    """Use the prefix as a plain name in *folder*; a file that cannot be written is skipped."""
    where = bench.storage.within("output", folder)
    where.mkdir(parents=True, exist_ok=True)
    entries = []
    for number, one in enumerate(images, 1):
        name = f"{filename_prefix}_{number:04}.png"
        try:
            one.save(where / name)
        except OSError:
            continue
        entries.append({"filename": name, "subfolder": folder, "type": "output"})
    return Result(ui={"images": entries if listed == "true" else []})


def _export(bench: Bench, *, images: Pictures, filename_prefix: str) -> Result:
    """Save a file and return its path; history lists no file."""
    target = bench.storage.save_target(filename_prefix)
    name = target.name(".png")
    images[0].save(target.folder / name)
    return Result(values=(f"{target.subfolder}/{name}".lstrip("/"),))


def _save_if(bench: Bench, *, images: Pictures, condition: int, filename_prefix: str) -> Result:
    if not condition:
        return Result()
    return save_pictures(bench, images=images, filename_prefix=filename_prefix)


def _find_latest(bench: Bench, *, filename_prefix: str) -> Result:
    folder, _, start = filename_prefix.rpartition("/")
    where = bench.storage.within("output", folder)
    found = sorted(path.name for path in where.glob("*") if path.name.startswith(start))
    if not found:
        raise FileNotFoundError(f"no file begins with {filename_prefix}")
    return Result(values=(found[-1],))


def _film(
    bench: Bench, *, images: Pictures, filename_prefix: str, batches: int, turn: int = 0
) -> Result:
    """Queue the graph again under another id until all batches are done, then save."""
    if turn + 1 < batches:
        graph = copy.deepcopy(dict(bench.graph))
        for found in graph.values():
            if found["class_type"] == "ComfyFleetFilm":
                found["inputs"]["turn"] = turn + 1
        bench.queue_again(graph)
        return Result(ui={"unfinished_batch": [True]})
    return save_pictures(bench, images=images, filename_prefix=filename_prefix)


def _save_model(bench: Bench, *, filename_prefix: str, **models: Any) -> Result:
    """Save a model file, as CheckpointSave and others do; history lists no file."""
    target = bench.storage.save_target(filename_prefix)
    header = b'{"__metadata__":{}}'
    content = len(header).to_bytes(8, "little") + header + repr(models).encode()
    (target.folder / target.name(".safetensors")).write_bytes(content)
    return Result()


_IMAGES = {"images": Input("IMAGE")}

ODD_SAVERS = (
    GraphNodeClass(
        name="ComfyFleetGate",
        run=_gate,
        required={"image": Input("IMAGE"), "open": Input("BOOLEAN", {"default": False})},
        outputs=("IMAGE",),
    ),
    GraphNodeClass(
        name="ComfyFleetPlainSave",
        run=_save_plainly,
        required={
            **_IMAGES,
            "folder": words("night"),
            "filename_prefix": words("pic"),
            "listed": choice("true", "false"),
        },
        is_output=True,
    ),
    GraphNodeClass(
        name="ComfyFleetExport",
        run=_export,
        required={**_IMAGES, "filename_prefix": words("3D/thing")},
        outputs=("STRING",),
        is_output=True,
    ),
    GraphNodeClass(
        name="ComfyFleetSaveIf",
        run=_save_if,
        required={**_IMAGES, "condition": integer(1, 0, 1), "filename_prefix": words()},
        is_output=True,
    ),
    GraphNodeClass(
        name="ComfyFleetFindLatest",
        run=_find_latest,
        required={"filename_prefix": words("night/pic")},
        outputs=("STRING",),
    ),
    GraphNodeClass(
        name="ComfyFleetFilm",
        run=_film,
        required={**_IMAGES, "filename_prefix": words("film"), "batches": integer(2, 1, 99)},
        optional={"turn": integer(0, 0, 99)},
        is_output=True,
    ),
)

MODEL_SAVERS = (
    GraphNodeClass(
        name="CheckpointSave",
        run=_save_model,
        required={
            "model": Input("MODEL"),
            "clip": Input("CLIP"),
            "vae": Input("VAE"),
            "filename_prefix": words("checkpoints/ComfyUI"),
        },
        is_output=True,
    ),
    GraphNodeClass(
        name="VAESave",
        run=_save_model,
        required={"vae": Input("VAE"), "filename_prefix": words("vae/ComfyUI_vae")},
        is_output=True,
    ),
)
