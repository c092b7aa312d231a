"""`/api/jobs`, which came with 0.5.1, and the cancel that came with 0.25."""

from __future__ import annotations

import pytest

from tests.contract.comfy import new_id
from tests.contract.graphs import picture, raising
from tests.contract.long_prompts import long_prompt


def status(comfy, prompt_id):
    """Return what `/api/jobs` calls the state of a prompt."""
    return comfy.get(f"/api/jobs/{prompt_id}").json().get("status")


def cancel(comfy, prompt_id):
    """Cancel a prompt by id; return the whole answer."""
    return comfy.post(f"/api/jobs/{prompt_id}/cancel")


def test_the_old_version_has_no_jobs(comfy):
    if comfy.is_current:
        pytest.skip(f"{comfy.version} has them")

    assert comfy.get("/api/jobs").status_code == 404
    assert cancel(comfy, new_id()).status_code in {404, 405}


def test_an_ended_prompt_is_completed_with_its_outputs(current):
    prompt_id = new_id()
    entry = current.run(picture(), prompt_id=prompt_id)

    job = current.get(f"/api/jobs/{prompt_id}").json()

    assert (job["id"], job["status"]) == (prompt_id, "completed")
    assert job["outputs"] == entry["outputs"]
    assert job["execution_start_time"] <= job["execution_end_time"]
    assert job["preview_output"]["nodeId"] == "2"


def test_a_failed_prompt_tells_its_error(lab, current):
    prompt_id = new_id()
    lab.run(raising("runtime"), prompt_id=prompt_id)

    job = current.get(f"/api/jobs/{prompt_id}").json()

    assert job["status"] == "failed"
    assert job["execution_error"]["node_type"] == "ComfyFleetRaise"


def test_an_unknown_prompt_is_404(current):
    for prompt_id in (new_id(), "no-uuid"):
        assert current.get(f"/api/jobs/{prompt_id}").status_code == 404


def test_cancel_works_on_a_running_and_on_a_pending_prompt(lab, current):
    running = long_prompt(lab)
    pending = lab.queue_prompt(picture())
    assert [status(current, one) for one in (running, pending)] == ["in_progress", "pending"]

    answers = [cancel(current, one).json() for one in (pending, running)]

    assert answers == [{"cancelled": True}] * 2
    assert lab.ended(running)["status"]["messages"][-1][0] == "execution_interrupted"
    assert status(current, running) == "cancelled"
    assert status(current, pending) is None
    assert current.entry(pending) is None


def test_cancel_of_an_ended_or_unknown_prompt_is_false(current):
    ended = current.queue_prompt(picture())
    current.ended(ended)

    answers = [cancel(current, one) for one in (ended, new_id())]

    assert [(one.status_code, one.json()) for one in answers] == [(200, {"cancelled": False})] * 2


def test_jobs_are_listed_newest_first_in_pages(current):
    first, second = current.queue_prompt(picture()), current.queue_prompt(picture())
    current.ended(second)

    page = current.get("/api/jobs?limit=2&status=completed").json()

    assert [job["id"] for job in page["jobs"]] == [second, first]
    assert page["pagination"].keys() == {"offset", "limit", "total", "has_more"}


def test_several_prompts_are_cancelled_at_once(current):
    unknown = current.post("/api/jobs/cancel", json={"job_ids": [new_id()]})
    no_ids = current.post("/api/jobs/cancel", json={"job_ids": ["x"]})
    no_json = current.post("/api/jobs/cancel", data="x")

    assert unknown.json() == {"cancelled": False}
    assert [one.status_code for one in (no_ids, no_json)] == [400, 400]


def test_an_unknown_status_is_refused(current):
    assert current.get("/api/jobs?status=foo").status_code == 400
