"""What each kind of output node leaves in history, and what its files hold."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image

from tests.contract.comfy import fresh
from tests.contract.graphs import blank, graph_node, picture, save, saying


def opened(comfy, file):
    """Fetch a file that history names and open it as a picture."""
    return Image.open(io.BytesIO(comfy.view(file).content))


def test_a_batch_is_saved_as_one_file_for_each_picture(comfy):
    entry = comfy.run(picture(f"contract/{fresh()}/b", batch_size=3))

    names = [one["filename"] for one in entry["outputs"]["2"]["images"]]
    assert names == ["b_00001_.png", "b_00002_.png", "b_00003_.png"]


def test_a_saved_picture_has_its_size_its_colour_and_the_graph_in_it(comfy):
    graph = picture(width=72, height=40, color=0x3366CC)
    graph["2"] = save("1", f"contract/{fresh()}")

    entry = comfy.run(graph, extra_data={"extra_pnginfo": {"workflow": {"mark": "kept"}}})

    image = opened(comfy, entry["outputs"]["2"]["images"][0])
    assert (image.format, image.size, image.getpixel((36, 20))) == ("PNG", (72, 40), (51, 102, 204))
    assert json.loads(image.text["prompt"]) == graph
    assert json.loads(image.text["workflow"]) == {"mark": "kept"}


def test_a_preview_is_a_temporary_file(comfy):
    graph = {"1": blank(), "2": graph_node("PreviewImage", images=["1", 0])}

    (file,) = comfy.run(graph)["outputs"]["2"]["images"]

    assert (file["type"], file["subfolder"]) == ("temp", "")
    assert opened(comfy, file).size == (64, 48)


def test_an_animation_stands_under_images_with_a_flag(comfy):
    animation = graph_node(
        "SaveAnimatedWEBP",
        images=["1", 0],
        filename_prefix=f"contract/{fresh()}",
        fps=6.0,
        lossless=True,
        quality=80,
        method="default",
    )

    shown = comfy.run({"1": blank(batch_size=4), "2": animation})["outputs"]["2"]

    assert shown["animated"] == [True]
    (file,) = shown["images"]
    assert file["filename"].endswith("_00001_.webp")
    answer = comfy.view(file)
    assert answer.headers["Content-Type"] == "image/webp"
    assert Image.open(io.BytesIO(answer.content)).size == (64, 48)


def test_pictures_are_scaled_and_inverted_on_the_way(comfy):
    scale = graph_node(
        "ImageScale",
        image=["1", 0],
        upscale_method="bilinear",
        width=128,
        height=96,
        crop="disabled",
    )
    graph = {
        "1": blank(color=0x3366CC),
        "2": scale,
        "3": graph_node("ImageInvert", image=["2", 0]),
        "4": save("3", f"contract/{fresh()}"),
    }

    image = opened(comfy, comfy.run(graph)["outputs"]["4"]["images"][0])

    assert image.size == (128, 96)
    assert image.getpixel((64, 48)) == pytest.approx((204, 153, 51), abs=1)


def test_text_is_an_output_too(comfy):
    graph = {
        "1": graph_node("PrimitiveString", value=f"said {fresh()}"),
        "2": graph_node("PreviewAny", source=["1", 0]),
    }

    shown = comfy.run(graph)["outputs"]["2"]

    assert shown == {"text": [graph["1"]["inputs"]["value"]]}


def test_custom_outputs_may_hold_anything_that_json_holds(lab):
    shown = lab.run(saying(f"t{fresh()}", "numbers"))["outputs"]["1"]

    assert shown["value"] == [1, 2.5, None, True, {"a": [1]}]


def test_bare_text_is_split_into_letters(lab):
    assert lab.run(saying("hello", "scalar"))["outputs"]["1"] == {"text": list("hello")}


def test_an_output_that_shows_nothing_is_not_listed(lab):
    shown_empty = lab.run(saying(f"t{fresh()}", "empty"))
    shown_nothing = lab.run(saying(f"t{fresh()}", "none"))

    assert shown_empty["outputs"] == {"1": {"text": []}}
    assert shown_nothing["outputs"] == {}
    assert shown_nothing["status"]["status_str"] == "success"


def test_pictures_for_the_socket_leave_nothing_behind(comfy):
    if not comfy.has("SaveImageWebsocket"):
        pytest.skip("this ComfyUI lacks the custom node that it is shipped with")
    ears = comfy.listen()
    graph = {"1": blank(), "2": graph_node("SaveImageWebsocket", images=["1", 0])}

    prompt_id = comfy.queue_prompt(graph, client_id=ears.sid)
    ears.until_done(prompt_id)

    assert comfy.entry(prompt_id)["outputs"] == {}
    assert ears.frames[0][8:].startswith(b"\x89PNG")
