"""What history says of savers that list nothing, are blocked, or go on under another id."""

from __future__ import annotations

from tests.contract.comfy import fresh, new_id, wait_until
from tests.contract.graphs import blank, graph_node, save


def plain_save(**inputs):
    defaults = {"images": ["1", 0], "folder": f"contract-{fresh()}", "listed": "true"}
    return graph_node("ComfyFleetPlainSave", **{**defaults, **inputs})


def test_what_is_behind_a_closed_gate_has_no_entry_and_the_prompt_succeeds(lab):
    gate = graph_node("ComfyFleetGate", image=["1", 0], open=False)
    entry = lab.run({"1": blank(), "2": gate, "3": save("2"), "4": save("1")})

    assert list(entry["outputs"]) == ["4"]
    assert entry["status"]["messages"][-1][0] == "execution_success"


def test_an_open_gate_is_none(lab):
    gate = graph_node("ComfyFleetGate", image=["1", 0], open=True)
    assert lab.run({"1": blank(), "2": gate, "3": save("2")})["outputs"]["3"]["images"]


def test_a_prefix_with_a_folder_is_no_plain_name(lab):
    graph = {
        "1": blank(),
        "2": plain_save(filename_prefix="pic"),
        "3": plain_save(filename_prefix="nowhere/pic"),
    }
    outputs = lab.run(graph)["outputs"]

    assert [file["filename"] for file in outputs["2"]["images"]] == ["pic_0001.png"]
    assert lab.view(outputs["2"]["images"][0]).status_code == 200
    assert outputs["3"]["images"] == []


def test_exporters_and_unmet_conditions_have_no_entry(lab):
    export = graph_node("ComfyFleetExport", images=["1", 0], filename_prefix=f"3D/{fresh()}")
    unmet = graph_node("ComfyFleetSaveIf", images=["1", 0], condition=0, filename_prefix="x")
    shown = graph_node("PreviewAny", source=["2", 0])
    outputs = lab.run({"1": blank(), "2": export, "3": unmet, "4": shown})["outputs"]

    assert list(outputs) == ["4"]
    assert outputs["4"]["text"][0].endswith("_00001_.png")


def test_a_file_is_found_by_its_prefix_after_it_was_saved(lab):
    folder = f"contract-{fresh()}"
    lab.run({"1": blank(), "2": plain_save(folder=folder, filename_prefix="pic")})
    find = graph_node("ComfyFleetFindLatest", filename_prefix=f"{folder}/pi")

    outputs = lab.run({"1": find, "2": graph_node("PreviewAny", source=["1", 0])})["outputs"]
    assert outputs["2"]["text"] == ["pic_0001.png"]


def test_an_undeclared_constant_has_an_output_executed_again_and_goes_nowhere(lab):
    def saved(**more):
        return lab.run({"1": picture, "2": plain_save(folder=folder, **more)})

    picture, folder = blank(), f"contract-{fresh()}"
    saved(filename_prefix="pic")
    again = saved(filename_prefix="pic")
    marked = saved(filename_prefix="pic", comfyfleet_attempt=new_id())

    cached = [entry["status"]["messages"][1][1]["nodes"] for entry in (again, marked)]
    assert [sorted(nodes) for nodes in cached] == [["1", "2"], ["1"]]
    assert marked["outputs"]["2"] == again["outputs"]["2"]


def test_a_film_goes_on_under_other_ids_with_the_same_extra_data(lab):
    film = graph_node("ComfyFleetFilm", images=["1", 0], filename_prefix="contract/f", batches=3)
    job = new_id()
    first = lab.run({"1": blank(), "2": film}, extra_data={"job_id": job})

    def film_of(history):
        ours = [entry for entry in history.values() if entry["prompt"][3].get("job_id") == job]
        return ours if len(ours) == 3 else None

    entries = wait_until(
        lambda: film_of(lab.get("/history").json()), description="all three batches ended"
    )
    assert first["outputs"]["2"] == {"unfinished_batch": [True]}
    assert [list(entry["outputs"]["2"]) for entry in entries] == [
        ["unfinished_batch"],
        ["unfinished_batch"],
        ["images"],
    ]
