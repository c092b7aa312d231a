from __future__ import annotations

import base64
import zlib

import pytest

from producer.contract.classes.input_checks import check_verdicts, find_refused, refusal
from producer.contract.classes.input_rules import InputRules
from producer.contract.errors import InvalidGraph
from tests.unit.counting import calls_of
from tests.unit.graph_samples import step

NUMBERS = {"seed": ["INT", {"min": 0, "max": 99}], "cfg": ["FLOAT", {"min": 0.5}]}
OPTIONS = {"options": ["fast", "very slow", 5], "multiselect": True}


def core(inputs=None, outputs=("IMAGE",), *, module="nodes", output=False, optional=None):
    groups = {"required": inputs or {}, "optional": optional or {}}
    return {
        "input": groups,
        "output": list(outputs),
        "output_node": output,
        "python_module": module,
    }


INFO = {
    "Make": core(
        {**NUMBERS, "kind": [["old", "Ancient"]]},
        ("IMAGE", "MASK", "A,B"),
        optional={"many": ["COMBO", OPTIONS], "upside_down": ["BOOLEAN", {}]},
    ),
    "Custom": core({**NUMBERS, "kind": [["old"]]}, module="custom_nodes.pack"),
    "Partner": core({"seed": ["INT", {"min": 0}]}, module="comfy_api_nodes"),
    "LoadImage": core({"image": [["a.png"], {"image_upload": True}]}),
    "Loader": core({"ckpt_name": [["a.safetensors"]], "list": [["a.yaml", "b"]]}),
    "CustomCombo": core({"choice": [["a"]], "index": ["INT", {"min": 0}]}),
    "Union": core({"it": ["B,C", {}]}),
    "Any": core({"it": ["*", {}]}),
    "Grow": core({"images": ["COMFY_AUTOGROW_V3", {"template": {}}]}),
    "Save": core({"images": ["IMAGE", {}]}, (), output=True),
}
RULES = InputRules.from_object_info(INFO, version="0.33.0")
GOOD = {"seed": 1, "cfg": 1.0, "kind": "old"}


def refused(class_type="Make", rules=RULES, **inputs):
    """Return what is wrong in a graph node that an output needs, by its input."""
    graph = {"1": step(class_type, **inputs), "9": step("Save", images=["1", 0])}
    return {
        found.input: (found.complaint, found.advice)
        for found in find_refused(graph, rules)
        if found.graph_node == "1"
    }


@pytest.mark.parametrize(
    "inputs",
    [
        {"seed": "5"},
        {"seed": " 7 "},
        {"seed": 5.9},
        {"seed": True},
        {"seed": {"__value__": 3}},
        {"cfg": "1e3"},
        {"kind": {"__value__": "old"}},
        {"many": {"__value__": ["fast", 5]}},
        {"many": 5.0},
        {"upside_down": "true"},
        {"upside_down": None},
        {"nobody declares it": "x"},
        {"seed": ["8", 0]},
    ],
)
def test_what_comfyui_converts_is_taken(inputs):
    assert refused(**{**GOOD, **inputs}) == {}


@pytest.mark.parametrize(
    ("inputs", "complaint", "advice"),
    [
        ({"seed": -1}, "-1 is too small; it takes 0 to 99", None),
        ({"seed": 100}, "100 is too large; it takes 0 to 99", None),
        ({"seed": "5.5"}, '"5.5" is not a whole number; it takes 0 to 99', None),
        ({"seed": None}, "null is not a whole number; it takes 0 to 99", None),
        ({"cfg": 0}, "0 is too small; it takes 0.5 and more", None),
        ({"kind": "OLD"}, '"OLD" is none of its choices: old, Ancient', 'did you mean "old"?'),
        ({"kind": "x" * 500}, f'"{"x" * 78}… is none of its choices: old, Ancient', None),
        (
            {"many": {"__value__": ["fast", "very slo"]}},
            '"very slo" is none of its choices: fast, very slow, 5',
            'did you mean "very slow"?',
        ),
        ({"kind": ["old"]}, '["old"] is a list that is no link', None),
        (
            {"upside_down": "False"},
            'the text "False" would run as true',
            "write false, without quotes",
        ),
    ],
)
def test_what_comfyui_would_refuse_is_named_with_what_it_takes(inputs, complaint, advice):
    found = refused(**{**GOOD, **inputs})
    assert list(found) == list(inputs)
    assert found.popitem()[1] == (complaint, advice or found_advice(inputs))


def found_advice(inputs):
    return 'write it {"__value__": [...]}' if isinstance(inputs.get("kind"), list) else None


def test_a_required_input_that_is_missing_is_named_with_what_is_like_it():
    found = refused(seed=1, cfg=1.0, kinds="old")
    assert found == {"kind": ("is required, and not there", "is kinds meant for it?")}


def test_a_required_input_that_the_editor_left_out_says_so():
    found = refused(seed=1, cfg=1.0)
    assert found["kind"][1].startswith("the editor exports no input whose source is muted")


