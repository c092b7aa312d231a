from __future__ import annotations

import copy
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.contract.errors import InvalidGraph
from producer.contract.params.addresses import find_input
from producer.contract.params.params import parse_param, resolve_params, set_params
from tests.unit.graph_samples import graphs, scalars, seed_graph, step

GRAPH = {
    "3": step("KSampler", seed=1, cfg=5, denoise=0.5, sampler_name="euler", model=["4", 0]),
    "4": step("CheckpointLoaderSimple", title="Load v1.5", ckpt_name="sd.safetensors"),
    "6": step("CLIPTextEncode", title="Positive Prompt", text="a fox", clip=["4", 1]),
    "7": step("CLIPTextEncode", title="Negative Prompt", text="", clip=["4", 1]),
    "8": step("SaveVideo", **{"format": "mp4", "format.codec": "h264", "format.on": True}),
    "9": step(
        "Odd", title="Twin", nothing=None, many=[1, 2, 3], some={"a": 1}, x=0, w={"__value__": []}
    ),
    "10": step("Even", title="Twin", x=0),
    "11": step("Bare", title="6"),
    "12.1": step("Dotted", y=1),
}


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("6.text", ("6", "text")),
        ("Positive Prompt.text", ("6", "text")),
        ("KSampler.seed", ("3", "seed")),
        ("Load v1.5.ckpt_name", ("4", "ckpt_name")),
        ("8.format.codec", ("8", "format.codec")),
        ("SaveVideo.format.codec", ("8", "format.codec")),
        ("8.format", ("8", "format")),
        ("12.1.y", ("12.1", "y")),
    ],
)
def test_an_input_is_found_by_id_title_or_class(address, found):
    assert find_input(GRAPH, address) == found


def test_an_id_goes_before_a_title_and_a_title_before_a_class():
    graph = {
        "A": step("X", x=1),
        "2": step("C", title="A", x=2),
        "3": step("A", x=3),
        "4": step("D", title="C", x=4),
    }
    assert find_input(graph, "A.x") == ("A", "x")
    assert find_input(graph, "C.x") == ("4", "x")


def test_the_longest_name_that_has_the_input_is_meant():
    graph = {"1": step("K", title="a", **{"b.c": 0}), "2": step("K", title="a.b", c=0)}
    assert find_input(graph, "a.b.c") == ("2", "c")
    graph["2"]["inputs"] = {}
    assert find_input(graph, "a.b.c") == ("1", "b.c")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("Positiv Prompt.text", "no.*address 'Positiv Prompt.text'.*mean Positive Prompt.text"),
        ("seed", r"address 'seed' \(did you mean 3.seed"),
        ("zzz", r"an address is ID.INPUT, TITLE.INPUT or CLASS.INPUT, as in 6.text"),
        (".text", "nothing in the graph has the address"),
        ("", "nothing in the graph has the address ''"),
        (
            "3.sed",
            r"graph node 3 \(KSampler\) has no input 'sed'; it has seed, cfg, .*mean 3.seed\?",
        ),
        ("Bare.x", r"graph node 11 \(Bare \"6\"\) has no input 'x'; it has none at all$"),
        ("CLIPTextEncode.text", r"is ambiguous: graph node 6 .*, graph node 7 .*6.text or 7.text"),
        ("Twin.x", r"Twin.x is ambiguous: graph node 9 .*, graph node 10 .*write the id: 9.x or"),
    ],
)
def test_an_address_that_names_no_input_is_refused_with_what_is_near(address, message):
    with pytest.raises(InvalidGraph, match=message) as caught:
        set_params(GRAPH, {address: 5})
    assert caught.value.field == f"params.{address}"


def test_an_unknown_address_is_reported_where_it_was_given():
    with pytest.raises(InvalidGraph) as caught:
        find_input(GRAPH, "34.image", among="inputs")
    assert caught.value.field == "inputs.34.image"


