from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.contract.errors import InvalidGraph
from producer.contract.graph.graph import describe, literal, parse_graph, template_id, to_bytes
from tests.unit.graph_samples import LIMIT, SEED_PROMPT, graphs, parsed, seed_graph, step

SAVE = step("SaveImage", images=["8", 0])
UI_FORMAT = {"last_node_id": 9, "nodes": [{"id": 9, "type": "SaveImage"}], "links": []}
DEEP = "[" * 60 + "]" * 60


def test_the_seed_prompt_is_read_from_its_envelope():
    graph = seed_graph()
    assert len(graph) == 21
    assert graph["6"]["inputs"] == {"text": "", "clip": ["40", 1]}


def test_a_bare_graph_and_its_envelope_are_the_same_graph():
    document = json.loads(SEED_PROMPT.read_text())
    extra = {"extra_data": {"extra_pnginfo": {"workflow": UI_FORMAT}}}
    for same in (document["prompt"], {**document, **extra}):
        assert parsed(same) == seed_graph()


def test_a_python_mapping_is_read_like_its_json():
    document = json.loads(SEED_PROMPT.read_text())
    assert parse_graph(document, max_bytes=LIMIT) == seed_graph()


def test_a_graph_node_may_be_called_prompt():
    assert parsed({"prompt": SAVE}) == {"prompt": SAVE}


def test_a_file_saved_on_windows_begins_with_a_mark_and_is_read_all_the_same():
    text = json.dumps({"9": SAVE})
    assert parse_graph(b"\xef\xbb\xbf" + text.encode(), max_bytes=LIMIT) == {"9": SAVE}
    assert parse_graph("\ufeff" + text, max_bytes=LIMIT) == {"9": SAVE}
    assert parse_graph(text.encode("utf-16"), max_bytes=LIMIT) == {"9": SAVE}


def test_titles_and_fields_we_do_not_know_are_kept():
    node = {**step("SaveImage", title="Out"), "color": ["x"]}
    assert parsed({"9": node}) == {"9": node}


def test_a_size_at_the_limit_is_taken_and_one_byte_more_is_not():
    data = to_bytes({"9": SAVE})
    assert parse_graph(data, max_bytes=len(data))
    with pytest.raises(InvalidGraph, match=rf"has {len(data)} bytes; the limit is {len(data) - 1}"):
        parse_graph(data, max_bytes=len(data) - 1)


