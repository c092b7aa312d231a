from __future__ import annotations

import json
import time

import pytest

from producer.contract.errors import InvalidGraph
from producer.contract.graph.graph import read_graph, stored_graph, to_bytes
from tests.unit.graph_samples import LIMIT, step

GRAPH = {"1": step("EmptyImage", width=64), "9": step("SaveImage", images=["1", 0])}
WORKFLOW = {"id": "wf-1", "nodes": [], "links": []}


def read(document):
    found = read_graph(json.dumps(document), max_bytes=LIMIT)
    assert found.canonical == to_bytes(found.graph)
    return found.graph, found.extra_data


@pytest.mark.parametrize(
    "document",
    [
        GRAPH,
        {"prompt": GRAPH},
        {"prompt": GRAPH, "client_id": "a", "prompt_id": "b", "number": 7, "front": True},
        [GRAPH],
        {"input": {"workflow": GRAPH, "images": []}, "id": "sync-1", "webhook": None},
        {"output": GRAPH},
        {"workflow_api": GRAPH, "inputs": {}},
        {"prompt": GRAPH, "output": GRAPH},
        {"workflows": [{"workflowApiJSON": GRAPH}], "file_type": "view_comfy", "version": "1"},
    ],
)
def test_a_graph_is_found_in_the_envelope_of_any_wrapper(document):
    assert read(document) == (GRAPH, {})


@pytest.mark.parametrize(
    ("document", "extra_data"),
    [
        ({"prompt": GRAPH, "extra_data": {"a": 1}}, {"a": 1}),
        ({"prompt": GRAPH, "extra_data": None}, {}),
        ({"workflow": WORKFLOW, "output": GRAPH}, {"extra_pnginfo": {"workflow": WORKFLOW}}),
        (
            {"prompt": GRAPH, "workflow": {"nodes": []}, "extra_data": {"extra_pnginfo": {"a": 1}}},
            {"extra_pnginfo": {"a": 1, "workflow": {"nodes": []}}},
        ),
        (
            {"input": {"workflow": GRAPH, "comfy_org_api_key": "k"}},
            {"api_key_comfy_org": "k"},
        ),
    ],
)
def test_what_a_node_needs_beside_the_graph_is_kept(document, extra_data):
    assert read(document) == (GRAPH, extra_data)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"input": {"workflow": GRAPH, "images": [{"name": "a.png", "image": "iVBO"}]}},
            r"graph is at input\.workflow; input\.images beside it would be lost \(hand pictures in",
        ),
        ({"prompt": GRAPH, "convert_output": {"format": "jpeg"}}, "at prompt; convert_output"),
        ({"prompt": GRAPH, "partial_execution_targets": ["9"]}, "partial_execution_targets beside"),
        ({"deployment_id": "d", "workflow_api": GRAPH}, "deployment_id beside it would be lost"),
        ([5, "id", GRAPH, {}, ["9"]], r"graph is at \[2\]; \[0\] beside it"),
        ([GRAPH, GRAPH], r"2 graphs in the document, at \[0\], \[1\]; a job has one"),
        ([GRAPH] * 9, r"9 graphs in the document, at .*\[3\] and 5 more places"),
        ({"prompt": GRAPH, "extra_data": [1]}, "extra_data is a list, not an object"),
        ({"prompt": json.dumps(GRAPH)}, "prompt holds the graph as text, not as JSON"),
        ({"input": {"workflow_json": json.dumps(GRAPH)}}, r"input\.workflow_json holds the graph"),
        (json.dumps(GRAPH), "this holds the graph as text"),
        (
            {"input": {"workflow": WORKFLOW}},
            r"input\.workflow is a workflow as the editor saves it",
        ),
        ({"a": {"b": {"c": {"d": {"e": {"f": GRAPH}}}}}}, "graph node a has no class_type"),
    ],
)
def test_what_would_be_lost_or_cannot_be_told_is_refused_with_its_place(document, message):
    with pytest.raises(InvalidGraph, match=message):
        read(document)


def test_what_the_executor_adds_is_dropped_and_only_that():
    graph = {
        "1": {**step("EmptyImage", width=64), "is_changed": [float("nan")]},
        "9": {**step("SaveImage", images=["1", 0]), "is_changed": float("nan")},
    }
    assert read(graph)[0] == GRAPH
    assert stored_graph(json.dumps(graph).encode()) == GRAPH  # stored by an older version
    with pytest.raises(InvalidGraph, match=r"bad value in width: NaN is no JSON number"):
        read({**graph, "1": step("EmptyImage", width=float("nan"))})
    with pytest.raises(InvalidGraph, match=r"bad value in is_changed: NaN"):
        read({**graph, "1": step("EmptyImage", is_changed=float("nan"))})


def test_blanks_do_not_count_and_what_the_graph_grows_to_does():
    graph = {"1": step("A", **{str(i): 0 for i in range(999)})}
    size = len(to_bytes(graph))
    loose = json.dumps(graph, indent=2)
    assert len(loose) > size + 999
    assert read_graph(loose, max_bytes=size).graph == graph
    short = json.dumps(graph).replace(": 0", ":1e15")
    with pytest.raises(InvalidGraph, match=r"has [\d,]+ bytes; .*\(COMFYFLEET_MAX_GRAPH_BYTES\)"):
        read_graph(short, max_bytes=len(short))


def test_too_many_graph_nodes_are_refused_with_the_limit():
    with pytest.raises(InvalidGraph, match=r"has 20,001 graph nodes; the limit is 20,000"):
        read_graph({str(i): step("A") for i in range(20_001)}, max_bytes=8 << 20)


@pytest.mark.parametrize("id_", ["\ud800", "i" * 501])
def test_an_id_that_cannot_be_kept_is_refused(id_):
    with pytest.raises(InvalidGraph, match="has an id"):
        read({id_: step("A")})


def test_a_double_key_among_thousands_is_found_in_one_pass():
    nodes = "".join(f'"{i}":{{"class_type":"A","inputs":{{}}}},' for i in range(40_000))
    began = time.process_time()
    with pytest.raises(InvalidGraph, match="says 39999 twice"):
        read_graph(f'{{{nodes}"39999":0}}', max_bytes=8 << 20)
    assert time.process_time() - began < 5  # 58 s when each key was compared with all
