"""What a job that succeeded has to show: files, values, and notes on what is not there."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import PurePath

import pytest
import requests

from producer.contract.errors import JobNotSucceeded
from producer.contract.graph.graph import read_graph
from tests.acceptance.test_jobs import runs_of
from tests.graphs import fresh_nonce, journal
from tests.png_chunks import png_chunks
from tests.polling import wait_until

PATIENCE = timedelta(seconds=30)
NO_FILE = "no graph node listed a file, so no artifact is stored"


def blank() -> dict:
    inputs = {"width": 32, "height": 32, "batch_size": 1, "color": fresh_nonce()}
    return {"class_type": "EmptyImage", "inputs": inputs}


def step(class_type: str, prefix: str = "pic", *, of: str = "1", **inputs: object) -> dict:
    given = {"images": [of, 0], "filename_prefix": prefix, **inputs}
    return {"class_type": class_type, "inputs": given}


def plain(**inputs: object) -> dict:
    return step("ComfyFleetPlainSave", **{"folder": "night", "listed": "true", **inputs})


GATE = {"class_type": "ComfyFleetGate", "inputs": {"image": ["1", 0], "open": False}}
CHECKPOINT = {
    "class_type": "CheckpointLoaderSimple",
    "inputs": {"ckpt_name": "sd_xl_base_1.0.safetensors"},
}
MODELS = {"model": ["4", 0], "clip": ["4", 1], "vae": ["4", 2], "filename_prefix": "merged"}


def test_a_job_without_a_file_says_so_wherever_it_is_shown(comfyfleet, tmp_path):
    graph = {"1": {"class_type": "ComfyFleetText", "inputs": {"text": "a hen", "kind": "plain"}}}
    (tmp_path / "graph.json").write_text(json.dumps(graph))

    submitted = comfyfleet("submit", "graph.json", "--output", "made", "--json")
    job = json.loads(submitted.stdout)

    assert submitted.returncode == 0
    assert job["notes"] == [NO_FILE]
    assert f"job {job['id']} has no file to copy: {NO_FILE}" in submitted.stderr
    assert NO_FILE in comfyfleet("job", "show", job["id"]).stdout
    assert NO_FILE in comfyfleet("job", "fetch", job["id"], "made").stderr
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("graph", "made", "noted"),
    [
        (
            {"4": CHECKPOINT, "5": {"class_type": "CheckpointSave", "inputs": MODELS}},
            [],
            ["5 (CheckpointSave) saves on the node", NO_FILE],
        ),
        (
            {"2": step("ComfyFleetExport", "3D/thing"), "9": step("SaveImage")},
            ["9"],
            ["2 (ComfyFleetExport) listed no file"],
        ),
        (
            {"2": step("ComfyFleetSaveIf", condition=0), "9": step("SaveImage")},
            ["9"],
            ["2 (ComfyFleetSaveIf) listed no file"],
        ),
        (
            {"2": GATE, "3": step("SaveImage", of="2"), "9": step("SaveImage")},
            ["9"],
            ["3 (SaveImage) listed no file"],
        ),
        ({"2": plain(listed="false"), "9": step("SaveImage")}, ["9"], ["2 (ComfyFleetPlainSave)"]),
        ({"2": plain()}, ["2"], []),
    ],
    ids=["silent", "exporter", "condition", "gate", "quiet", "plain name"],
)
def test_a_saver_that_lists_nothing_is_rendered_once_and_noted(fleet, stack, graph, made, noted):
    job = fleet.wait(fleet.submit({"1": blank(), **graph}).id, timeout=PATIENCE)

    assert (job.attempt, len(runs_of(stack, job))) == (1, 1)
    assert [artifact.graph_node for artifact in job.artifacts] == made
    assert len(job.notes) == len(noted)
    for note, part in zip(job.notes, noted, strict=True):
        assert part in note


def test_identical_jobs_store_as_many_files_whatever_saves_them(fleet, stack):
    graph = {
        "1": blank(),
        "2": plain(),
        "3": step("SaveImage", "a/b"),
        "4": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    node = stack.nodes[0].name
    jobs = [fleet.wait(fleet.submit(graph, pin=node).id, timeout=PATIENCE) for _ in range(2)]

    assert [[one.graph_node for one in job.artifacts] for job in jobs] == [["2", "3", "4"]] * 2
    names = [[PurePath(one.subfolder, one.name) for one in job.artifacts[:2]] for job in jobs]
    assert set(names[0]).isdisjoint(names[1])
    assert {name.parts[0] for name in (*names[0], *names[1])} == {"night", "comfyfleet"}


def test_a_class_that_finds_files_by_their_prefix_finds_them(fleet, stack):
    node = stack.nodes[0].name
    folder = f"found-{fresh_nonce()}"
    saved = {"1": blank(), "2": plain(folder=folder)}
    fleet.wait(fleet.submit(saved, pin=node).id, timeout=PATIENCE)

    find = {"class_type": "ComfyFleetFindLatest", "inputs": {"filename_prefix": f"{folder}/"}}
    show = {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}
    job = fleet.wait(fleet.submit({"1": find, "2": show}, pin=node).id, timeout=PATIENCE)

    assert "pic_0001.png" in json.dumps(job.values["2"])


def film(*, batches: int, seconds: float = 0.0) -> dict:
    """Return a graph whose last graph node queues it again until all batches are done."""
    nap = {"image": ["1", 0], "seconds": seconds, "steps": 10, "preview": False}
    return {
        "1": blank(),
        "2": {"class_type": "ComfyFleetSleep", "inputs": {**nap, "nonce": fresh_nonce()}},
        "3": step("ComfyFleetFilm", "film", of="2", batches=batches),
        "4": step("SaveImage"),
    }


def test_a_film_that_a_graph_node_makes_in_parts_is_followed_to_its_end(fleet, stack):
    job = fleet.wait(fleet.submit(film(batches=3)).id, timeout=PATIENCE)

    assert (job.attempt, job.notes) == (1, [])
    assert [artifact.graph_node for artifact in job.artifacts] == ["3", "4"]
    assert [run["outcome"] for run in runs_of(stack, job)] == ["success"] * 3
    node = next(one for one in stack.nodes if one.name == job.node)
    wait_until(
        lambda: job.id not in requests.get(f"{node.url}/history", timeout=5).text,
        description="the node's history is rid of all its parts",
    )


def test_a_cancel_ends_what_a_graph_node_has_queued(fleet, stack):
    for _ in range(3):
        job = fleet.submit(film(batches=50, seconds=0.1))
        wait_until(lambda job=job: len(runs_of(stack, job)) > 1, description="its second part")
        fleet.cancel(job.id)
        with pytest.raises(JobNotSucceeded, match="cancelled"):
            fleet.wait(job.id, timeout=PATIENCE)
        assert not live_prompts(stack, job)


def live_prompts(stack, job) -> list:
    """Return what any node has still to do for the job."""
    queues = [requests.get(f"{node.url}/queue", timeout=5).json() for node in stack.nodes]
    items = [item for queue in queues for listed in queue.values() for item in listed]
    return [item for item in items if item[3].get("job_id") == job.id]


def test_a_worker_that_comes_back_goes_on_with_the_film(fleet, node, serve):
    def runs(job) -> list:
        return [run for run in journal(node) if run["job"] == job.id]

    with serve("film-1", "films") as worker:
        job = fleet.submit(film(batches=5, seconds=0.3), pool="films")
        wait_until(lambda: len(runs(job)) > 1, description="its second part")
        worker.kill()
        worker.wait()
    with serve("film-1", "films"):
        done = fleet.wait(job.id, timeout=PATIENCE)

    assert (done.attempt, done.notes, len(runs(job))) == (1, [], 5)
    assert [artifact.graph_node for artifact in done.artifacts] == ["3", "4"]


def chunks_of(png: bytes) -> list[tuple[bytes, bytes]]:
    """Return the chunks of a PNG, without what the stand-in says of the prompt."""
    return [(kind, body) for kind, body in png_chunks(png) if not body.startswith(b"standin")]


def test_a_picture_holds_the_graph_that_was_handed_in_so_equal_pixels_make_equal_files(
    fleet, tmp_path
):
    blank_ = {**blank(), "inputs": {**blank()["inputs"], "color": 7}}
    unused = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1}}
    graph = {"1": blank_, "2": step("SaveImage", "night/fox"), "3": unused}
    workflow = {"nodes": [{"id": 1}]}
    pictures = []
    for number in range(2):
        job = fleet.submit(
            graph, params={"1.color": 9}, extra_data={"extra_pnginfo": {"workflow": workflow}}
        )
        [artifact] = fleet.wait(job.id, timeout=PATIENCE).artifacts
        fleet.fetch(artifact, tmp_path / str(number))
        pictures.append((tmp_path / str(number)).read_bytes())
        assert len(pictures[-1]) == artifact.bytes
    handed_in = read_graph(pictures[0], max_bytes=1 << 20)
    assert handed_in.graph == {**graph, "1": {**blank_, "inputs": {**blank_["inputs"], "color": 9}}}
    assert handed_in.extra_data == {"extra_pnginfo": {"workflow": workflow}}
    assert chunks_of(pictures[0]) == chunks_of(pictures[1])


def test_a_picture_that_is_only_shown_holds_no_graph_and_workflow_of_another_job(
    fleet, stack, tmp_path
):
    node, shown = (
        stack.nodes[0].name,
        {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    )
    graph = {"1": blank(), "4": shown}
    theirs = {"prompt": graph | {"3": step("SaveImage", "theirs")}}
    theirs["extra_data"] = {"extra_pnginfo": {"workflow": {"nodes": [], "note": "theirs"}}}
    fleet.wait(fleet.submit(theirs, pin=node, owner="alice").id, timeout=PATIENCE)

    job = fleet.wait(fleet.submit(graph, pin=node, owner="bob").id, timeout=PATIENCE)

    fleet.fetch(job.artifacts[0], tmp_path / "shown.png")
    said = dict(
        body.split(b"\0", 1)
        for kind, body in png_chunks((tmp_path / "shown.png").read_bytes())
        if kind == b"tEXt"
    )
    assert json.loads(said[b"prompt"]) == graph
    assert b"workflow" not in said


def test_an_id_with_dots_is_the_one_that_has_listed_its_file(fleet):
    graph = {"a.b.1": blank(), "a.b.9.0": step("SaveImage", of="a.b.1")}

    job = fleet.wait(fleet.submit(graph).id, timeout=PATIENCE)

    assert ([one.graph_node for one in job.artifacts], job.notes) == (["a.b.9.0"], [])