@pytest.mark.parametrize(
    ("data", "graph_node", "message"),
    [
        (b"", None, r"not JSON: Expecting value at line 1, column 1 \(it is empty"),
        (b"<html>", None, "not JSON: .*a page of a web site"),
        (b'{\0"\x009\0"\0', None, "not JSON: .*UTF-16 without its mark"),
        (b"```json\n{}\n```", None, "not JSON: .*take the lines with ``` out"),
        (b"{'9': {}}", None, "not JSON: .*what Python prints; write it by json.dumps"),
        (b'{"9": {}}\n{"9": {}}', None, "not JSON: .*submit them one by one"),
        (b'{\n  "9": {,}\n}', None, "not JSON: Expecting property name.* at line 2, column 9"),
        (b'{"9": "\xff"}', None, r"not UTF-8 text: byte 0xff at offset 7 \(submit .*as UTF-8"),
        (b"GIF89a...", None, "this is a GIF, in which no graph is looked for .of pictures, PNG"),
        (b"\0\0\0\x20ftypisom", None, "this is a film or picture of the MP4 family"),
        (b"\xff\xfe{", None, "not UTF-8 text"),
        (b"\x89PNG\r\n", None, "not UTF-8 text: byte 0x89 at offset 0 .*of pictures, PNG"),
        (b"1" * 5000, None, "not JSON we can read"),
        (b"[" * 100_000, None, "nested too deep"),
        (b"[]", None, r"this is a list \(in ComfyUI choose Workflow → Export \(API\)"),
        (b'"9"', None, "this is text"),
        (b"3", None, "this is a number"),
        (b"true", None, "this is true or false"),
        (b'{"client_id": "a", "prompt": null}', None, "prompt is null"),
        (b'{"input": {"workflow": null}}', None, "input.workflow is null"),
        (b'{"input": {"workflow": "flux.json"}}', None, "input.workflow is text"),
        (b'{"input": {"workflow": {}}}', None, "the graph is empty"),
        (b'{"prompt": "{}"}', None, "prompt is text"),
        (b"{}", None, "the graph is empty"),
        (b'{"prompt": {}}', None, "the graph is empty"),
        (json.dumps(UI_FORMAT), None, r"as the editor saves it .*Save \(API Format\)"),
        (json.dumps({"prompt": UI_FORMAT}), None, "as the editor saves it"),
        (b'{"9": {}, "9": {}}', None, "says 9 twice in one object"),
        (b'{"9": []}', "9", "graph node 9 is a list, not an object with class_type"),
        (
            b'{"9": {"inputs": {}}}',
            "9",
            "graph node 9 has no class_type.*install it there, then export again",
        ),
        (b'{"9": {"class_type": 5, "inputs": {}}}', "9", "has a class_type that is a number"),
        (b'{"9": {"class_type": "", "inputs": {}}}', "9", "has a class_type that is empty"),
        (b'{"9": {"class_type": "A"}}', "9", r"graph node 9 \(A\) has no inputs; write \{\}"),
        (b'{"9": {"class_type": "A", "inputs": null}}', "9", "inputs that are null, not an object"),
        (b'{"9": {"class_type": "A", "inputs": [1]}}', "9", "inputs that are a list"),
        (
            b'{"9": {"class_type": "A", "inputs": {"cfg": NaN}}}',
            "9",
            r"graph node 9 \(A\) has a bad value in cfg: NaN is no JSON number",
        ),
        (b'{"9": {"class_type": "A", "inputs": {"x": 1e999}}}', "9", "x: Infinity is no JSON"),
        (b'{"9": {"class_type": "A", "inputs": {"x": "\\ud800"}}}', "9", "half a character"),
        (b'{"9": {"class_type": "A", "inputs": {"\\ud800": 1}}}', "9", "half a character"),
        (json.dumps({"9": step("A", x=json.loads(DEEP))}), "9", "deeper than 50 levels"),
        (
            b'{"9": {"class_type": "A", "inputs": {}, "_meta": {"title": NaN}}}',
            "9",
            "a bad value beside its inputs: NaN",
        ),
        (b'{"a\\nb": 5}', "a\nb", r"graph node 'a\\nb' is a number"),
    ],
)
def test_what_is_no_graph_is_refused_with_what_it_is_and_where(data, graph_node, message):
    with pytest.raises(InvalidGraph, match=message) as caught:
        parse_graph(data, max_bytes=LIMIT)
    assert caught.value.field == "graph"
    assert caught.value.graph_node == graph_node


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ({"9": {"class_type": "A", "inputs": {"x": {1, 2}}}}, "no JSON document: .*type set"),
        ({"9": {"class_type": "A", "inputs": {"x": float("nan")}}}, "NaN is no JSON number"),
        ({"9": SAVE, 9: SAVE}, "says 9 twice"),
    ],
)
def test_a_python_mapping_that_is_no_json_is_refused(graph, message):
    with pytest.raises(InvalidGraph, match=message):
        parse_graph(graph, max_bytes=LIMIT)


def test_a_python_mapping_without_end_is_refused():
    endless: dict = {}
    endless["9"] = endless
    deep: dict = {}
    for _ in range(100_000):
        deep = {"9": deep}
    for graph in (endless, deep):
        with pytest.raises(InvalidGraph, match=r"Circular|too deep"):
            parse_graph(graph, max_bytes=LIMIT)


def test_a_graph_node_is_described_by_id_class_and_a_title_that_adds_something():
    graph = {
        "6": step("CLIPTextEncode", title='The "good" one'),
        "3": step("KSampler", title="KSampler"),
        "a\nb": step("VAEDecode"),
    }
    assert describe(graph, "6") == 'graph node 6 (CLIPTextEncode "The \\"good\\" one")'
    assert describe(graph, "3") == "graph node 3 (KSampler)"
    assert describe(graph, "a\nb") == r"graph node 'a\nb' (VAEDecode)"


@pytest.mark.parametrize("meta", [None, [], "title", {}, {"title": None}, {"title": 5}])
def test_a_meta_without_a_title_is_no_harm(meta):
    assert describe({"3": {**step("KSampler"), "_meta": meta}}, "3") == "graph node 3 (KSampler)"


def test_a_wrapped_literal_is_unwrapped_and_others_stay():
    assert literal({"__value__": ["a", 1]}) == ["a", 1]
    assert literal({"value": 1}) == {"value": 1}


@given(graphs(), st.randoms())
def test_the_template_id_ignores_the_order_of_keys(graph, random):
    def shuffled(value):
        if not isinstance(value, dict):
            return value
        pairs = [*value.items()]
        random.shuffle(pairs)
        return {key: shuffled(one) for key, one in pairs}

    assert template_id(shuffled(graph)) == template_id(graph)


@given(graphs())
def test_what_is_written_is_read_back_the_same(graph):
    assert parse_graph(to_bytes(graph), max_bytes=LIMIT) == graph


def test_the_template_id_tells_graphs_apart():
    changed = seed_graph()
    changed["3"]["inputs"]["seed"] += 1
    assert template_id(changed) != template_id(seed_graph())
