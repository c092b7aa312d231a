"""The cache and the names of files: why a saving graph node must differ from job to job."""

from __future__ import annotations

import json

import pytest

from tests.contract.comfy import fresh, new_id
from tests.contract.graphs import blank, graph_node, picture, png, raising, save, sleeping
from tests.contract.long_prompts import LONG, goes_on, stop
from tests.png_chunks import png_chunks


def files(entry, graph_node_id="2"):
    """Return the names that history lists for a graph node."""
    return [one["filename"] for one in entry["outputs"][graph_node_id]["images"]]


def cached(entry):
    """Return the graph nodes that did not run."""
    return entry["status"]["messages"][1][1]["nodes"]


def _unlink(comfy, entry, folder):
    """Delete the saved picture behind ComfyUI's back, once a companion that wrote it later has done so."""
    [image] = entry["outputs"]["2"]["images"]
    assert comfy.view(image).status_code == 200
    (folder / image["subfolder"] / image["filename"]).unlink()


def prefix() -> str:
    """Return a file name prefix in a folder of its own."""
    return f"contract/{fresh()}/img"


def test_an_identical_graph_does_not_save_again_and_names_the_old_file(comfy):
    graph = picture(prefix())

    first, second = comfy.run(graph), comfy.run(graph)

    assert files(first) == files(second) == ["img_00001_.png"]
    assert cached(first) == []
    assert sorted(cached(second)) == ["1", "2"]
    assert second["status"]["status_str"] == "success"


def test_ids_of_graph_nodes_do_not_matter_to_the_cache(comfy):
    graph = picture(prefix())
    comfy.run(graph)
    renamed = {"a": graph["1"], "b:2": {**graph["2"], "inputs": {**graph["2"]["inputs"]}}}
    renamed["b:2"]["inputs"]["images"] = ["a", 0]

    entry = comfy.run(renamed)

    assert sorted(cached(entry)) == ["a", "b:2"]


def test_another_prefix_saves_again_and_nothing_else_runs(comfy):
    graph = picture(prefix())
    comfy.run(graph)
    graph["2"] = save("1", prefix())

    entry = comfy.run(graph)

    assert cached(entry) == ["1"]
    assert files(entry) == ["img_00001_.png"]


def test_an_undeclared_constant_is_part_of_what_is_identical(comfy):
    graph = picture(prefix())
    comfy.run(graph)
    graph["1"]["inputs"]["choose file to upload"] = "image"

    assert cached(comfy.run(graph)) == []


def test_free_memory_empties_the_cache(comfy):
    graph = picture(prefix())
    comfy.run(graph)

    comfy.post("/free", json={"free_memory": True})
    comfy.run(picture())  # what was asked is done between prompts

    assert files(comfy.run(graph)) == ["img_00002_.png"]


def test_a_failed_graph_node_runs_again_and_its_finished_neighbours_do_not(lab):
    graph = raising("runtime")
    first, second = lab.run(graph), lab.run(graph)

    assert first["status"]["messages"][-1][0] == "execution_error"
    assert second["status"]["messages"][-1][0] == "execution_error"
    assert "1" in cached(second)
    assert "3" not in cached(second)


def test_the_counter_follows_the_highest_name_on_the_disk(comfy):
    chosen = prefix()

    names = [files(comfy.run(picture(chosen))) for _ in range(3)]

    assert names == [["img_00001_.png"], ["img_00002_.png"], ["img_00003_.png"]]


def test_a_deleted_files_name_is_handed_out_again(comfy, output_folder):
    chosen = prefix()
    first = comfy.run(picture(chosen))
    _unlink(comfy, first, output_folder)

    assert files(comfy.run(picture(chosen))) == files(first)


def test_a_cached_output_whose_file_is_gone_is_a_success_without_a_file(comfy, output_folder):
    graph = picture(prefix())
    _unlink(comfy, comfy.run(graph), output_folder)

    entry = comfy.run(graph)

    assert entry["status"]["status_str"] == "success"
    assert comfy.view(entry["outputs"]["2"]["images"][0]).status_code == 404


def test_a_cached_preview_has_the_graph_of_an_earlier_prompt_until_an_input_differs(comfy):
    """The worker's undeclared input: the same pixels, in a file of this prompt."""
    shown = graph_node("PreviewImage", images=["1", 0])
    theirs = {"1": blank(), "2": shown, "3": save("1", prefix())}
    extra_data = {"extra_pnginfo": {"workflow": {"note": "theirs"}}}
    own = {"1": theirs["1"], "2": shown}
    marked = own | {"2": graph_node("PreviewImage", images=["1", 0], comfyfleet_attempt="j-1")}

    embedded = [
        texts_of(comfy, comfy.run(theirs, extra_data=extra_data)),
        texts_of(comfy, comfy.run(own)),
        texts_of(comfy, comfy.run(marked)),
    ]

    assert [one["prompt"] for one in embedded] == [theirs, theirs, marked]
    assert ["workflow" in one for one in embedded] == [True, True, False]


def texts_of(comfy, entry):
    """Return the texts in the PNG that graph node 2 has listed."""
    png = comfy.view(entry["outputs"]["2"]["images"][0]).content
    parts = (body.split(b"\0", 1) for kind, body in png_chunks(png) if kind == b"tEXt")
    return {name.decode(): json.loads(text) for name, text in parts if name != b"standin"}


@pytest.mark.parametrize("outside", ["../evil", "/tmp/evil"])
def test_saving_outside_the_output_folder_is_an_error_at_run_time(comfy, outside):
    entry = comfy.run(picture(outside))

    type_, told = entry["status"]["messages"][-1]
    assert type_ == "execution_error"
    assert "outside the output folder" in told["exception_message"]


def test_tokens_for_size_are_filled_and_the_editors_tokens_are_not(comfy):
    number = fresh()

    entry = comfy.run(picture(f"contract/{number}_%width%x%height%_%date:yyyy%"))

    assert files(entry) == [f"{number}_64x48_%date:yyyy%_00001_.png"]


def test_outputs_beside_the_targets_are_listed_only_by_the_old_version(comfy):
    graph = {"1": blank(), "2": save("1", prefix()), "3": save("1", prefix())}
    comfy.run(graph)

    entry = comfy.run(graph, partial_execution_targets=["3"])

    assert entry["outputs"].keys() == ({"3"} if comfy.is_current else {"2", "3"})


def test_a_changed_input_file_under_the_same_name_is_loaded_anew(comfy):
    filename = f"contract-{fresh()}.png"
    graph = {"1": graph_node("LoadImage", image=filename), "2": save("1", prefix())}
    comfy.upload(filename, png())
    comfy.run(graph)
    comfy.upload(filename, png(), overwrite="true")

    assert files(comfy.run(graph)) == ["img_00002_.png"]


def test_an_interrupted_graph_node_is_not_cached(lab):
    graph = sleeping(LONG, 600)
    ears = lab.listen()
    ids = [new_id(), new_id()]
    for prompt_id in ids:
        lab.queue_prompt(graph, prompt_id=prompt_id, client_id=ears.sid)
        goes_on(ears, prompt_id)
        stop(lab, prompt_id)

    assert "2" not in cached(lab.ended(ids[1]))
