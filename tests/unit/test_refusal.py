"""What a person reads when ComfyUI refuses a graph; the bodies are those of real ones."""

from __future__ import annotations

import pytest

from producer.contract.classes.catalog import Missing
from worker.comfyui.refusal import Refusal, blames_only, lacks_in


def body(node_errors=None, **error):
    return {"error": {"extra_info": {}, "details": "", **error}, "node_errors": node_errors or {}}


def refused(error, *, class_type="Loader"):
    entry = {"class_type": class_type, "dependent_outputs": ["9"], "errors": [error]}
    return Refusal.read(body({"4": entry}, type="prompt_outputs_failed_validation")).message


@pytest.mark.parametrize(
    "error",
    [
        {
            "type": "invalid_prompt",
            "message": "Cannot execute because node No Such (Node) does not exist.",
            "details": "Node ID '#77'",
        },
        {
            "type": "missing_node_type",
            "message": "Node not found.",
            "details": "Node ID '#77'",
            "extra_info": {"node_id": "77", "class_type": "No Such (Node)", "node_title": "x"},
        },
    ],
    ids=["0.3.64", "0.33.0"],
)
def test_an_unknown_class_reads_the_same_of_every_age(error):
    refusal = Refusal.read(body(**error))
    assert refusal.message == (
        "graph node 77 (No Such (Node)): this ComfyUI does not have the class"
    )
    assert list(refusal.node_errors) == ["77"]
    assert refusal.node_errors["77"]["class_type"] == "No Such (Node)"
    assert lacks_in(refusal.node_errors) == [
        Missing("77", "No Such (Node)", None, "No Such (Node)")
    ]


def not_in_list(name, value):
    info = {"input_name": name, "input_config": None, "received_value": value}
    return {"type": "value_not_in_list", "message": "Value not in list", "extra_info": info}


def test_a_refusal_tells_what_the_node_lacks_if_that_is_all_that_is_wrong():
    lora = {"class_type": "LoraLoader", "errors": [not_in_list("lora_name", "mine.safetensors")]}
    assert lacks_in({"7": lora}) == [Missing("7", "LoraLoader", "lora_name", "mine.safetensors")]
    wrong = {"type": "value_smaller_than_min", "extra_info": {"input_name": "width"}}
    assert lacks_in({"7": lora, "5": {"class_type": "EmptyImage", "errors": [wrong]}}) == []
    assert lacks_in({"7": {"class_type": "LoraLoader", "errors": [not_in_list("a", 7)]}}) == []
    assert lacks_in({"1": {"class_type": None, "errors": [{"type": "missing_node_type"}]}}) == []


def not_valid(name, kind="custom_validation_failed"):
    return {"type": kind, "extra_info": {"input_name": name, "received_value": "comfyfleet/1.png"}}


@pytest.mark.parametrize(
    ("node_errors", "is_so"),
    [
        ({"1": [not_valid("image")]}, True),
        ({"1": [not_valid("image")], "2.3": [not_valid("mask", "value_not_in_list")]}, True),
        ({"1": [not_valid("image"), not_valid("width")]}, False),
        ({"1": [not_valid("image")], "9": [not_valid("image")]}, False),
        ({"1": [not_valid("image", "return_type_mismatch")]}, False),
        ({"1": [not_valid(["image"])]}, False),
        ({"1": ["odd"], "2.3": 7}, False),
        ({}, False),
    ],
)
def test_only_a_refusal_of_nothing_else_is_blamed_on_files_that_were_uploaded(node_errors, is_so):
    entries = {node: {"class_type": "X", "errors": errors} for node, errors in node_errors.items()}
    assert blames_only(entries, {"1.image", "2.3.mask"}) is is_so


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            {
                "message": "Value not in list",
                "details": "ckpt: 'x' not in ['a', 'b']",
                "extra_info": {"input_name": "ckpt", "input_config": [["a", "b"], {}]},
            },
            ", input ckpt: Value not in list: 'x' not in ['a', 'b']",
        ),
        (
            {
                "message": "Value not in list",
                "details": "ckpt: 'x' not in []",
                "extra_info": {"input_name": "ckpt", "input_config": [[], {}]},
            },
            ", input ckpt: Value not in list: 'x' not in []: the node has none to choose from",
        ),
        (
            {
                "message": "Value 0 smaller than min of 1",
                "details": "width",
                "extra_info": {"input_name": "width", "input_config": ["INT", {"min": 1}]},
            },
            ", input width: Value 0 smaller than min of 1",
        ),
        (
            {
                "message": "Custom validation failed for node",
                "details": "image - Invalid image file: x.png",
                "extra_info": {"input_name": "image"},
            },
            ", input image: Custom validation failed for node: Invalid image file: x.png",
        ),
        (
            {
                "message": "Exception when validating node",
                "details": "'99'",
                "extra_info": {"exception_type": "KeyError", "traceback": ['File "/secret/x.py"']},
            },
            ": Exception when validating node: KeyError '99'",
        ),
    ],
)
def test_a_fault_names_graph_node_class_input_and_what_was_expected(error, message):
    assert refused(error) == f"graph node 4 (Loader){message}"


def test_a_refusal_that_blames_no_graph_node_keeps_its_words():
    refusal = Refusal.read(body(type="prompt_no_outputs", message="Prompt has no outputs"))
    assert (refusal.message, refusal.node_errors) == ("Prompt has no outputs", {})


def test_an_old_refusal_without_any_reason_says_that():
    said = body(type="prompt_outputs_failed_validation", message="Prompt outputs failed validation")
    assert "does not say why" in Refusal.read(said).message


def test_a_long_list_of_faults_is_cut():
    faults = [{"message": f"fault {n}", "details": ""} for n in range(20)]
    refusal = Refusal.read({"node_errors": {"4": {"class_type": "X", "errors": faults}}})
    assert refusal.message.endswith("fault 7; and 12 more")
    assert len(refusal.node_errors["4"]["errors"]) == 20


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"error": 5, "node_errors": []},
        {"error": None, "node_errors": {"4": None}},
        {"error": {"message": ["x"]}, "node_errors": {"4": {"errors": [None, {}]}}},
        {"node_errors": {"4": {"errors": 3}}},
        {"node_errors": {"4": {"errors": "text"}}},
        {"node_errors": {"4": {"errors": {"message": "text"}}}},
    ],
)
def test_a_refusal_that_gives_no_reason_is_none(odd):
    with pytest.raises(ValueError, match="gives no reason"):
        Refusal.read(odd)


def test_an_odd_reason_is_a_refusal_too():
    errors = [None, {"message": 5, "extra_info": []}]
    refusal = Refusal.read({"node_errors": {"4": {"errors": errors}}})
    assert "graph node 4" in refusal.message
    assert lacks_in(refusal.node_errors) == []


def test_a_refusal_in_plain_words_keeps_them():
    assert Refusal.read({"error": "no room", "node_errors": ["no room"]}).message == "no room"
