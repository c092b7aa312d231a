"""What a job that succeeded has to show: files, values, and notes on what is not there."""

from __future__ import annotations

import json

NO_FILE = "no graph node listed a file, so no artifact is stored"


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
