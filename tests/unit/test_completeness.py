"""What is called incomplete, and what is only noted: the table of what classes do."""

from __future__ import annotations

import pytest

from producer.contract.classes.catalog import Catalog, GraphNodeClass
from tests.unit.graph_samples import step
from worker.attempt.completeness import check_complete, notes_on
from worker.comfyui.history import HistoryEntry
from worker.errors import PromptIncomplete

CORE = Catalog(
    {name: GraphNodeClass(is_core=True) for name in ("EmptyImage", "SaveImage", "ImageInvert")}
    | {name: GraphNodeClass() for name in ("Gate", "Image Save")}
)
FILE = {"filename": "a.png", "subfolder": "", "type": "output"}


def graph_of(class_type: str, *, behind: str = "ImageInvert") -> dict:
    return {
        "1": step("EmptyImage"),
        "2": step(behind, image=["1", 0]),
        "9": step(class_type, images=["2", 0], filename_prefix="x"),
    }


def entry_of(outputs: dict, *, cached: tuple[str, ...] = ()) -> HistoryEntry:
    messages = [["execution_cached", {"nodes": list(cached)}], ["execution_success", {}]]
    status = {"status_str": "success", "messages": messages}
    return HistoryEntry.parse("p", {"outputs": outputs, "status": status}, node="gpu-01")


def check(graph: dict, entry: HistoryEntry, *, catalog: Catalog | None = CORE, **listed: int):
    heard = {name.removeprefix("n"): count for name, count in listed.items()}
    check_complete(entry, graph, listed=heard, catalog=catalog, node="gpu-01")


def test_a_core_saver_that_nothing_could_keep_from_it_has_listed():
    with pytest.raises(PromptIncomplete, match="graph node 9"):
        check(graph_of("SaveImage"), entry_of({}))
    check(graph_of("SaveImage"), entry_of({"9": {"images": [FILE]}}))


@pytest.mark.parametrize(
    ("graph", "outputs", "cached", "catalog"),
    [
        (graph_of("SaveImage", behind="Gate"), {}, (), CORE),
        (graph_of("SaveImage"), {}, ("9",), CORE),
        (graph_of("SaveImage"), {"9": {"images": []}}, (), CORE),
        (graph_of("SaveImage"), {}, (), None),
        (graph_of("CheckpointSave"), {}, (), CORE),
        (graph_of("Image Save"), {}, (), CORE),
    ],
    ids=["gated", "cached", "nothing to save", "nothing known", "silent", "unknown class"],
)
def test_a_saver_that_may_rightly_list_nothing_is_noted_and_never_incomplete(
    graph, outputs, cached, catalog
):
    entry = entry_of(outputs, cached=cached)

    check(graph, entry, catalog=catalog)
    assert "graph node 9" in next(notes_on(entry, graph))


@pytest.mark.parametrize("behind", ["ImageInvert", "Gate"])
def test_what_was_heard_to_be_listed_has_to_be_there(behind):
    graph = graph_of("Image Save", behind=behind)

    with pytest.raises(PromptIncomplete, match="graph node 9"):
        check(graph, entry_of({"9": {"images": [FILE]}}), n9=2)
    check(graph, entry_of({"9": {"images": [FILE]}}), n9=1)


def test_whoever_lists_files_or_values_needs_no_note():
    entry = entry_of({"9": {"images": [FILE]}, "8.0.0.3": {"images": [FILE]}, "7": {"text": ["a"]}})
    graph = {
        "7": step("SaveText", filename_prefix="t"),
        "8": step("ExpandingSave"),
        "9": step("SaveImage"),
        "5": step("VHS_SelectLatest", filename_prefix="output/x"),
        "4": step("ConditioningCombine", conditioning_1=["3", 0]),
        "3": step("LoadSavedLatent"),
    }
    assert list(notes_on(entry, graph)) == []


@pytest.mark.parametrize(
    ("listed", "of"),
    [
        ("9", "9"),
        ("9.0.0.3", "9"),
        ("a.b.9", "a.b.9"),
        ("a.b.9.4", "a.b.9"),
        ("9" + ".0" * 200_000, "9"),
    ],
    ids=["itself", "within it", "its id has dots", "within that", "of very many dots"],
)
def test_what_lists_a_file_is_the_graph_node_that_it_is_or_is_within(listed, of):
    graph = {"1": step("EmptyImage"), of: step("SaveImage", images=["1", 0], filename_prefix="x")}

    assert list(notes_on(entry_of({listed: {"images": [FILE]}}), graph)) == []
