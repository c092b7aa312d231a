"""What POST /prompt says of a graph whose values or links are wrong."""

from __future__ import annotations

import pytest

from tests.contract.graphs import blank, graph_node, picture, save

#: What is wrong → (graph, the graph node blamed, the type of the error, its details).
FAULTS = {
    "a required input is missing": (
        {"2": graph_node("SaveImage", filename_prefix="x")},
        ("2", "required_input_missing", "images"),
    ),
    "a value below the least": (
        picture(width=0),
        ("1", "value_smaller_than_min", "width"),
    ),
    "a value above the most": (
        picture(height=99999),
        ("1", "value_bigger_than_max", "height"),
    ),
    "words for a number": (
        picture(width="wide"),
        ("1", "invalid_input_type", None),
    ),
    "a value that is not in the combo": (
        {
            "1": blank(),
            "3": graph_node(
                "ImageScale",
                image=["1", 0],
                upscale_method="magic",
                width=8,
                height=8,
                crop="disabled",
            ),
            "2": save("3"),
        },
        ("3", "value_not_in_list", None),
    ),
    "a model that the node has not": (
        {
            "4": graph_node("CheckpointLoaderSimple", ckpt_name="no-such.safetensors"),
            "5": graph_node("EmptyLatentImage", width=64, height=64, batch_size=1),
            "8": graph_node("VAEDecode", samples=["5", 0], vae=["4", 2]),
            "2": save("8"),
        },
        ("4", "value_not_in_list", None),
    ),
    "a picture that the node has not": (
        {"1": graph_node("LoadImage", image="no-such.png"), "2": save("1")},
        ("1", "custom_validation_failed", "image - Invalid image file: no-such.png"),
    ),
    "a list that is no link": (
        {"1": blank(), "2": graph_node("SaveImage", images=["1"], filename_prefix="x")},
        ("2", "bad_linked_input", "images"),
    ),
    "a link of another type": (
        {"1": graph_node("EmptyLatentImage", width=64, height=64, batch_size=1), "2": save("1")},
        ("2", "return_type_mismatch", "images, received_type(LATENT) mismatch input_type(IMAGE)"),
    ),
    "a link to nothing": (
        {"2": save("99")},
        ("2", "exception_during_validation", "'99'"),
    ),
    "a link to a slot that is not there": (
        {"1": blank(), "2": graph_node("SaveImage", images=["1", 5], filename_prefix="x")},
        ("2", "exception_during_validation", "tuple index out of range"),
    ),
    "a link to nothing further up": (
        {"3": graph_node("ImageInvert", image=["99", 0]), "2": save("3")},
        ("3", "exception_during_inner_validation", "'99'"),
    ),
    "an output without inputs": (
        {"2": {"class_type": "SaveImage"}},
        ("2", "exception_during_validation", "'inputs'"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_blamed_on_its_graph_node(comfy, fault):
    graph, (blamed, type_, details) = FAULTS[fault]

    answer = comfy.submit(graph)

    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["type"] == "prompt_outputs_failed_validation"
    assert error.keys() == {"type", "message", "details", "extra_info"}
    found = answer.json()["node_errors"]["3" if "inner" in type_ else blamed]
    assert found.keys() == {"errors", "dependent_outputs", "class_type"}
    assert found["dependent_outputs"] == ["2"]
    assert found["class_type"] == graph[blamed]["class_type"]
    assert [one["type"] for one in found["errors"]] == [type_]
    assert details in (None, found["errors"][0]["details"])
    assert found["errors"][0].keys() == {"type", "message", "details", "extra_info"}


def test_details_on_top_speak_only_of_the_output_itself(comfy):
    at_the_output = comfy.submit({"2": save("99")}).json()["error"]["details"]
    further_up = comfy.submit(picture(width=0)).json()["error"]["details"]

    assert "'99'" in at_the_output
    assert further_up == ""


def test_a_cycle_is_refused_and_named_today(comfy):
    cycle = {
        "1": graph_node("ImageInvert", image=["3", 0]),
        "3": graph_node("ImageInvert", image=["1", 0]),
        "2": save("1"),
    }

    answer = comfy.submit(cycle)

    assert answer.status_code == 400
    assert answer.json()["error"]["details"] == ""
    blamed = answer.json()["node_errors"]
    if comfy.is_current:
        assert blamed.keys() == {"1", "3"}
        assert blamed["1"]["errors"][0]["type"] == "dependency_cycle"
        assert blamed["1"]["errors"][0]["extra_info"]["cycle_nodes"] == ["1", "3"]
    else:
        assert blamed == {}


def test_if_some_outputs_are_good_the_answer_is_200_and_only_those_run(comfy):
    graph = {**picture(), "4": blank(width=0), "5": save("4")}

    answer = comfy.submit(graph)

    assert answer.status_code == 200
    assert answer.json()["node_errors"].keys() == {"4"}
    assert answer.json()["node_errors"]["4"]["dependent_outputs"] == ["5"]
    entry = comfy.ended(answer.json()["prompt_id"])
    assert entry["status"]["status_str"] == "success"
    assert entry["outputs"].keys() == {"2"}


def test_what_feeds_no_output_is_not_validated(comfy):
    dead_branch = {
        "43": graph_node("ImageInvert"),
        "44": graph_node("ImageInvert", image=["43", 0]),
    }

    entry = comfy.run({**picture(), **dead_branch})

    assert entry["status"]["status_str"] == "success"


def test_values_are_converted_in_place(comfy):
    entry = comfy.run(picture(width="72", height=40.9, batch_size=True))

    converted = entry["prompt"][2]["1"]["inputs"]
    assert (converted["width"], converted["height"], converted["batch_size"]) == (72, 40, 1)


def test_inputs_that_the_class_does_not_declare_are_ignored(comfy):
    graph = picture()
    graph["1"]["inputs"]["choose file to upload"] = "image"
    graph["1"]["_meta"] = {"title": "An image"}

    assert comfy.run(graph)["status"]["status_str"] == "success"
