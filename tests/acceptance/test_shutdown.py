"""How a worker leaves: what it finishes, what it leaves, what it hands over."""

from __future__ import annotations

import signal
import sys
from datetime import timedelta

import requests

from producer.contract.jobs import JobStatus, Phase
from producer.contract.nodes import NodeState
from tests.acceptance.serving import is_ready
from tests.graphs import journal, sleeping
from tests.polling import wait_until

PATIENCE = timedelta(seconds=40)


def has_left(fleet, name) -> bool:
    return any(n.name == name and n.state is NodeState.OFFLINE for n in fleet.nodes())


def runs(node, job) -> list[dict]:
    return [note for note in journal(node) if note["job"] == job.id]


def test_sigterm_leaves_a_render_to_the_successor(fleet, node, serve):
    with serve("leaver", "leaving") as worker:
        job = fleet.submit(sleeping(5), pool="leaving")
        wait_until(lambda: runs(node, job), description="it renders")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=10) == 0
    left = fleet.get(job.id)
    assert (left.status, left.phase) == (JobStatus.RUNNING, Phase.RENDERING)
    with serve("leaver", "leaving"):
        done = fleet.wait(job.id, timeout=PATIENCE)
    assert done.attempt == 1
    assert len(runs(node, job)) == 1


def test_a_node_that_leaves_hands_its_job_over_uncharged(fleet, node, serve):
    with serve("goer", "going", "--handover") as worker:
        job = fleet.submit(sleeping(20), pool="going")
        wait_until(lambda: runs(node, job), description="it renders")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=10) == 0
    waiting = fleet.get(job.id)
    assert (waiting.status, waiting.attempt, waiting.charged_attempts) == (JobStatus.QUEUED, 2, 0)
    assert waiting.attempts[0].error.cause == "node_left"
    wait_until(lambda: runs(node, job)[0]["outcome"] == "interrupted", description="it was stopped")
    fleet.cancel(job.id)


def test_what_is_being_fetched_is_finished_first(fleet, node, serve):
    with serve("finisher", "finishing") as worker:
        slow = {"on": "GET /view", "do": "delay", "seconds": 2, "handled": True}
        requests.post(f"{node.url}/standin/faults", json=[slow], timeout=5).raise_for_status()
        job = fleet.submit(sleeping(0.2), pool="finishing")
        wait_until(lambda: fleet.get(job.id).phase is Phase.FETCHING, description="it fetches")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=15) == 0
    assert fleet.get(job.id).status is JobStatus.SUCCEEDED


def test_what_was_taken_back_is_finished_first_too(fleet, node, serve):
    with serve("killed", "taking-back"):
        job = fleet.submit(sleeping(1), pool="taking-back")
        wait_until(lambda: runs(node, job), description="it renders")
    slow = {"on": "GET /view", "do": "delay", "seconds": 3, "handled": True}
    requests.post(f"{node.url}/standin/faults", json=[slow], timeout=5).raise_for_status()
    with serve("killed", "taking-back") as successor:
        wait_until(lambda: fleet.get(job.id).phase is Phase.FETCHING, description="it fetches")
        # Only now: until the successor took its name, the record had the killed one as ready.
        wait_until(lambda: is_ready(fleet, "killed"), description="the successor serves")
        successor.send_signal(signal.SIGTERM)
        wait_until(lambda: has_left(fleet, "killed"), description="it lets go of its name")
        done = fleet.get(job.id)
        assert (done.status, done.attempt) == (JobStatus.SUCCEEDED, 1)
        assert successor.wait(timeout=5) == 0


def test_a_second_signal_ends_it_at_once(fleet, node, serve):
    with serve("hasty", "hasting") as worker:
        hang = {"on": "GET /view", "do": "hang", "count": 0}
        requests.post(f"{node.url}/standin/faults", json=[hang], timeout=5).raise_for_status()
        job = fleet.submit(sleeping(0.2), pool="hasting")
        wait_until(lambda: fleet.get(job.id).phase is Phase.FETCHING, description="it fetches")
        worker.send_signal(signal.SIGTERM)
        wait_until(
            lambda: any(n.state is NodeState.DRAINING for n in fleet.nodes()), description="drains"
        )
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=3) == 143
    fleet.cancel(job.id)


def test_a_worker_that_left_does_not_show_as_living(fleet, serve):
    with serve("gone", "going") as worker:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=10) == 0
    known = next(node for node in fleet.nodes() if node.name == "gone")
    assert (known.state, known.reason) == (NodeState.OFFLINE, "stopped")


def test_a_node_that_hangs_is_restarted_by_the_operators_command(fleet, node, serve, tmp_path):
    told = tmp_path / "restarted"
    with serve("hanger", "hanging", "--restart-command", f"touch '{told}'"):
        zombie = {"on": "prompt", "do": "hang", "count": 0}
        requests.post(f"{node.url}/standin/faults", json=[zombie], timeout=5).raise_for_status()
        job = fleet.submit(sleeping(0.2), pool="hanging")
        wait_until(told.exists, description="the command was run")
        requests.delete(f"{node.url}/standin/faults", timeout=5)
        assert fleet.wait(job.id, timeout=PATIENCE).charged_attempts == 0


def test_a_prompt_that_never_ends_has_its_node_restarted_once(fleet, node, serve, tmp_path):
    told = tmp_path / "restarted"
    script = tmp_path / "restart.py"
    script.write_text(
        f"import urllib.request as r\nopen({str(told)!r}, 'a').write('x')\n"
        f"r.urlopen(r.Request('{node.url}/standin/faults', method='DELETE'))"
    )
    quick = {"COMFYFLEET_NODE_PROGRESS_S": "1", "COMFYFLEET_NODE_CANARY_S": "1"}
    with serve("dead", "dead", "--restart-command", f"{sys.executable} {script}", **quick):
        sleeps = {"on": "run ComfyFleetSleep", "do": "hang", "deaf": True}
        requests.post(f"{node.url}/standin/faults", json=[sleeps], timeout=5).raise_for_status()
        done = fleet.wait(fleet.submit(sleeping(0.2), pool="dead").id, timeout=PATIENCE)
        assert [attempt.error.cause for attempt in done.attempts] == ["stall"]
    assert told.read_text() == "x"


def test_while_the_only_card_is_broken_its_queue_waits(fleet, node, serve):
    with serve("broken", "broken"):
        broken = [
            {"on": f"run {name}", "do": "raise", "count": 0, "body": "CUDA error: unknown error"}
            for name in ("ComfyFleetSleep", "ImageBlur")
        ]
        requests.post(f"{node.url}/standin/faults", json=broken, timeout=5).raise_for_status()
        jobs = [fleet.submit(sleeping(0.02, nonce=n), pool="broken") for n in range(20)]
        failed = "a canary prompt failed"
        wait_until(
            lambda: any(failed in n.reason for n in fleet.nodes() if n.name == "broken"),
            description="the canary tells of it",
        )
        requests.delete(f"{node.url}/standin/faults", timeout=5)
        ended = [fleet.wait(job.id, timeout=PATIENCE) for job in jobs]
        [known] = [n for n in fleet.nodes() if n.name == "broken"]
    assert {job.charged_attempts for job in ended} == {0}
    assert 1 <= sum(len(job.attempts) for job in ended) <= 3
    assert (known.state, known.reason) == (NodeState.READY, "")