@pytest.mark.parametrize(
    ("address", "value", "held"),
    [
        ("3.seed", 7, 7),
        ("3.seed", "7", 7),
        ("3.seed", 7.0, 7),
        ("3.seed", 2**64 - 1, 2**64 - 1),
        ("3.seed", "1e3", 1000),
        ("3.cfg", 7.5, 7.5),
        ("3.cfg", "7.50", 7.5),
        ("3.denoise", 1, 1),
        ("6.text", "blue", "blue"),
        ("6.text", 1984, "1984"),
        ("6.text", 1.5, "1.5"),
        ("6.text", True, "true"),
        ("8.format.on", False, False),
        ("8.format.on", "false", False),
        ("9.nothing", "5", "5"),
        ("9.nothing", [1], [1]),
        ("9.many", "[4, 5, 6]", [4, 5, 6]),
        ("9.some", {"b": None}, {"b": None}),
        ("9.w", "[4, 5, 6]", {"__value__": [4, 5, 6]}),
        ("9.w", {"__value__": [7]}, {"__value__": [7]}),
        ("6.text", ["4", 1], ["4", 1]),
        ("3.model", ["9", 0], ["9", 0]),
        ("3.seed", {"__value__": "any"}, {"__value__": "any"}),
    ],
)
def test_a_value_becomes_what_the_input_holds(address, value, held):
    graph_node, name = find_input(GRAPH, address)
    result = set_params(GRAPH, {address: value})[graph_node]["inputs"][name]
    assert result == held
    assert type(result) is type(held)


