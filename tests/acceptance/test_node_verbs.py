"""Nodes are drained, paused and resumed by a person, and their workers obey, restarted or not."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

from producer.contract.jobs import JobStatus
from producer.contract.nodes import NodeState
from producer.contract.operations import DesiredState
from producer.store.actions import Actions
from producer.store.desired_states import of_pools
from tests.acceptance.test_shutdown import PATIENCE, runs
from tests.graphs import sleeping
from tests.polling import wait_until


def state(fleet, name):
    return next(node.state for node in fleet.nodes() if node.name == name)


def probe(fleet, name):
    return next(node.probe for node in fleet.nodes() if node.name == name)


def wait_for(fleet, name, wanted):
    wait_until(lambda: state(fleet, name) is wanted, description=f"{name} is {wanted}")


def test_a_drained_node_finishes_what_it_holds_and_takes_nothing_until_it_is_resumed(
    comfyfleet, fleet, node, serve
):
    with serve("drained", "draining"):
        refused = comfyfleet("node", "drain", "drained")
        assert refused.returncode == 4
        assert "no ready node of pool draining would be left" in refused.stderr
        assert state(fleet, "drained") is NodeState.READY
        held = fleet.submit(sleeping(3), pool="draining")
        wait_until(lambda: runs(node, held), description="it renders")
        fleet.drain_nodes(["drained"], reason="a new card", last_of="draining", actor="kim")
        wait_for(fleet, "drained", NodeState.DRAINING)
        waits = fleet.submit(sleeping(0.1), pool="draining")
        assert fleet.wait(held.id, timeout=PATIENCE).status is JobStatus.SUCCEEDED
        wait_for(fleet, "drained", NodeState.PAUSED)
    log = serve.log("drained")
    seen = len(log.read_text())
    with serve.begun("drained", "draining"):
        wait_until(
            lambda: "node drained is paused" in log.read_text()[seen:], description="it is back"
        )
        assert state(fleet, "drained") is NodeState.PAUSED
        [shown] = [one for one in fleet.nodes() if one.name == "drained"]
        assert (shown.desired.state, shown.desired.reason) == ("drained", "a new card")
        assert "a new card" in shown.reason
        assert fleet.get(waits.id).status is JobStatus.QUEUED
        assert comfyfleet("node", "resume", "drained").returncode == 0
        assert fleet.wait(waits.id, timeout=PATIENCE).status is JobStatus.SUCCEEDED
        assert state(fleet, "drained") is NodeState.READY
    last = Actions(fleet._redis).newest(2)
    said = [(one.what, one.selection, one.reason) for one in last]
    assert said == [("node.resume", "drained", ""), ("node.drain", "drained", "a new card")]
    assert last[0].origin.startswith("cli@")


def test_a_pause_ends_by_itself_at_its_time(fleet, serve):
    with serve("resting", "pausing"):
        until = datetime.now(UTC) + timedelta(seconds=3)
        fleet.pause_nodes(["resting"], until=until, last_of="pausing", actor="kim")
        wait_for(fleet, "resting", NodeState.PAUSED)
        job = fleet.submit(sleeping(0.1), pool="pausing")
        assert fleet.wait(job.id, timeout=PATIENCE).started_at >= until


def test_a_node_obeys_its_pool_from_the_start_and_a_doubted_one_is_probed_and_cleared(
    comfyfleet, fleet, serve, tmp_path
):
    ran = tmp_path / "ran"
    of_pools(fleet._redis).set("doubts", DesiredState.PAUSED, actor="kim", reason="night")
    with serve.begun("doubted", "doubts", "--restart-command", f"touch '{ran}'"):
        log = serve.log("doubted")
        wait_until(
            lambda: "node doubted is paused: pool doubts paused by kim: night" in log.read_text(),
            description="it joins, and is paused",
        )
        job = fleet.submit(sleeping(0.1), pool="doubts")
        fleet.quarantine_nodes(["doubted"], reason="grey pictures", actor="kim")
        assert comfyfleet("pool", "resume", "doubts").returncode == 0
        wait_for(fleet, "doubted", NodeState.QUARANTINED)
        fleet.probe_nodes(["doubted"])
        wait_until(lambda: probe(fleet, "doubted").startswith("passed, "), description="probed")
        told = comfyfleet("node", "show", "doubted").stdout
        assert "last probe passed, " in told
        assert "quarantined by kim: grey pictures" in told
        assert comfyfleet("node", "restart", "doubted").returncode == 0
        wait_until(ran.exists, description="its ComfyUI is restarted")
        wait_until(
            lambda: "last restart done, " in comfyfleet("node", "show", "doubted").stdout,
            description="that is told",
        )
        wait_for(fleet, "doubted", NodeState.QUARANTINED)
        assert fleet.get(job.id).status is JobStatus.QUEUED
        assert comfyfleet("node", "clear", "doubted").returncode == 0
        assert fleet.wait(job.id, timeout=PATIENCE).status is JobStatus.SUCCEEDED
        assert state(fleet, "doubted") is NodeState.READY


def test_a_restart_that_is_asked_for_during_a_render_waits_for_its_end(
    comfyfleet, fleet, node, serve, tmp_path
):
    """The node takes nothing meanwhile, and nothing before the restart."""
    ran = tmp_path / "ran"
    script = tmp_path / "restart.py"
    script.write_text(f"import time; open({str(ran)!r}, 'a').write(f'{{time.time()}} ')")
    with serve("restarted", "restarts", "--restart-command", f"{sys.executable} {script}"):
        first = fleet.submit(sleeping(3), pool="restarts")
        wait_until(lambda: runs(node, first), description="it renders")
        assert comfyfleet("node", "restart", "restarted").returncode == 0
        second = fleet.submit(sleeping(0.1), pool="restarts")
        ended = fleet.wait(first.id, timeout=PATIENCE)
        assert (ended.status, ended.attempt) == (JobStatus.SUCCEEDED, 1)
        after = fleet.wait(second.id, timeout=PATIENCE)
        [at] = map(float, ran.read_text().split())
        assert ended.ended_at.timestamp() <= at <= after.started_at.timestamp()