def test_a_link_must_carry_what_the_input_takes():
    graph = {
        "1": step("Make", **GOOD),
        "2": step("Union", it=["1", 1]),
        "3": step("Union", it=["1", 2]),
        "4": step("Any", it=["1", 1]),
        **{f"1{one}": step("Save", images=[str(one), 0]) for one in (2, 3, 4)},
    }
    (found,) = find_refused(graph, RULES)
    assert found.graph_node == "2"
    assert found.complaint == "it takes B,C; output 1 of graph node 1 (Make) is MASK"
    assert found.advice == "its output 2 would fit"


def test_only_what_an_output_needs_is_judged():
    graph = {
        "1": step("Make", seed=-1),
        "2": step("Make", **GOOD, undeclared=["1", 0]),
        "9": step("Save", images=["2", 0]),
    }
    assert find_refused(graph, RULES) == []


@pytest.mark.parametrize(
    ("class_type", "inputs"),
    [
        ("Custom", {**GOOD, "seed": -1, "kind": "its class may take it"}),
        ("Partner", {"seed": -1}),
        ("CustomCombo", {"choice": "b", "index": -1}),
        ("LoadImage", {"image": "to be uploaded.png"}),
        ("Loader", {"ckpt_name": "is the catalog's business", "list": "c.yaml"}),
        ("Grow", {}),
        ("Unknown", {"seed": "x"}),
    ],
)
def test_what_a_class_may_judge_itself_is_left_to_the_node(class_type, inputs):
    assert refused(class_type, **inputs) == {}


def test_what_no_class_is_asked_for_is_judged_of_extensions_too():
    assert refused("Custom", seed="x", cfg=1).keys() == {"seed", "kind"}


def test_an_older_comfyui_does_not_compare_new_combos():
    older = InputRules.from_object_info(INFO, version="0.3.64")
    assert refused(rules=older, **GOOD, many="anything") == {}
    assert refused(rules=older, **{**GOOD, "kind": "x"}).keys() == {"kind"}


def test_rules_survive_their_text_and_say_whether_they_are_the_same():
    again = InputRules.from_text(RULES.to_text())
    assert again.classes == RULES.classes
    assert again.sha == RULES.sha
    assert InputRules.from_object_info(INFO, version="0.3.64").sha != RULES.sha


@pytest.mark.parametrize("text", ["", "x", "0{", "é"])
def test_what_are_no_rules_is_said(text):
    with pytest.raises(ValueError, match="no rules"):
        InputRules.from_text(text)


@pytest.mark.parametrize(
    "info",
    [
        {"A": None},
        {"A": {"input": [], "output": 5}},
        {"A": {"input": {"required": {"x": ["INT", {"min": "low", "max": []}], "y": [], "z": 5}}}},
        {"A": {"input": {"required": {"x": [[{"a": []}, None]], "y": [None], "z": [{}]}}}},
    ],
)
def test_odd_answers_make_no_rule_that_could_be_wrong(info):
    rules = InputRules.from_object_info(info, version="?")
    graph = {"1": step("A", x=1, y=2, z=3)}
    assert InputRules.from_text(rules.to_text()).classes == rules.classes
    assert find_refused(graph, rules) == []


def test_one_node_that_takes_it_is_enough():
    graph = {"1": step("Make", **GOOD | {"seed": 100}), "9": step("Save", images=["1", 0])}
    strict = find_refused(graph, RULES)
    assert refusal([strict, []]) == []
    assert refusal([strict, strict], replaced={"1.seed"}) == []
    with pytest.raises(InvalidGraph) as caught:
        check_verdicts([strict], graph, {"1.seed": "Make.seed"})
    assert caught.value.field == "params.Make.seed"
    assert caught.value.message == (
        "graph node 1 (Make), input seed: 100 is too large; it takes 0 to 99"
    )


def test_several_are_counted():
    graph = {"1": step("Make", seed=-1, cfg=0), "9": step("Save", images=["1", 0])}
    with pytest.raises(InvalidGraph, match="2 more inputs would be refused, too") as caught:
        check_verdicts([find_refused(graph, RULES)], graph, {})
    assert (caught.value.field, caught.value.graph_node) == ("graph", "1")


def test_of_many_flaws_only_the_one_that_is_told_is_put_into_words():
    def cost(width):
        rows = {str(n): step("Make", **{**GOOD, "kind": "x" * width}) for n in range(200)}
        graph = {**rows, "s": step("Save", images=["0", 0])}
        graph |= {f"s{n}": step("Save", images=[n, 0]) for n in rows}
        found = find_refused(graph, RULES)
        assert len(found) == len(rows)
        return calls_of(lambda: find_refused(graph, RULES)) / len(rows)

    # Looking for what is like a value takes hundreds of calls.
    assert max(cost(3), cost(40)) < 120


def test_rules_that_unpack_to_more_than_any_node_needs_are_none():
    bomb = base64.b85encode(zlib.compress(b'{"lists":[],"classes":{' + b" " * (64 << 20) + b"}}"))
    with pytest.raises(ValueError, match="these are no rules"):
        InputRules.from_text(bomb.decode())
