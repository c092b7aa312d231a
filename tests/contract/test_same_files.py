"""Files of a node with the companion, beside those of one without: the same graphs leave the same files under the same names.

Of a PNG of a megabyte and more that is the pixels and all that stands beside them: the companion
compresses it by strips. All others have the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from PIL import Image

from infra.standin.options import StandinOptions
from infra.standin.process import standin_thread
from tests.contract.comfy import REAL_URL, Comfy, new_id
from tests.contract.graphs import Graph, blank, graph_node, noise, save
from tests.own_comfyui import SOURCES, OwnComfyUI
from tests.png_chunks import png_chunks

_NODES = ["real"] if SOURCES else ["0.33.0", "0.3.64"]


@pytest.fixture(scope="module", params=_NODES)
def nodes(request, tmp_path_factory) -> Iterator[tuple[Comfy, Comfy]]:
    """A node without the companion, and one with it, that differ by nothing else."""
    if REAL_URL and not SOURCES:
        pytest.skip("takes two servers: COMFYUI_DIR names the sources of a ComfyUI to start")
    with ExitStack() as stack:
        made = []
        for name, companion in (("bare", False), ("companion", True)):
            folder = tmp_path_factory.mktemp(name)
            if SOURCES:
                url = stack.enter_context(OwnComfyUI(folder, companion=companion)).url
            else:
                options = StandinOptions(
                    directory=folder, version=request.param, companion=companion
                )
                url = stack.enter_context(standin_thread(options)).url
            made.append(stack.enter_context(Comfy(url)))
        yield made[0], made[1]


def saves(prefix: str, **options: Any) -> Graph:
    return {"1": noise(128, **options), "2": save("1", prefix)}


def shows(class_type: str, *, takes: str = "images", of: str = "1", **inputs: Any) -> Graph:
    """Return a graph in which a class shows what it is given; 3 is a mask."""
    return {
        "1": noise(128, batch_size=2),
        "2": graph_node(class_type, **{takes: [of, 0]}, **inputs),
        **({"3": _MASK} if of == "3" else {}),
        **({"9": save("2")} if class_type in _NO_OUTPUTS else {}),
    }


_MASK = graph_node("ImageToMask", image=["1", 0], channel="red")
_REGION = {"x": 3, "y": 5, "width": 64, "height": 32}
#: They show, and yet run only for another.
_NO_OUTPUTS = {"ImageCropV2"}
_ANIMATION = {"filename_prefix": "same/film", "fps": 6.0}
_WEBP = {**_ANIMATION, "lossless": True, "quality": 80, "method": "default"}
_ADVANCED = {"format": "png", "format.bit_depth": "8-bit", "format.input_color_space": "sRGB"}

#: The companion's `save_png`: four strips.
_BY_STRIPS_BYTES = 1 << 20

_EXTRA = {"extra_pnginfo": {"workflow": {"é": [1, None]}}}

GRAPHS = {
    "one picture": saves("same/one"),
    "a batch": saves("same/batch", batch_size=3),
    "a batch by number": saves("same/%batch_num%-of", batch_size=3),
    "no folder": saves("same"),
    "a deep folder": saves("same/a b/é/c"),
    "size and year in the name": saves("same/%width%x%height%-%year%"),
    "one colour": {"1": blank(), "2": save("1", "same/blank")},
    "two savers of one prefix": {**saves("same/two", batch_size=2), "3": save("1", "same/two")},
    "with transparency": {
        "1": noise(128),
        "3": _MASK,
        "4": graph_node("JoinImageWithAlpha", image=["1", 0], alpha=["3", 0]),
        "2": save("4", "same/alpha"),
    },
    "larger than the companion converts at once": {"1": noise(501), "2": save("1", "same/large")},
    "larger than one thread compresses": {"1": noise(801), "2": save("1", "same/larger")},
    "large, with transparency": {
        "1": noise(801),
        "3": _MASK,
        "4": graph_node("JoinImageWithAlpha", image=["1", 0], alpha=["3", 0]),
        "2": save("4", "same/large-alpha"),
    },
    "a large preview": {
        "1": noise(801, batch_size=3),
        "2": graph_node("PreviewImage", images=["1", 0]),
    },
    "laid out as a VAE does": {
        "1": noise(501, batch_size=2),
        "3": graph_node("ComfyFleetPlanes", image=["1", 0]),
        "2": save("3", "same/planes"),
    },
    "a part of a larger one": {
        "1": noise(501),
        "3": graph_node("ImageCrop", image=["1", 0], width=333, height=77, x=5, y=9),
        "2": save("3", "same/part"),
    },
    "changed in place after it was saved": {  # more than are encoded at once
        "1": noise(501, batch_size=8),
        "3": graph_node("ImageInvert", image=["1", 0]),
        "2": save("3", "same/kept"),
        "4": graph_node("ComfyFleetBlacken", image=["3", 0]),
        "5": save("4", "same/changed"),
    },
    "previews": shows("PreviewImage"),
    "a mask": shows("MaskPreview", takes="mask", of="3"),
    "a newer class that shows": shows("ImageCropV2", takes="image", crop_region=_REGION),
    "two compared": shows("ImageCompare", takes="image_a", image_b=["1", 0], compare_view=None),
    "an animated PNG": shows("SaveAnimatedPNG", **_ANIMATION, compress_level=4),
    "an animated WEBP": shows("SaveAnimatedWEBP", **_WEBP),
    "the advanced saver": shows("SaveImageAdvanced", filename_prefix="same/new", **_ADVANCED),
    "a saver that reads back": shows("ComfyFleetReadBack", filename_prefix="same/back"),
}


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_files_and_names_are_those_of_a_node_without_the_companion(nodes, graph):
    classes = {found["class_type"] for found in graph.values()}
    if lacks := [name for name in classes if not nodes[0].has(name)]:
        pytest.skip(f"this ComfyUI lacks {', '.join(sorted(lacks))}")

    # A stand-in writes the id down.
    asked = {"extra_data": _EXTRA, "prompt_id": new_id()}
    bare, lent = (_made(node, graph, asked) for node in nodes)

    assert bare
    assert lent.keys() == bare.keys()
    for place, content in bare.items():
        if _is_compressed_by_strips(content):
            assert _told(lent[place]) == _told(content), place
            assert lent[place] != content, f"{place} was encoded by one thread"
        else:
            assert lent[place] == content, place
        Image.open(io.BytesIO(content)).load()


def _is_compressed_by_strips(content: bytes) -> bool:
    image = Image.open(io.BytesIO(content))
    is_still = image.format == "PNG" and not getattr(image, "is_animated", False)
    return is_still and image.width * image.height * len(image.getbands()) > _BY_STRIPS_BYTES


def _told(content: bytes) -> tuple[Any, ...]:
    """Return what a PNG shows and says, whatever its pixels' bytes are."""
    image = Image.open(io.BytesIO(content))
    beside = [(kind, text) for kind, text in png_chunks(content) if kind != b"IDAT"]
    return image.tobytes(), image.mode, image.info, beside


def _made(node: Comfy, graph: Graph, asked: dict[str, Any]) -> dict[tuple[str, ...], bytes]:
    """Return the content of each file by type, folder, name and its place among the outputs."""
    entry = node.run(graph, **asked)
    assert entry["status"]["status_str"] == "success", entry["status"]
    listed = {
        (graph_node_id, kind, str(number)): file
        for graph_node_id, shown in entry["outputs"].items()
        for kind, files in shown.items()
        for number, file in enumerate(files)
        if isinstance(file, dict)
    }
    answers = {place: node.view(file) for place, file in listed.items()}
    assert {answer.status_code for answer in answers.values()} <= {200}, answers
    return {
        (file["type"], file["subfolder"], _lasting(file), *place): answers[place].content
        for place, file in listed.items()
    }


def _lasting(file: dict[str, str]) -> str:
    """Return what of a name is not drawn by chance, as a part of those of previews is."""
    return file["filename"] if file["type"] == "output" else file["filename"].rpartition("_")[2]
