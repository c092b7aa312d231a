"""A graph that is handed in whole is a template and the job's own values, which make it again to the last type."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from producer.contract.graph.graph import stored_graph, template_id, to_bytes
from producer.contract.graph.json_values import canonical
from producer.contract.own_params import told, told_apart
from producer.contract.params.graph_values import GraphValues, without_values
from producer.contract.params.params import set_params
from producer.intake.whole_graphs import GraphSplitter
from tests.bench.rows import graph_of_20_kb, rows
from tests.graphs import rendering
from tests.unit.graph_samples import names, scalars, seed_graph, step

#: Text that looks like a link, an address, JSON or a wrapped value.
_texts = st.sampled_from(["6", "null", "[]", '["1",0]', "a.b", "\u0000", "é", "e\u0301", "日本"])
_leaves = (
    scalars | _texts | st.integers(-(10**400), 10**400) | st.sampled_from([1, 1.0, True, -0.0])
)
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(names | st.just("__value__"), inner, max_size=3)
        | st.tuples(_texts, st.sampled_from([0, 0.5, True])).map(list)
    ),
    max_leaves=5,
)
_graphs = st.dictionaries(
    names,
    st.builds(
        lambda class_type, inputs, title: step(class_type, title=title, **inputs),
        st.sampled_from(["KSampler", "Custom", "a.b"]),
        st.dictionaries(names, _values, max_size=4),
        st.none() | names,
    ),
    min_size=1,
    max_size=5,
)


def again(template, values):
    """Return the graph as a worker makes it of what Redis holds, by the code of every version so far."""
    return set_params(stored_graph(to_bytes(template)), json.loads(json.dumps(values)))


@settings(max_examples=60)
@given(_graphs, st.data())
@example({"a": step("X", **{"b.c": 1}), "a.b": step("Y", c=2.0)}, None)
@example({"1": step("X", x=["2", 0], y={"__value__": ["2", 0]}), "2": step("Y", x=[2, 0])}, None)
def test_whatever_is_taken_out_of_a_graph_and_set_again_makes_the_same_graph(graph, data):
    values = list(GraphValues(graph))
    if data is not None and values:
        values = data.draw(st.lists(st.sampled_from(values), unique_by=id))
    template = without_values(graph, values)
    before = copy.deepcopy(graph)
    made = again(template, {one.address: one.value for one in values})
    assert canonical(made) == canonical(graph) == canonical(before)


@settings(max_examples=20)
@given(st.lists(_graphs, min_size=1, max_size=3), st.booleans())
def test_whatever_a_splitter_has_seen_its_parts_make_the_graph_again(graphs, has_params):
    splitter = GraphSplitter()
    for graph in [*graphs, *graphs]:
        split = splitter.split(graph, needed=graph.keys(), has_params=has_params)
        assert canonical(again(*split)) == canonical(graph)


@settings(max_examples=20)
@given(st.dictionaries(names, _values, max_size=4), st.dictionaries(names, _values, max_size=4))
def test_params_are_told_from_what_stood_in_the_graph(params, graph_values):
    graph_values = {name: graph_values[name] for name in graph_values.keys() - params.keys()}
    fields = json.loads(json.dumps(told(params, graph_values)))
    assert fields["params"] == {**graph_values, **params}
    assert told_apart(fields) == (params, graph_values)


@pytest.mark.parametrize("fields", [{}, {"params": {"1.x": 2}}, {"params": {"1.x": 2}, "own": 3}])
def test_records_without_a_list_of_ones_own_params_have_these_only(fields):
    assert told_apart(fields) == (fields.get("params", {}), {})


def split(splitter, graph, *, has_params=False):
    found = splitter.split(graph, needed=graph.keys(), has_params=has_params)
    assert again(*found) == graph
    return template_id(found.template), found.values


def filled(number):
    graph = seed_graph()
    graph["3"]["inputs"]["seed"] = number
    graph["6"]["inputs"]["text"] = f"a fox, {number}"
    return graph


def test_of_one_graph_alone_seed_and_texts_are_the_jobs_own():
    splitters = [GraphSplitter() for _ in range(20)]
    found = [split(splitter, filled(number)) for number, splitter in enumerate(splitters)]
    assert len({template for template, _ in found}) == 1
    assert found[7][1].keys() >= {"3.seed", "6.text", "34.image"}


def test_after_some_graphs_those_values_are_a_jobs_own_that_have_differed():
    splitter = GraphSplitter()
    found = [split(splitter, filled(number)) for number in range(40)]
    assert len({template for template, _ in found}) == 2
    assert found[-1][1] == {"3.seed": 39, "6.text": "a fox, 39"}


def test_what_varies_late_is_a_jobs_own_from_then_on_be_it_a_size_or_a_model():
    splitter = GraphSplitter()
    for number in range(20):
        split(splitter, rendering("a.safetensors", seed=number))
    found = [
        split(splitter, rendering(f"{number}.safetensors", seed=number, steps=20 + number))
        for number in range(10)
    ]
    assert len({template for template, _ in found}) == 1
    assert found[-1][1] == {"3.seed": 9, "3.steps": 29, "4.ckpt_name": "9.safetensors"}


def test_a_hundred_texts_that_are_alike_cost_nothing():
    splitter, graph = GraphSplitter(), graph_of_20_kb()
    for row in rows(30):
        _, values = split(splitter, set_params(graph, row))
    assert values == row


def test_over_one_graph_with_params_the_template_is_that_graph():
    splitter = GraphSplitter()
    for _ in range(20):
        assert split(splitter, seed_graph(), has_params=True) == (template_id(seed_graph()), {})


def test_of_graphs_with_other_ids_each_set_of_ids_has_its_template():
    splitter = GraphSplitter()
    other = {f"n{graph_node}": found for graph_node, found in rendering("a", seed=1).items()}
    graph = {f"n{id_}": step(found["class_type"], x=1) for id_, found in other.items()}
    assert split(splitter, graph) == (template_id(graph), {})
    assert split(splitter, rendering("a", seed=1))[1]["3.seed"] == 1


@pytest.mark.parametrize(
    "graph",
    [
        {"1": step("Ask", api_key="sk-1 2 3", openai={"authToken": "a secret one"})},
        {"1": step("PrimitiveString", value="sk-1 2 3"), "2": step("Ask", api_key=["1", 0])},
    ],
)
def test_credentials_stay_out_of_records(graph):
    assert split(GraphSplitter(), graph)[1] == {}


def test_a_picture_written_as_text_stays_in_the_template():
    splitter = GraphSplitter()
    for number in range(3):
        graph = filled(number)
        graph["1"] = step("LoadBase64", image=f"{number}" * 20_000)
        assert split(splitter, graph)[1].keys() >= {"3.seed", "6.text"}


def test_a_graph_with_too_much_of_its_own_is_a_template_of_its_own():
    splitter = GraphSplitter()
    for number in range(3):
        graph = {f"{n}": step("Text", text=f"{number} " * 2_000) for n in range(20)}
        assert split(splitter, graph) == (template_id(graph), {})
    graph = {f"{n}": step("Text", text="a b") for n in range(3_000)}
    assert split(splitter, graph)[1] == {}


def test_values_that_differ_in_a_hundred_places_are_a_jobs_own():
    splitter = GraphSplitter()
    for number in range(20):
        graph = {f"{n}": step("Mix", weight=number + n / 100) for n in range(100)}
        template, values = split(splitter, graph)
    assert len(values) == 100
    assert template == template_id({f"{n}": step("Mix", weight=None) for n in range(100)})


def test_only_so_many_kinds_of_graphs_are_remembered():
    splitter = GraphSplitter()
    for number in range(200):
        split(splitter, {f"{number}": step("Custom", seed=1)})
    assert len(splitter._kinds) < 100
