from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.contract.classes.links import Link, check_links, links_of
from producer.contract.classes.outputs import cut, output_graph_nodes
from producer.contract.errors import InvalidGraph
from tests.unit.graph_samples import catalog_of, graphs, seed_graph, step

DECODE = step("VAEDecode", title="Decode")
CATALOG = catalog_of(VAEDecode={"outputs": 1}, SaveImage={"outputs": 0, "is_output": True})


def test_the_seed_prompt_is_sound():
    check_links(seed_graph())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["99", 0], "links to graph node 99, which is not in the graph"),
        (["8", -1], "takes output -1 of graph node 8 .*counted 0, 1, 2"),
        (["8", 0.5], "takes output 0.5 of"),
        (["8", True], "takes output true of"),
        (["8", 1], r'takes output 1 of graph node 8 \(VAEDecode "Decode"\), which has 1'),
        (
            ["8", "0"],
            r'links to output "0" of graph node 8 as text; a slot is a number: \["8", 0\]',
        ),
        ([8, "0"], r'links to output "0" of graph node 8 as text; .*: \["8", 0\]'),
        (["8", 0.0], r'takes output 0.0 of .*; a slot is a whole number: \["8", 0\]'),
        (["8", 1e300], "takes output 1e\\+300 of"),
        (["8", 10**400], "takes output 10000.*… of"),
        (["9" * 500, 0], "links to graph node 9+…, which is not in the graph"),
        ([8, 0], r'links to 8 as a number; an id is text: \["8", 0\]'),
        (["a\nb", 0], r"links to graph node 'a\\nb', which"),
    ],
)
def test_a_link_that_leads_nowhere_is_refused(value, message):
    graph = {"8": DECODE, "9": step("SaveImage", title="Out", **{"not declared": value})}
    said = rf'graph node 9 \(SaveImage "Out"\), input not declared: {message}'
    with pytest.raises(InvalidGraph, match=said) as caught:
        check_links(graph, CATALOG)
    assert caught.value.graph_node == "9"
    # A list that names a graph node was meant for a link.
    advice = caught.value.advice or ""
    assert ("__value__" in advice) == (str(value[0]) not in graph)


def test_the_id_alone_is_no_link():
    graph = {"8": DECODE, "9": step("SaveImage", images="8")}
    said = r'input images: is the id of graph node 8 .* as text; a link is a pair: \["8", 0\]'
    with pytest.raises(InvalidGraph, match=said):
        check_links(graph)
    for other in (step("LoadImage", image="8"), step("Custom", text="8"), step("A", images="7")):
        check_links({"8": DECODE, "9": other})


def test_a_dangling_link_is_refused_even_where_no_output_needs_it():
    graph = {**seed_graph(), "50": step("HEDPreprocessor", image=["99", 0])}
    assert "50" not in cut(graph, ["9"])
    with pytest.raises(InvalidGraph, match=r"graph node 50 .*input image: links to graph node 99"):
        check_links(graph)


@pytest.mark.parametrize(
    "value", [["99"], ["99", "0"], ["99", 0, 0], {"__value__": ["99", 0]}, [512, 512], "99"]
)
def test_what_comfyui_does_not_follow_is_no_link(value):
    graph = {"9": step("SaveImage", x=value)}
    check_links(graph)
    assert not [*links_of(graph["9"])]


def test_a_slot_is_bounded_only_by_a_catalog_that_knows_the_class():
    graph = {"8": DECODE, "9": step("SaveImage", images=["8", 7])}
    check_links(graph)
    check_links(graph, catalog_of(VAEDecode={"outputs": None}))
    with pytest.raises(InvalidGraph, match="takes output 7"):
        check_links(graph, CATALOG)


def test_a_circle_is_named_from_end_to_end():
    graph = {
        "1": step("A", x=["3", 0]),
        "2": step("B", x=["1", 0]),
        "3": step("C", x=["2", 0]),
        "9": step("SaveImage"),
    }
    with pytest.raises(InvalidGraph, match=r"run in a circle: (\d) → \d → \d → \1;") as caught:
        check_links(graph)
    assert caught.value.graph_node in {"1", "2", "3"}
    with pytest.raises(InvalidGraph, match="circle: 5 → 5;"):
        check_links({"5": step("A", x=["5", 0])})


def test_a_chain_of_thousands_is_no_burden():
    graph = {str(i): step("ImageInvert", image=[str(i - 1), 0]) for i in range(1, 5000)}
    graph["0"] = step("LoadImage")
    check_links(graph)
    assert len(cut(graph, ["4999"])) == 5000


def test_the_seed_prompt_ends_in_one_picture_and_two_previews():
    assert output_graph_nodes(seed_graph()) == ["9", "45", "48"]


def test_a_catalog_decides_for_the_classes_it_knows():
    graph = {"1": step("Odd", x=["2", 0]), "2": step("SaveNothing"), "3": step("Speak")}
    catalog = catalog_of(Odd={}, SaveNothing={}, Speak={"is_output": True})
    assert output_graph_nodes(graph, catalog) == ["3"]
    assert output_graph_nodes(graph, catalog_of(Speak={"is_output": True})) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("class_type", "is_output"),
    [
        ("SaveImage", True),
        ("PreviewAny", True),
        ("VHS_VideoCombine", True),
        ("MaskPreview", True),
        ("SomebodysUploader", True),
        ("VAEDecode", False),
    ],
)
def test_without_a_catalog_names_decide_and_an_unknown_last_one_counts(class_type, is_output):
    graph = {"1": step("PreviewImage"), "5": step("LoadImage"), "7": step(class_type, x=["5", 0])}
    assert output_graph_nodes(graph) == (["1", "7"] if is_output else ["1"])


def test_a_graph_without_an_output_node_is_refused_with_a_remedy():
    graph = {"5": step("EmptyLatentImage"), "8": step("VAEDecode", samples=["5", 0])}
    with pytest.raises(
        InvalidGraph, match=r"has no output node: .*add a SaveImage or PreviewImage"
    ):
        output_graph_nodes(graph)


def test_the_dead_branch_of_the_seed_prompt_is_cut_away():
    graph = seed_graph()
    assert set(graph) - set(cut(graph, output_graph_nodes(graph))) == {"43"}


def test_a_cut_follows_undeclared_links_too():
    graph = {"1": step("A"), "2": step("B"), "9": step("SaveImage", **{"not declared": ["1", 0]})}
    assert [*cut(graph, ["9"])] == ["1", "9"]


def test_links_are_listed_with_input_source_and_slot():
    assert [*links_of(seed_graph()["8"])] == [Link("samples", "3", 0), Link("vae", "40", 2)]


@given(graphs(), st.data())
def test_a_cut_is_closed_under_links_and_cutting_again_changes_nothing(graph, data):
    outputs = data.draw(st.lists(st.sampled_from([*graph]), unique=True))
    part = cut(graph, outputs)
    check_links(part)
    assert set(outputs) <= set(part)
    assert cut(part, outputs) == part
    assert [*part] == [one for one in graph if one in part]
