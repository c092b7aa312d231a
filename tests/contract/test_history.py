"""History: when an entry is there, what it says, and how it goes."""

from __future__ import annotations

from tests.contract.comfy import new_id
from tests.contract.graphs import picture, raising

ERROR_KEYS = {
    *("prompt_id", "node_id", "node_type", "executed", "exception_message", "exception_type"),
    *("traceback", "current_inputs", "current_outputs", "timestamp"),
}


def test_an_unknown_prompt_is_200_and_nothing(comfy):
    answer = comfy.get(f"/history/{new_id()}")

    assert answer.status_code == 200
    assert answer.json() == {}


def test_the_entry_is_there_when_executing_null_arrives(comfy):
    ears = comfy.listen()
    for _ in range(25):
        prompt_id = comfy.queue_prompt(picture(), client_id=ears.sid)
        ears.until_done(prompt_id)
        assert comfy.entry(prompt_id) is not None


def test_an_entry_says_prompt_outputs_status_and_meta(comfy):
    prompt_id = new_id()

    entry = comfy.run(picture("contract/said"), prompt_id=prompt_id)

    assert entry.keys() == {"prompt", "outputs", "status", "meta"}
    assert entry["prompt"][1] == prompt_id
    assert entry["prompt"][4] == ["2"]
    (file,) = entry["outputs"]["2"]["images"]
    assert file.keys() == {"filename", "subfolder", "type"}
    assert (file["subfolder"], file["type"]) == ("contract", "output")
    assert entry["meta"]["2"].keys() == {"node_id", "display_node", "parent_node", "real_node_id"}


def test_a_success_ends_with_execution_success(comfy):
    status = comfy.run(picture())["status"]

    assert (status["status_str"], status["completed"]) == ("success", True)
    assert [type_ for type_, _ in status["messages"]] == [
        *("execution_start", "execution_cached", "execution_success")
    ]
    stamps = [data["timestamp"] for _, data in status["messages"]]
    assert stamps == sorted(stamps)


def test_an_error_names_its_graph_node_and_keeps_finished_outputs(lab):
    entry = lab.run(raising("runtime"))

    type_, told = entry["status"]["messages"][-1]
    assert entry["status"]["status_str"] == "error"
    assert entry["status"]["completed"] is False
    assert type_ == "execution_error"
    assert told.keys() == ERROR_KEYS
    assert (told["node_id"], told["node_type"]) == ("3", "ComfyFleetRaise")
    assert told["exception_type"] == "RuntimeError"
    assert told["exception_message"] == "a contract failure é\n"
    assert told["executed"]
    assert set(entry["outputs"]) <= {"2"}


def test_out_of_memory_is_told_by_its_type(lab):
    entry = lab.run(raising("oom", "no memory left"))

    told = entry["status"]["messages"][-1][1]
    assert told["exception_type"] == "torch.OutOfMemoryError"
    assert told["exception_message"].startswith("no memory left")
    assert "out of memory on your GPU" in told["exception_message"]


def test_the_next_prompt_runs_after_an_error(lab):
    lab.run(raising("runtime"))

    assert lab.run(picture())["status"]["status_str"] == "success"


def test_deleting_an_entry_deletes_the_record_and_no_file(comfy):
    prompt_id = new_id()
    entry = comfy.run(picture(), prompt_id=prompt_id)

    answer = comfy.post("/history", json={"delete": [prompt_id, new_id()]})

    assert (answer.status_code, answer.content) == (200, b"")
    assert comfy.entry(prompt_id) is None
    assert comfy.view(entry["outputs"]["2"]["images"][0]).status_code == 200


def test_history_is_paged_from_the_newest_or_from_an_offset(comfy):
    comfy.post("/history", json={"clear": True})
    made = [comfy.queue_prompt(picture()) for _ in range(4)]
    comfy.ended(made[-1])

    def page(query: str) -> list[str]:
        return list(comfy.get(f"/history{query}").json())

    assert page("") == made
    assert page("?max_items=2") == made[2:]
    assert page("?max_items=2&offset=0") == made[:2]
    assert page("?offset=1") == made[1:]
    assert page("?max_items=0") == []
    assert comfy.get("/history?max_items=abc").status_code == 500
