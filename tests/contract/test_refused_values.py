"""A producer refuses nothing that ComfyUI takes, and most of what it refuses."""

from __future__ import annotations

import pytest

from producer.contract.classes.input_checks import find_refused
from producer.contract.classes.input_rules import InputRules
from tests.contract.comfy import REAL_URL, fresh
from tests.contract.mutated_values import SUBJECT, Mutator

#: Graphs for each class.
_EACH = 3 if REAL_URL else 6
#: What producers leave to the node: files and models, and whatever an extension or a partner judges.
_JUDGED = ("nodes", "comfy_extras")
#: Their choices are a tuple, which ComfyUI does not check; the description says a list, as of all others.
_UNCHECKED = {("0.3.64", name) for name in ("FluxKontextMultiReferenceLatentMethod", "LoraSave")}


def test_nothing_is_refused_that_comfyui_takes(comfy):
    info = comfy.get("/object_info").json()
    rules = InputRules.from_object_info(info, version=comfy.version)
    mutator = Mutator(info, seed=fresh() if REAL_URL else 1)
    refused, missed = 0, set()
    for name, found in info.items():
        for graph in mutator.graphs(name, _EACH):
            answer = comfy.submit(graph)
            # A few are taken, as where a value that switches inputs off hides the one that feeds them.
            blamed = answer.json()["node_errors"]
            assert bool(blamed) == (answer.status_code == 400), graph
            theirs = {one["extra_info"].get("input_name") for one in _errors(blamed, SUBJECT)}
            raised = any("exception" in one["type"] for by in blamed for one in _errors(blamed, by))
            for ours in find_refused(graph, rules):
                says_false = "would run as true" in ours.complaint
                is_checked = (comfy.version, name) not in _UNCHECKED
                if ours.graph_node == SUBJECT and is_checked and not raised and not says_false:
                    assert ours.input in theirs, (graph[SUBJECT], ours)
                    theirs.discard(ours.input)
                    refused += 1
            if found["python_module"].split(".")[0] in _JUDGED:
                missed |= {(name, input_) for input_ in theirs}
    assert refused > 3 * len(info)
    assert {one for one in missed if one in _SURELY} == set()


_SURELY = {
    *(("KSampler", name) for name in ("steps", "sampler_name", "scheduler", "model", "denoise")),
    *(("EmptyImage", "width"), ("ImageScale", "upscale_method"), ("SaveImage", "images")),
}


def _errors(blamed, graph_node):
    return blamed.get(graph_node, {"errors": []})["errors"]


@pytest.mark.parametrize("text", ["false", "False", "0"])
def test_a_text_runs_as_true_whatever_it_says(comfy, text):
    info = comfy.get("/object_info").json()
    rules = InputRules.from_object_info(info, version=comfy.version)
    switches = [
        (name, input_)
        for name, found in info.items()
        for input_, spec in found["input"].get("required", {}).items()
        if spec[0] == "BOOLEAN" and found["output_node"]
    ]
    name, input_ = switches[0]
    graph = {SUBJECT: {"class_type": name, "inputs": {input_: text}}}
    answer = comfy.submit(graph)
    theirs = {one["extra_info"]["input_name"] for one in _errors(answer.json()["node_errors"], "1")}
    assert input_ not in theirs
    ours = {one.input: one.complaint for one in find_refused(graph, rules)}
    assert "would run as true" in ours[input_]
