"""The names that a graph saves under at a node, and what keeps its own."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given

from producer.contract.classes.catalog import Catalog
from producer.contract.classes.outputs import output_graph_nodes
from producer.contract.classes.save_names import with_save_names
from producer.contract.errors import InvalidGraph
from tests.unit.graph_samples import catalog_of, graphs, step


def named(class_type: str, old: object, *, graph_node: str = "9", **options) -> object:
    graph = {graph_node: step(class_type, filename_prefix=old, images=["8", 0])}
    return with_save_names(graph, "j-1", **options)[graph_node]["inputs"]["filename_prefix"]


@pytest.mark.parametrize(
    ("graph_node", "old", "new"),
    [
        ("9", "ComfyUI", "9-ComfyUI"),
        ("9", "video/%date:yyyy-MM-dd%/clip", "9-clip"),
        ("9", "a\\b", "9-b"),
        ("9", "%KSampler.seed%x%height%", "9-KSampler.seed_x_height"),
        ("9", "", "9"),
        ("9", "..", "9"),
        ("9", "名前 1", "9-名前_1"),
        ("12:3", "a" * 100, "12_3-" + "a" * 60),
        ("../9", "x", "9-x"),
    ],
)
def test_a_class_that_makes_folders_saves_in_one_of_its_attempt(graph_node, old, new):
    assert named("SaveImage", old, graph_node=graph_node) == f"comfyfleet/j-1/{new}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("pic", "comfyfleet-j-1-9-pic"),
        ("", "comfyfleet-j-1-9"),
        ("night/pic", "night/comfyfleet-j-1-9-pic"),
        ("night\\pic", "night/comfyfleet-j-1-9-pic"),
        ("../../etc/pic", "etc/comfyfleet-j-1-9-pic"),
        ("C:\\x\\pic", "C/x/comfyfleet-j-1-9-pic"),
        ("%date:yyyy%/pic", "date_yyyy/comfyfleet-j-1-9-pic"),
    ],
)
def test_any_other_class_may_take_its_prefix_for_a_plain_name(old, new):
    assert named("Image Save", old) == new


@pytest.mark.parametrize("class_type", ["SaveImage", "Image Save"])
def test_a_graph_out_of_a_picture_of_ours_gets_the_names_it_was_handed_in_with(class_type):
    first = "01a220dd-8f8f-7223-95f3-6d5b7ab2df63-1"
    graph = {"9": step(class_type, filename_prefix="night/pic", images=["8", 0])}
    again = with_save_names(with_save_names(graph, first), "k-2")

    assert again == with_save_names(graph, "k-2")


def test_a_name_leaves_room_for_what_classes_add_to_it():
    name = named("Image Save", "🦊" * 300, graph_node="🦊" * 300)
    assert len(str(name).encode()) < 130


def test_a_class_that_finds_files_by_their_prefix_keeps_it():
    graph = {
        "1": step("VHS_SelectLatest", filename_prefix="output/night", filename_postfix=".webm"),
        "2": step("ShowText", text=["1", 0]),
        "3": step("LoadLatestImage", filename_prefix="night"),
    }
    catalog = catalog_of(
        VHS_SelectLatest={}, ShowText={"is_output": True}, LoadLatestImage={"is_output": True}
    )
    made = with_save_names(graph, "j-1", catalog=catalog)

    assert made["1"] == graph["1"]
    assert made["3"]["inputs"]["filename_prefix"] == "night"


@pytest.mark.parametrize(
    ("class_type", "inputs"),
    [
        ("SaveImage", {"filename_prefix": ["4", 0]}),
        ("Odd Saver", {"path": "x"}),
        ("Odd Saver", {"filename_prefix": ["4", 0]}),
    ],
)
def test_an_output_whose_name_cannot_be_chosen_is_executed_again_all_the_same(class_type, inputs):
    graph = {"9": step(class_type, **inputs, images=["8", 0])}
    first, second = (with_save_names(graph, mark)["9"]["inputs"] for mark in ("j-1", "k-1"))

    assert first != second
    assert inputs.items() <= first.items()


@pytest.mark.parametrize("class_type", ["PreviewImage", "MaskPreview", "PreviewAny"])
def test_what_only_shows_is_executed_again_as_its_file_has_the_graph_of_the_last_job(class_type):
    info = {"output": [], "output_node": True, "python_module": "nodes"}
    graph = {"9": step(class_type, images=["8", 0])}
    for catalog in (None, Catalog.from_object_info({class_type: info})):
        assert with_save_names(graph, "j-1", catalog=catalog) != graph


def test_what_is_paid_for_stays_cached_until_an_attempt_fails():
    info = {"output": [], "output_node": True, "python_module": "comfy_api_nodes.nodes_tripo"}
    graph = {"9": step("TripoRefineNode", model=["8", 0])}
    catalog = Catalog.from_text(Catalog.from_object_info({"TripoRefineNode": info}).to_text())

    assert with_save_names(graph, "j-1", catalog=catalog) == graph
    assert with_save_names(graph, "j-2", catalog=catalog, is_again=True) != graph


@given(graphs())
def test_new_names_leave_the_graph_as_it_was(graph):
    graph["s"] = step("SaveImage", filename_prefix="x")
    before = copy.deepcopy(graph)
    assert with_save_names(graph, "p") != graph
    assert graph == before


def test_pictures_for_the_websocket_alone_are_refused_unless_something_else_is_kept():
    graph = {"8": step("EmptyImage"), "9": step("SaveImageWebsocket", images=["8", 0])}

    with pytest.raises(
        InvalidGraph, match=r"graph node 9 \(SaveImageWebsocket\) .* websocket only"
    ):
        output_graph_nodes(graph)
    assert output_graph_nodes({**graph, "7": step("SaveImage", images=["8", 0])}) == ["9", "7"]


def test_a_catalog_remembers_which_classes_are_comfyuis_own():
    from producer.contract.classes.catalog import Catalog  # noqa: PLC0415

    info = {
        name: {"input": {}, "output": [], "python_module": module}
        for name, module in {
            "A": "nodes",
            "B": "comfy_extras.nodes_mask",
            "C": "custom_nodes.x",
            "D": None,
        }.items()
    }
    kept = Catalog.from_text(Catalog.from_object_info(json.loads(json.dumps(info))).to_text())
    assert [kept.is_core(name) for name in "ABCDE"] == [True, True, False, False, False]