@pytest.mark.parametrize(
    ("address", "value", "message"),
    [
        ("3.seed", "abc", 'input seed: it holds a number, so it takes a number; got "abc"'),
        ("3.seed", "1e999", "it takes a number"),
        ("3.seed", "NaN", "it takes a number"),
        ("3.seed", "", "it takes a number"),
        ("3.seed", None, "it takes a number; got null"),
        ("3.seed", True, "it takes a number; got true"),
        ("3.cfg", [1], "it takes a number"),
        ("3.cfg", float("nan"), "input cfg: NaN is no JSON number"),
        ("9.nothing", float("-inf"), "Infinity is no JSON number"),
        ("9.nothing", date(2026, 1, 1), "a Python date is no JSON value"),
        ("9.nothing", {1: 2}, "it has a key that is not text"),
        ("9.nothing", [["\ud800"]], "half a character"),
        ("6.text", None, "it holds text, so it takes text; got null"),
        ("6.text", {"a": "b" * 99}, r"so it takes text; got \{.*…"),
        (
            "8.format.on",
            1,
            "it holds true or false, so it takes true or false, as TRUE and FALSE, too; got 1",
        ),
        ("8.format.on", "yes", 'so it takes true or false, as TRUE and FALSE, too; got "yes"'),
        ("9.many", "5", "it holds a list, so it takes a list or an object"),
        ("9.w", 5, "it holds a list, so it takes a list or an object; got 5"),
        ("9.some", "[NaN]", "it holds an object, so it takes a list or an object"),
        (
            "6.clip",
            "x",
            r"linked to output 1 of graph node 4 \(.*\); only another link \[id, slot\] may",
        ),
        ("6.clip", {"__value__": 1}, "only another link"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(address, value, message):
    with pytest.raises(InvalidGraph, match=message) as caught:
        set_params(GRAPH, {address: value})
    assert caught.value.field == f"params.{address}"
    assert caught.value.graph_node == find_input(GRAPH, address)[0]


def test_a_link_to_nothing_is_still_named():
    graph = {"3": step("KSampler", model=["99", 0])}
    with pytest.raises(InvalidGraph, match="linked to output 0 of graph node 99; only"):
        set_params(graph, {"3.model": 5})


def test_one_input_may_be_set_only_once():
    with pytest.raises(
        InvalidGraph, match=r"3\.seed and KSampler\.seed set the same input of graph"
    ):
        set_params(GRAPH, {"3.seed": 1, "KSampler.seed": 2})


def test_params_are_resolved_to_ids_and_fitting_values():
    params = {"Positive Prompt.text": 5, "KSampler.seed": "8"}
    assert resolve_params(GRAPH, params) == {"6.text": "5", "3.seed": 8}


@pytest.mark.parametrize(
    ("typed", "address", "value"),
    [
        ("3.seed=5", "3.seed", 5),
        ("3.cfg=7.5", "3.cfg", 7.5),
        ("a.b=true", "a.b", True),
        ("a.b=null", "a.b", None),
        ("a.b=[1, 2]", "a.b", [1, 2]),
        ('a.b={"x": 1}', "a.b", {"x": 1}),
        ('a.b="a \\"b\\"\\n"', "a.b", 'a "b"\n'),
        ('a.b="caf\\u00e9"', "a.b", "café"),
        ("6.text=a red fox", "6.text", "a red fox"),
        ("6.text=x=y", "6.text", "x=y"),
        ("6.text=", "6.text", ""),
        ("6.text=007", "6.text", "007"),
        ("6.text=1.50", "6.text", "1.50"),
        ("6.text=NaN", "6.text", "NaN"),
        ("6.text= 5 ", "6.text", " 5 "),
        ("6.text=" + "[" * 100_000, "6.text", "[" * 100_000),
        (" Positive Prompt.text =x", "Positive Prompt.text", "x"),
    ],
)
def test_a_typed_param_is_decoded_only_without_loss(typed, address, value):
    assert parse_param(typed) == (address, value)


@pytest.mark.parametrize("typed", ["", "6.text", "=5", "  =5"])
def test_a_typed_param_without_an_address_is_refused(typed):
    with pytest.raises(
        InvalidGraph, match=r"expected ADDRESS=VALUE, as in '6\.text=a red fox'; got"
    ):
        parse_param(typed)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
def test_what_is_typed_for_a_text_arrives_letter_for_letter_unless_it_is_quoted(typed):
    address, value = parse_param(f"6.text={typed}")
    if isinstance(value, str | int | float) and not typed.startswith('"'):
        assert set_params(GRAPH, {address: value})["6"]["inputs"]["text"] == typed


@given(graphs(), st.data())
def test_setting_changes_one_input_and_never_the_original(graph, data):
    inputs = [(one, name) for one, found in graph.items() for name in found["inputs"]]
    before = copy.deepcopy(graph)
    if not inputs:
        return
    graph_node, name = data.draw(st.sampled_from(inputs))
    value = data.draw(scalars)
    try:
        found = find_input(graph, f"{graph_node}.{name}")
        filled = set_params(graph, {f"{graph_node}.{name}": value})
    except InvalidGraph:
        assert graph == before
        return
    assert graph == before
    filled[found[0]]["inputs"][found[1]] = before[found[0]]["inputs"][found[1]]
    assert filled == before


@given(graphs(), st.data())
def test_resolved_params_resolve_to_themselves(graph, data):
    inputs = [f"{one}.{name}" for one, found in graph.items() for name in found["inputs"]]
    if not inputs:
        return
    try:
        resolved = resolve_params(graph, {data.draw(st.sampled_from(inputs)): data.draw(scalars)})
    except InvalidGraph:
        return
    assert resolve_params(graph, resolved) == resolved


def test_what_is_set_is_a_copy_of_what_was_given():
    value = [1, 2, 4]
    filled = set_params(GRAPH, {"9.many": value})
    value.append(8)
    assert filled["9"]["inputs"]["many"] == [1, 2, 4]
    filled["9"]["inputs"]["more"] = 9
    assert "more" not in GRAPH["9"]["inputs"]


def test_the_seed_prompt_takes_a_seed_and_a_fraction_where_the_editor_wrote_a_whole_number():
    filled = set_params(seed_graph(), {"KSampler.seed": 8, "3.cfg": 7.5})
    assert (filled["3"]["inputs"]["seed"], filled["3"]["inputs"]["cfg"]) == (8, 7.5)
